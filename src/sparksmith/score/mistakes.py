"""What was wrong: the worst rows with their edits, and which unit is taken for which.

Units are phones, or code points where the task has no phones. The edits are those that PER counts, or CER.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sparksmith.score.alignment import Aligned, Edit

WORST = 10


@dataclass(frozen=True)
class WrongRow:
    """A row with at least one edit. `words` holds its whole alignment, a tuple for each word."""

    line: int
    prompt: str
    reference: str
    prediction: str
    words: Aligned

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The whole alignment in order, equal pairs included."""
        return tuple(edit for word in self.words for edit in word)

    @property
    def errors(self) -> int:
        return sum(expected != predicted for word in self.words for expected, predicted in word)

    @property
    def total(self) -> int:
        """The units of the reference."""
        return sum(expected is not None for word in self.words for expected, _ in word)

    def to_json(self) -> dict[str, object]:
        return {
            "line": self.line, "prompt": self.prompt, "reference": self.reference, "prediction": self.prediction,
            "errors": self.errors, "total": self.total, "edits": [edit.to_json() for edit in self.edits],
        }  # fmt: skip


@dataclass(frozen=True)
class Confusion:
    """`expected` was answered with `predicted` `count` times. `of`: how often the references hold `expected`; for an
    insertion (`expected` None), how many units they hold."""

    expected: str | None
    predicted: str | None
    count: int
    of: int

    def to_json(self) -> dict[str, str | int | None]:
        return {"expected": self.expected, "predicted": self.predicted, "count": self.count, "of": self.of}


def find_worst(
    places: Iterable[tuple[int, str]],
    references: Sequence[str],
    predictions: Sequence[str],
    aligned: Sequence[Aligned],
    limit: int = WORST,
) -> tuple[WrongRow, ...]:
    """The rows with the most edits; `places` are their (line, prompt).

    Of rows with as many edits the shorter reference comes first, then the earlier line. Rows are not ordered by their
    rate, which would put the shortest first: one phone wrong of one.
    """
    found = []
    for (line, prompt), reference, prediction, words in zip(places, references, predictions, aligned, strict=True):
        row = WrongRow(line, prompt, reference, prediction, words)
        errors = row.errors
        if errors:
            found.append((-errors, row.total, line, row))
    return tuple(row for *_, row in sorted(found, key=lambda each: each[:3])[:limit])


def find_confusions(aligned: Iterable[Aligned]) -> tuple[Confusion, ...]:
    """All pairs of units that differ, the most frequent first, then in the order of their characters."""
    pairs = Counter(edit for row in aligned for word in row for edit in word)
    held: Counter[str] = Counter()
    for (expected, _), count in pairs.items():
        if expected is not None:
            held[expected] += count
    every = held.total()
    confusions = (
        Confusion(expected, predicted, count, every if expected is None else held[expected])
        for (expected, predicted), count in pairs.items()
        if expected != predicted
    )
    return tuple(sorted(confusions, key=lambda each: (-each.count, each.expected or "", each.predicted or "")))
