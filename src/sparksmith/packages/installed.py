"""Facts of the packages that lie in an environment, read from its files; nothing of them is imported or run.

installed = read_environment_facts(Path(".venv"))
installed.packages, installed.missing, installed.problems
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from sparksmith.machine.python_env import (
    Distribution,
    PythonEnvironment,
    printable,
    read_python_environment,
    read_start,
)
from sparksmith.packages.facts import LibraryFacts, PackageFacts, ToolFacts
from sparksmith.packages.facts_cache import Kept, Stamp, cache_file, read_kept, stamp, write_kept
from sparksmith.packages.installed_files import FileList, list_files
from sparksmith.packages.loading import MissingLibrary, find_missing
from sparksmith.packages.wheel.at_use import find_cuda_sources
from sparksmith.packages.wheel.declared import BYTES_AT_MOST, FILES_AT_MOST, parse_declared_cuda
from sparksmith.packages.wheel.elf import ELF_MAGIC, Source
from sparksmith.packages.wheel.examine import SHARED_LIBRARY, SMALLEST, examine
from sparksmith.packages.wheel.fatbin import Budget

PROBLEMS_AT_MOST = 50


@dataclass(frozen=True, slots=True)
class Installed:
    """What an environment holds. `packages` are those that Python finds; paths in their facts are relative to the
    environment's root, absolute outside of it. `problems` are of the environment as a whole."""

    environment: PythonEnvironment
    packages: tuple[PackageFacts, ...]
    missing: tuple[MissingLibrary, ...]
    problems: tuple[str, ...]


def read_environment_facts(root: Path, use_cache: bool = True) -> Installed:
    """Packages, and libraries that no loader would find. Raises `SparksmithError` where there is no environment.

    Facts are taken from the user's cache for packages whose files have not changed, and kept there.
    """
    environment = read_python_environment(root)
    file = cache_file(environment.root)
    before = read_kept(file) if use_cache else {}
    kept: dict[str, Kept] = {}
    packages: list[PackageFacts] = []
    owned: set[str] = set()
    changed = False
    for distribution in environment.active():
        key = str(distribution.metadata)
        known = before.get(key)
        if known is not None and known.holds():
            facts = known.facts
            kept[key] = known
        else:
            changed = True
            facts, stamps = _read_package(environment, distribution)
            if stamps is not None:
                kept[key] = Kept(stamps, facts)
        if distribution.form == "conda":  # of its records, those whose libraries no Python distribution has
            if not facts.problems and all(library.path in owned for library in facts.libraries):
                continue
        else:
            owned.update(library.path for library in facts.libraries)
        packages.append(facts)
    if use_cache and (changed or len(kept) != len(before)) and kept != before:
        write_kept(file, environment.root, kept)
    missing = find_missing(environment, packages)
    return Installed(environment, tuple(packages), tuple(missing), environment.findings)


def _read_package(
    environment: PythonEnvironment, distribution: Distribution
) -> tuple[PackageFacts, dict[str, Stamp] | None]:
    """The facts of one distribution, and the stamps that they hold for (None: they cannot be told from stamps)."""
    files = list_files(environment, distribution)
    libraries: list[LibraryFacts] = []
    tools: list[ToolFacts] = []
    problems = list(files.problems)
    stamps: dict[str, Stamp] = {
        path: stamp(path) for path in (*files.records, *files.version_files, *_metadata_files(distribution))
    }
    absent: list[str] = []
    budget = Budget()
    root = os.path.join(str(environment.root), "")  # noqa: PTH118
    for path in files.candidates:
        seen = stamp(path)
        named = SHARED_LIBRARY.search(path)
        if seen is None:
            if named:
                stamps[path] = None
                absent.append(path)
            continue
        if seen[0] < SMALLEST and not named:
            continue
        if distribution.form == "conda" and os.path.islink(path):  # noqa: PTH114 - libcublas.so, libcublas.so.13, ...
            continue
        shown = printable(path.removeprefix(root))
        try:
            found = _examine(path, shown, budget)
        except OSError as error:
            problems.append(f"{shown}: cannot be read: {error.strerror}")
            continue
        if found is None:
            continue
        stamps[path] = seen
        library, tool, said_of_it = found
        problems += said_of_it
        if library:
            libraries.append(library)
        if tool:
            tools.append(tool)
    if absent:
        first = printable(absent[0].removeprefix(root))[:200]
        several = f"{len(absent)} of its libraries are not there; the first is {first}"
        problems.append(several if len(absent) > 1 else f"one of its libraries is not there: {first}")
    if len(problems) > PROBLEMS_AT_MOST:
        problems[PROBLEMS_AT_MOST:] = [f"and {len(problems) - PROBLEMS_AT_MOST} more problems"]
    stored = sum(one.bytes for one in libraries) + sum(one.bytes for one in tools)
    facts = PackageFacts(
        distribution.name, distribution.version, "", None, files.bytes or stored,
        distribution.tags, distribution.requires_python, distribution.requires, _read_declared_cuda(files),
        tuple(libraries), tuple(tools), tuple(problems),
        compiles=None if libraries else find_cuda_sources(files.cuda_sources, files.modules),
    )  # fmt: skip
    return facts, stamps if files.records else None


def _examine(path: str, shown: str, budget: Budget) -> tuple[LibraryFacts | None, ToolFacts | None, list[str]] | None:
    """What a file is; None where it is nothing of interest. Raises `OSError`. Waits for no pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None, None, [f"{shown}: no ordinary file"]
        if os.pread(descriptor, 4, 0) != ELF_MAGIC and not SHARED_LIBRARY.search(path):
            return None
        found = examine(Source(descriptor, status.st_size), shown, budget)
    finally:
        os.close(descriptor)
    return found.library, found.tool, list(found.problems)


def _read_declared_cuda(files: FileList) -> str | None:
    """The first version that a version file says; '' where one says that there is none (as for a wheel)."""
    said = []
    for path in sorted(files.version_files, key=lambda path: (path.count("/"), path))[:FILES_AT_MOST]:
        try:
            text = read_start(path, BYTES_AT_MOST).decode("utf-8", "replace")
        except OSError:
            continue
        if (found := parse_declared_cuda(text)) is not None:
            said.append(found)
    return max(said, key=bool, default=None)


def _metadata_files(distribution: Distribution) -> list[str]:
    names = ("METADATA", "WHEEL") if distribution.form == "dist-info" else ("PKG-INFO", "requires.txt")
    return [str(distribution.metadata / name) for name in names]
