"""What goes wrong in the middle of a run: one message, whole checkpoints, and a folder that says what happened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from jobs_here import prepare
from plans import PAIRS, make_plan, write_pairs
from small_models import save_small_qwen
from sparksmith.base.files import write_json
from sparksmith.runs.checkpoints import checkpoint_folders, find_faults
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import read_lines
from sparksmith.train import callbacks, trainer
from sparksmith.train.__main__ import main as job

pytestmark = [pytest.mark.effects, pytest.mark.filterwarnings("ignore")]


def planned(at: Path, **flags) -> RunFolder:
    flags = {"max_steps": 6, "save_steps": 2, "batch_size": 2, "logging_steps": 1, **flags}
    return prepare(make_plan(at, **flags))


def ended(folder: RunFolder, code: int, capfd) -> tuple[str, str]:
    """(the message on record, what was said), after looking at what every such end must leave behind."""
    manifest = json.loads(folder.manifest.read_text())
    assert manifest["state"] == "failed" and manifest["exit_code"] == code and manifest["process"] is None
    last = list(read_lines(folder.events))[-1]
    assert last["kind"] == "job_failed" and last["message"] == manifest["message"] and last["exit_code"] == code
    said = capfd.readouterr().err
    assert said.count("error: ") == 1 and "Traceback" not in said and last["message"].split("\n")[0] in said
    for path in checkpoint_folders(folder.path):
        assert find_faults(path, hashes=True) == []
    return last["message"], said


def spoil(monkeypatch, at_call: int, how) -> None:
    original = trainer.response_loss
    calls = 0

    def loss(*arguments, **options):
        nonlocal calls
        calls += 1
        value, logits = original(*arguments, **options)
        return (how(value) if calls == at_call else value), logits

    monkeypatch.setattr(trainer, "response_loss", loss)


@pytest.mark.parametrize("logging_steps", [1, 4], ids=["seen at once", "seen at the save"])
def test_a_loss_that_is_not_a_number(tmp_path, monkeypatch, capfd, logging_steps):
    folder = planned(tmp_path, logging_steps=logging_steps)
    seen = []
    original = trainer.FineTuner.compute_loss

    def keep(self, model, inputs, *arguments, **options):
        seen.append((self.state.global_step + 1, list(inputs["lines"])))
        return original(self, model, inputs, *arguments, **options)

    monkeypatch.setattr(trainer.FineTuner, "compute_loss", keep)
    spoil(monkeypatch, 3, lambda loss: loss * float("nan"))
    assert job([str(folder.path)]) == 1
    message, said = ended(folder, 1, capfd)
    lines = ", ".join(map(str, dict(seen)[3]))
    assert message == (
        f"the loss is not a number at step 3 (lines {lines} of the data); the last good checkpoint is checkpoint-2"
    )
    assert "hint: " in said
    assert [path.name for path in checkpoint_folders(folder.path)] == ["checkpoint-2"]
    assert all(line["loss"] is not None for line in read_lines(folder.metrics) if "loss" in line)


def test_a_gradient_that_is_not_a_number_under_a_good_loss(tmp_path, monkeypatch, capfd):
    """At the step of a save: the weights are spoiled, the loss does not show it yet, and nothing is saved."""
    folder = planned(tmp_path)

    class Overflow(torch.autograd.Function):
        @staticmethod
        def forward(context, value):
            return value.clone()

        @staticmethod
        def backward(context, gradient):
            return gradient * float("nan")

    spoil(monkeypatch, 4, Overflow.apply)
    assert job([str(folder.path)]) == 1
    message, _ = ended(folder, 1, capfd)
    assert message == "the weights are not numbers after step 4; the last good checkpoint is checkpoint-2"
    assert [path.name for path in checkpoint_folders(folder.path)] == ["checkpoint-2"]


def test_an_exception_in_a_callback(tmp_path, monkeypatch, capfd):
    folder = planned(tmp_path)

    def fail(self, args, state, control, **options):
        if state.global_step == 3:
            raise KeyError("somebody's callback")
        return control

    monkeypatch.setattr(callbacks.ObeyStop, "on_step_end", fail)
    assert job([str(folder.path)]) == 70
    message, said = ended(folder, 70, capfd)
    assert message == """KeyError: "somebody's callback\"""" and "a defect of Sparksmith" in said
    assert "Traceback" in list(read_lines(folder.events))[-1]["trace"]
    assert [path.name for path in checkpoint_folders(folder.path)] == ["checkpoint-2"]


def test_data_that_is_lost_between_plan_and_job(tmp_path, capfd):
    folder = planned(tmp_path)
    data = Path(json.loads(folder.plan.read_text())["train_data"]["path"])
    data.unlink()
    assert job([str(folder.path)]) == 1
    message, _ = ended(folder, 1, capfd)
    assert str(data) in message


@pytest.mark.parametrize("marked", [False, True], ids=["plain", "with generation marks"])
def test_an_example_that_the_template_refuses(tmp_path, capfd, marked):
    inside = "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}" if marked else "{{ m.content }}<|im_end|>"
    template = (
        "{% for m in messages %}{% if 'forbidden' in m.content %}{{ raise_exception('no such word') }}{% endif %}"
        "<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}" + inside + "{% else %}{{ m.content }}<|im_end|>"
        "{% endif %}\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    qwen = save_small_qwen(tmp_path / "qwen", template=template)
    data = tmp_path / "rows.jsonl"
    rows = [{"prompt": p, "completion": r} for p, r in PAIRS]
    rows[4]["prompt"] = "a forbidden word"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = planned(tmp_path, data_file=str(data), model=str(qwen), full_finetuning=True)
    assert job([str(folder.path)]) == 1
    message, _ = ended(folder, 1, capfd)
    assert message.startswith("line 5: ") and "no such word" in message


def test_a_checkpoint_folder_that_is_taken_away_while_it_trains(tmp_path, monkeypatch, capfd):
    """Somebody deletes the whole run: it ends with one message, exit 1."""
    import shutil

    folder = planned(tmp_path, data_file=str(write_pairs(tmp_path)))
    original = trainer.FineTuner.compute_loss

    def act(self, *arguments, **options):
        if self.state.global_step == 2:
            shutil.rmtree(folder.path, ignore_errors=True)
        return original(self, *arguments, **options)

    monkeypatch.setattr(trainer.FineTuner, "compute_loss", act)
    assert job([str(folder.path)]) == 1
    said = capfd.readouterr().err
    assert "the run's folder cannot be reached: No such file or directory" in said and "Traceback" not in said
    assert not folder.path.exists()


def test_a_run_whose_checkpoints_are_all_damaged_does_not_start_over(tmp_path, capfd):
    """Starting over would bury what may still be mended; it is said which files are wrong."""
    plan = make_plan(tmp_path, max_steps=4, save_steps=2)
    folder = RunFolder(Path(plan.output_dir))
    folder.path.mkdir()
    write_json(folder.plan, plan.model_dump(mode="json"))
    assert job([str(folder.path)]) == 0
    for checkpoint in checkpoint_folders(folder.path):
        (checkpoint / "model.safetensors").write_bytes(b"damaged")
    write_json(folder.plan, plan.model_copy(update={"resume_from_checkpoint": "latest"}).model_dump(mode="json"))
    assert job([str(folder.path)]) == 1
    said = capfd.readouterr().err
    assert "none of the 2 checkpoints" in said and "model.safetensors has 7 bytes" in said
