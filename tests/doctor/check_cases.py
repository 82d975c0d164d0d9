"""What the tests of the checks share: a tree is built, the whole of examine() is run on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machines.faulty import build_case, look, read_cases
from sparksmith.doctor.examine import examine
from sparksmith.doctor.finding import Examined
from sparksmith.policy.faults import load_faults


def cases(subject: str) -> list[Any]:
    """The tables of a subject, as parameters."""
    return [pytest.param(said, id=name) for name, said in read_cases(subject).items()]


def compare(said: dict[str, Any], folder: Path, look: Callable[[Path], Examined] = look) -> None:
    """The doctor tells the faults that the tree has and no others, with the words and the command of the table."""
    found = examine(look(build_case(said, folder / "m")))
    assert [finding.fault.id for finding in found] == said["finds"]
    if "here" in said:
        assert said["here"] in found[0].here
    if "command" in said:
        assert (found[0].command or found[0].fault.command) == said["command"]
    if "severity" in said:
        assert found[0].severity == said["severity"]
    for finding in found:
        assert finding.here.isprintable() and len(finding.here) <= 300
        assert finding.evidence


def unseen(subject: str) -> set[str]:
    """Faults of a subject that a machine or a project's files show, that are told, and of which there is no tree."""
    wanted = {
        fault.id
        for fault in load_faults()
        if fault.subject == subject and {"machine", "asked"} & set(fault.seen_in) and not fault.harmless
    }
    audited = {fault.id for fault in load_faults() if fault.kind}
    shown = {fault for said in read_cases(subject).values() for fault in said["finds"]}
    return wanted - audited - shown
