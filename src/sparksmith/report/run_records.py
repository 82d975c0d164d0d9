"""A run's records as a page needs them: all that can be read, discreet, with a note for each that cannot."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import read_json
from sparksmith.report.discretion import Discretion, discretion_of
from sparksmith.runs.checkpoints import checkpoint_folders, read_seal
from sparksmith.runs.layout import RunFolder

LAST_STEP = 10**12  # beyond is damage
LARGEST = 1e100  # far above fp32; what is worked out from figures below stays finite
SHOWN_ROWS = 12  # predictions that are shown, spread evenly over the file


@dataclass(frozen=True)
class Kept:
    """A sealed checkpoint: its name, step, bytes, and the loss on the held-out part where it was measured."""

    name: str
    step: int
    size: int
    eval_loss: float | None


@dataclass
class RunRecords:
    """What is known of a run. A record that is missing is empty (None for evaluation and data)."""

    folder: RunFolder
    discretion: Discretion
    manifest: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    recipe: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    evaluation: dict[str, Any] | None = None
    predictions: list[dict[str, Any]] = field(default_factory=list)
    data: dict[str, Any] | None = None
    checkpoints: list[Kept] = field(default_factory=list)
    command: list[str] = field(default_factory=list)  # as it was typed, not yet discreet
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.plan.get("name") or self.manifest.get("name") or self.discretion.names(self.folder.path.name))

    @property
    def step(self) -> int:
        """How far it came, by its curves and its checkpoints."""
        steps = [line["step"] for line in self.metrics] + [kept.step for kept in self.checkpoints]
        return max(steps, default=0)

    @property
    def max_steps(self) -> int | None:
        value = self.plan.get("max_steps")
        return value if isinstance(value, int) and 0 < value < LAST_STEP else None

    def column(self, name: str) -> list[tuple[float, float | None]]:
        """One curve: (step, figure) of every line that has it; None where it is no finite number."""
        return _column(self.metrics, name)


def _column(metrics: list[dict[str, Any]], name: str) -> list[tuple[float, float | None]]:
    return [(line["step"], number(line[name])) for line in metrics if name in line]


def read_curves(folder: RunFolder, *names: str) -> list[list[tuple[float, float | None]]]:
    """Some curves of a run, as `RunRecords.column` gives them."""
    metrics = _read_metrics(folder, [])
    return [_column(metrics, name) for name in names]


def read_evaluation(folder: RunFolder) -> dict[str, Any]:
    """The record of a run's last evaluation; empty where there is none that can be read."""
    return _read_object(folder.evaluation, []) or {}


def _read_metrics(folder: RunFolder, notes: list[str]) -> list[dict[str, Any]]:
    return [
        line
        for line in _read_lines(folder.metrics, notes)
        if isinstance(line.get("step"), int) and 0 <= line["step"] < LAST_STEP
    ]


def number(value: Any) -> float | None:
    """A number that can be drawn, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < LARGEST else None  # which NaN is not either


def read_records(folder: RunFolder) -> RunRecords:
    """Everything in a run's folder. Never raises for what is missing or damaged."""
    notes: list[str] = []
    manifest = _read_object(folder.manifest, notes) or {}
    plan = _read_object(folder.plan, notes) or {}
    settings = _read_object(folder.settings, notes) or {}
    events = [event for event in _read_lines(folder.events, notes) if isinstance(event.get("kind"), str)]
    discretion = discretion_of(folder.path, [manifest, plan, settings, events, str(folder.path)])
    evaluation = _read_object(folder.evaluation, notes)
    data = _read_object(folder.data, notes)
    command = manifest.get("command")
    return RunRecords(
        folder,
        discretion,
        manifest=discretion.value(manifest),
        plan=_discreet_keys(plan, discretion),
        settings=settings
        | {"values": _discreet_keys(_object(settings, "values"), discretion)}
        | {"origins": discretion.value(_object(settings, "origins"))},
        recipe=_read_text(folder.recipe),
        events=[discretion.value(event) for event in events],
        metrics=_read_metrics(folder, notes),
        evaluation=_discreet_evaluation(evaluation, discretion) if evaluation else None,
        predictions=_read_predictions(folder.predictions, discretion, notes),
        data=_discreet_data(data, discretion) if data else None,
        checkpoints=_read_checkpoints(folder),
        command=[str(word) for word in command] if isinstance(command, list) else [],
        notes=notes,
    )


