"""What happened in a run, in time: its curves, the events on them, and the list of them."""

from __future__ import annotations

import time
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from sparksmith.base.units import GIB, format_seconds
from sparksmith.report.answers import read_rate
from sparksmith.report.charts import LineChart, Mark, Series, line_chart
from sparksmith.report.run_records import RunRecords, number

# key of a metric, its name beside the curve, colour
ERRORS = (
    ("eval_wer", "WER", "run-1"),
    ("eval_per", "PER", "run-0"),
    ("eval_wer_with_stress", "with stress", "run-4"),
    ("eval_stress_error", "stress error", "run-3"),
    ("eval_cer", "CER", "grey"),
)
TOLD = (("wer", "WER"), ("per", "PER"), ("exact_match", "exact match"))  # of an evaluation, among the events
LINES = {"stopped", "resumed", "failed", "died"}  # kinds of happenings that a line goes through the curves for
TICKS = {"saved": "● a save", "warning": "◆ a warning"}
MOST_TICKS = 50
MOST_LISTED = 200
LAST_MOMENT = 253_402_300_800  # the year 10000


@dataclass(frozen=True)
class Happening:
    """A row of the list of events. `step` is the one told, or the last that was known then. `until` is the last of
    several that are told in one row."""

    kind: str
    time: float
    step: float
    text: str
    until: Happening | None = None


def happenings(records: RunRecords) -> list[Happening]:
    """What a reader wants to know of the events, in their order."""
    times = [number(line.get("time")) or 0.0 for line in records.metrics]
    in_order = all(a <= b for a, b in pairwise(times))
    found: list[Happening] = []
    open_job = False
    last_time, last_step = 0.0, 0.0

    def add(kind: str, text: str, at: float, step: float) -> None:
        found.append(Happening(kind, at, step, text))

    for event in records.events:
        at = number(event.get("time")) or last_time
        step = number(event.get("step"))
        if step is None:
            known = bisect_right(times, at) if in_order else 0
            step = max(last_step, float(records.metrics[known - 1]["step"]) if known else 0.0)
        message = str(event.get("message") or "")
        kind = event.get("kind")
        if kind == "job_started":
            if open_job:
                add("died", "the process ended without a word", last_time, last_step)
            open_job = True
            add("started", "started", at, step)
        elif kind == "resumed":
            path = str(event.get("path") or "a checkpoint")
            add("resumed", f"resumed from {path.rsplit('/', 1)[-1]}", at, step)
        elif kind == "checkpoint_saved":
            add("saved", f"saved checkpoint-{step:.0f}", at, step)
        elif kind == "warning":
            add("warning", message, at, step)
        elif kind == "training_finished":
            took = number(event.get("seconds"))
            add("trained", f"trained to step {step:,.0f}" + (f" in {format_seconds(took)}" if took else ""), at, step)
        elif kind == "evaluation":
            rates = [(heading, read_rate(event.get("scores"), name)) for name, heading in TOLD]
            told = ", ".join(f"{heading} {rate.text}" for heading, rate in rates if rate)
            add("evaluated", f"evaluated: {told}" if told else "evaluated", at, step)
        elif kind == "job_finished":
            open_job = False
            stopped = event.get("exit_code") != 0
            add("stopped" if stopped else "finished", f"stopped: {message}" if stopped else "finished", at, step)
        elif kind == "job_failed":
            open_job = False
            add("failed", f"failed: {message}", at, step)
        last_time, last_step = at, step
    return found


def seconds_of(records: RunRecords) -> float:
    """How long its processes have worked, resumes included; 0 where nothing says so."""
    total, begun, last = 0.0, None, None
    for event in records.events:
        at = number(event.get("time"))
        if at is None:
            continue
        if event.get("kind") == "job_started":
            if begun is not None and last is not None:
                total += last - begun
            begun = at
        last = at
        if event.get("kind") in {"job_finished", "job_failed"} and begun is not None:
            total, begun = total + at - begun, None
    if begun is not None and last is not None:  # runs, or died
        points = [at for line in records.metrics if (at := number(line.get("time"))) is not None]
        total += max([last, *points]) - begun
    return max(0.0, total)


