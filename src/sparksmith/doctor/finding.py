"""What the doctor says: one fault, as it was found on one machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a deep check runs where the libraries that read wheels are not installed
    from sparksmith.doctor.project import ProjectFacts
    from sparksmith.machine.facts import MachineFacts
    from sparksmith.machine.pythons import PythonSummary
    from sparksmith.packages.environment import Fingerprint
    from sparksmith.packages.incomplete import Incomplete
    from sparksmith.packages.verdict import SetVerdict
    from sparksmith.policy.faults import Fault
    from sparksmith.policy.targets import Target


@dataclass(frozen=True)
class Examined:
    """All that a check may look at.

    `python` is the environment that is examined, `audit` the verdict on its packages, `recorded` what it was when it
    was provisioned and `now` what it is; `project` what the project's files ask for; `incomplete` what is missing of
    its torch; each None where there is none.
    Not `is_own`: the environment is only the one that this command runs in, and says nothing of the project.
    """

    machine: MachineFacts
    target: Target
    python: PythonSummary | None = None
    audit: SetVerdict | None = None
    recorded: Fingerprint | None = None
    now: Fingerprint | None = None
    project: ProjectFacts | None = None
    incomplete: Incomplete | None = None
    is_own: bool = True


@dataclass(frozen=True)
class Seen:
    """What a check found: the fault's id, what stands here, in figures, and where that was read.

    `command` is the fault's own with its words in CAPITALS filled in, where the machine says how.
    """

    fault: str
    here: str
    evidence: tuple[str, ...] = ()
    command: str | None = None


Check = Callable[[Examined], Iterable[Seen]]


@dataclass(frozen=True)
class Finding:
    """A fault with what was seen of it. `in_files`: it rests on a file of the project that may never be started."""

    fault: Fault
    here: str
    evidence: tuple[str, ...] = ()
    command: str | None = None
    in_files: bool = False

    @property
    def severity(self) -> str:
        """The fault's own; at most a warning where nothing was started yet that would fail."""
        return "warns" if self.in_files and self.fault.severity == "fails" else self.fault.severity

    def to_json(self) -> dict[str, Any]:
        """As `doctor --json` prints it (schemas/doctor.json)."""
        return {
            "id": self.fault.id, "severity": self.severity, "title": self.fault.title, "here": self.here,
            "evidence": list(self.evidence), "fix": self.fault.fix, "command": self.command or self.fault.command,
            "safe": self.fault.safe, "source": list(self.fault.source),
        }  # fmt: skip
