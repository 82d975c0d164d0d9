"""A wheel as a zip file that may be damaged or hostile: members one at a time, bounded by what they really inflate to.

Nothing is unpacked under a name: a member goes into memory, in part, or into one nameless temporary file.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from types import TracebackType

from sparksmith.base.errors import SparksmithError
from sparksmith.packages.wheel.elf import plain

BLOCK = 1 << 19
DIRECTORY_AT_MOST = 12 << 20  # bytes of the list of members; 1.5 MB in torch's wheel of 13,432
# A member, and all that is read of a wheel, against the size in the wheel. Real libraries: up to 22 times.
MEMBER_RATIO, MEMBER_FREE = 200, 64 << 20
WHEEL_RATIO, WHEEL_FREE = 50, 256 << 20
WHEEL_AT_MOST = 16 << 30
PROBLEMS_AT_MOST = 50
METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
# All that zipfile and zlib raise for damage; NotImplementedError is a zip of a version or with a patch that it lacks.
DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, ValueError, EOFError, NotImplementedError, OverflowError, OSError,
    RuntimeError, IndexError,
)  # fmt: skip


class Unreadable(Exception):
    """A member that cannot be read, in words."""


class Problems:
    """Words for what is wrong, up to a number."""

    def __init__(self) -> None:
        self._said: dict[str, None] = {}
        self._more = 0

    def add(self, problem: str) -> None:
        """Say it once."""
        if problem in self._said:
            return
        if len(self._said) < PROBLEMS_AT_MOST:
            self._said[problem] = None
        else:
            self._more += 1

    def all(self) -> tuple[str, ...]:
        """In the order in which they were found."""
        return (*self._said, *([f"and {self._more:,} more"] if self._more else []))


class _BoundedFile(io.FileIO):
    """A file that hands out no more at once than a list of members can honestly need."""

    def read(self, size: int | None = -1) -> bytes:
        wanted = size if size is not None and size >= 0 else max(0, os.fstat(self.fileno()).st_size - self.tell())
        if wanted > DIRECTORY_AT_MOST:
            raise zipfile.BadZipFile(
                f"its list of members has {wanted:,} bytes; {DIRECTORY_AT_MOST:,} at most are read"
            )
        return super().read(wanted) or b""


class Archive:
    """An open wheel. `members` are those whose names and ways of packing are sound; the others are problems."""

    def __init__(self, path: Path) -> None:
        """Raises `SparksmithError` for a file that is missing or no zip file."""
        if path.exists() and not path.is_file():
            raise SparksmithError(f"{path} is no file")
        try:
            self._file = _BoundedFile(path)
        except OSError as error:
            raise SparksmithError(f"{path} cannot be read: {error.strerror}") from error
        self.size = os.fstat(self._file.fileno()).st_size
        self.problems = Problems()
        self._inflated = 0
        try:
            self._zip = zipfile.ZipFile(self._file)
        except DAMAGE as error:
            self._file.close()
            raise SparksmithError(
                f"{path.name} is no whole zip file: {plain(str(error), 200) or type(error).__name__}",
                "download it again",
            ) from error
        self.members: dict[str, zipfile.ZipInfo] = self._sound_members()

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()
        self._file.close()

    def _sound_members(self) -> dict[str, zipfile.ZipInfo]:
        members: dict[str, zipfile.ZipInfo] = {}
        for member in self._zip.infolist():
            name = member.orig_filename
            if wrong := check_member(member):
                self.problems.add(f"{_shown(name)}: {wrong}")
            elif name in members:
                self.problems.add(f"{_shown(name)}: is in the wheel more than once; the last is taken")
                members[name] = member
            elif not name.endswith("/"):
                members[name] = member
        return members

    def read_start(self, name: str, size: int) -> bytes:
        """Up to the first `size` bytes of a member; empty, and a problem, where they cannot be read."""
        try:
            with self._zip.open(self.members[name]) as member:
                content = member.read(size)
        except DAMAGE as error:
            self.problems.add(_unreadable(name, error))
            return b""
        self._inflated += len(content)
        return content

    def inflate(self, name: str, magic: bytes, scratch: int) -> int | None:
        """Write a member from the start of the file `scratch` (a descriptor) on, and return its size.

        None where it does not begin with `magic`. Raises `Unreadable` for damage and for more than a real library
        inflates to, `SparksmithError` where there is no room for it. Several threads may call it, each with a scratch
        of its own.
        """
        member, size = self.members[name], 0
        try:
            with self._zip.open(member) as content:
                while block := content.read(BLOCK):
                    if size == 0 and not block.startswith(magic):
                        return None
                    self._inflated += len(block)
                    if wrong := self._too_much(member, size + len(block)):
                        raise Unreadable(f"{_shown(name)}: {wrong}")
                    _write(scratch, block, size)
                    size += len(block)
        except DAMAGE as error:
            raise Unreadable(_unreadable(name, error)) from error
        return size

    def _too_much(self, member: zipfile.ZipInfo, size: int) -> str | None:
        if size > max(MEMBER_FREE, MEMBER_RATIO * member.compress_size):
            return f"inflates to more than {MEMBER_RATIO} times its size in the wheel, as no library does; not read"
        if self._inflated > min(WHEEL_AT_MOST, max(WHEEL_FREE, WHEEL_RATIO * self.size)):
            return "with it the wheel inflates to more than any real one; not read"
        return None


def check_member(member: zipfile.ZipInfo) -> str | None:
    """What is wrong with a member's name, kind or way of packing, in words."""
    name = member.orig_filename
    if not name:
        return "a member without a name"
    if not name.isprintable():
        return "its name holds control characters"
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        return "its name is an absolute path"
    if "\\" in name or ".." in name.split("/"):
        return "its name points outside the wheel"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a symbolic link, which a wheel cannot hold"
    if member.flag_bits & 0x1:
        return "is encrypted"
    if member.compress_type not in METHODS:
        return f"is compressed in a way (number {member.compress_type}) that not every installer reads"
    return None


def _shown(name: str) -> str:
    return plain(name, 200)


def _unreadable(name: str, error: BaseException) -> str:
    return f"{_shown(name)}: cannot be read from the wheel ({plain(str(error), 200) or type(error).__name__})"


def _write(descriptor: int, block: bytes, offset: int) -> None:
    """All of the block at `offset`. Raises `SparksmithError` where the disk is full."""
    view = memoryview(block)
    try:
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise SparksmithError(
            f"no room in {tempfile.gettempdir()} to inflate one of the wheel's libraries",
            "set TMPDIR to a folder with more room",
        ) from error
