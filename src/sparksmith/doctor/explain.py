"""Which known faults an error, or a whole log, tells of.

The time is linear in the log's length, whatever stands in it: a pattern is looked for by the longest of its pieces, and
only around a hit, in a window of fixed size, is the rest of it compared. Memory is a few blocks of 1 MiB.
What programs wrap a text in is undone by `wrapping.py`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from itertools import accumulate
from typing import BinaryIO

from sparksmith.doctor.wrapping import bare, clean, read_blocks
from sparksmith.policy.faults import GAP, Fault, Pattern, load_faults

BLOCK = 1 << 20  # bytes read at a time
PASTED = 1 << 16  # bytes of a text that may be something pasted, with lines broken at a terminal's width
ABOVE, BELOW = 8192, 2048  # bytes around a line in which `near` may stand
REACH = 400  # bytes of a line, on either side of a hit, that are compared and shown
WIDEST_GAP = 300


@dataclass(frozen=True)
class Match:
    """A fault that was recognised: the line's number (from 1) and text, and how many characters prove it."""

    fault: Fault
    line: int
    text: str
    pattern: Pattern
    specificity: int


@dataclass(frozen=True)
class _Needle:
    """A pattern made ready: `literal` is its longest piece, `whole` all of them."""

    fault: Fault
    pattern: Pattern
    literal: bytes
    whole: re.Pattern[bytes]
    near: bytes | None
    unless: tuple[bytes, ...]
    specificity: int

    @property
    def looks_ahead(self) -> bool:
        """Whether what follows a hit may still refute it."""
        return bool(self.unless) or self.pattern.whole


def explain(text: str | bytes, faults: Iterable[Fault] | None = None) -> list[Match]:
    """The known faults that the text tells of, one match each: causes first, then the most specific."""
    return explain_stream(BytesIO(text if isinstance(text, bytes) else text.encode("utf-8", "replace")), faults)


def explain_stream(stream: BinaryIO, faults: Iterable[Fault] | None = None) -> list[Match]:
    """The same for a log of any length, read block by block."""
    needles = list(_shipped() if faults is None else _make_needles(faults))
    found: list[Match] = []
    raw, lines_before, length = b"", 0, 0
    for new, last in read_blocks(stream, BLOCK):
        raw += new
        length += len(new)
        block = clean(raw)
        _search(block, lines_before, needles, found, last=last)
        kept = _cut(raw)
        if length <= PASTED:
            _search_unwrapped(block, needles, found)
        lines_before += raw.count(b"\n", 0, kept)
        raw = raw[kept:]
    return _order(found)


@cache
def _shipped() -> tuple[_Needle, ...]:
    return tuple(_make_needles(load_faults()))


def _make_needles(faults: Iterable[Fault]) -> Iterable[_Needle]:
    gap = rb"[^\n\r]{0,%d}?" % WIDEST_GAP
    for fault in faults:
        for pattern in fault.patterns:
            pieces = [clean(piece.strip().encode()) for piece in pattern.text.split(GAP)]
            if not pattern.whole:
                pieces = [piece.lower() for piece in pieces]
            near = pattern.near.encode().lower() if pattern.near else None
            yield _Needle(
                fault, pattern, max(pieces, key=len).lower(), re.compile(gap.join(map(re.escape, pieces))), near,
                tuple(text.encode().lower() for text in pattern.unless), sum(map(len, pieces)) + len(near or b""),
            )  # fmt: skip


def _search(block: bytes, lines_before: int, needles: list[_Needle], found: list[Match], *, last: bool) -> None:
    """Move what the block tells of from `needles` to `found`. What may be refuted by what follows is found in the next
    block, which begins with this one's end."""
    lower = block.lower()
    absent: set[bytes] = set()
    for needle in tuple(needles):
        if needle.literal in absent:
            continue
        end = len(lower) if last or not needle.looks_ahead else len(lower) - REACH
        at = lower.find(needle.literal)
        if at < 0:
            absent.add(needle.literal)
        elif (at := _find(needle, block, lower, at, end)) >= 0:
            line = lines_before + block.count(b"\n", 0, at) + 1
            found.append(_make_match(needle, block, at, line))
            needles.remove(needle)


