"""A Trainer script of somebody else's with our callback: killed five times, it goes on from whole checkpoints."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from small_models import save_small_qwen
from sparksmith.train.public import SparksmithCallback, last_whole_checkpoint

pytestmark = [pytest.mark.effects, pytest.mark.filterwarnings("ignore")]
STEPS = 120  # many more than five kills let through, also where the watcher is slow to see a save


def script(model_folder: Path, output: Path, told: Path, callback: SparksmithCallback | None = None) -> int:
    """What a user's src/train.py does: a plain Trainer, our callback, and our answer to where to go on from."""
    from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

    model = AutoModelForCausalLM.from_pretrained(model_folder)
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(8, 200, (64, 12), generator=generator)
    data = [{"input_ids": row, "labels": row} for row in rows]
    arguments = TrainingArguments(
        output_dir=str(output), max_steps=STEPS, per_device_train_batch_size=4, save_steps=3, save_total_limit=3,
        report_to="none", disable_tqdm=True, use_cpu=True, logging_steps=1000,
    )  # fmt: skip
    callback = callback or SparksmithCallback()
    trainer = Trainer(model, arguments, train_dataset=data, callbacks=[callback])
    checkpoint = last_whole_checkpoint(output)
    with told.open("a") as file:
        file.write(f"{checkpoint}\n")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return trainer.state.global_step


def in_a_child(*arguments) -> int:
    """Run the script in a process of its own, forked from this one, where everything is imported already."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if script(*arguments) == STEPS else 3
        finally:
            os._exit(code)
    return child


def test_killed_five_times_it_goes_on_from_a_whole_checkpoint(tmp_path):
    chance = random.Random(5)
    model = save_small_qwen(tmp_path / "model")
    output, told = tmp_path / "outputs", tmp_path / "told"
    kills = 0
    while True:
        child = in_a_child(model, output, told)
        newest = last_whole_checkpoint(output)
        deadline = time.monotonic() + 60
        if kills < 5:
            while last_whole_checkpoint(output) == newest and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 0.05))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        kills += os.WIFSIGNALED(status)
        if not os.WIFSIGNALED(status):
            assert os.waitstatus_to_exitcode(status) == 0
            break
    starts = told.read_text().splitlines()
    assert kills == 5 and len(starts) == 6 and starts[0] == "None"
    assert all(line != "None" for line in starts[1:])
    steps = [int(line.rsplit("-", 1)[1]) for line in starts[1:]]
    assert steps == sorted(steps)
    assert last_whole_checkpoint(output) == output / f"checkpoint-{STEPS}"


def test_a_checkpoint_that_was_changed_is_passed_over(tmp_path):
    model = save_small_qwen(tmp_path / "model")
    script(model, tmp_path / "outputs", tmp_path / "told")
    newest = tmp_path / f"outputs/checkpoint-{STEPS}"
    assert last_whole_checkpoint(tmp_path / "outputs") == newest
    weights = newest / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    passed_over = []
    before = tmp_path / f"outputs/checkpoint-{STEPS - 3}"
    assert last_whole_checkpoint(tmp_path / "outputs", passed_over.append) == before
    assert "another SHA-256" in passed_over[0]


def test_a_signal_finishes_the_step_and_saves_once(tmp_path):
    class Interrupting(SparksmithCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step == 7:
                os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    callback = Interrupting()
    step = script(save_small_qwen(tmp_path / "model"), tmp_path / "outputs", tmp_path / "told", callback)
    assert step == 8 and callback.reason == "SIGTERM"
    assert last_whole_checkpoint(tmp_path / "outputs") == tmp_path / "outputs/checkpoint-8"
    assert signal.getsignal(signal.SIGTERM) is before
