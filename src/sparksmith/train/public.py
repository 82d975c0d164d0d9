"""For Trainer scripts of others: our stop channel, and checkpoints that say whether they are whole.

    from sparksmith.train.public import SparksmithCallback, last_whole_checkpoint

    trainer = Trainer(..., callbacks=[SparksmithCallback()])
    trainer.train(resume_from_checkpoint=last_whole_checkpoint(arguments.output_dir))

The Trainer writes its checkpoints in place as it always does; after each save the callback seals the folder with a
manifest of sizes and hashes, flushed to the disk. What was cut off has no manifest, and `last_whole_checkpoint` passes
it over. Ctrl+C, SIGTERM, a hang-up, and the stop channel (the Trainer's output_dir is the Job's folder) finish the
step, save once and end the training; the script then goes on after `train()`. Only the main thread can hear signals.
After a `train()` that raised, the first signal finds that nothing trains, and goes to whom it went before.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from transformers import Trainer, TrainerCallback

from sparksmith.runs.checkpoints import last_whole_checkpoint, seal_checkpoint
from sparksmith.train.callbacks import ObeyStop
from sparksmith.train.stop import SIGNALS, Stop

__all__ = ["SparksmithCallback", "last_whole_checkpoint"]


class _WhileTraining(Stop):
    """Requests are ours as long as a Trainer trains; no callback is told of a training that ends with an error."""

    def __init__(self, folder: Path, let_go: Callable[[], None]) -> None:
        super().__init__(folder, lambda text: print(text, flush=True), lambda code: None)
        self.training = True
        self._let_go = let_go

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if _trains(frame):
            super()._handle(number, frame)
        else:
            self._let_go()
            signal.raise_signal(number)


def _trains(frame: FrameType | None) -> bool:
    """Whether a Trainer's `train` is among the callers of what a signal interrupted."""
    while frame is not None:
        if frame.f_code.co_name == "train" and isinstance(frame.f_locals.get("self"), Trainer):
            return True
        frame = frame.f_back
    return False


class SparksmithCallback(TrainerCallback):
    """Seals each checkpoint after it was saved, and ends the training where somebody asks. `reason` says who did."""

    def __init__(self) -> None:
        self.stop: Stop | None = None
        self.obey: ObeyStop | None = None
        self.before: dict[int, Any] = {}  # who heard each signal before the training

    @property
    def reason(self) -> str | None:
        """Why the training was ended before its time, or None."""
        return self.stop.reason if self.stop else None

    def on_train_begin(self, args, state, control, **kwargs):
        self.let_go()  # where a training before this one ended with an error
        self.stop = _WhileTraining(Path(args.output_dir), self.let_go)
        self.before = {number: signal.getsignal(number) for number in SIGNALS}
        self.stop.install()
        self.obey = ObeyStop(self.stop)

    def on_train_end(self, args, state, control, **kwargs):
        self.let_go()

    def let_go(self) -> None:
        """Give the signals back to whom they went before the training."""
        for number, handler in self.before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: set by no Python code
        self.before = {}

    def on_step_end(self, args, state, control, **kwargs):
        return self.obey.on_step_end(args, state, control)

    def on_save(self, args, state, control, **kwargs):
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if args.should_save and folder.is_dir():
            seal_checkpoint(folder, state.global_step)
        return self.obey.on_save(args, state, control)
