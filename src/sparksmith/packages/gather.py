"""The facts of what was resolved: known ones looked up, the others fetched, read and remembered."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from sparksmith.base.errors import SparksmithError
from sparksmith.packages.facts import PackageFacts
from sparksmith.packages.fetch import Progress, drop_wheel, fetch_wheel
from sparksmith.packages.known import KnownWheels
from sparksmith.packages.resolution import Chosen, Resolution, WheelFile
from sparksmith.packages.wheel.read import read_wheel

AT_ONCE = 3  # wheels fetched side by side: many are small, and wait for their server


@dataclass(frozen=True, slots=True)
class Gathered:
    """A package of a resolution with the facts of its wheel; without them, `problem` says why.

    Of a source distribution the facts are its name only: nothing is built to find out more.
    """

    chosen: Chosen
    facts: PackageFacts | None
    problem: str = ""


def gather(
    resolution: Resolution,
    known: KnownWheels,
    *,
    progress: Progress | None = None,
    keep: bool = False,
    fetch: Callable[[WheelFile, Progress | None], Path] = lambda wheel, progress: fetch_wheel(wheel, progress=progress),
    read: Callable[[Path], PackageFacts] = read_wheel,
) -> list[Gathered]:
    """Facts for every package, in its order. `progress` is called from several threads.

    A wheel that was fetched is deleted once it is read, unless `keep`. A wheel that cannot be had, or cannot be read,
    is a problem of that package and stops nothing.
    """

    def one(chosen: Chosen) -> Gathered:
        if chosen.wheel is None:
            file = chosen.source_file or f"{chosen.name}-{chosen.version}.tar.gz"
            return Gathered(chosen, PackageFacts(chosen.name, chosen.version, file, None, 0), chosen.why_source)
        if chosen.wheel.sha256 and (found := known.find(chosen.wheel.sha256)):
            return Gathered(chosen, found)
        try:
            path = fetch(chosen.wheel, progress)
            facts = read(path)
        except SparksmithError as error:
            return Gathered(chosen, None, error.message)
        facts = replace(facts, sha256=chosen.wheel.sha256 or facts.sha256)
        known.remember(facts)
        if not keep:
            drop_wheel(path)
        return Gathered(chosen, facts)

    known_ones = {c.name: one(c) for c in resolution.packages if not _is_unknown(c, known)}
    with ThreadPoolExecutor(AT_ONCE) as threads:
        others = dict(
            zip(
                (c.name for c in resolution.packages if c.name not in known_ones),
                threads.map(one, (c for c in resolution.packages if c.name not in known_ones)),
                strict=True,
            )
        )
    return [known_ones.get(c.name) or others[c.name] for c in resolution.packages]


def _is_unknown(chosen: Chosen, known: KnownWheels) -> bool:
    wheel = chosen.wheel
    return wheel is not None and (wheel.sha256 is None or wheel.sha256 not in known)
