"""A wheel's facts: its metadata, its libraries and their device code, without installing or running any of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryFile

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import sha256_of
from sparksmith.base.threads import map_in_threads
from sparksmith.packages.facts import Compiled, LibraryFacts, PackageFacts, ToolFacts
from sparksmith.packages.wheel.archive import Archive, Unreadable
from sparksmith.packages.wheel.at_use import find_cuda_sources
from sparksmith.packages.wheel.declared import (
    BYTES_AT_MOST,
    FILES_AT_MOST,
    may_declare_cuda,
    parse_declared_cuda,
)
from sparksmith.packages.wheel.elf import ELF_MAGIC, Source, plain
from sparksmith.packages.wheel.examine import SHARED_LIBRARY, Examined, examine, worth_opening
from sparksmith.packages.wheel.fatbin import Budget

THREADS = 2  # inflating and hashing leave Python's lock; a third gains little and wants a third temporary file
BINARIES_AT_MOST = 20_000  # 900 in torch's wheel, headers of C++ without a suffix most of them
METADATA_AT_MOST = 1 << 20
LINES_AT_MOST, LINE_AT_MOST = 5_000, 4_000
METADATA = re.compile(r"([^/]+)\.dist-info/METADATA")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What METADATA says that an audit needs. Empty strings where it does not say."""

    name: str = ""
    version: str = ""
    requires_python: str | None = None
    requires: tuple[str, ...] = ()


def read_wheel(path: Path, *, hash_it: bool = True) -> PackageFacts:
    """The facts of a wheel, `sha256` among them unless told otherwise.

    What cannot be read of it stands in `problems`. Raises `SparksmithError` for a file that is missing, is no zip file
    or says nowhere which package it is.
    """
    with Archive(path) as archive:
        metadata = _read_metadata(archive)
        name, version, tags = _parse_file_name(path, archive, metadata)
        declared = _read_declared_cuda(archive)
        libraries, tools, sha256 = _read_binaries(archive, path if hash_it else None)
        return PackageFacts(
            name=name,
            version=version,
            file=plain(path.name),
            sha256=sha256,
            bytes=archive.size,
            tags=tags,
            requires_python=metadata.requires_python,
            requires=metadata.requires,
            declared_cuda=declared,
            libraries=libraries,
            tools=tools,
            problems=archive.problems.all(),
            compiles=None if libraries else _read_sources(archive),
        )


def parse_metadata(content: bytes) -> Metadata:
    """The headers of a METADATA file; a line that is folded becomes one line."""
    message = BytesHeaderParser().parsebytes(content)

    def joined(line: object, at_most: int = 200) -> str:
        return plain(" ".join(str(line).split()), at_most)

    requires = [joined(line, LINE_AT_MOST) for line in message.get_all("Requires-Dist", [])[:LINES_AT_MOST]]
    name, version, python = (joined(message.get(key, "")) for key in ("Name", "Version", "Requires-Python"))
    return Metadata(name, version, python or None, tuple(requires))


def _read_metadata(archive: Archive) -> Metadata:
    places = [name for name in archive.members if METADATA.fullmatch(name)]
    if not places:
        archive.problems.add("has no METADATA: what it requires is not known")
        return Metadata()
    if len(places) > 1:
        archive.problems.add(f"has {len(places)} METADATA files; {plain(places[0], 200)} is read")
    return parse_metadata(archive.read_start(places[0], METADATA_AT_MOST))


def _parse_file_name(path: Path, archive: Archive, metadata: Metadata) -> tuple[str, str, tuple[str, ...]]:
    """Name, version and tags, from the file name first: it is what an installer chooses by."""
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        if not metadata.name or not metadata.version:
            raise SparksmithError(
                f"{path.name} is not named as a wheel, and no METADATA in it says which package it is",
                "a wheel is named NAME-VERSION-PYTHON-ABI-PLATFORM.whl",
            ) from error
        archive.problems.add("its file is not named as a wheel is; name and tags are taken from what lies inside")
        return metadata.name, metadata.version, _read_tags(archive)
    if metadata.name and canonicalize_name(metadata.name) != name:
        archive.problems.add(f"its file is named {name}, its METADATA says {metadata.name}")
    if metadata.version and not _same_version(metadata.version, version):
        archive.problems.add(f"its file is named version {version}, its METADATA says {metadata.version}")
    return metadata.name or name, metadata.version or str(version), tuple(sorted(map(str, tags)))