def marks_of(found: list[Happening]) -> list[Mark]:
    """Happenings as marks: those at one step share a line and a label; of many ticks some, spread evenly."""
    lines: dict[float, list[str]] = {}
    for one in found:
        if one.kind in LINES:
            words = lines.setdefault(one.step, [])
            if one.kind not in words:
                words.append(one.kind)
    marks = []
    for kind in TICKS:
        ticks = [one for one in found if one.kind == kind]
        count = min(MOST_TICKS, len(ticks))
        for one in (ticks[at * len(ticks) // count] for at in range(count)):
            marks.append(Mark(one.step, kind, f"{one.text} (step {one.step:,.0f})", line=False))
    marks += [
        Mark(step, "failed" if {"failed", "died"} & set(words) else "stopped", ", ".join(words), line=True)
        for step, words in lines.items()
    ]
    return marks


def marks_in_words(marks: list[Mark]) -> str:
    """What the ticks below the curves are."""
    kinds = {mark.kind for mark in marks if not mark.line}
    return ", ".join(words for kind, words in TICKS.items() if kind in kinds)


def listed(found: list[Happening]) -> list[Happening]:
    """For the list: three saves or more in a row are one row, from the first to the last."""
    rows: list[Happening] = []
    run: list[Happening] = []

    def close() -> None:
        if len(run) > 2:
            gaps = {after.step - before.step for before, after in pairwise(run)}
            often = f", one every {gaps.pop():,.0f} steps" if len(gaps) == 1 else ""
            rows.append(replace(run[0], text=f"saved {len(run):,} checkpoints{often}", until=run[-1]))
        else:
            rows.extend(run)
        run.clear()

    for one in found:
        if one.kind == "saved":
            run.append(one)
            continue
        close()
        rows.append(one)
    close()
    return rows


def charts_of(records: RunRecords, marks: list[Mark]) -> tuple[list[LineChart], list[LineChart]]:
    """The run's charts: what it learnt, the loss first, and how it went. What was never measured has none."""
    span = (0.0, float(max(records.step, 1)))

    def one(name: str, title: str, key: str, scale: float = 1.0, **options: Any) -> LineChart | None:
        points = [(x, y / scale if y is not None else None) for x, y in records.column(key)]
        return line_chart(name, title, [Series("", points, "trained")], marks=marks, span=span, **options)

    loss = [
        Series("training", records.column("loss"), "trained"),
        Series("held out", records.column("eval_loss"), "held-out"),
    ]
    errors = [Series(heading, records.column(key), colour) for key, heading, colour in ERRORS]
    smoothing = number(records.plan.get("label_smoothing"))
    unit = "nats per counted token" + (f", training with label smoothing {smoothing:g}" if smoothing else "")
    shared: dict[str, Any] = {"marks": marks, "span": span}
    rates: dict[str, Any] = {"height": 240, "zero": True, "percent": True, **shared}
    exact = Series("", records.column("eval_exact_match"), "trained")
    no_words = all(
        rate is None for _, rate in records.column("eval_wer")
    )  # elsewhere it is the complement of a curve that is there
    learnt = [
        line_chart("loss", "Loss", loss, unit=unit, height=240, log=True, **shared),
        line_chart("errors", "Errors on the held-out part", errors, log=True, **rates),
        line_chart("exact_match", "Exact match on the held-out part", [exact], **rates) if no_words else None,
    ]
    went = [
        one("learning_rate", "Learning rate", "learning_rate", zero=True, peak=True),
        one("grad_norm", "Gradient norm", "grad_norm", unit="before clipping", zero=True),
        one("tokens_per_second", "Throughput", "tokens_per_second", unit="non-padding tokens/s", zero=True),
        one("memory", "Memory available", "memory_available_bytes", scale=GIB, unit="GiB", zero=True),
    ]
    return [chart for chart in learnt if chart is not None], [chart for chart in went if chart is not None]


def utc(seconds: float, form: str = "%Y-%m-%d %H:%M UTC") -> str:
    """A moment in words; nothing where no calendar has it."""
    return time.strftime(form, time.gmtime(seconds)) if 0 <= seconds < LAST_MOMENT else ""


def day(one: Happening) -> str:
    return utc(one.time, "%Y-%m-%d")


def clock(one: Happening) -> str:
    """The time of day, or from when to when, with the day of the end where it is another."""
    begin = utc(one.time, "%H:%M:%S")
    if one.until is None:
        return begin
    end = utc(one.until.time, "%H:%M:%S")
    return f"{begin} to {end if day(one) == day(one.until) else f'{day(one.until)} {end}'}"


def steps(one: Happening) -> str:
    """step 5, or the steps 5 to 20."""
    return f"step {one.step:,.0f}" if one.until is None else f"steps {one.step:,.0f} to {one.until.step:,.0f}"
