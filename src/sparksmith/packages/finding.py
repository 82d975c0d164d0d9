"""What a judge says of a package: the four verdicts, and a finding with its evidence and what mends it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal

from sparksmith.packages.facts import LibraryFacts, PackageFacts
from sparksmith.policy.targets import Target, show_version

# a wheel alone; wheels that happen to lie together; a list that an installer is to take; what is installed
Kind = Literal["wheel", "folder", "list", "environment"]


class Verdict(StrEnum):
    """From good to bad."""

    RUNS = "runs"
    NOTE = "runs with a note"
    UNKNOWN = "cannot tell"
    FAILS = "will not run"


ORDER = tuple(Verdict)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of independent verdicts; of none, `runs`."""
    return max(verdicts, key=ORDER.index, default=Verdict.RUNS)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where it was seen: a file, and in it a section, a symbol or an entry; `bytes` is that thing's size, if known."""

    file: str
    what: str
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """`rule` is one of policy.faults.RULES; `fix` is what to ask for instead; `fault` the known fault that it is.

    One whose verdict is `runs` is a detail: nothing has to be done or known, and it is shown only where all is.
    """

    verdict: Verdict
    rule: str
    seen: str
    expected: str
    fix: str | None = None
    evidence: tuple[Evidence, ...] = ()
    fault: str | None = None
    source: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict.value, "evidence": [asdict(each) for each in self.evidence]}


@dataclass(frozen=True, slots=True)
class Setting:
    """What packages are judged against: a target, its Python (or the environment's own), and a CUDA.

    `cuda` is torch's where there is a torch with one (`cuda_of` names it, its minor may be unknown), else the target's;
    only torch's binds exactly (`of_torch`). Of a set `brought` are the names of all libraries in it, `wanted` those
    that a library needs and its own package does not bring, `unseen` the packages whose libraries nobody saw: sources,
    and files that cannot be read, `names` those of its packages. All four are empty for a lone wheel.
    """

    target: Target
    python: tuple[int, int]
    cuda: tuple[int, int | None]
    cuda_of: str
    of_torch: bool
    kind: Kind = "wheel"
    brought: frozenset[str] = frozenset()
    wanted: frozenset[str] = frozenset()
    unseen: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()

    @property
    def cuda_text(self) -> str:
        major, minor = self.cuda
        return f"{major}" if minor is None else f"{major}.{minor}"


def own_libraries(package: PackageFacts, target: Target) -> list[LibraryFacts]:
    """The ELF files that the target's processor can load."""
    return [library for library in package.libraries if library.machine == target.machine]


def capability(target: Target) -> str:
    """12.1."""
    return show_version(target.compute_capability)


def some(names: Iterable[str], limit: int = 3) -> str:
    """At most three names, then how many more."""
    listed = list(names)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more
