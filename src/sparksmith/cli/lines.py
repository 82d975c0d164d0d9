"""Lines of a pipe, a terminal or a file, as many at once as are there."""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from sparksmith.base.errors import SparksmithError, UsageProblem

READ_BYTES = 2**16


def input_descriptor(hint: str) -> int:
    """Standard input's. Raises `UsageProblem` where it was closed (`<&-`)."""
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        raise UsageProblem("standard input is closed", hint) from None


def is_file(descriptor: int) -> bool:
    """Whether all of it is there at once, as of a regular file."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def read_batches(descriptor: int, most: int, name: str) -> Iterator[list[str]]:
    """Lines in order, without their ends: those that can be read without waiting, `most` at once, and one at least.

    So a user at a terminal is answered line by line, and a pipe that is ahead in batches. The lines before one that is
    not UTF-8 are given first; then `SparksmithError` is raised, with its number.
    """
    waiting: list[bytes] = []
    rest = b""
    number = 0
    more = True
    while more or waiting:
        while more and len(waiting) < most and (not waiting or _has_more(descriptor)):
            data = os.read(descriptor, READ_BYTES)
            more = data != b"" and b"\0" not in data  # what is no text may have no end, as /dev/zero has none
            *lines, rest = (rest + data).split(b"\n")
            waiting += lines
            if not more and rest:
                waiting.append(rest)
        batch, waiting = waiting[:most], waiting[most:]
        texts, problem = _decode(batch, number, name)
        number += len(batch)
        if texts:
            yield texts
        if problem is not None:
            raise problem


def read_whole(path: Path, most: int) -> list[list[str]]:
    """All lines of a file, in batches. Raises `SparksmithError` where it cannot be read or is not UTF-8."""
    try:
        with path.open("rb") as file:
            return list(read_batches(file.fileno(), most, str(path)))
    except FileNotFoundError:
        raise SparksmithError(f"the file {path} does not exist", f"ls {path.parent}") from None
    except OSError as error:
        raise SparksmithError(f"{path} cannot be read: {error.strerror}", f"ls -l {path}") from None


def _has_more(descriptor: int) -> bool:
    """Whether a read would return at once: with bytes, or with the end."""
    return bool(select.select([descriptor], [], [], 0)[0])


def _decode(lines: list[bytes], before: int, name: str) -> tuple[list[str], SparksmithError | None]:
    texts: list[str] = []
    for number, line in enumerate(lines, start=before + 1):
        if b"\0" in line:
            wrong = f"{name} is not a text file (line {number} has NUL bytes)"
            return texts, SparksmithError(wrong, "lines of text are wanted, a prompt each")
        try:
            texts.append(line.decode("utf-8-sig" if number == 1 else "utf-8").strip())
        except UnicodeDecodeError as error:
            wrong = f"{name}, line {number}: byte 0x{line[error.start]:02x} is not UTF-8"
            return texts, SparksmithError(wrong, "iconv -f ISO-8859-1 -t UTF-8   (or whichever encoding it has)")
    return texts, None
