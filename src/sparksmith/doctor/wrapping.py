"""What terminals, loggers and pages put around a program's words, taken off again so that the words are found."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO

# colours and other escapes as a terminal gets them, and as a viewer of logs writes them out (^[[0;36m)
ESCAPE = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|\x1b[^\[\]\n]|\^\[\[[0-9;]*[A-Za-z]"
)
# in logs of JSON lines: printable ASCII (\u0027), and the quotes that editors make
JSON_ESCAPE = re.compile(rb"(?i)\\u(00[2-7][0-9a-f]|201[89cd])")
JSON_QUOTES = {b"2018": b"'", b"2019": b"'", b"201c": b'"', b"201d": b'"'}
# what editors, pages, shells and JSON make of plain quotes and blanks, and the mark at a file's start
PLAIN = (
    (b"\xe2\x80\x98", b"'"), (b"\xe2\x80\x99", b"'"), (b"\xe2\x80\x9c", b'"'), (b"\xe2\x80\x9d", b'"'),
    (b"\xc2\xa0", b" "), (b"\t", b" "), (b"\r\n", b"\n"), (b'\\"', b'"'), (b"\xef\xbb\xbf", b""),
)  # fmt: skip
# What stands before each line of a log that went through another program: docker compose's service, docker build's
# step and seconds, a box of rich's, a quotation, vLLM's and torchrun's processes.
BEFORE = re.compile(
    rb"(?:[\w.-]{1,64} \|(?= |$)|(?:#\d{1,4} )?\d{1,5}\.\d{1,3}(?= |$)|\xe2\x94\x82|\xe2\x94\x83|\xe2\x96\x8e|[|>]"
    rb"|\(\w{1,40} pid=\d{1,9}[^()\n]{0,60}\)|\[(?:rank\d{1,5}|default\d{1,5})\]:"
    rb"|(?:DEBUG|INFO|WARNING|ERROR|CRITICAL):? \d\d-\d\d \d\d:\d\d:\d\d \[[\w./-]{1,60}:\d{1,6}\]) ?"
)
AFTER = re.compile(rb" ?(?:\xe2\x94\x82|\xe2\x94\x83|\|)$")
MOST_WRAPPINGS = 6  # one inside of another
# Of UTF-16's first characters, as Windows' PowerShell writes them (`>`), nearly all are ASCII with a zero beside.
SAMPLE, MOSTLY = 400, 0.8


def clean(raw: bytes) -> bytes:
    """Without escapes, with plain quotes and single blanks; the number of newlines stays."""
    if b"\x1b" in raw or b"^[[" in raw:
        raw = ESCAPE.sub(b"", raw)
    if b"\\u" in raw:
        raw = JSON_ESCAPE.sub(_of_json, raw)
    for found, plain in PLAIN:
        raw = raw.replace(found, plain)
    while b"  " in raw:
        raw = raw.replace(b"  ", b" ")
    return raw


def bare(line: bytes) -> bytes:
    """A line without what other programs put before and after it."""
    for _ in range(MOST_WRAPPINGS):
        start = BEFORE.match(line)
        if start is None:
            break
        line = line[start.end() :].lstrip()
        if end := AFTER.search(line):
            line = line[: end.start()]
    return line


def read_blocks(stream: BinaryIO, size: int) -> Iterator[tuple[bytes, bool]]:
    """The stream's bytes in blocks of `size`, as UTF-8 where they are UTF-16, and whether each is the last one."""
    decoder: codecs.IncrementalDecoder | None = None
    block, first = _fill(stream, size), True
    while block or first:
        following = _fill(stream, size) if len(block) == size else b""
        if first and (name := _utf_16(block)):
            decoder = codecs.getincrementaldecoder(name)("replace")
        yield decoder.decode(block, not following).encode() if decoder else block, not following
        block, first = following, False


def _fill(stream: BinaryIO, size: int) -> bytes:
    """As many bytes as there are, up to `size`: a pipe hands out few at a time."""
    parts: list[bytes] = []
    missing = size
    while missing and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _utf_16(block: bytes) -> str | None:
    """Which UTF-16 it is: by its mark, and by the zeros beside ASCII, for bytes that are no text may begin so too."""
    for mark, name, zeros in ((codecs.BOM_UTF16_LE, "utf-16-le", 1), (codecs.BOM_UTF16_BE, "utf-16-be", 0)):
        sample = block[2 : 2 + SAMPLE]
        beside, others = sample[zeros::2], sample[1 - zeros :: 2]
        if block.startswith(mark) and beside and beside.count(0) >= MOSTLY * len(beside) and not others.count(0):
            return name
    return None


def _of_json(match: re.Match[bytes]) -> bytes:
    return JSON_QUOTES.get(match[1].lower()) or bytes([int(match[1], 16)])
