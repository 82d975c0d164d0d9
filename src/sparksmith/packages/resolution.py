"""What a resolution is: which wheel of which package, and where the resolver settled for less than was meant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from sparksmith.packages.finding import some
from sparksmith.packages.platform import STRANGE_TAG, Platform

FallbackKind = Literal["old", "source", "hidden", "pre"]
NO_WHEELS = "it has no wheels"
NAMES_AT_MOST = 6


@dataclass(frozen=True, slots=True)
class WheelFile:
    """A wheel, or a source distribution, as an index or a lock names it.

    `url` may hold a secret: it is never shown and never written down.
    """

    file: str
    sha256: str | None = None
    bytes: int | None = None
    uploaded: datetime | None = None
    url: str | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A package of a resolution. `wheel` is None where nothing but its source can be installed.

    `asked` is the requirement that named it, as the user wrote it; empty for what others brought in. `why_source` says
    why there is no wheel: what keeps the wheels that exist from this platform, or that there are none. `source` is the
    source distribution, where there is one; `foreign` the names of its wheels, all for other platforms, where there is
    no source either: nothing can be installed. `problem` says why it is not known which of its files is taken.
    """

    name: str
    version: str
    wheel: WheelFile | None
    asked: str = ""
    why_source: str = ""
    source: WheelFile | None = None
    foreign: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Fallback:
    """Where the resolver settled for something without a word.

    `old`: the version is at least a year older than the newest that this platform could have. `source`: an install
    would build `newest` from source, and only the older `version` has a wheel. `hidden`: newer wheels exist, but none
    for this platform; `reason` says what keeps them away. `pre`: a pre-release that nobody asked for, where
    `newest` is a release. `asked` is the user's own requirement (empty for what others brought in), `allowed` whether
    it allows the newest version, and `source` whether that has a source distribution.
    """

    kind: FallbackKind
    name: str
    version: str
    newest: str
    uploaded: datetime | None = None
    newest_uploaded: datetime | None = None
    reason: str = ""
    asked: str = ""
    allowed: bool = False
    source: bool = False

    def describe(self) -> str:
        """One line, without what to do about it."""
        if self.kind == "source":
            return (
                f"{self.name} {self.newest} has no wheel here and would be built from source; "
                f"the newest version with a wheel is {self.version}"
            )
        if self.kind == "pre":
            return (
                f"{self.name} {self.version} was taken, a pre-release that nobody asked for; the newest release is "
                f"{self.newest}"
            )
        if self.kind == "hidden":
            why = "has no wheels" if self.reason == NO_WHEELS else f"has wheels that do not fit here ({self.reason})"
            built = ", and would be built from source where that is allowed" if self.source else ""
            return f"{self.name} {self.version} was taken; the newest, {self.newest}, {why}{built}"
        dates = f" of {self.uploaded:%Y-%m}" if self.uploaded else ""
        newest = f" of {self.newest_uploaded:%Y-%m}" if self.newest_uploaded else ""
        return f"{self.name} {self.version}{dates} was taken; the newest that fits is {self.newest}{newest}"


@dataclass(frozen=True, slots=True)
class Resolution:
    """What would be installed on a platform. `how`: `file` (read, without network) or `uv`. `no_extras` are extras that
    were asked for and that are none of their package's, as (package, extra)."""

    platform: Platform
    packages: tuple[Chosen, ...]
    how: Literal["file", "uv"]
    fallbacks: tuple[Fallback, ...] = ()
    notes: tuple[str, ...] = ()
    no_extras: tuple[tuple[str, str], ...] = ()


def best_wheel(wheels: Iterable[WheelFile], platform: Platform) -> WheelFile | None:
    """The wheel that an installer would take here: the best tag, then the highest build number."""
    fitting = [(rank, wheel) for wheel in wheels if (rank := platform.rank_file(wheel.file)) is not None]
    if not fitting:
        return None
    best = min(rank for rank, _ in fitting)
    return max((wheel for rank, wheel in fitting if rank == best), key=_build)


def why_no_wheel(wheels: Iterable[WheelFile], platform: Platform) -> str:
    """Why none of a version's wheels can be installed here, the reason that is nearest to fitting first."""
    reasons = {reason for wheel in wheels if (reason := platform.why_not(wheel.file))}
    if not reasons:
        return NO_WHEELS
    order = ("needs glibc", "for Python")
    nearest = min(
        reasons, key=lambda reason: (next((i for i, o in enumerate(order) if reason.startswith(o)), 9), reason)
    )
    if nearest.startswith(order):
        return nearest
    elsewhere = sorted(reason.removeprefix("for ") for reason in reasons if reason.startswith("for "))
    strange = sorted(reason.removeprefix(STRANGE_TAG) for reason in reasons if reason.startswith(STRANGE_TAG))
    parts = [f"for {some(elsewhere, NAMES_AT_MOST)} only"] if elsewhere else []
    if strange:
        parts.append(f"named with tags that are not valid: {some(strange, NAMES_AT_MOST)}")
    return ", or ".join(parts) if parts else nearest


def _build(wheel: WheelFile) -> tuple[int, str] | tuple[()]:
    try:
        return parse_wheel_filename(wheel.file)[2]
    except InvalidWheelFilename:
        return ()
