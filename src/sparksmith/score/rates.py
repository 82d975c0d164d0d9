"""Error rates of a dataset: all errors over all units, with an interval, and the mean of the rows' own rates beside.

PER: phone edits over reference phones. WER: a word is wrong if any of its phones is; the words of a sentence are
aligned first, and a word too many or too few is an error. Both leave the mark ˈ out. Stress error: the share of aligned
words whose reference has a mark and whose prediction has none or has it before another vowel. CER: edits over all code
points. docs/concepts/scores.md works an example.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from sparksmith.score.alignment import align_words
from sparksmith.score.intervals import bootstrap_interval
from sparksmith.score.phones import Separated, Word, split_words

NAMES = ("per", "wer", "wer_with_stress", "stress_error", "cer", "exact_match")
Count = tuple[int, int]  # errors, total


@dataclass(frozen=True)
class Rate:
    """Errors out of a total; the 95% interval of their rate; and the mean of the rows' own rates, those of rows with
    nothing to count left out."""

    errors: int
    total: int
    low: float
    high: float
    mean_of_rows: float

    @property
    def rate(self) -> float:
        return self.errors / self.total if self.total else 0.0

    def to_json(self) -> dict[str, float | int]:
        return {
            "rate": self.rate, "errors": self.errors, "total": self.total, "low": self.low, "high": self.high,
            "mean_of_rows": self.mean_of_rows,
        }  # fmt: skip


def rate_of(rows: Sequence[Count]) -> Rate:
    """The rate of a dataset whose rows have these (errors, total)."""
    own = [errors / total for errors, total in rows if total]
    low, high = bootstrap_interval(rows)
    return Rate(
        sum(errors for errors, _ in rows), sum(total for _, total in rows), low, high,
        math.fsum(own) / len(own) if own else 0.0,
    )  # fmt: skip


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
        rates: dict[str, Rate | None] = {name: getattr(self, name) for name in NAMES}
        return {name: rate.to_json() if rate else None for name, rate in rates.items()}


def score(references: Sequence[str], predictions: Sequence[str], separated: Separated | None) -> Scores:
    """Compare predictions with references, row by row. `exact_match` counts in `errors` the rows that are equal: its
    rate is a share of right rows, where all others are rates of errors.

    Raises `ValueError` where the two differ in length or are empty.
    """
    if len(references) != len(predictions) or not references:
        raise ValueError(f"{len(predictions)} predictions for {len(references)} references")
    pairs = list(zip(references, predictions, strict=True))
    cer = rate_of([(Levenshtein.distance(r, p), len(r)) for r, p in pairs])
    exact = rate_of([(int(r == p), 1) for r, p in pairs])
    if separated is None:
        return Scores(cer, exact)
    marked = False
    rows = []
    for reference, prediction in pairs:
        words = split_words(reference, separated)
        marked = marked or any(word.stressed_vowel is not None for word in words)
        rows.append(_count_row(words, split_words(prediction, separated)))
    per, wer, with_stress, stress = (rate_of(column) for column in zip(*rows, strict=True))
    return Scores(cer, exact, per, wer, with_stress if marked else None, stress if stress.total else None)


def _count_row(reference: list[Word], prediction: list[Word]) -> tuple[Count, Count, Count, Count]:
    """PER, WER, WER with stress and stress error of one row."""
    expected = [phone for word in reference for phone in word.phones]
    found = [phone for word in prediction for phone in word.phones]
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
    words = len(reference)
    return (
        (Levenshtein.distance(expected, found), len(expected)), (wrong, words), (wrong_with_stress, words),
        (stress_errors, stressed),
    )  # fmt: skip
