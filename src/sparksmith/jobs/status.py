"""What became of a run, by its record and by whether its process still runs."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import read_json
from sparksmith.jobs.identity import ROOT, Identity, is_alive, parse_identity, read_boot
from sparksmith.jobs.lock import is_held
from sparksmith.runs.checkpoints import read_seal, whole_checkpoints
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import read_lines

STARTING_SECONDS = 60.0  # after which a job that has not said a word is not waited for
BEING_STARTED = "its job is being started, or died before it could say so"
LOADING = {
    "job_started": "it loads the libraries and the data",
    "data_read": "it loads the model",
    "model_ready": "the model is loaded; before its first step it scores the untrained one, if it is to",
    "training_started": "it trains; no point of the curve is there yet",
}


@dataclass(frozen=True)
class Status:
    """`state` is planned, running, finished, stopped, failed, died or gone; `why` says it in words."""

    state: str
    why: str
    step: int
    max_steps: int | None
    loss: float | None
    checkpoint: str | None  # the newest whole one
    process: Identity | None  # only while it runs
    manifest: dict[str, Any]

    @property
    def can_go_on(self) -> bool:
        """Whether there is something left to do that a resume would do."""
        return self.state in {"planned", "stopped", "failed", "died"}


def read_status(folder: RunFolder, root: Path = ROOT) -> Status:
    """Look at a run's folder and at /proc under `root`. A dead process is never said to run."""
    if not folder.path.is_dir() or not folder.is_run():
        return Status("gone", "its folder is gone", 0, None, None, None, None, {})
    try:
        manifest = read_json(folder.manifest)
    except SparksmithError:
        manifest = None
    if not isinstance(manifest, dict):
        manifest = {"state": "failed", "message": f"{folder.manifest.name} is missing or cannot be read"}
    state = str(manifest.get("state", "failed"))
    why = str(manifest.get("message") or "")
    process = parse_identity(manifest.get("process"))
    alive = process is not None and is_alive(process, root)
    if state == "running" and not alive:
        state = "died"
        if process is not None and process.boot != read_boot(root):
            why = "the machine was restarted while it ran"
        else:
            why = "its process ended without a word (killed, or out of memory)"
    if state == "planned" and not alive:
        state, why = _begun(folder)
    step, loss = _last_point(folder)
    if state == "running" and alive and step == 0 and not why:
        why = _before_first_step(folder)
    whole = whole_checkpoints(folder.path)
    newest = whole[-1] if whole else None
    seal = read_seal(newest) if newest else None
    return Status(
        state,
        why,
        max(step, seal.step if seal else 0),
        _max_steps(folder),
        loss,
        newest.name if newest else None,
        process if alive else None,
        manifest,
    )


def _begun(folder: RunFolder) -> tuple[str, str]:
    """State and why of a run whose Job has not said a word yet."""
    if is_held(folder.path):
        return "running", "its job is starting"
    try:
        age = time.time() - folder.manifest.stat().st_mtime
    except OSError:
        age = STARTING_SECONDS
    if age < STARTING_SECONDS:
        return "planned", BEING_STARTED
    return "planned", "it was never started, or died before it could say so"


def _before_first_step(folder: RunFolder) -> str:
    """How far a Job is that has no point of its curve yet, by its last event."""
    kinds = []
    with contextlib.suppress(SparksmithError, OSError):
        kinds = [str(line.get("kind")) for line in read_lines(folder.events) if isinstance(line, dict)]
    newest = next((kind for kind in reversed(kinds) if kind in LOADING), "job_started")
    return LOADING[newest]


def _last_point(folder: RunFolder) -> tuple[int, float | None]:
    step, loss = 0, None
    try:
        for line in read_lines(folder.metrics):
            if "loss" in line:
                step, loss = int(line["step"]), float(line["loss"])
    except (SparksmithError, OSError, TypeError, KeyError, ValueError, OverflowError):
        pass  # a record that something else has written into: what could be read of it counts
    return step, loss


def _max_steps(folder: RunFolder) -> int | None:
    try:
        return int(read_json(folder.plan)["max_steps"])
    except (SparksmithError, TypeError, KeyError, ValueError):
        return None