def _search_unwrapped(block: bytes, needles: list[_Needle], found: list[Match]) -> None:
    """The same across line ends, for patterns in one piece: what is pasted from a terminal is often broken in lines,
    and what a program prints into a box, or through another one, has something of theirs around each line."""
    texts = [bare(line.replace(b"\r", b" ").strip()) for line in block.split(b"\n")]
    starts = [0, *accumulate(len(text) + 1 for text in texts)]
    whole = b" ".join(texts)
    lower = whole.lower()
    for needle in tuple(needles):
        if GAP in needle.pattern.text or needle.pattern.whole or (at := lower.find(needle.literal)) < 0:
            continue
        if (at := _find(needle, whole, lower, at, len(lower))) >= 0:
            found.append(_make_match(needle, whole, at, bisect_right(starts, at)))
            needles.remove(needle)


def _find(needle: _Needle, block: bytes, lower: bytes, at: int, end: int) -> int:
    """Where before `end` the pattern stands whole, with what must be near it, or -1; `at` is where its literal stands
    first."""
    while 0 <= at < end:
        after = at + 1
        if needle.near and lower.find(needle.near, max(0, at - ABOVE), at + BELOW) < 0:
            near = lower.find(needle.near, at + BELOW - len(needle.near))
            if near < 0:
                return -1
            after = max(after, near - BELOW)
        elif _stands(needle, block, lower, at):
            if (refuted := _refuted_at(needle, lower, at)) < 0:
                return at
            after = max(after, refuted + REACH)  # what stands before is near it as well
        elif needle.pattern.whole:  # the rest of this line is no other line
            after = max(after, _line_around(lower, at)[1])
        at = lower.find(needle.literal, after)
    return -1


def _stands(needle: _Needle, block: bytes, lower: bytes, at: int) -> bool:
    start, end = _line_around(lower, at)
    if needle.pattern.whole:
        return needle.whole.fullmatch(bare(block[start:end].strip())) is not None
    return needle.whole.search(lower, start, end) is not None


def _refuted_at(needle: _Needle, lower: bytes, at: int) -> int:
    """Where around a hit something stands that must not, the last of it; or -1."""
    low, high = max(0, at - REACH), at + REACH
    return max((lower.rfind(text, low, high) for text in needle.unless), default=-1)


def _line_around(block: bytes, at: int) -> tuple[int, int]:
    """The part of the line (a progress bar's states are lines of their own) that is within reach of a hit."""
    low, high = max(0, at - REACH), min(len(block), at + REACH)
    start = max(block.rfind(b"\n", low, at), block.rfind(b"\r", low, at)) + 1
    ends = [end for end in (block.find(b"\n", at, high), block.find(b"\r", at, high)) if end >= 0]
    return max(start, low), min(ends, default=high)


def _make_match(needle: _Needle, block: bytes, at: int, line: int) -> Match:
    start, end = _line_around(block, at)
    text = block[start:end].decode("utf-8", "replace").strip()
    shown = "".join(character if character.isprintable() else "�" for character in text)
    return Match(needle.fault, line, shown, needle.pattern, needle.specificity)


def _cut(raw: bytes) -> int:
    """Up to where a block is done with: what stays shows the next one a line that it ends, and what is near that."""
    low = max(0, len(raw) - ABOVE)
    newline = raw.find(b"\n", low)
    return newline + 1 if newline >= 0 and low else low


def _order(found: list[Match]) -> list[Match]:
    """One match a fault, its most specific; causes before effects, the harmless last, else the most specific first."""
    best: dict[str, Match] = {}
    for match in sorted(found, key=lambda each: (each.fault.harmless, -each.specificity, each.line)):
        best.setdefault(match.fault.id, match)
    waiting = list(best.values())
    ordered: list[Match] = []
    while waiting:
        caused = {effect for each in waiting for effect in each.fault.before}
        first = next(each for each in waiting if each.fault.id not in caused)
        waiting.remove(first)
        ordered.append(first)
    return ordered
