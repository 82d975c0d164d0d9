"""For Trainer scripts of others: our stop channel, and checkpoints that say whether they are whole.

    from sparksmith.train.public import SparksmithCallback, last_whole_checkpoint

    trainer = Trainer(..., callbacks=[SparksmithCallback()])
    trainer.train(resume_from_checkpoint=last_whole_checkpoint(arguments.output_dir))

The Trainer writes its checkpoints in place as it always does; after each save the callback seals the folder with a
manifest of sizes and hashes, flushed to the disk. What was cut off has no manifest, and `last_whole_checkpoint` passes
it over. Ctrl+C, SIGTERM, a hang-up, and the stop channel (the Trainer's output_dir is the Job's folder) finish the
step, save once and end the training; the script then goes on after `train()`. Only the main thread can hear signals.
"""

from __future__ import annotations

import signal
from pathlib import Path

from transformers import TrainerCallback

from sparksmith.runs.checkpoints import last_whole_checkpoint, seal_checkpoint
from sparksmith.train.callbacks import ObeyStop
from sparksmith.train.stop import SIGNALS, Stop

__all__ = ["SparksmithCallback", "last_whole_checkpoint"]


class SparksmithCallback(TrainerCallback):
    """Seals each checkpoint after it was saved, and ends the training where somebody asks. `reason` says who did."""

    def __init__(self) -> None:
        self.stop: Stop | None = None
        self.obey: ObeyStop | None = None

    @property
    def reason(self) -> str | None:
        """Why the training was ended before its time, or None."""
        return self.stop.reason if self.stop else None

    def on_train_begin(self, args, state, control, **kwargs):
        self.stop = Stop(Path(args.output_dir), lambda text: print(text, flush=True), lambda code: None)
        self.stop.training = True
        self.before = {number: signal.getsignal(number) for number in SIGNALS}
        self.stop.install()
        self.obey = ObeyStop(self.stop)

    def on_train_end(self, args, state, control, **kwargs):
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def on_step_end(self, args, state, control, **kwargs):
        return self.obey.on_step_end(args, state, control)

    def on_save(self, args, state, control, **kwargs):
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if args.should_save and folder.is_dir():
            seal_checkpoint(folder, state.global_step)
        return self.obey.on_save(args, state, control)
