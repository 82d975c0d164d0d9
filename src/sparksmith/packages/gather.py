"""The facts of what was resolved: known ones looked up, the others fetched, read and remembered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from sparksmith.base.errors import SparksmithError
from sparksmith.packages.facts import PackageFacts
from sparksmith.packages.fetch import Progress, Unreachable, drop_wheel, fetch_wheel, host_of
from sparksmith.packages.known import KnownWheels, file_facts
from sparksmith.packages.resolution import Chosen, Resolution, WheelFile
from sparksmith.packages.wheel.read import read_wheel

AT_ONCE = 3  # wheels fetched side by side: many are small, and wait for their server


@dataclass(frozen=True, slots=True)
class Gathered:
    """A package of a resolution with the facts of its wheel; without them, `problem` says why.

    Of a source distribution the facts are its name, and why there is no wheel: nothing is built to find out more.
    """

    chosen: Chosen
    facts: PackageFacts | None
    problem: str = ""


class _Stopped(Exception):
    """Nobody waits for the facts any more."""


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
    is a problem of that package and stops nothing; a host that does not answer is not asked again. After Ctrl+C what
    was fetched of a wheel stays for the next time.
    """
    stopped = threading.Event()
    silent: dict[str, str] = {}  # hosts that do not answer, and what is said of their wheels

    def tell(file: str, done: int, total: int | None) -> None:
        if stopped.is_set():
            raise _Stopped
        if progress is not None:
            progress(file, done, total)

    def one(chosen: Chosen) -> Gathered:
        if chosen.foreign:
            tags = tuple(sorted({tag for file in chosen.foreign for tag in file_facts(file)[2]}))
            return Gathered(chosen, PackageFacts(chosen.name, chosen.version, "", None, 0, tags))
        if chosen.wheel is None:
            file = chosen.source_file or f"{'-'.join(filter(None, (chosen.name, chosen.version)))}.tar.gz"
            why = chosen.why_source
            if why.startswith(("for ", "needs ")):
                why = f"none of its wheels fits ({why})"
            facts = PackageFacts(chosen.name, chosen.version, file, None, 0, problems=(why,) if why else ())
            return Gathered(chosen, facts, chosen.why_source)
        if chosen.wheel.sha256 and (found := known.find(chosen.wheel.sha256)):
            return Gathered(chosen, found)
        host = host_of(chosen.wheel)
        if host in silent:
            return Gathered(chosen, None, silent[host])
        try:
            path = fetch(chosen.wheel, tell)
            facts = read(path)
        except Unreachable as error:
            # the others of this host would wait as long; one text for all, so that they are told together
            silent[host] = f"its wheel {error.message.removeprefix(chosen.wheel.file).strip()}"
            return Gathered(chosen, None, silent[host])
        except SparksmithError as error:
            return Gathered(chosen, None, error.message)
        facts = replace(facts, sha256=chosen.wheel.sha256 or facts.sha256)
        known.remember(facts)
        if not keep:
            drop_wheel(path)
        return Gathered(chosen, facts)

    known_ones = {c.name: one(c) for c in resolution.packages if not _is_unknown(c, known)}
    unknown = [c for c in resolution.packages if c.name not in known_ones]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        try:
            others = dict(zip((c.name for c in unknown), threads.map(one, unknown), strict=True))
        except BaseException:
            stopped.set()  # the pool waits for its threads: they end with the piece that they are at
            raise
    return [known_ones.get(c.name) or others[c.name] for c in resolution.packages]


def _is_unknown(chosen: Chosen, known: KnownWheels) -> bool:
    wheel = chosen.wheel
    return wheel is not None and (wheel.sha256 is None or wheel.sha256 not in known)
