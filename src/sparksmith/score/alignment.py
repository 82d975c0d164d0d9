"""Which part of a prediction stands for which part of the reference.

A row's phones are aligned by the fewest edits, which are those that PER counts. Where no more are needed so that no
phone stands for one of another word, none does: words are aligned first, then the phones of each pair. Of several such
alignments the same one is chosen every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein

from sparksmith.score.phones import Separated, Word, split_words


class Edit(NamedTuple):
    """One unit beside its counterpart. `expected` is None for an insertion, `predicted` for a deletion."""

    expected: str | None
    predicted: str | None

    @property
    def right(self) -> bool:
        return self.expected == self.predicted

    def to_json(self) -> dict[str, str | None]:
        return {"expected": self.expected, "predicted": self.predicted}


Aligned = tuple[tuple[Edit, ...], ...]  # of a row: a tuple for each word


def align_units(expected: Sequence[str], predicted: Sequence[str]) -> tuple[Edit, ...]:
    """Every unit of both sides in order, with the fewest edits; a substitution is one edit."""
    edits: list[Edit] = []
    left = right = 0
    for edit in Levenshtein.editops(expected, predicted):
        same = edit.src_pos - left  # what stands before the next edit is equal, and as long on both sides
        edits += [Edit(unit, unit) for unit in expected[left : left + same]]
        left, right = left + same, right + same
        inserted, deleted = edit.tag == "insert", edit.tag == "delete"
        edits.append(Edit(None if inserted else expected[left], None if deleted else predicted[right]))
        left, right = left + (not inserted), right + (not deleted)
    return (*edits, *(Edit(unit, unit) for unit in expected[left:]))


def align_words(reference: Sequence[Word], prediction: Sequence[Word]) -> list[tuple[Word | None, Word | None]]:
    """Pairs of words that stand for each other; None where one side has no word there.

    The alignment has the fewest phone edits, an absent word costing its phones, and of those the fewest wrong words.
    """
    if reference == prediction:
        return list(zip(reference, prediction, strict=True))
    rows, columns = len(reference), len(prediction)
    edit = rows + columns + 1  # one phone edit weighs more than every word's being wrong
    together = [
        [
            edit * distance + (distance > 0)
            for distance in (Levenshtein.distance(a.phones, b.phones) for b in prediction)
        ]
        for a in reference
    ]
    left_out = [edit * len(word.phones) + 1 for word in reference]
    added = [edit * len(word.phones) + 1 for word in prediction]
    cost = [[0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows):
        cost[i + 1][0] = cost[i][0] + left_out[i]
    for j in range(columns):
        cost[0][j + 1] = cost[0][j] + added[j]
    for i in range(rows):
        for j in range(columns):
            cost[i + 1][j + 1] = min(
                cost[i][j] + together[i][j], cost[i][j + 1] + left_out[i], cost[i + 1][j] + added[j]
            )
    pairs: list[tuple[Word | None, Word | None]] = []
    i, j = rows, columns
    while i or j:
        if i and j and cost[i][j] == cost[i - 1][j - 1] + together[i - 1][j - 1]:
            i, j = i - 1, j - 1
            pairs.append((reference[i], prediction[j]))
        elif i and cost[i][j] == cost[i - 1][j] + left_out[i - 1]:
            i -= 1
            pairs.append((reference[i], None))
        else:
            j -= 1
            pairs.append((None, prediction[j]))
    return pairs[::-1]


def align_row(reference: str, prediction: str, separated: Separated | None) -> Aligned:
    """The fewest edits of one row, a tuple for each pair of words; one of code points where the task has no phones.

    Where words are cut elsewhere, so that pairs of words would need more edits, each tuple is a word of the reference.
    """
    if separated is None:
        return (align_units(reference, prediction),)
    words, found = split_words(reference, separated), split_words(prediction, separated)
    pairs = align_words(words, found)
    by_words = tuple(align_units(left.phones if left else (), right.phones if right else ()) for left, right in pairs)
    edits = align_units(*([phone for word in side for phone in word.phones] for side in (words, found)))
    if sum(not edit.right for word in by_words for edit in word) == sum(not edit.right for edit in edits):
        return by_words
    return _cut_at_words(edits, words)


def _cut_at_words(edits: Sequence[Edit], words: Sequence[Word]) -> Aligned:
    """A row's edits, cut where the reference's words end; what is added at a border stands with the word before it."""
    cut: list[list[Edit]] = [[] for _ in words]
    at = held = 0
    for edit in edits:
        if edit.expected is not None:
            while held == len(words[at].phones):
                at, held = at + 1, 0
            held += 1
        cut[at].append(edit)
    return tuple(map(tuple, cut))
