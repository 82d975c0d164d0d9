"""A source distribution's facts: what it would compile where it is installed. Nothing of it is run or unpacked.

A tar file is read once from its start to its end, bounded by what it really inflates to; a zip file as a wheel's is.
"""

from __future__ import annotations

import bz2
import gzip
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from packaging.utils import InvalidSdistFilename, parse_sdist_filename

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import sha256_of
from sparksmith.packages.facts import Compiled, PackageFacts
from sparksmith.packages.wheel.archive import BLOCK, DAMAGE, Archive, Problems
from sparksmith.packages.wheel.builds import BUILD_FILES, cannot_compile, needs_of_file, parse_build_files
from sparksmith.packages.wheel.elf import plain
from sparksmith.packages.wheel.read import LINE_AT_MOST, LINES_AT_MOST, METADATA_AT_MOST, Metadata, parse_metadata

SOURCE_ENDINGS = (".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz")
MEMBERS_AT_MOST = 100_000
HEADERS_AT_MOST = 64 << 10  # of one entry; long names and sparse files have headers of their own, without an end
INFLATED_RATIO, INFLATED_FREE, INFLATED_AT_MOST = 50, 256 << 20, 2 << 30
TEXT_AT_MOST = 1 << 20
EGG_REQUIRES = re.compile(r"(src/)?[^/]+\.egg-info/requires\.txt")

Member = tuple[str, int, bytes | None]  # its path, its bytes, and the content of those that are looked into


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Bounded:
    """What a compressed file inflates to, read forward only, up to `limit` bytes in all.

    `read` is for the tar reader, which keeps what it reads: headers alone, and of each entry no more than one needs.
    """

    def __init__(self, inflated: _Readable, limit: int) -> None:
        self._inflated, self._limit, self._at = inflated, limit, 0
        self._headers_left = HEADERS_AT_MOST

    def begin_entry(self) -> None:
        self._headers_left = HEADERS_AT_MOST

    def read(self, size: int = -1) -> bytes:
        """A header. Raises `tarfile.ReadError` where these are too long."""
        self._headers_left -= size
        if size < 0 or self._headers_left < 0:
            raise tarfile.ReadError(f"an entry's headers have more than {HEADERS_AT_MOST:,} bytes")
        return self.take(size)

    def take(self, size: int) -> bytes:
        """A file's content. Raises `tarfile.ReadError` past the limit."""
        if self._at + size > self._limit:
            raise tarfile.ReadError(f"inflates to more than {self._limit:,} bytes, as no honest one does")
        content = self._inflated.read(size)
        self._at += len(content)
        return content

    def tell(self) -> int:
        return self._at

    def seek(self, place: int) -> int:
        """Forward. Raises `tarfile.ReadError` for the way back, and past the limit."""
        if place < self._at:
            raise tarfile.ReadError("its headers point backwards")
        while self._at < place and self.take(min(place - self._at, BLOCK)):
            pass
        return self._at


def read_source(path: Path, *, hash_it: bool = True) -> PackageFacts:
    """The facts of a source distribution, `sha256` among them unless told otherwise.

    What cannot be read of it stands in `problems`. Raises `SparksmithError` for a file that is missing or no archive.
    """
    problems = Problems()
    folders: set[str] = set()
    compiled: dict[str, tuple[Compiled, int]] = {}  # by need: the largest file, and how many
    texts: dict[str, str] = {}
    metadata, requires, modules = Metadata(), "", 0
    for name, size, content in _members(path, problems):
        folder, _, inside = name.partition("/")
        folders.add(folder)
        if (needs := needs_of_file(inside)) is not None:
            largest, number = compiled.get(needs, (None, 0))
            if largest is None or size > (largest.bytes or 0):
                largest = Compiled(needs, plain(inside, 200), "", size)
            compiled[needs] = largest, number + 1
        modules += inside.endswith(".py") and inside not in BUILD_FILES
        if content is None:
            continue
        if inside == "PKG-INFO":
            metadata = parse_metadata(content)
        elif inside in BUILD_FILES:
            texts[inside] = content.decode("utf-8", "replace")
        else:
            requires = content.decode("utf-8", "replace")
    if len(folders) != 1:
        problems.add(f"holds {len(folders)} folders where one is expected")
    said, wrong = parse_build_files(texts, alone=not modules and not compiled)
    if cannot_compile(texts) and not said:
        compiled = {needs: one for needs, one in compiled.items() if needs == "binary"}
    for each in wrong:
        problems.add(plain(each, 200))
    name, version = _named(path.name, metadata)
    return PackageFacts(
        name, version, plain(path.name), sha256_of(path) if hash_it else None, path.stat().st_size,
        requires_python=metadata.requires_python,
        requires=metadata.requires or _plain_requires(requires),
        problems=problems.all(),
        compiles=(*(_counted(*one) for _, one in sorted(compiled.items())),
                  *(Compiled(each.needs, each.path, plain(each.what, 200)) for each in said)),
    )  # fmt: skip


