"""Saving a checkpoint so that it is whole or not there, and what to do when it cannot be saved."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparksmith.base.units import MIB, format_bytes
from sparksmith.runs.best import find_best
from sparksmith.runs.checkpoints import (
    SAVING,
    publish_checkpoint,
    rotate,
    seal_checkpoint,
    whole_checkpoints,
)
from sparksmith.runs.records import Recorder
from sparksmith.train.disk import Place, is_of_the_disk, left_words

MARGIN_BYTES = 64 * MIB  # tokenizer, configuration, states of the random generators, the file system's own


@dataclass
class Saver:
    """Checkpoints of one run. `available_bytes` is the machine's memory that a save may take.

    The best one by `best_by`, a figure of the held-out part, is kept besides the `keep` newest.
    """

    folder: Path
    keep: int
    recorder: Recorder
    available_bytes: Callable[[], int]
    best_by: str = "loss"
    saved_step: int | None = None
    trouble: str | None = None  # why the last attempt saved nothing
    place: Place = field(init=False)

    def __post_init__(self) -> None:
        self.place = Place(self.folder)

    def save(self, step: int, write: Callable[[Path], None], *, disk: int, memory: int, **facts: Any) -> bool:
        """Save step `step`: `write` is given a folder in which it makes checkpoint-STEP, as a Trainer does.

        `disk` and `memory` are the bytes that it will take. Where there is no room, or the disk fails, nothing is
        changed, a warning is recorded, and False is returned: the run goes on and tries again at the next save.
        """
        name = f"checkpoint-{step}"
        staging = self.folder / f"{SAVING}{name}"
        if self.saved_step == step:
            return True
        self.trouble = self._lack(disk, memory)
        if self.trouble is None:
            try:
                shutil.rmtree(staging, ignore_errors=True)
                staging.mkdir()
                write(staging)
                seal_checkpoint(staging / name, step, **facts)
                publish_checkpoint(staging / name, self.folder / name)
                staging.rmdir()
            except Exception as error:
                if not is_of_the_disk(error):
                    raise
                self.trouble = _in_one_line(error) + left_words(self.folder)
                with contextlib.suppress(OSError):
                    shutil.rmtree(staging)
        if self.trouble is not None:
            newest = self._newest()
            self.recorder.event(
                "warning",
                step=step,
                message=f"{name} could not be saved: {self.trouble}; the newest whole one is {newest}",
            )
            return False
        self.saved_step = step
        self.recorder.event("checkpoint_saved", step=step, path=str(self.folder / name))
        self._rotate()
        return True

    def _newest(self) -> str:
        try:
            whole = whole_checkpoints(self.folder)
        except OSError:
            return "not known"
        return whole[-1].name if whole else "none"

    def _lack(self, disk: int, memory: int) -> str | None:
        """What there is too little of for a save, in words, or None."""
        gone = self.place.lack()
        if gone is not None:
            return gone
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            return f"the run's folder cannot be reached: {error.strerror}"
        if free < disk + MARGIN_BYTES:
            return f"it takes {format_bytes(disk + MARGIN_BYTES)} and the disk has {format_bytes(free)} left"
        available = self.available_bytes()
        if memory and available < memory + MARGIN_BYTES:
            return (
                f"it takes {format_bytes(memory + MARGIN_BYTES)} of memory and {format_bytes(available)} are available"
            )
        return None

    def _rotate(self) -> None:
        try:
            best = find_best(self.folder, self.best_by)
            for gone in rotate(self.folder, self.keep, best.path if best else None):
                self.recorder.event("checkpoint_removed", path=str(gone))
        except OSError as error:
            self.recorder.event("warning", message=f"an old checkpoint could not be deleted: {error.strerror}")


def _in_one_line(error: Exception) -> str:
    text = getattr(error, "strerror", None) or (str(error).strip().splitlines() or [""])[0]
    return f"{text or type(error).__name__}"[:200]
