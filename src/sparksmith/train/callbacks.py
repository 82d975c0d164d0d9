"""What the trainer tells while it runs: curves and checkpoints to the recorder; a request to stop to the trainer."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from pathlib import Path

from transformers import TrainerCallback

from sparksmith.base.errors import SparksmithError
from sparksmith.runs.records import Recorder

LOGGED = {
    "loss": "loss",
    "eval_loss": "eval_loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "epoch": "epoch",
}


class Record(TrainerCallback):
    """metrics.jsonl and the events of training. `tokens_seen` tells the trainer's count of non-padding tokens."""

    def __init__(
        self, recorder: Recorder, available_bytes: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ):
        self.recorder = recorder
        self.available_bytes = available_bytes
        self.clock = clock
        self.tokens_seen: Callable[[], int] = lambda: 0
        self.last = (0, 0.0)

    def on_train_begin(self, args, state, control, **kwargs):
        self.last = (self.tokens_seen(), self.clock())
        self.recorder.event("training_started", step=state.global_step, max_steps=state.max_steps)

    def on_log(self, args, state, control, logs=None, **kwargs):
        figures = {name: _number(logs[key]) for key, name in LOGGED.items() if key in logs}
        if not {"loss", "eval_loss"} & set(figures):
            return
        if "loss" in figures:
            tokens, now = self.tokens_seen(), self.clock()
            seconds = now - self.last[1]
            figures["tokens_per_second"] = (tokens - self.last[0]) / seconds if seconds > 0 else 0.0
            figures["tokens_seen"] = tokens
            figures["memory_available_bytes"] = self.available_bytes()
            self.last = (tokens, now)
        self.recorder.metric(state.global_step, **figures)
        if "loss" in figures and figures["loss"] is None:
            raise SparksmithError(
                f"the loss is not a number at step {state.global_step}",
                "a smaller --learning_rate, or --max_grad_norm 1; the checkpoints before this step are whole",
            )

    def on_save(self, args, state, control, **kwargs):
        path = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        self.recorder.event("checkpoint_saved", step=state.global_step, path=str(path))


def _number(value) -> float | None:
    value = float(value)
    return value if math.isfinite(value) else None


class StopOnSignal(TrainerCallback):
    """Ctrl+C and SIGTERM finish the step, save and end the training. A second one ends the process at once."""

    def __init__(self) -> None:
        self.asked: int | None = None
        self.training = False

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number, frame):
        if self.asked is not None or not self.training:
            self.asked = number
            raise KeyboardInterrupt
        self.asked = number

    def on_train_begin(self, args, state, control, **kwargs):
        self.training = True

    def on_train_end(self, args, state, control, **kwargs):
        self.training = False

    def on_step_end(self, args, state, control, **kwargs):
        if self.asked is not None:
            control.should_save = True
            control.should_training_stop = True
        return control
