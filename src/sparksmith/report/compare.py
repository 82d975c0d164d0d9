"""Several runs on one page: their curves over each other, what differs in their plans, their final scores."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparksmith import __version__
from sparksmith.base.units import GIB
from sparksmith.report import answers, circumstances, curves
from sparksmith.report.answers import HIGHER_IS_BETTER, RATES, Measured
from sparksmith.report.charts import LineChart, Series, line_chart
from sparksmith.report.page import MARK, State, environment, summary_of
from sparksmith.report.run_records import RunRecords, read_records
from sparksmith.runs.layout import RunFolder

MOST_RUNS = 8  # as many as there are colours that can be told apart
# what every run has of its own; of the data files train_data and eval_data say more
NOT_COMPARED = frozenset({
    "version", "choices", "output_dir", "resume_from_checkpoint", "description", "data_file", "eval_file",
})  # fmt: skip
CURVES: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("loss", "Training loss", "nats per counted token", {"height": 220, "log": True}),
    ("eval_loss", "Held-out loss", "nats per counted token", {"height": 220, "log": True}),
    ("eval_wer", "WER on the held-out part", "", {"percent": True, "zero": True}),
    ("eval_per", "PER on the held-out part", "", {"percent": True, "zero": True}),
    ("eval_cer", "CER on the held-out part", "", {"percent": True, "zero": True}),
    ("eval_exact_match", "Exact match on the held-out part", "", {"percent": True, "zero": True}),
    ("learning_rate", "Learning rate", "", {"zero": True, "peak": True}),
    ("grad_norm", "Gradient norm", "before clipping", {"zero": True}),
    ("tokens_per_second", "Throughput", "non-padding tokens/s", {"zero": True}),
    ("memory_available_bytes", "Memory available", "GiB", {"zero": True}),
)


@dataclass(frozen=True)
class Compared:
    """One of the runs. `letter` stands for it in the charts, `colour` is a variable of the style sheet."""

    letter: str
    colour: str
    records: RunRecords
    state: State
    summary: str


@dataclass(frozen=True)
class ScoreLine:
    """One rate of every run. `best` is the place of the run whose interval lies beside all others, None where no run is
    told apart; `overlap` then says which intervals overlap with that of the best rate."""

    heading: str
    meaning: str
    measured: tuple[Measured | None, ...]
    best: int | None
    overlap: str


def render_comparison(
    folders: Sequence[RunFolder], states: Sequence[State], clock: Callable[[], float] = time.time
) -> str:
    """The page of two to eight runs as HTML."""
    runs = [
        _compared(at, read_records(folder), state)
        for at, (folder, state) in enumerate(zip(folders, states, strict=True))
    ]
    notes = [f"{run.letter}: {note}" for run in runs for note in run.records.notes]
    notes += [f"{run.letter} has no curves yet" for run in runs if not run.records.metrics]
    same_data = len({json.dumps(_scored_on(run.records)) for run in runs if run.records.evaluation}) < 2
    scores = score_lines([run.records for run in runs], comparable=same_data)
    if scores and not same_data:
        notes.append("the runs were scored on different data, so none of them is called the best")
    return environment().get_template("comparison.html").render(
        version=__version__, mark=MARK, written=curves.utc(clock()), runs=runs, charts=charts_of(runs), scores=scores,
        differences=differences([run.records for run in runs]), notes=notes,
    )  # fmt: skip


def _compared(at: int, records: RunRecords, state: State) -> Compared:
    state = State(state.name, records.discretion.text(state.why))
    return Compared(_letter(at), f"run-{at}", records, state, summary_of(records))


def charts_of(runs: Sequence[Compared]) -> list[LineChart]:
    """Every curve that one of the runs has, one colour per run."""
    span = (0.0, float(max(1, *(run.records.step for run in runs))))
    charts = []
    for key, title, unit, options in CURVES:
        scale = GIB if key == "memory_available_bytes" else 1
        series = [
            Series(
                run.letter, [(x, y / scale if y is not None else None) for x, y in run.records.column(key)], run.colour
            )
            for run in runs
        ]
        chart = line_chart(key, title, series, unit=unit, span=span, **options)
        if chart is not None:
            charts.append(chart)
    return charts


def differences(runs: Sequence[RunRecords]) -> list[tuple[str, list[str]]]:
    """(key, its value in every run) of the keys that are not the same everywhere; the machine and the packages too."""
    plans = [_flat(run) for run in runs]
    keys = list(dict.fromkeys(key for plan in plans for key in plan))
    rows = [(key, [plan.get(key) for plan in plans]) for key in keys]
    return [
        (key, [circumstances.show_value(value) if value is not None else "–" for value in values])
        for key, values in rows
        if any(value != values[0] for value in values)
    ]


def _flat(run: RunRecords) -> dict[str, Any]:
    """The keys of a plan with its data by name and hash, the machine in words and the versions of the packages."""
    flat: dict[str, Any] = {}
    for key, value in run.plan.items():
        if key in NOT_COMPARED:
            continue
        if isinstance(value, dict):  # a data file: the same content is the same data
            name = Path(str(value.get("path"))).name
            flat[key] = f"{name}, {value.get('rows')} rows, SHA-256 {str(value.get('sha256'))[:8]}…"
        else:
            flat[key] = value
    flat["machine"] = circumstances.machine_words(run) or None
    packages = run.manifest.get("packages")
    flat |= packages if isinstance(packages, dict) else {}
    return flat | {"sparksmith": run.manifest.get("sparksmith")}


def score_lines(runs: Sequence[RunRecords], *, comparable: bool) -> list[ScoreLine]:
    """The final scores side by side."""
    lines = []
    for name, heading, meaning in RATES:
        measured = tuple(answers.read_rate((run.evaluation or {}).get("scores"), name) for run in runs)
        known = {at: one for at, one in enumerate(measured) if one is not None}
        if not known:
            continue
        best, overlap = None, ""
        if (
            comparable
            and len(known) > 1
            and all(one.low is not None and one.high is not None for one in known.values())
        ):
            first = (max if name in HIGHER_IS_BETTER else min)(known, key=lambda at: known[at].rate)
            near = [at for at, one in known.items() if at != first and _overlap(one, known[first])]
            best = None if near else first
            overlap = _overlap_words(sorted([first, *near]), len(known)) if near else ""
        lines.append(ScoreLine(heading, meaning, measured, best, overlap))
    return lines


def _overlap(one: Measured, other: Measured) -> bool:
    assert one.low is not None and one.high is not None and other.low is not None and other.high is not None
    return one.low <= other.high and other.low <= one.high


def _overlap_words(places: list[int], known: int) -> str:
    letters = [_letter(at) for at in places]
    if len(letters) == known:
        return "intervals overlap"
    return f"{', '.join(letters[:-1])} and {letters[-1]} overlap"


def _letter(at: int) -> str:
    return chr(ord("A") + at)


def _scored_on(run: RunRecords) -> Any:
    """What tells the data of two evaluations apart."""
    planned = run.plan.get("eval_data")
    evaluation = run.evaluation or {}
    return [planned.get("sha256") if isinstance(planned, dict) else None, evaluation.get("rows")]
