"""What was seen of the data (data.json) as terminal text: the whole for --dry-run, one line each of what may hurt."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unicodedata import category, combining

from sparksmith.base.units import plural
from sparksmith.report.commands import relative

WIDTH = 80
CHART_LINES = 4
BLOCKS = " ▁▂▃▄▅▆▇█"
CHARACTERS_SHOWN = 12
WORTH_A_WARNING = 0.01  # of the rows: duplicates and conflicts under it are told by --dry-run only
TO_NFC = "python3 -c \"import sys, unicodedata as u; print(u.normalize('NFC', sys.stdin.read()), end='')\""
CALLED = {"train": "data", "eval": "held out"}


def describe_data(facts: dict[str, Any]) -> list[str]:
    """Lines of 80 columns at most, commands to type apart: lengths, and everything that was looked for."""
    lines: list[str] = []
    for file in facts["files"]:
        lengths = file["lengths"]
        lines += [
            "",
            f"{CALLED[file['role']]}, {lengths['unit']} in a row: shortest {lengths['shortest']:,}, median "
            f"{lengths['median']:,}, 95% up to {lengths['p95']:,}, longest {lengths['longest']:,}",
            *draw_histogram(lengths["histogram"]),
            *(line for finding in _findings(file) for line in _wrap(finding)),
        ]
    lines += _describe_both(facts)
    return lines


def data_warnings(facts: dict[str, Any]) -> list[str]:
    """What deserves a word before every run, one line each."""
    found = []
    for file in facts["files"]:
        called, rows = CALLED[file["role"]], file["rows"]
        if file["duplicates"]["rows"] >= WORTH_A_WARNING * rows:
            found.append(f"{called}: {file['duplicates']['rows']:,} of {rows:,} rows repeat an earlier one")
        if file["conflicts"]["prompts"] >= WORTH_A_WARNING * rows:
            found.append(f"{called}: {plural(file['conflicts']['prompts'], 'prompt')} with several responses")
        if file["not_nfc"]["rows"]:
            found.append(f"{called}: {file['not_nfc']['rows']:,} of {rows:,} rows are not in Unicode's form NFC")
    overlap, unseen = facts["overlap"], facts["unseen_characters"]
    if overlap and overlap["prompts"]:
        found.append(f"held out: {plural(overlap['prompts'], 'prompt')} that the training data has too")
    if unseen:
        shown = " ".join(show_character(one["character"]) for one in unseen[:CHARACTERS_SHOWN])
        found.append(f"held out: {plural(len(unseen), 'character')} that the training data lacks: {shown}")
    return found


def draw_histogram(bins: Sequence[dict[str, int]]) -> list[str]:
    """A chart of block characters, four lines high, with its scale under it. The last bin may hold a long tail."""
    highest = max(one["count"] for one in bins)
    wide = 2 if len(bins) * 2 <= WIDTH - 20 else 1
    # a count that is not zero is seen, if only just
    eighths = [max(round(one["count"] / highest * CHART_LINES * 8), 1 if one["count"] else 0) for one in bins]
    lines = []
    for level in reversed(range(CHART_LINES)):
        row = "".join(BLOCKS[max(0, min(8, height - 8 * level))] * wide for height in eighths)
        label = f"{highest:,}" if level == CHART_LINES - 1 else ""
        lines.append(f"{label:>11} {row}".rstrip())
    first, last = f"{bins[0]['from']:,}", f"{bins[-1]['to'] - 1:,}"
    width = bins[0]["to"] - bins[0]["from"]
    tail = bins[-1]["to"] - bins[-1]["from"] > width
    middle = max(1, len(bins) * wide - len(first) - len(last))
    note = f"   each bar {width:,} wide" if width > 1 else ""
    if tail:
        note += f", the last from {bins[-1]['from']:,} on" if note else f"   the last bar from {bins[-1]['from']:,} on"
    return [*lines, f"{'':>11} {first}{' ' * middle}{last}{note}"]


def show_character(character: str) -> str:
    """A character so that it is seen: a mark on a dotted circle, one without a shape by its number."""
    if category(character)[0] in "CZ":
        return f"U+{ord(character):04X}"
    return f"◌{character}" if combining(character) else character


def _findings(file: dict[str, Any]) -> list[str]:
    """Every check of one file in words, also where nothing was found."""
    lengths, rows = file["lengths"], file["rows"]
    if lengths["unit"] == "characters":
        long = f"over max_length: known when tokens can be counted; max_length is {lengths['max_length']:,} tokens"
    else:
        long = f"over max_length {lengths['max_length']:,}: {_rows(lengths['over'], rows)}"
    conflicts = file["conflicts"]
    found = [
        long,
        f"duplicates: {_rows(file['duplicates']['rows'], rows)}{_lines(file['duplicates'])}",
        "conflicts: "
        + (f"{plural(conflicts['prompts'], 'prompt')} with several responses" if conflicts["prompts"] else "none")
        + _lines(conflicts),
        f"not in Unicode's form NFC: {_rows(file['not_nfc']['rows'], rows)}{_lines(file['not_nfc'])}",
    ]
    if file["not_nfc"]["rows"] and file["format"] != "parquet":
        path = Path(file["path"])
        found.append(f"$ {TO_NFC} < {shlex.quote(relative(path))} > nfc{path.suffix}")
    return found


def _describe_both(facts: dict[str, Any]) -> list[str]:
    overlap, unseen = facts["overlap"], facts["unseen_characters"]
    if overlap is None:
        return []
    rows = facts["files"][1]["rows"]
    both = "none"
    if overlap["prompts"]:
        same = f"{_rows(overlap['rows'], rows)} with the same response"
        both = f"{plural(overlap['prompts'], 'prompt')} of the held-out part, {same}"
    lines = ["", "data and held out", *_wrap(f"in both: {both}{_lines(overlap)}")]
    lines += _wrap(f"characters of the held-out part that the data lacks: {len(unseen) or 'none'}")
    for one in unseen[:CHARACTERS_SHOWN]:
        code = f"U+{ord(one['character']):04X}"
        where = f"in {plural(one['rows'], 'row')}, first in line {one['line']}"
        shown = show_character(one["character"])
        name = "" if one["name"] == code else f" {one['name']}"
        lines.append(f"    {'' if shown == code else shown:<3}{code}{name}, {where}")
    if len(unseen) > CHARACTERS_SHOWN:
        lines.append(f"    ... and {len(unseen) - CHARACTERS_SHOWN} more")
    return lines


def _rows(count: int, of: int) -> str:
    if not count:
        return "none"
    share = f"{count / of:.1%}" if count / of >= 0.0005 else "under 0.1%"
    return f"{plural(count, 'row')} ({share})"


def _lines(finding: dict[str, Any]) -> str:
    """Where it was found: a few lines of the file."""
    lines = finding["lines"]
    if not lines:
        return ""
    count = finding.get("prompts", finding.get("rows", 0))
    more = " ..." if len(lines) > 8 or count > len(lines) else ""
    return f"; line{'' if len(lines) == 1 else 's'} {', '.join(map(str, lines[:8]))}{more}"


def _wrap(text: str) -> list[str]:
    if text.startswith("$ "):
        return [f"    {text}"]
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False)
