"""Every check over what was observed: the findings, worst first. Pure: what was read is handed in."""

from __future__ import annotations

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
from sparksmith.policy.faults import SEVERITIES, load_faults

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
    found: dict[tuple[str, str], Finding] = {}
    for check in ALL_CHECKS:
        for seen in check(examined):
            finding = Finding(rows[seen.fault], seen.here, seen.evidence, seen.command)
            found.setdefault((seen.fault, seen.here), finding)
    told = [finding for finding in found.values() if finding.fault.severity != "harmless"]
    order = {fault: place for place, fault in enumerate(rows)}
    return sorted(told, key=lambda f: (SEVERITIES.index(f.fault.severity), order[f.fault.id]))
