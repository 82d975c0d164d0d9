"""hand_worked.tsv: every row's counts and alignment worked by hand, the arithmetic beside; here those of the whole."""

from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path

import pytest

from sparksmith.score.alignment import align_row
from sparksmith.score.mistakes import Confusion, find_confusions, find_worst
from sparksmith.score.rates import score

RATES = ("per", "wer", "wer_with_stress", "stress_error", "cer")
with (Path(__file__).parent / "hand_worked.tsv").open(encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def counts(text: str) -> tuple[int, int]:
    errors, total = text.split("/")
    return int(errors), int(total)


def texts(separated: str) -> tuple[list[str], list[str]]:
    rows = [row for row in ROWS if row["separated"] == separated]
    return [row["reference"] for row in rows], [row["prediction"] for row in rows]


def in_brackets(reference: str, prediction: str, separated: str) -> str:
    between = " " if separated == "phones" else ""
    return " ".join(
        between.join(
            edit.expected if edit.right else f"[{edit.expected or ''}→{edit.predicted or ''}]" for edit in word
        )
        for word in align_row(reference, prediction, separated)
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['reference']}|{row['prediction']}")
def test_every_row(row):
    found = score([row["reference"]], [row["prediction"]], row["separated"])
    for name in RATES:
        rate = getattr(found, name)
        unmarked = name == "wer_with_stress" and "ˈ" not in row["reference"]  # alone it is data without stress
        if row[name] in {"-", "0/0"} or unmarked:
            assert rate is None, name
        else:
            assert (rate.errors, rate.total) == counts(row[name]), name
            errors, total = counts(row[name])
            assert rate.rate == rate.low == rate.high == rate.mean_of_rows == errors / total, name
    right = row["reference"] == row["prediction"]
    assert (found.exact_match.errors, found.exact_match.total) == (int(right), 1)
    assert in_brackets(row["reference"], row["prediction"], row["separated"]) == row["alignment"]


# Columns of the table added up: (errors, total, the mean of the rows' own rates).
WHOLE = {
    "phones": {
        # 0+1+1+1+3+1+2+1+1+1+0+2 of 3+3+3+2+3+1+1+3+2+3+4+4; four rows of 1/3, three of 1/2, and 1 + 1 + 2, by 12
        "per": (14, 32, Fraction(41, 6) / 12),
        "wer": (10, 12, Fraction(10, 12)),
        # 0+1+2+2+5+1+4+1+1+1+0+2 of 5+5+5+3+5+1+1+6+5+5+8+7; 1/5 + 2/5 + 2/3 + 1 + 1 + 4 + 1/6 + 1/5 + 1/5 + 2/7, by 12
        "cer": (20, 56, Fraction(341, 42) / 12),
        "exact_match": (2, 12, Fraction(2, 12)),
    },
    "words": {
        # 1+1+2+2+2+2 of 5+5+5+5+5+3+4+4+2+2+2+6; 1/5 + 1/3 + 1/2 + 1/2 + 1 + 1, by 12
        "per": (10, 48, Fraction(53, 15) / 12),
        # 1+1+1+1+1+2+1 of 15; 1 + 1 + 1/2 + 1/2 + 1 + 2 + 1, by 12
        "wer": (8, 15, Fraction(7, 12)),
        # the 8 and the three whose stress alone is wrong; 7 + 1 + 1 + 1/2, by 12
        "wer_with_stress": (11, 15, Fraction(19, 2) / 12),
        # of 6 single words, 3 whose neighbour is missing or too many, and 2 in the last row; 1 + 1 + 1/2 by the 10 rows
        # that have something to compare
        "stress_error": (3, 11, Fraction(1, 4)),
        # 0+2+1+2+1+1+4+4+4+1+3+1 of 6+6+6+6+6+5+7+7+3+2+3+9
        # 2/6 + 1/6 + 2/6 + 1/6 + 1/5 + 4/7 + 4/7 + 4/3 + 1/2 + 1 + 1/9, by 12
        "cer": (24, 66, Fraction(3331, 630) / 12),
        "exact_match": (1, 12, Fraction(1, 12)),
    },
}


@pytest.mark.parametrize("separated", WHOLE)
def test_the_whole(separated):
    found = score(*texts(separated), separated)
    for name, (errors, total, mean) in WHOLE[separated].items():
        rate = getattr(found, name)
        assert (rate.errors, rate.total) == (errors, total), name
        assert rate.mean_of_rows == pytest.approx(float(mean), abs=1e-12), name
        assert rate.low <= rate.rate <= rate.high, name
    assert (found.stress_error is None) == (separated == "phones")


def test_the_confusions_of_the_phones():
    """What each row's brackets hold, with how often the 12 references hold that phone; 32 phones in all."""
    found = find_confusions(align_row(*row, "phones") for row in zip(*texts("phones"), strict=True))
    assert set(found) == {
        Confusion("æ", "a", 1, 4), Confusion("t", None, 1, 3), Confusion(None, "t", 1, 32), Confusion("d", None, 1, 3),
        Confusion("ɔ", None, 1, 1), Confusion("ɡ", None, 1, 1), Confusion("a", "o", 1, 2), Confusion(None, "b", 2, 32),
        Confusion("aː", "a", 1, 1), Confusion("t͡s", "ts", 1, 1), Confusion("b", "bː", 1, 1),
        Confusion("i", "a", 1, 1), Confusion("d", "t", 1, 3),
    }  # fmt: skip
    assert found[0] == Confusion(None, "b", 2, 32)
    assert sum(each.count for each in found) == WHOLE["phones"]["per"][0]


def test_the_worst_of_the_words():
    """Four rows have two edits: those of 2 phones before those of 4, then in their order; then those with one edit."""
    references, predictions = texts("words")
    places = [(line, "") for line in range(1, len(references) + 1)]
    aligned = [align_row(*row, "words") for row in zip(references, predictions, strict=True)]
    found = find_worst(places, references, predictions, aligned)
    assert [(row.line, row.errors, row.total) for row in found] == [
        (9, 2, 2), (11, 2, 2), (7, 2, 4), (8, 2, 4), (6, 1, 3), (5, 1, 5),
    ]  # fmt: skip
    assert sum(row.errors for row in found) == WHOLE["words"]["per"][0]
