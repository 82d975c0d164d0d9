"""What the doctor found, as `--json` prints it (schemas/doctor.json), and an error explained (schemas/error.json)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sparksmith.base.redact import redact
from sparksmith.doctor.deep import DeepResult, findings_of
from sparksmith.doctor.explain import Match
from sparksmith.doctor.finding import Finding
from sparksmith.doctor.gather import Gathered
from sparksmith.machine.facts import MachineFacts
from sparksmith.packages.finding import Verdict
from sparksmith.policy.faults import SEVERITIES, Fault, load_faults
from sparksmith.policy.targets import Target

DOCTOR_VERSION = 1
ERROR_VERSION = 1
REFERENCE = "docs/reference/faults.md"
Outcome = Literal["fails", "warns", "clear"]


@dataclass(frozen=True)
class Diagnosis:
    """All findings, worst first, and what they were found in."""

    gathered: Gathered
    findings: tuple[Finding, ...]
    deep: DeepResult | None = None

    def with_deep(self, deep: DeepResult) -> Diagnosis:
        """What was seen when torch was tried, too; a fault that the checks told already is not told again."""
        rows = {fault.id: fault for fault in load_faults()}
        told = {finding.fault.id for finding in self.findings}
        more = [
            Finding(rows[seen.fault], seen.here, seen.evidence, seen.command)
            for seen in findings_of(deep, self.gathered.examined.target)
            if seen.fault not in told and not rows[seen.fault].harmless
        ]
        order = {name: place for place, name in enumerate(rows)}
        findings = sorted(
            [*self.findings, *more],
            key=lambda one: (SEVERITIES.index(one.severity), order[one.fault.id]),
        )
        return Diagnosis(self.gathered, tuple(findings), deep)

    @property
    def outcome(self) -> Outcome:
        """The worst of what was found: something fails, something only warns, or nothing is wrong."""
        severities = {finding.severity for finding in self.findings}
        if "fails" in severities or self.unexplained():
            return "fails"
        return "warns" if severities else "clear"

    def unexplained(self) -> list[dict[str, str]]:
        """What will not run after the audit, for reasons that no finding tells: package and reason."""
        audit = self.gathered.examined.audit
        if audit is None:
            return []
        told = {finding.fault.id for finding in self.findings}
        found = [("", finding) for finding in audit.findings]
        found += [(f"{one.name} {one.version}".strip(), finding) for one in audit.packages for finding in one.findings]
        return [
            {"package": package, "seen": finding.seen}
            for package, finding in found
            if finding.verdict is Verdict.FAILS and finding.fault not in told
        ]

    def to_json(self) -> dict[str, Any]:
        """Secrets are taken out; names and paths stand as they are, so that a command can be typed."""
        gathered = self.gathered
        examined, place, python = gathered.examined, gathered.place, gathered.examined.python
        audit = examined.audit
        record: dict[str, Any] = redact(
            {
                "version": DOCTOR_VERSION,
                "outcome": self.outcome,
                "machine": _machine(examined.machine),
                "environment": {
                    "path": place.path, "role": place.role, "python": python.python if python else None,
                    "torch": python.packages.get("torch") if python else None,
                    "packages": len(audit.packages) if audit else python.count if python else None,
                    "audit": audit.verdict.value if audit else None,
                } if place else None,
                "target": _target(examined.target, gathered.judged_for) if audit else None,
                "findings": [finding_to_json(finding) for finding in self.findings],
                "unexplained": self.unexplained(),
                "given_up": list(examined.machine.silent),
                "notes": list(gathered.notes),
                "deep": self.deep.to_json() if self.deep else None,
            }
        )  # fmt: skip
        return record


def finding_to_json(finding: Finding) -> dict[str, Any]:
    """A finding, with where the fault is told at length."""
    return {**finding.to_json(), "reference": reference(finding.fault)}


def reference(fault: Fault) -> str:
    """docs/reference/faults.md#swap-on."""
    return f"{REFERENCE}#{fault.id}"


def matches_to_json(matches: Sequence[Match]) -> dict[str, Any]:
    """The faults that an error's text told of, causes first."""
    return {
        "version": ERROR_VERSION,
        "matches": [
            {
                "id": match.fault.id, "severity": match.fault.severity, "title": match.fault.title, "line": match.line,
                "text": redact(match.text), "detected": match.fault.detected, "fix": match.fault.mend,
                "command": match.fault.command, "source": list(match.fault.source),
                "reference": reference(match.fault),
            }
            for match in matches
        ],
    }  # fmt: skip


def _target(target: Target, why: str) -> dict[str, str]:
    return {"name": target.name, "title": target.title, "why": why.partition(", ")[2]}


def _machine(facts: MachineFacts) -> dict[str, Any]:
    """What tells one machine from another."""
    system, gpu, container = facts.system, facts.gpu, facts.container
    return {
        "product": system.product, "architecture": system.architecture,
        "system": f"DGX OS {system.dgx_os}" if system.dgx_os
        else f"{system.distribution} {system.version or ''}".strip() if system.distribution else None,
        "kernel": system.kernel, "wsl": system.is_wsl,
        "container": container.kind if container.is_container else None,
        "gpus": [one.name or "a GPU without a name" for one in gpu.gpus], "driver": gpu.driver, "cuda": gpu.cuda,
        "memory_bytes": facts.memory.total_bytes,
    }  # fmt: skip
