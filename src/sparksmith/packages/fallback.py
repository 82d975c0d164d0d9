"""Where a resolver settled for something without a word, and whether anybody made it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from sparksmith.packages.facts import PackageFacts
from sparksmith.packages.locks import Locked
from sparksmith.packages.platform import Platform
from sparksmith.packages.requirements import Line
from sparksmith.packages.resolution import Fallback, FallbackKind, best_wheel, why_no_wheel

EXTRA = re.compile(r"\bextra\s*==\s*['\"]([^'\"]+)")
OLD = timedelta(days=365)  # what a version may be behind the newest before it is said


def find_fallback(taken: Locked, newest: Locked, line: Line | None, platform: Platform) -> Fallback | None:
    """What was taken in place of the newest version. `line` is the requirement, where it was asked for by name.

    A dependency is spoken of only where it is a year behind; `held_back_by` says whether another package wants it so.
    """
    unasked = line is not None and is_unasked(taken.version, newest.version, line)
    if not unasked and not is_older(taken.version, newest.version):
        return None
    behind = timedelta()  # not known is not old
    if taken.uploaded and newest.uploaded:
        behind = newest.uploaded - taken.uploaded
    allowed = line is not None and line.requirement.specifier.contains(newest.version, prereleases=True)
    asked = str(line.requirement) if line is not None else ""

    def found(kind: FallbackKind, reason: str = "") -> Fallback:
        return Fallback(
            kind, taken.name, taken.version, newest.version, taken.uploaded, newest.uploaded, reason, asked, allowed,
            newest.sdist is not None,
        )  # fmt: skip

    if best_wheel(newest.wheels, platform) is not None:
        if unasked:
            return found("pre")
        return found("old") if behind >= OLD else None
    reason = why_no_wheel(newest.wheels, platform)
    if allowed and newest.sdist:
        # an installer that may build prefers the newest version, which uv was kept from here
        return found("source", reason)
    return found("hidden", reason) if allowed or behind >= OLD else None


def held_back_by(fallback: Fallback, packages: Iterable[PackageFacts], platform: Platform) -> list[str]:
    """The packages of the same set that do not allow the newest version: 'sympy (mpmath<1.4,>=1.1.0)'.

    Where there is none, and the user's own requirement allows it, the resolver went back without a word.
    """
    return [
        f"{package.name} ({requirement.name}{requirement.specifier})"
        for package in packages
        for requirement in _requirements(package, platform)
        if canonicalize_name(requirement.name) == fallback.name
        and not requirement.specifier.contains(fallback.newest, prereleases=True)
    ]


def is_older(one: str, other: str) -> bool:
    """Whether a version comes before another; False where one of them is no version."""
    try:
        return Version(one) < Version(other)
    except InvalidVersion:
        return False


def is_unasked(taken: str, newest: str, line: Line) -> bool:
    """Whether a pre-release was taken where there is a release, and the requirement speaks of none."""
    try:
        pre, released = Version(taken).is_prerelease, not Version(newest).is_prerelease
    except InvalidVersion:
        return False
    return pre and released and not line.requirement.specifier.prereleases


def _requirements(package: PackageFacts, platform: Platform) -> Iterable[Requirement]:
    """What a package requires on a platform; whatever extra it belongs to, for nothing says which were asked for."""
    for text in package.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        extra = EXTRA.search(text)
        if requirement.marker is None or requirement.marker.evaluate(platform.environment(extra[1] if extra else "")):
            yield requirement