def _same_version(said: str, version: Version) -> bool:
    try:
        return Version(said) == version
    except InvalidVersion:
        return False


def _read_tags(archive: Archive) -> tuple[str, ...]:
    """The tags that the WHEEL file lists."""
    for name in archive.members:
        if name.endswith(".dist-info/WHEEL") and name.count("/") == 1:
            message = BytesHeaderParser().parsebytes(archive.read_start(name, 65_536))
            return tuple(sorted({plain(str(tag).strip()) for tag in message.get_all("Tag", [])}))
    return ()


def _read_sources(archive: Archive) -> tuple[Compiled, ...] | None:
    sources = [(plain(name, 200), member.file_size) for name, member in archive.members.items() if name.endswith(".cu")]
    return find_cuda_sources(sources, sum(name.endswith(".py") for name in archive.members)) if sources else None


def _read_declared_cuda(archive: Archive) -> str | None:
    """The first version that a version file says; '' where one says that there is none."""
    said: list[str] = []
    places = sorted(filter(may_declare_cuda, archive.members), key=lambda name: (name.count("/"), name))
    for name in places[:FILES_AT_MOST]:
        text = archive.read_start(name, BYTES_AT_MOST).decode("utf-8", "replace")
        if (found := parse_declared_cuda(text)) is not None:
            said.append(found)
    return max(said, key=bool, default=None)


def _read_binaries(
    archive: Archive, hashed: Path | None
) -> tuple[tuple[LibraryFacts, ...], tuple[ToolFacts, ...], str | None]:
    """Every library and compiler, sorted by path; beside them, the hash of a file."""
    members = sorted(archive.members.items(), key=lambda one: one[1].header_offset)
    names = [name for name, member in members if worth_opening(name, member.file_size)]
    if len(names) > BINARIES_AT_MOST:
        archive.problems.add(f"has {len(names):,} files that may be libraries; the first {BINARIES_AT_MOST:,} are read")
        del names[BINARIES_AT_MOST:]
    budget = Budget()
    with ExitStack() as open_files:
        # a file per thread, written over again and again: what costs time is a new page, not the bytes
        scratches: SimpleQueue[int] = SimpleQueue()
        for _ in range(THREADS if names else 0):
            scratches.put(open_files.enter_context(TemporaryFile(buffering=0)).fileno())

        def examine_member(name: str) -> Examined:
            scratch = scratches.get()
            try:
                return _examine_member(archive, name, scratch, budget)
            finally:
                scratches.put(scratch)

        tasks: list[Callable[[], Examined | str]] = [partial(examine_member, name) for name in names]
        if hashed:
            tasks.insert(0, partial(sha256_of, hashed))
        done = map_in_threads(lambda task: task(), tasks, THREADS)
    sha256 = next((one for one in done if isinstance(one, str)), None)
    found = [one for one in done if not isinstance(one, str)]
    for problem in (problem for one in found for problem in one.problems):
        archive.problems.add(problem)
    libraries = sorted((one.library for one in found if one.library), key=lambda library: library.path)
    tools = sorted((one.tool for one in found if one.tool), key=lambda tool: tool.path)
    return tuple(libraries), tuple(tools), sha256


def _examine_member(archive: Archive, name: str, scratch: int, budget: Budget) -> Examined:
    named = SHARED_LIBRARY.search(name) is not None
    try:
        size = archive.inflate(name, b"" if named else ELF_MAGIC, scratch)
    except Unreadable as unreadable:
        return Examined(problems=(str(unreadable),))
    return Examined() if size is None else examine(Source(scratch, size), name, budget)
