"""What a user's src/train.py does: a plain Trainer, our callback, and our answer to where to go on from.

As a script, MODEL OUTPUT TOLD SECONDS: it writes where it goes on from to a line of TOLD, and with SECONDS, that long
after its first save, the kernel kills it (SIGALRM, which nobody hears) at whatever it is doing. An exit code of 0 says
that it came to the end.
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments

from sparksmith.train.public import SparksmithCallback, last_whole_checkpoint

STEPS = 120
SAVE_STEPS = 3


class Killed(TrainerCallback):
    """The end, some time after the first save."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.armed = False

    def on_save(self, args, state, control, **kwargs):
        if not self.armed:
            self.armed = True
            signal.setitimer(signal.ITIMER_REAL, self.seconds)


def train(
    model_folder: Path, output: Path, checkpoint: Path | None, callback: SparksmithCallback, *more: TrainerCallback
) -> int:
    """Train on, to the last step unless somebody asks to stop; the step that it came to."""
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    rows = torch.randint(8, 200, (64, 12), generator=torch.Generator().manual_seed(0))
    arguments = TrainingArguments(
        output_dir=str(output), max_steps=STEPS, per_device_train_batch_size=4, save_steps=SAVE_STEPS,
        save_total_limit=3, report_to="none", disable_tqdm=True, use_cpu=True, logging_steps=1000,
    )  # fmt: skip
    data = [{"input_ids": row, "labels": row} for row in rows]
    trainer = Trainer(model, arguments, train_dataset=data, callbacks=[callback, *more])
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return trainer.state.global_step


def check_whole(checkpoint: Path) -> None:
    """Against its own manifest and the Trainer's state, without Sparksmith's help."""
    seal = json.loads((checkpoint / "sparksmith.json").read_text(encoding="utf-8"))
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    assert checkpoint.name == f"checkpoint-{seal['step']}" and state["global_step"] == seal["step"]
    assert {"model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json"} <= seal["files"].keys()
    for name, row in seal["files"].items():
        content = (checkpoint / name).read_bytes()
        found = (len(content), hashlib.sha256(content).hexdigest())
        assert found == (row["bytes"], row["sha256"]), name


def main(model_folder: str, output: str, told: str, seconds: str = "") -> int:
    checkpoint = last_whole_checkpoint(output)
    if checkpoint is not None:
        check_whole(checkpoint)
    with Path(told).open("a", encoding="utf-8") as file:
        file.write(f"{checkpoint}\n")
    killed = [Killed(float(seconds))] if seconds else []
    return 0 if train(Path(model_folder), Path(output), checkpoint, SparksmithCallback(), *killed) == STEPS else 3


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
