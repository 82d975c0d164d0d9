"""The page of a run: one file that opens offline, made from the run's records and nothing else."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sparksmith import __version__
from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import write_atomic
from sparksmith.base.units import format_bytes, format_seconds, plural
from sparksmith.report import answers, circumstances, curves
from sparksmith.report.run_records import RunRecords, number, read_records
from sparksmith.runs.best import find_best, metric_of
from sparksmith.runs.layout import RunFolder

if TYPE_CHECKING:
    from jinja2 import Environment

Section = TypeVar("Section")
MARK = "sparksmith-page"  # stands in every page of ours, so that nothing else is written over


@dataclass(frozen=True)
class State:
    """How a run stands: planned, running, finished, stopped, failed or died, and why in words."""

    name: str
    why: str


def render_run(folder: RunFolder, state: State | None = None, clock: Callable[[], float] = time.time) -> str:
    """The page of one run as HTML. `state` is what its process says; without it the manifest's word counts."""
    records = read_records(folder)
    return environment().get_template("run.html").render(describe_run(records, state, clock()))


def write_run(folder: RunFolder, state: State | None = None, clock: Callable[[], float] = time.time) -> Path:
    """Write report.html into the run's folder, whole or not at all. Raises `OSError`."""
    write_atomic(folder.report, render_run(folder, state, clock))
    return folder.report


def describe_run(records: RunRecords, state: State | None, now: float) -> dict[str, Any]:
    """What the template of a run shows."""
    notes = list(records.notes)

    def section(of: str, make: Callable[[], Section]) -> Section | None:
        """A part of the page; a record of another shape costs that part and leaves a note."""
        try:
            return make()
        except Exception:
            notes.append(f"{of} is of a shape that this version of Sparksmith does not know")
            return None

    discreet = records.discretion.text
    manifest = records.manifest
    state = state or State(str(manifest.get("state") or "unknown"), str(manifest.get("message") or ""))
    state = State(state.name, discreet(state.why))
    evaluation = records.evaluation or {}
    happened = section("events.jsonl", lambda: curves.happenings(records)) or []
    marks = curves.marks_of(happened)
    listed = curves.listed(happened)
    learnt, went = section("metrics.jsonl", lambda: curves.charts_of(records, marks)) or ([], [])
    scores = section("evaluation.json", lambda: answers.score_rows(evaluation)) or []
    worst = section("evaluation.json (worst)", lambda: answers.worst_of(evaluation)) if "worst" in evaluation else None
    confusions = None
    if "confusions" in evaluation:
        confusions = section("evaluation.json (confusions)", lambda: answers.confusions_of(evaluation))
    files = section("data.json", lambda: circumstances.data_files(records)) if records.data else None
    between = section("data.json", lambda: circumstances.between_files(records)) if records.data else None
    for missing, words in (
        (not records.metrics, "no curves yet: metrics.jsonl has no point"),
        (not scores, "no scores: the run has not been evaluated" + (" yet" if state.name == "running" else "")),
        (bool(scores) and "worst" not in evaluation, "evaluation.json names no worst rows and no confusions"),
        (records.data is None, "no data.json: nothing was recorded of the data's lengths"),
        (not records.events, "no events.jsonl: nothing says what happened when"),
        (bool(scores) and not records.predictions, "no predictions.jsonl: there are no samples to show"),
        (not records.plan, "no plan.json"),
        (not manifest, "no manifest.json: neither the machine nor the packages are known"),
    ):
        if missing:
            notes.append(words)
    return {
        "version": __version__,
        "mark": MARK,
        "written": curves.utc(now),
        "name": records.name,
        "folder": records.discretion.folder(),
        "description": _sentence(str(records.plan.get("description") or "")),
        "begun": _moment(manifest.get("created")),
        "state": state,
        "step": records.step,
        "max_steps": records.max_steps,
        "summary": summary_of(records),
        "cards": answers.cards(scores),
        "scores": scores,
        "percent": answers.percent,
        "evaluation": evaluation,
        "learnt": learnt,
        "went": went,
        "marked": curves.marks_in_words(marks),
        "happenings": listed[-curves.MOST_LISTED :],
        "earlier": max(0, len(listed) - curves.MOST_LISTED),
        "day": curves.day,
        "clock": curves.clock,
        "steps": curves.steps,
        "size": format_bytes,
        "confusions": confusions,
        "samples": section("predictions.jsonl", lambda: answers.samples_of(records)),
        "worst": worst,
        "files": files,
        "between": between,
        "plain_data": [] if files else circumstances.plain_data(records),
        "choices": section("plan.json", lambda: circumstances.choices_of(records)),
        "asked": section("settings.json", lambda: circumstances.asked_of(records)),
        "derived": section("settings.json", lambda: circumstances.derived_of(records)),
        "all_keys": section("plan.json", lambda: circumstances.all_keys(records)),
        "machine": section("manifest.json", lambda: circumstances.machine_rows(records)),
        "checkpoints": records.checkpoints,
        "best": _best(records),
        "repeat": section("settings.json", lambda: circumstances.repeat_command(records)),
        "resume": circumstances.resume_command(records) if _can_go_on(state) else "",
        "notes": list(dict.fromkeys(notes)),
    }


def summary_of(records: RunRecords) -> str:
    """Model, data, steps, time, machine: one line."""
    plan = records.plan
    train = plan.get("train_data")
    rows = train.get("rows") if isinstance(train, dict) else None
    parts = [circumstances.model_words(records)]
    if isinstance(rows, int):
        parts.append(plural(rows, "row"))
    batch = plan.get("batch_size")
    parts.append(plural(records.step, "step") + (f" of batch {batch}" if batch else ""))
    if seconds := curves.seconds_of(records):
        parts.append(format_seconds(seconds))
    if machine := circumstances.machine_words(records):
        parts.append(machine)
    words = " · ".join(parts)
    return _sentence(words) if words.startswith("a ") else words  # a model's id stays as it is


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _moment(seconds: Any) -> str:
    known = number(seconds)
    return curves.utc(known) if known is not None else ""


def _best(records: RunRecords) -> str:
    best = find_best(records.folder.path, metric_of(records.folder))
    return best.path.name if best is not None and best.measured > 1 else ""


def _can_go_on(state: State) -> bool:
    return state.name in {"planned", "stopped", "failed", "died"}


@functools.cache
def environment() -> Environment:
    """The templates, with everything that comes from a run escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("sparksmith.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.globals["plural"] = plural
    return made


def check_target(path: Path) -> None:
    """Raises `SparksmithError` where something that is no page of ours would be written over."""
    if path.is_dir():
        raise SparksmithError(f"{path} is a folder", f"--output {path / 'report.html'}")
    if not path.exists():
        return
    try:
        with path.open("rb") as file:
            ours = MARK.encode() in file.read(2000)
    except OSError as error:
        raise SparksmithError(f"{path} cannot be read: {error.strerror}", "--output FILE") from None
    if not ours:
        raise SparksmithError(f"{path} is there already, and is no page of Sparksmith's", "--output OTHER.html")