def _counted(largest: Compiled, number: int) -> Compiled:
    what = "a source file" if largest.needs != "binary" else "a finished library"
    more = f", and {number - 1:,} more" if number > 1 else ""
    return Compiled(largest.needs, largest.path, what + more, largest.bytes)


def is_source_name(file: str) -> bool:
    """Whether a file is named as a source distribution is: NAME-VERSION and an ending."""
    return _parse_name(file) is not None


def _parse_name(file: str) -> tuple[str, str] | None:
    ending = next((each for each in SOURCE_ENDINGS if file.endswith(each)), None)
    if ending is None:
        return None
    try:
        name, version = parse_sdist_filename(f"{file.removesuffix(ending)}.tar.gz")
    except InvalidSdistFilename:
        return None
    return str(name), str(version)


def _named(file: str, metadata: Metadata) -> tuple[str, str]:
    """Name and version, from the file's name first: it is what an installer chooses by."""
    name, version = _parse_name(file) or ("", "")
    return metadata.name or name, metadata.version or version


def _plain_requires(text: str) -> tuple[str, ...]:
    """The lines of an egg-info's requires.txt that belong to no section: those of extras and markers come after."""
    lines = [plain(line.strip(), LINE_AT_MOST) for line in text.partition("\n[")[0].splitlines()]
    return tuple(line for line in lines if line and not line.startswith("["))[:LINES_AT_MOST]


def _wanted(name: str) -> int:
    """How much of a member is looked into, in bytes; 0 for most."""
    inside = name.partition("/")[2]
    if inside == "PKG-INFO":
        return METADATA_AT_MOST
    return TEXT_AT_MOST if inside in BUILD_FILES or EGG_REQUIRES.fullmatch(inside) else 0


def _members(path: Path, problems: Problems) -> Iterator[Member]:
    if path.name.endswith(".zip"):
        with Archive(path) as archive:
            for name, member in archive.members.items():
                size = _wanted(name)
                yield name, member.file_size, archive.read_start(name, size) if size else None
            for problem in archive.problems.all():
                problems.add(problem)
        return
    packed: type[gzip.GzipFile] | type[bz2.BZ2File]
    if path.name.endswith((".tar.gz", ".tgz")):
        packed = gzip.GzipFile
    elif path.name.endswith(".tar.bz2"):
        packed = bz2.BZ2File
    else:
        raise SparksmithError(f"{path.name} is packed in a way that is not read here", "pip reads .tar.gz and .zip")
    try:
        size = path.stat().st_size
        with packed(path, "rb") as inflated:
            yield from _tar_members(
                _Bounded(inflated, min(INFLATED_AT_MOST, max(INFLATED_FREE, INFLATED_RATIO * size))), problems
            )
    except OSError as error:
        raise SparksmithError(
            f"{path.name} cannot be read: {plain(str(error.strerror or error), 200)}", "fetch it again"
        ) from error


def _tar_members(inflated: _Bounded, problems: Problems) -> Iterator[Member]:
    """Files by names that stay inside, of archives that tell the truth about themselves; the rest are problems.

    Links are passed over: what they lead to stands under its own name, or is not in the archive.
    """
    try:
        with tarfile.open(fileobj=inflated, mode="r:") as archive:  # type: ignore[call-overload]
            for number, member in enumerate(archive):
                inflated.begin_entry()
                archive.members, archive.pax_headers = [], {}  # it would keep them all
                if number >= MEMBERS_AT_MOST:
                    problems.add(f"has more than {MEMBERS_AT_MOST:,} entries; the rest is not looked at")
                    return
                if not member.isfile():
                    continue
                name = member.name.removeprefix("./")
                if wrong := _wrong_name(name):
                    problems.add(f"{plain(name, 200)}: {wrong}")
                    continue
                content = None
                if size := _wanted(name):
                    content = inflated.take(min(size, member.size))
                    if member.size > size and not name.endswith("/PKG-INFO"):  # its head is what counts
                        problems.add(f"{plain(name, 200)}: only its first {size:,} bytes are looked at")
                yield name, member.size, content
    except (tarfile.TarError, *DAMAGE) as error:
        problems.add(f"it cannot be read to its end ({plain(str(error), 200) or type(error).__name__})")


def _wrong_name(name: str) -> str | None:
    if not name.isprintable():
        return "its name holds control characters"
    if name.startswith(("/", "\\")) or ".." in name.split("/"):
        return "its name points outside"
    return None
