"""What a run's model answers, ready to be shown: its scores, what it confuses, samples before and after, the worst."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from sparksmith.base.units import format_percent, plural
from sparksmith.report.run_records import RunRecords, number

# name in the record, heading, what is counted
RATES = (
    ("per", "PER", "phones wrong"),
    ("wer", "WER", "words with a wrong phone"),
    ("wer_with_stress", "WER with stress", "words wrong, stress counted"),
    ("stress_error", "Stress error", "words stressed elsewhere"),
    ("cer", "CER", "characters wrong"),
    ("exact_match", "Exact match", "rows right"),
)
HIGHER_IS_BETTER = frozenset({"exact_match"})
LONGEST = 300  # characters of a text that are shown
MOST_PHONES = 12  # rows and columns of the confusion map
MOST_PAIRS = 15
MOST_WORST = 10
PAIRS_KEPT = 200  # by evaluation.json
NOTHING = "nothing"  # where a unit is missing or too much


@dataclass(frozen=True)
class Measured:
    """One rate of one model: a share, and where a record says so its counts and 95% interval."""

    rate: float
    errors: int | None
    total: int | None
    low: float | None
    high: float | None
    mean_of_rows: float | None

    @property
    def text(self) -> str:
        return format_percent(self.rate)

    @property
    def interval(self) -> str:
        if self.low is None or self.high is None:
            return ""
        return f"{100 * self.low:.1f} to {100 * self.high:.1f}%"

    @property
    def counts(self) -> str:
        return f"{self.errors:,} of {self.total:,}" if self.errors is not None and self.total is not None else ""


@dataclass(frozen=True)
class ScoreRow:
    """A rate of the trained model beside the untrained one's."""

    name: str
    heading: str
    meaning: str
    trained: Measured
    untrained: Measured | None


def read_rate(scores: Any, name: str) -> Measured | None:
    """A rate of a record of scores, of this version or an older one; None where it was not measured."""
    row: Any = scores.get(name) if isinstance(scores, dict) else None
    if not isinstance(row, dict) or (rate := number(row.get("rate"))) is None:
        return None
    errors, total = row.get("errors"), row.get("total")
    return Measured(
        rate,
        errors if isinstance(errors, int) else None,
        total if isinstance(total, int) else None,
        number(row.get("low")),
        number(row.get("high")),
        number(row.get("mean_of_rows")),
    )


def score_rows(evaluation: dict[str, Any]) -> list[ScoreRow]:
    """The measured rates, in the order of RATES."""
    rows = []
    for name, heading, meaning in RATES:
        trained = read_rate(evaluation.get("scores"), name)
        if trained is not None:
            rows.append(ScoreRow(name, heading, meaning, trained, read_rate(evaluation.get("untrained"), name)))
    return rows


def cards(rows: list[ScoreRow]) -> list[ScoreRow]:
    """The scores that stand large at the top: four at most, those of phones before those of characters."""
    order = ("wer", "per", "stress_error", "exact_match", "cer")
    by_name = {row.name: row for row in rows}
    return [by_name[name] for name in order if name in by_name][:4]


@dataclass(frozen=True)
class Piece:
    """Some of a text. `kind` is same, wrong (not in the reference) or missing (only there)."""

    text: str
    kind: str


@dataclass(frozen=True)
class Sample:
    """A row: what was asked, the truth, and the answers before and after training."""

    prompt: str
    reference: str
    untrained: str | None
    pieces: tuple[Piece, ...]
    right: bool

    @property
    def empty(self) -> bool:
        """Nothing was answered."""
        return not "".join(piece.text for piece in self.pieces if piece.kind != "missing").strip()


def samples_of(records: RunRecords) -> list[Sample]:
    """The rows of predictions.jsonl that are shown."""
    separated = records.plan.get("spaces_separate")
    found = []
    for row in records.predictions:
        if not all(isinstance(row.get(name), str) for name in ("prompt", "reference", "prediction")):
            continue
        reference, prediction = clip(row["reference"]), clip(row["prediction"])
        untrained = row.get("untrained")
        found.append(
            Sample(
                clip(row["prompt"]), reference, clip(untrained) if isinstance(untrained, str) else None,
                compare(split_units(reference, separated), split_units(prediction, separated)),
                row["reference"] == row["prediction"],
            )
        )  # fmt: skip
    return found


