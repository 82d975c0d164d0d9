"""Every check over what was observed: the findings, worst first. Pure: what was read is handed in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sparksmith.doctor import (
    check_containers,
    check_environment,
    check_gpu,
    check_memory,
    check_network,
    check_packages,
    check_serving,
    check_training,
)
from sparksmith.doctor.finding import Check, Examined, Finding
from sparksmith.doctor.observed import also
from sparksmith.policy.faults import SEVERITIES, load_faults

MOST_EVIDENCE = 50  # places of one fault in the project's files

# One list; each check yields the faults that it is named after, at most a few.
ALL_CHECKS: tuple[Check, ...] = (
    *check_gpu.CHECKS,
    *check_packages.CHECKS,
    *check_environment.CHECKS,
    *check_memory.CHECKS,
    *check_containers.CHECKS,
    *check_training.CHECKS,
    *check_serving.CHECKS,
    *check_network.CHECKS,
)


def examine(examined: Examined) -> list[Finding]:
    """The findings: what fails before what warns, causes before their effects. Harmless ones are not told."""
    rows = {fault.id: fault for fault in load_faults()}
    places = {ask.place for ask in examined.project.asks} if examined.project else set()
    found: dict[tuple[str, str], Finding] = {}
    for check in ALL_CHECKS:
        for seen in check(examined):
            in_files = not places.isdisjoint(seen.evidence)
            finding = Finding(rows[seen.fault], seen.here, seen.evidence, seen.command, in_files)
            found.setdefault((seen.fault, seen.here), finding)
    told = [finding for finding in found.values() if finding.fault.severity != "harmless"]
    order = {fault: place for place, fault in enumerate(rows)}
    told = sorted(told, key=lambda f: (SEVERITIES.index(f.severity), order[f.fault.id]))
    return list(_join(told))


def _join(findings: list[Finding]) -> Iterator[Finding]:
    """The same, but what files of the project ask for once a fault, with its other places behind the first."""
    for number, finding in enumerate(findings):
        same = [one for one in findings if one.in_files and one.fault.id == finding.fault.id]
        if not finding.in_files or len(same) < 2:
            yield finding
        elif finding is same[0] and number == findings.index(finding):
            others = list(dict.fromkeys(one.evidence[0] for one in same[1:] if one.evidence[0] != finding.evidence[0]))
            evidence = tuple(dict.fromkeys(place for one in same for place in one.evidence))
            yield replace(finding, here=f"{finding.here}{also(others)}", evidence=evidence[:MOST_EVIDENCE])
