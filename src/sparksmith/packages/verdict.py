"""Will these packages run on a target: from facts to a verdict with its reasons. Pure; nothing is read here.

A verdict is the worst of independent findings, as auditwheel's is the minimum of independent policies. What cannot be
seen is listed in docs/concepts/audit.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from packaging.utils import canonicalize_name

from sparksmith.packages.facts import PackageFacts
from sparksmith.packages.finding import Finding, Kind, Setting, Verdict, worst
from sparksmith.packages.judge_amd import check_amd
from sparksmith.packages.judge_code import LibraryVerdict, check_code, check_tools, list_libraries
from sparksmith.packages.judge_cuda import check_cuda
from sparksmith.packages.judge_faults import check_resolution, check_versions, explain
from sparksmith.packages.judge_libraries import check_libraries, check_missing
from sparksmith.packages.judge_platform import check_platform, check_project
from sparksmith.packages.judge_set import check_fallbacks, check_set, check_unseen, setting_of
from sparksmith.packages.judge_source import check_cuda_source
from sparksmith.packages.loading import MissingLibrary
from sparksmith.packages.resolution import Fallback
from sparksmith.policy.faults import load_faults
from sparksmith.policy.targets import Target, show_version

AUDIT_VERSION = 1


@dataclass(frozen=True, slots=True)
class PackageVerdict:
    """A package, the worst of its findings, and what the target makes of each of its libraries."""

    name: str
    version: str
    file: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    libraries: tuple[LibraryVerdict, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "version": self.version, "file": self.file, "verdict": self.verdict.value,
            "findings": [each.to_json() for each in self.findings],
            "libraries": [each.to_json() for each in self.libraries],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class SetVerdict:
    """The whole: the worst of the packages and of what is wrong among them.

    `subject` is what was asked about; `notes` are what was left out of it, or could not be read, in words.
    """

    subject: str
    kind: Kind
    setting: Setting
    verdict: Verdict
    findings: tuple[Finding, ...]
    packages: tuple[PackageVerdict, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The output of `audit --json` (schemas/audit.json)."""
        target = self.setting.target
        return {
            "version": AUDIT_VERSION,
            "subject": self.subject,
            "kind": self.kind,
            "target": {
                "name": target.name, "title": target.title,
                "compute_capability": show_version(target.compute_capability), "machine": target.machine,
                "driver": target.driver, "glibc": show_version(target.glibc),
                "python": show_version(self.setting.python), "cuda": self.setting.cuda_text,
                "cuda_of": self.setting.cuda_of,
            },
            "verdict": self.verdict.value,
            "counts": {each.value: sum(package.verdict is each for package in self.packages) for each in Verdict},
            "findings": [each.to_json() for each in self.findings],
            "packages": [each.to_json() for each in self.packages],
            "notes": list(self.notes),
        }  # fmt: skip


def judge_package(package: PackageFacts, setting: Setting) -> PackageVerdict:
    """One package by itself, every rule independent of the others."""
    faults = load_faults()
    name = canonicalize_name(package.name)
    found = [
        *check_platform(package, setting),
        *check_cuda(package, setting),
        *check_amd(package, setting),
        *check_libraries(package, setting),
        *check_code(package, setting),
        *check_tools(package, setting),
        *check_cuda_source(package, setting),
    ]
    findings = [explain(each, [name], faults) for each in found]
    findings += check_versions({name: package}, setting, faults, alone=True)
    findings.sort(key=lambda each: list(Verdict).index(each.verdict), reverse=True)
    return PackageVerdict(
        package.name, package.version, package.file, worst(each.verdict for each in findings), tuple(findings),
        list_libraries(package, setting),
    )  # fmt: skip


def judge(
    packages: Sequence[PackageFacts],
    target: Target,
    *,
    kind: Kind,
    subject: str,
    python: tuple[int, int] | None = None,
    platform: str | None = None,
    fallbacks: Sequence[Fallback] = (),
    missing: Sequence[MissingLibrary] = (),
    unseen: Sequence[str] = (),
    wants_python: tuple[str, str] | None = None,
    notes: Sequence[str] = (),
) -> SetVerdict:
    """All packages: the worst of each and of what is wrong among them.

    `python` is an environment's own where it is not the target's, `missing` what its loader would not find; `platform`
    what a list was resolved for, as uv spells it, `fallbacks` where that settled for less, `unseen` requirements of its
    source distributions that nobody looked at, `wants_python` a project's file and the versions of Python that it
    allows. A lone wheel (kind `wheel`) is judged against the target's CUDA,
    everything else against its own torch's.
    """
    faults = load_faults()
    setting = setting_of(packages, target, kind, python)
    verdicts = tuple(
        judge_package(package, setting) for package in sorted(packages, key=lambda each: canonicalize_name(each.name))
    )
    by_name: dict[str, PackageFacts] = {canonicalize_name(package.name): package for package in packages}
    findings: list[Finding] = []
    if wants_python is not None:
        findings += check_project(*wants_python, setting)
    if kind != "wheel":
        findings += (explain(each, _askers(each, by_name), faults) for each in check_set(packages, setting, kind))
        findings += check_versions(by_name, setting, faults, alone=False)
    findings += [*check_missing(missing), *check_fallbacks(fallbacks), *check_unseen(unseen)]
    if platform is not None:
        findings += check_resolution(platform, setting, faults)
    whole = worst([*(each.verdict for each in verdicts), *(each.verdict for each in findings)])
    return SetVerdict(subject, kind, setting, whole, tuple(findings), verdicts, tuple(notes))


def _askers(finding: Finding, packages: dict[str, PackageFacts]) -> list[str]:
    """The packages that a finding about a set is about: those whose files or names are its evidence."""
    named = {each.file for each in finding.evidence}
    return [name for name, package in packages.items() if named & {package.name, package.file} - {""}]
