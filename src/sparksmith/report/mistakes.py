"""The worst rows with their edits, and which unit is taken for which, as tables of a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

WRONG = "bold red"
RUN_KEPT = 14  # right units that stand beside an edit; a longer run is left out in the middle
LONGEST_EDITS = 240  # characters
LEFT_TO_RIGHT = "\u200e"


def worst_table(worst: Sequence[Any], separated: str | None) -> Table:
    """A line for each wrong row: where it is, how much is wrong, its alignment, and what was asked."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("line", justify="right", no_wrap=True)
    table.add_column("wrong", justify="right", no_wrap=True)
    table.add_column(Text.assemble("alignment: ", ("[truth→prediction]", WRONG)), overflow="fold")  # none of it is cut
    table.add_column("prompt", max_width=22)  # the last one: text from right to left moves nothing that follows
    for row in worst:
        edits = edits_text([[(edit.expected, edit.predicted) for edit in word] for word in row.words], separated)
        table.add_row(f"{row.line}", f"{row.errors} of {row.total}", edits, Text(clip(row.prompt)))
    return table


def confusion_table(confusions: Sequence[Any]) -> Table:
    """A line for each pair of units: the truth, what was predicted, how often, and of how many."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("truth", "prediction"):
        table.add_column(heading, no_wrap=True)
    for heading in ("times", "of"):
        table.add_column(heading, justify="right", no_wrap=True)
    for pair in confusions:
        table.add_row(_unit(pair.expected), _unit(pair.predicted), f"{pair.count:,}", f"{pair.of:,}")
    return table


def edits_text(words: Iterable[Iterable[tuple[str | None, str | None]]], separated: str | None) -> Text:
    """An alignment as one line: `ɒ [b→bː] ɒ`. What is left out is `[b→]`, what is added `[→b]`.

    `words` holds (expected, predicted) pairs. With `phones` a space stands between phones, else between words, and
    units that are wrong beside each other share their brackets.
    """
    between = " " if separated == "phones" else ""
    units: list[tuple[str, bool]] = []
    for at, word in enumerate(words):
        if at:
            units.append((" ", True))
        for number, (expected, predicted) in enumerate(word if between else _joined(word)):
            if number and between:
                units.append((between, True))
            right = expected == predicted
            shown = plain(expected or "") if right else f"[{_visible(expected)}→{_visible(predicted)}]"
            units.append((shown, right))
    text = Text()
    for shown, right in _shortened(units):
        if len(text) > LONGEST_EDITS:
            return text.append(" ...")
        text.append(shown, style=None if right else WRONG)
    return text


def shorten(text: str, length: int = 60) -> str:
    """A text in one line, its end left out where it is long."""
    text = plain(text)
    return text if len(text) <= length else text[: length - 3] + "..."


def clip(text: str) -> str:
    """The same for a cell of a table."""
    return _isolated(shorten(text))


def plain(text: str) -> str:
    """Control characters as their escapes: a newline as \\n, and nothing that a terminal obeys."""
    return "".join(
        character.encode("unicode_escape").decode() if unicodedata.category(character) == "Cc" else character
        for character in text
    )


def _isolated(text: str) -> str:
    """A mark after what reads from right to left: a terminal then orders only this, and not what follows it."""
    from_right = any(unicodedata.bidirectional(character) in {"R", "AL"} for character in text)
    return text + LEFT_TO_RIGHT if from_right else text


def _visible(unit: str | None) -> str:
    return _isolated(plain(unit or "").replace(" ", "␣"))


def _unit(unit: str | None) -> Text:
    return Text("nothing", style="dim") if unit is None else Text(_visible(unit))


def _joined(edits: Iterable[tuple[str | None, str | None]]) -> list[tuple[str | None, str | None]]:
    """Neighbours that are wrong, as one."""
    joined: list[tuple[str | None, str | None]] = []
    for expected, predicted in edits:
        if joined and expected != predicted and joined[-1][0] != joined[-1][1]:
            before = joined.pop()
            joined.append(((before[0] or "") + (expected or ""), (before[1] or "") + (predicted or "")))
        else:
            joined.append((expected, predicted))
    return joined


def _shortened(units: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """The units, with dots for the middle of a long run of right ones, cut between words where there are some."""
    shown: list[tuple[str, bool]] = []
    at = 0
    while at < len(units):
        end = at
        while end < len(units) and units[end][1]:
            end += 1
        run = units[at:end]
        before = RUN_KEPT if at else 0  # what follows an edit
        after = RUN_KEPT if end < len(units) else 0  # what goes before the next
        if len(run) > before + after + 5:
            spaces = [place for place, (unit, _) in enumerate(run) if unit == " "]
            head = max((place for place in spaces if place < before), default=before - 1) + 1
            tail = min((place for place in spaces if place >= len(run) - after), default=len(run) - after)
            run = [*run[:head], ("...", True), *run[tail:]]
        shown += [*run, *units[end : end + 1]]
        at = end + 1
    return shown
