"""A Trainer script of somebody else's with our callback: killed five times, it goes on from whole checkpoints."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from foreign_script import SAVE_STEPS, STEPS, train

from small_models import save_small_qwen
from sparksmith.train.public import SparksmithCallback, last_whole_checkpoint
from sparksmith.train.stop import SIGNALS

pytestmark = [pytest.mark.effects, pytest.mark.filterwarnings("ignore")]
KILLS = 5
LIMIT_SECONDS = 180  # for one process; most of it is the imports, which take 8 s on an idle core


def test_killed_five_times_it_goes_on_from_a_whole_checkpoint(tmp_path):
    """The script itself looks at each byte of what it goes on from, before it does."""
    chance = random.Random(5)
    model = save_small_qwen(tmp_path / "model")
    output, told = tmp_path / "outputs", tmp_path / "told"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
    script = [sys.executable, str(Path(__file__).with_name("foreign_script.py")), str(model), str(output), str(told)]
    codes = []
    for kill in range(KILLS + 1):
        # anywhere in the steps and saves that follow its first save: two or three at this speed
        seconds = [str(chance.uniform(0.001, 0.08))] if kill < KILLS else []
        done = subprocess.run(
            [*script, *seconds], env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )
        codes.append(done.returncode)
        assert done.returncode in (-signal.SIGALRM, 0), done.stderr[-3000:]
    assert codes == [-signal.SIGALRM] * KILLS + [0]
    first, *rest = told.read_text(encoding="utf-8").splitlines()
    assert first == "None" and len(rest) == KILLS
    steps = [int(line.rsplit("-", 1)[1]) for line in rest]
    # each process was killed after a save of its own, which the next goes on from, or from a later one
    assert all(later >= earlier + SAVE_STEPS for earlier, later in zip([0, *steps], steps, strict=False))
    assert last_whole_checkpoint(output) == output / f"checkpoint-{STEPS}"


def test_a_checkpoint_that_was_changed_is_passed_over(tmp_path):
    model = save_small_qwen(tmp_path / "model")
    assert train(model, tmp_path / "outputs", None, SparksmithCallback()) == STEPS
    newest = tmp_path / f"outputs/checkpoint-{STEPS}"
    assert last_whole_checkpoint(tmp_path / "outputs") == newest
    weights = newest / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    passed_over = []
    before = tmp_path / f"outputs/checkpoint-{STEPS - SAVE_STEPS}"
    assert last_whole_checkpoint(tmp_path / "outputs", passed_over.append) == before
    assert "another SHA-256" in passed_over[0]


def test_after_a_training_that_raised_signals_are_heard_as_before(tmp_path):
    """No callback is told of its end. The first signal finds it out; so does the next training."""

    class Breaking(SparksmithCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            raise ZeroDivisionError("in the middle of training")

    heard = []
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests before have left
    model, callback = save_small_qwen(tmp_path / "model"), Breaking()
    try:
        for _ in range(2):  # the second finds the handlers of the first in place
            with pytest.raises(ZeroDivisionError):
                train(model, tmp_path / "outputs", None, callback)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM] and callback.reason is None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_an_end_without_a_beginning_changes_no_signal():
    before = signal.getsignal(signal.SIGTERM)
    SparksmithCallback().on_train_end(None, None, None)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_finishes_the_step_and_saves_once(tmp_path):
    class Interrupting(SparksmithCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step == 7:
                os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    callback = Interrupting()
    step = train(save_small_qwen(tmp_path / "model"), tmp_path / "outputs", None, callback)
    assert step == 8 and callback.reason == "SIGTERM"
    assert last_whole_checkpoint(tmp_path / "outputs") == tmp_path / "outputs/checkpoint-8"
    assert signal.getsignal(signal.SIGTERM) is before
