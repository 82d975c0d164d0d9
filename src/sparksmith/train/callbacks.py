"""Between the trainer and the rest: the curves go to the recorder, a request to stop comes to the trainer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from transformers import TrainerCallback

from sparksmith.runs.records import Recorder
from sparksmith.train.stop import Stop

LOGGED = ("loss", "learning_rate", "grad_norm", "epoch")
EVALUATED = "eval_"  # how the names of held-out figures begin


class Record(TrainerCallback):
    """metrics.jsonl and the beginning of training. The trainer gives itself in, for its count of tokens."""

    def __init__(
        self, recorder: Recorder, available_bytes: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ):
        self.recorder = recorder
        self.available_bytes = available_bytes
        self.clock = clock
        self.trainer = None
        self.last = (0, 0.0)

    def on_train_begin(self, args, state, control, **kwargs):
        self.trainer.restore_window()
        self.last = (self.trainer.tokens_seen, self.clock())
        self.recorder.event("training_started", step=state.global_step, max_steps=state.max_steps)

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step >= state.max_steps:
            control.should_log = True  # a curve ends at the last step, and a short run has a point
        return control

    def on_log(self, args, state, control, logs=None, **kwargs):
        figures = {name: _number(logs[name]) for name in logs if name in LOGGED or name.startswith(EVALUATED)}
        if not {"loss", "eval_loss"} & set(figures):
            return
        if "loss" in figures:
            tokens, now = self.trainer.tokens_seen, self.clock()
            seconds = now - self.last[1] - self.trainer.seconds_away
            self.trainer.seconds_away = 0.0
            figures["tokens_per_second"] = (tokens - self.last[0]) / seconds if seconds > 0 else 0.0
            figures["tokens_seen"] = tokens
            figures["memory_available_bytes"] = self.available_bytes()
            self.last = (tokens, now)
        self.recorder.metric(state.global_step, **figures)


def _number(value) -> float | None:
    value = float(value)
    return value if math.isfinite(value) else None


class ObeyStop(TrainerCallback):
    """Ends the training after the step in which somebody asked, saved once."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop

    def on_train_begin(self, args, state, control, **kwargs):
        self.stop.training = True

    def on_train_end(self, args, state, control, **kwargs):
        self.stop.training = False

    def on_step_end(self, args, state, control, **kwargs):
        if self.stop.reason is not None:
            control.should_save = True
            control.should_training_stop = True
            control.should_evaluate = False
        return control

    def on_save(self, args, state, control, **kwargs):
        if self.stop.reason is not None:  # asked while the checkpoint of this very step was written
            control.should_training_stop = True
        return control
