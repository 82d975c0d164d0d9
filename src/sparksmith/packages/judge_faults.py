"""Known faults among packages: those that versions alone tell, and the rows that explain what a judge found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from sparksmith.packages.facts import PackageFacts
from sparksmith.packages.finding import Evidence, Finding, Setting, Verdict
from sparksmith.policy.faults import Fault
from sparksmith.policy.targets import show_version

# uv's short names, and how its long ones begin (docs.astral.sh/uv/reference/cli, read 2026-11-28)
UV_MACHINES = {"linux": "x86_64", "windows": "AMD64", "macos": "arm64"}
MACHINE = re.compile(r"(x86_64|aarch64|riscv64|i686|armv7l|ppc64le|s390x)-(?:manylinux|unknown-linux)")


def explain(finding: Finding, names: Iterable[str], faults: Iterable[Fault]) -> Finding:
    """The finding with what is known of the fault that it is; a row that names one of the packages comes first."""
    known = {canonicalize_name(name) for name in names}
    rows = [fault for fault in faults if fault.kind == "finding" and fault.detect["rule"] == finding.rule]
    named = [fault for fault in rows if known & set(fault.detect.get("packages", ()))]
    # a row about what fails does not explain a note: vLLM's kernels for other GPUs are no fault
    general = [fault for fault in rows if "packages" not in fault.detect and fault.verdict == finding.verdict]
    for fault in named:
        return replace(finding, fix=fault.mend, fault=fault.id, source=fault.source[0])
    for fault in general:  # the finding's own fix names the packages
        return replace(finding, fix=finding.fix or fault.mend, fault=fault.id, source=fault.source[0])
    return finding


def check_versions(
    packages: Mapping[str, PackageFacts], setting: Setting, faults: Iterable[Fault], *, alone: bool
) -> Iterator[Finding]:
    """Findings of the rule known, from names and versions; `alone` asks for the faults of one package, else of several.

    `packages` by canonical name.
    """
    for fault in faults:
        if fault.kind != "versions" or (len(fault.detect["packages"]) == 1) != alone:
            continue
        if fault.detect.get("machine", setting.target.machine) != setting.target.machine:
            continue
        wanted: Mapping[str, str] = fault.detect["packages"]
        if all(_matches(packages.get(name), versions, fault) for name, versions in wanted.items()):
            found = [packages[name] for name in wanted]
            yield Finding(
                Verdict(fault.verdict), "known",
                f"{' beside '.join(f'{each.name} {each.version}' for each in found)}: {fault.title}",
                "; ".join(f"{name} other than {versions}" for name, versions in wanted.items()),
                fault.mend,
                tuple(Evidence(each.file or each.name, f"version {each.version}") for each in found),
                fault.id, fault.source[0],
            )  # fmt: skip


def check_resolution(platform: str, setting: Setting, faults: Iterable[Fault]) -> Iterator[Finding]:
    """Findings of the rule known about the platform that packages were resolved for, as uv spells it."""
    machine = UV_MACHINES.get(platform) or (found[1] if (found := MACHINE.match(platform)) else None)
    if machine != setting.target.machine:
        glibc, python = "_".join(map(str, setting.target.glibc)), show_version(setting.python)
        yield Finding(
            Verdict.NOTE, "resolved-for", f"resolved for {platform}, another machine: versions may differ there",
            setting.target.machine,
            "resolve it again: uv pip compile --python-platform "
            f"{setting.target.machine}-manylinux_{glibc} --python-version {python} ...",
        )  # fmt: skip
    for fault in faults:
        if fault.kind == "resolution" and platform in fault.detect["platforms"]:
            command = f": {fault.command}" if fault.command else ""
            yield Finding(
                Verdict(fault.verdict), "known", f"resolved for {platform}: {fault.title}",
                "the platform of the machine", f"{fault.mend}{command}",
                fault=fault.id, source=fault.source[0],
            )  # fmt: skip


def _matches(package: PackageFacts | None, versions: str, fault: Fault) -> bool:
    if package is None:
        return False
    try:
        version = Version(package.version)
    except InvalidVersion:
        return False
    if fault.detect.get("plain") and version.local:
        return False
    return SpecifierSet(versions).contains(version, prereleases=True)
