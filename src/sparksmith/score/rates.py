"""Corpus-level error rates: all errors over all units, never a mean of rates.

PER: phone edits over reference phones. WER: a word is wrong if any of its phones is; the words of a sentence are
aligned first, and a word too many or too few is an error. Both leave the mark ˈ out. Stress error: the share of aligned
words whose reference has a mark and whose prediction has none or has it before another vowel. CER: edits over all code
points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from sparksmith.score.phones import Separated, Word, split_words


@dataclass(frozen=True)
class Rate:
    """Errors out of a total."""

    errors: int
    total: int

    @property
    def rate(self) -> float:
        return self.errors / self.total if self.total else 0.0

    def __add__(self, other: Rate) -> Rate:
        return Rate(self.errors + other.errors, self.total + other.total)

    def to_json(self) -> dict[str, float | int]:
        return {"rate": self.rate, "errors": self.errors, "total": self.total}


@dataclass(frozen=True)
class Scores:
    """All rates over one dataset. The phone rates are None where the task is not grapheme-to-phoneme, and those of
    stress where the reference marks none; the stress error also where no marked word has a counterpart."""

    cer: Rate
    exact_match: Rate
    per: Rate | None = None
    wer: Rate | None = None
    wer_with_stress: Rate | None = None
    stress_error: Rate | None = None

    def to_json(self) -> dict[str, object]:
        rates = {
            name: getattr(self, name)
            for name in ("per", "wer", "wer_with_stress", "stress_error", "cer", "exact_match")
        }
        return {name: rate.to_json() if rate else None for name, rate in rates.items()}


def score(references: Sequence[str], predictions: Sequence[str], separated: Separated | None) -> Scores:
    """Compare predictions with references, row by row. `exact_match` counts the rows that are right as `errors` of
    the complement would mislead: its rate is the share of rows that are equal.

    Raises `ValueError` where the two differ in length or are empty.
    """
    if len(references) != len(predictions) or not references:
        raise ValueError(f"{len(predictions)} predictions for {len(references)} references")
    pairs = list(zip(references, predictions, strict=True))
    cer = sum((Rate(Levenshtein.distance(r, p), len(r)) for r, p in pairs), Rate(0, 0))
    exact = Rate(sum(r == p for r, p in pairs), len(pairs))
    if separated is None:
        return Scores(cer, exact)
    per = wer = with_stress = stress = Rate(0, 0)
    marked = False
    for reference, prediction in pairs:
        words = split_words(reference, separated)
        marked = marked or any(word.stressed_vowel is not None for word in words)
        row = _score_row(words, split_words(prediction, separated))
        per, wer, with_stress, stress = per + row[0], wer + row[1], with_stress + row[2], stress + row[3]
    return Scores(cer, exact, per, wer, with_stress if marked else None, stress if stress.total else None)


def align_words(reference: Sequence[Word], prediction: Sequence[Word]) -> list[tuple[Word | None, Word | None]]:
    """Pairs of words that stand for each other; None where one side has no word there.

    The alignment has the fewest phone edits, an absent word costing its phones.
    """
    rows, columns = len(reference), len(prediction)
    cost = [[0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(1, rows + 1):
        cost[i][0] = cost[i - 1][0] + len(reference[i - 1].phones)
    for j in range(1, columns + 1):
        cost[0][j] = cost[0][j - 1] + len(prediction[j - 1].phones)
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            cost[i][j] = min(
                cost[i - 1][j - 1] + Levenshtein.distance(reference[i - 1].phones, prediction[j - 1].phones),
                cost[i - 1][j] + len(reference[i - 1].phones),
                cost[i][j - 1] + len(prediction[j - 1].phones),
            )
    pairs: list[tuple[Word | None, Word | None]] = []
    i, j = rows, columns
    while i or j:
        same = i and j and cost[i - 1][j - 1] + Levenshtein.distance(reference[i - 1].phones, prediction[j - 1].phones)
        if i and j and cost[i][j] == same:
            i, j = i - 1, j - 1
            pairs.append((reference[i], prediction[j]))
        elif i and cost[i][j] == cost[i - 1][j] + len(reference[i - 1].phones):
            i -= 1
            pairs.append((reference[i], None))
        else:
            j -= 1
            pairs.append((None, prediction[j]))
    return pairs[::-1]


def _score_row(reference: list[Word], prediction: list[Word]) -> tuple[Rate, Rate, Rate, Rate]:
    """(PER, WER, WER with stress, stress error) of one row."""
    expected = [phone for word in reference for phone in word.phones]
    found = [phone for word in prediction for phone in word.phones]
    per = Rate(Levenshtein.distance(expected, found), len(expected))
    wrong = wrong_with_stress = stress_errors = stressed = 0
    for left, right in align_words(reference, prediction):
        same = left is not None and right is not None and left.phones == right.phones
        wrong += not same
        if left is None or right is None:
            wrong_with_stress += 1
            continue
        wrong_with_stress += not (same and left.stressed_vowel == right.stressed_vowel)
        if left.stressed_vowel is not None:
            stressed += 1
            stress_errors += left.stressed_vowel != right.stressed_vowel
    total = len(reference)
    return per, Rate(wrong, total), Rate(wrong_with_stress, total), Rate(stress_errors, stressed)
