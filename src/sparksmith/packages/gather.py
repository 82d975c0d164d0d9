"""The facts of what was resolved: known ones looked up, the others fetched, read and remembered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sparksmith.base.errors import SparksmithError
from sparksmith.base.threads import map_in_threads
from sparksmith.packages.addresses import local_path
from sparksmith.packages.facts import PackageFacts
from sparksmith.packages.fetch import Progress, Unreachable, drop_wheel, fetch_wheel, host_of
from sparksmith.packages.known import KnownWheels
from sparksmith.packages.platform import tags_of
from sparksmith.packages.resolution import Chosen, Resolution, WheelFile
from sparksmith.packages.wheel.read import read_wheel
from sparksmith.packages.wheel.source import read_source

AT_ONCE = 3  # wheels fetched side by side: many are small, and wait for their server


@dataclass(frozen=True, slots=True)
class Gathered:
    """A package of a resolution with the facts of its wheel or its source; without them, `problem` says why."""

    chosen: Chosen
    facts: PackageFacts | None
    problem: str = ""


def read_file(path: Path, *, hash_it: bool = True) -> PackageFacts:
    """The facts of a wheel or a source distribution. Raises `SparksmithError`."""
    read = read_wheel if path.name.endswith(".whl") else read_source
    return read(path, hash_it=hash_it)


class _Stopped(Exception):
    """Nobody waits for the facts any more."""


def gather(
    resolution: Resolution,
    known: KnownWheels,
    *,
    progress: Progress | None = None,
    keep: bool = False,
    fetch: Callable[[WheelFile, Progress | None], Path] = lambda wheel, progress: fetch_wheel(wheel, progress=progress),
    read: Callable[[Path], PackageFacts] = read_file,
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
        if chosen.problem:
            return Gathered(chosen, None, chosen.problem)
        if chosen.foreign:
            return Gathered(chosen, _foreign_facts(chosen))
        file = chosen.wheel or chosen.source
        if file is None:  # a repository, a folder, or what the resolver would not say
            return Gathered(chosen, _source_facts(chosen, PackageFacts(chosen.name, chosen.version, "", None, 0)))
        if file.sha256 and (found := known.find(file.sha256)):
            return Gathered(chosen, _source_facts(chosen, found))
        if local := local_path(file.url):
            try:
                return Gathered(chosen, _source_facts(chosen, read_local(local, file)))
            except SparksmithError as error:
                return unknown(chosen, file, error.message)
        host = host_of(file)
        if host in silent:
            return unknown(chosen, file, silent[host])
        try:
            path = fetch(file, tell)
            facts = read(path)
        except Unreachable as error:
            # the others of this host would wait as long; one text for all, so that they are told together
            kind = "wheel" if chosen.wheel else "source"
            silent[host] = f"its {kind} {error.message.removeprefix(file.file).strip()}"
            return unknown(chosen, file, silent[host])
        except SparksmithError as error:
            return unknown(chosen, file, error.message)
        facts = replace(facts, sha256=file.sha256 or facts.sha256)
        known.remember(facts)
        if not keep:
            drop_wheel(path)
        return Gathered(chosen, _source_facts(chosen, facts))

    def read_local(path: Path, file: WheelFile) -> PackageFacts:
        """Where it lies; it is nobody else's to delete."""
        if not path.is_file():
            raise SparksmithError(f"{path} does not exist")
        facts = read(path)
        if file.sha256 and facts.sha256 != file.sha256:
            raise SparksmithError(f"{path} is not the file that was meant: its sha256 is {facts.sha256}")
        known.remember(facts)
        return facts

    def unknown(chosen: Chosen, file: WheelFile, problem: str) -> Gathered:
        if chosen.wheel is not None:
            return Gathered(chosen, None, problem)
        facts = PackageFacts(chosen.name, chosen.version, file.file, None, file.bytes or 0, problems=(problem,))
        return Gathered(chosen, _source_facts(chosen, facts), problem)

    # by their places: conflicting extras can have two versions of a package
    places = range(len(resolution.packages))
    missing = [place for place in places if _is_unknown(resolution.packages[place], known)]
    found = {place: one(resolution.packages[place]) for place in places if place not in missing}
    fetched = map_in_threads(one, [resolution.packages[place] for place in missing], AT_ONCE, stopped)
    found |= zip(missing, fetched, strict=True)
    return [found[place] for place in places]


def _foreign_facts(chosen: Chosen) -> PackageFacts:
    """Of wheels that all are for other platforms: their names say all that counts."""
    read = [tags_of(file) for file in chosen.foreign]
    tags = tuple(sorted({str(tag) for tags in read if not isinstance(tags, str) for tag in tags}))
    # an older installer takes a wheel with such a name; nobody can say whom it is for
    problems = () if tags else (f"nothing can be told of its wheels: they are {chosen.why_source}",)
    return PackageFacts(chosen.name, chosen.version, "", None, 0, tags, problems=problems, foreign=True)


def _source_facts(chosen: Chosen, facts: PackageFacts) -> PackageFacts:
    """With why it is no wheel, which only who chose knows."""
    why = chosen.why_source
    if why.startswith(("for ", "needs ", "named ", "not named ")):
        why = f"none of its wheels fits ({why})"
    return replace(facts, why_source=why) if chosen.wheel is None else facts


def _is_unknown(chosen: Chosen, known: KnownWheels) -> bool:
    file = chosen.wheel or chosen.source
    return file is not None and (file.sha256 is None or file.sha256 not in known)