def clip(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def split_units(text: str, separated: Any) -> list[str]:
    """What is marked as one: a phone (with the space before it) in a transcription, else a word."""
    if separated == "words":
        return _phones(text)
    return [word if at == 0 else f" {word}" for at, word in enumerate(text.split(" "))]


def _phones(text: str) -> list[str]:
    """Base characters with their modifiers; near enough to score/phones.py for marking."""
    units: list[str] = []
    for character in text:
        if units and unicodedata.category(character) in {"Mn", "Lm", "Me"} and character != "ˈ":
            units[-1] += character
        else:
            units.append(character)
    return units


def compare(reference: list[str], prediction: list[str]) -> tuple[Piece, ...]:
    """The prediction, with what is wrong in it and where something is missing."""
    pieces: list[Piece] = []
    for what, i, j, k, m in SequenceMatcher(None, reference, prediction, autojunk=False).get_opcodes():
        if k < m:
            pieces.append(Piece("".join(prediction[k:m]), "same" if what == "equal" else "wrong"))
        elif i < j:
            pieces.append(Piece("".join(reference[i:j]).strip() or "a space", "missing"))
    return tuple(pieces)


@dataclass(frozen=True)
class Worst:
    """One of the rows with the most errors; `edits` are (expected, predicted, same), None where one side has none."""

    line: Any
    prompt: str
    reference: str
    prediction: str
    errors: int
    total: int
    edits: tuple[tuple[str | None, str | None, bool], ...]


def worst_of(evaluation: dict[str, Any]) -> list[Worst]:
    """Raises `KeyError`, `TypeError`, `AttributeError` for a record of another shape."""
    return [
        Worst(
            row.get("line"), clip(row["prompt"]), clip(row["reference"]), clip(row["prediction"]),
            int(row["errors"]), int(row["total"]),
            tuple(
                (visible(edit["expected"]), visible(edit["predicted"]), edit["expected"] == edit["predicted"])
                for edit in row["edits"][:LONGEST]
            ),
        )
        for row in evaluation["worst"][:MOST_WORST]
    ]  # fmt: skip


def visible(unit: str | None) -> str | None:
    """A unit that would not be seen, spelled so that it is."""
    if unit is None or unit.strip():
        return f"◌{unit}" if unit and unicodedata.combining(unit[0]) else unit
    return {" ": "␣", "\n": "⏎", "\t": "⇥", "": "∅"}.get(unit, "␣")


@dataclass(frozen=True)
class Pair:
    """How often one unit stood for another. None: nothing was expected, or nothing was said."""

    expected: str | None
    predicted: str | None
    count: int
    of: int

    @property
    def share(self) -> str:
        """How often of the times that the unit was expected; nothing where none was."""
        if not self.of or self.expected is None:
            return ""
        return format_percent(self.count / self.of) if self.count / self.of >= 0.0005 else "under 0.1%"

    @property
    def words(self) -> str:
        pair = f"{self.expected or NOTHING} expected, {self.predicted or NOTHING} said"
        of = f" of {self.of:,}" if self.of and self.expected is not None else ""
        return f"{pair}: {self.count:,}{of} {'time' if self.count == 1 and not of else 'times'}"


@dataclass(frozen=True)
class ConfusionMap:
    """The most frequent mistakes: `cells[row][column]` a pair or None, with its strength 0..1. `notes` say what the
    figures leave out."""

    rows: tuple[str | None, ...]
    columns: tuple[str | None, ...]
    cells: tuple[tuple[tuple[Pair, float] | None, ...], ...]
    top: tuple[Pair, ...]
    notes: tuple[str, ...]


def confusions_of(evaluation: dict[str, Any]) -> ConfusionMap | None:
    """None where nothing was confused. Raises `KeyError`, `TypeError` for a record of another shape."""
    pairs = [
        Pair(visible(row["expected"]), visible(row["predicted"]), int(row["count"]), int(row.get("of") or 0))
        for row in evaluation["confusions"]
    ]
    pairs = sorted((pair for pair in pairs if pair.count > 0), key=lambda pair: -pair.count)
    if not pairs:
        return None
    rows, columns = _most(pairs, "expected"), _most(pairs, "predicted")
    known = {(pair.expected, pair.predicted): pair for pair in pairs}
    strongest = pairs[0].count
    cells = tuple(
        tuple(
            (pair, round((pair.count / strongest) ** 0.5, 3)) if (pair := known.get((row, column))) else None
            for column in columns
        )
        for row in rows
    )
    drawn = [cell[0] for line in cells for cell in line if cell]
    return ConfusionMap(rows, columns, cells, tuple(pairs[:MOST_PAIRS]), _coverage(pairs, drawn))


def _coverage(pairs: list[Pair], drawn: list[Pair]) -> tuple[str, ...]:
    """How many of the errors the map and the table show."""
    total, top = (sum(pair.count for pair in some) for some in (pairs, pairs[:MOST_PAIRS]))
    in_map = sum(pair.count for pair in drawn)
    if len(pairs) >= PAIRS_KEPT:
        words = f"The record keeps the {PAIRS_KEPT} most frequent pairs, {plural(total, 'edit')}"
    else:
        words = f"{plural(total, 'edit')} in all, of {plural(len(pairs), 'different pair')}"
    shown = f"; the map shows {in_map:,} of them, the table {top:,}" if min(in_map, top) < total else ""
    return (f"{words}{shown}.",)


def _most(pairs: list[Pair], side: str) -> tuple[str | None, ...]:
    """The units of one side with the most errors, in alphabetical order; None, if there, last."""
    errors: Counter[str | None] = Counter()
    for pair in pairs:
        errors[getattr(pair, side)] += pair.count
    chosen = [unit for unit, _ in errors.most_common(MOST_PHONES)]
    return (*sorted(unit for unit in chosen if unit is not None), *([None] if None in chosen else []))


def percent(rate: float) -> float:
    """Where a rate stands on a scale from 0 to 100%; what is above stands at its end."""
    return round(100 * min(1.0, rate), 2)