def _sound(value: Any) -> Any:
    """What JSON held, without whole numbers that no record counts to: they overflow what is worked out from them."""
    if isinstance(value, int) and abs(value) >= 10**18:
        return None
    if isinstance(value, dict):
        return {key: _sound(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_sound(inner) for inner in value]
    return value


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _read_object(path: Path, notes: list[str]) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content = _sound(read_json(path))
    except (SparksmithError, RecursionError):
        content = None
    if isinstance(content, dict):
        return content
    notes.append(f"{path.name} cannot be read")
    return None


def _read_lines(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    """The lines that are records; the others are counted in a note, but for a last one that is being written."""
    text = _read_text(path)
    found, bad = [], 0
    lines = text.split("\n")
    for at, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        record = _parse_object(line)
        if record is not None:
            found.append(record)
        elif at < len(lines):
            bad += 1
    if bad:
        notes.append(f"{bad:,} {'line' if bad == 1 else 'lines'} of {path.name} cannot be read")
    return found


def _parse_object(line: str) -> dict[str, Any] | None:
    try:
        record = _sound(json.loads(line))
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _read_predictions(path: Path, discretion: Discretion, notes: list[str]) -> list[dict[str, Any]]:
    """Some rows, spread evenly: the same ones every time."""
    lines = [line for line in _read_text(path).split("\n") if line.strip()]
    count = min(SHOWN_ROWS, len(lines))
    rows = [_parse_object(lines[number * len(lines) // count]) for number in range(count)]
    if any(row is None for row in rows):
        notes.append(f"some lines of {path.name} cannot be read")
    return [_words(row, discretion) for row in rows if row is not None]


def _words(value: Any, discretion: Discretion) -> Any:
    if isinstance(value, str):
        return discretion.words_of_data(value)
    if isinstance(value, dict):
        return {key: _words(inner, discretion) for key, inner in value.items()}
    if isinstance(value, list):
        return [_words(inner, discretion) for inner in value]
    return value


def _object(record: dict[str, Any], name: str) -> dict[str, Any]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _discreet_keys(values: dict[str, Any], discretion: Discretion) -> dict[str, Any]:
    """A recipe's keys; what is said to the model are words, in which a slash is no path."""
    said = {"system_prompt", "separator", "description"}
    return {
        key: discretion.names(_words(value, discretion)) if key in said and isinstance(value, str)
        else discretion.value(value)
        for key, value in values.items()
    }  # fmt: skip


def _discreet_evaluation(evaluation: dict[str, Any], discretion: Discretion) -> dict[str, Any]:
    """Rows of data and their units keep their words; the rest is about the run."""
    data_of = {"worst", "confusions"}
    return {
        key: _words(value, discretion) if key in data_of else discretion.value(value)
        for key, value in evaluation.items()
    }


def _discreet_data(data: dict[str, Any], discretion: Discretion) -> dict[str, Any]:
    return {
        key: _words(value, discretion) if key == "unseen_characters" else discretion.value(value)
        for key, value in data.items()
    }


def _read_checkpoints(folder: RunFolder) -> list[Kept]:
    try:
        sealed = [(path, read_seal(path)) for path in checkpoint_folders(folder.path)]
    except OSError:
        return []
    return [
        Kept(path.name, seal.step, sum(size for size, _ in seal.files.values()), number(seal.facts.get("eval_loss")))
        for path, seal in sealed
        if seal is not None and seal.step < LAST_STEP
    ]
