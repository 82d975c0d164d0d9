"""Scores at every eval_steps: what they say, what they cost, and what a request to stop leaves of them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest

from jobs_here import MAY_DIFFER, carry_out, prepare
from plans import make_plan, write_pairs
from sparksmith.evaluate import dataset
from sparksmith.runs.checkpoints import checkpoint_folders, read_seal
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import read_lines, schema
from sparksmith.train.__main__ import main as job
from sparksmith.train.callbacks import Record
from sparksmith.train.scoring import Scoring

pytestmark = [
    pytest.mark.effects,  # collecting the machine asks nvidia-smi
    pytest.mark.filterwarnings("ignore"),  # the libraries' own
]


def planned(folder: Path, **flags):
    data = str(write_pairs(folder))
    flags = {
        "data_file": data, "eval_file": data, "max_steps": 4, "save_steps": 2, "eval_steps": 2, "logging_steps": 1,
        "batch_size": 8, "learning_rate": 1e-2, "max_new_tokens": 6, "tiny_hidden_size": 32, "tiny_layers": 2,
        "spaces_separate": "words", "save_total_limit": 9, "dropout": 0.1, "evaluate_untrained": True, **flags,
    }  # fmt: skip
    return make_plan(folder, **flags)


def begin(plan) -> tuple[int, RunFolder]:
    folder = prepare(plan)
    return job([str(folder.path)]), folder


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """When answers were generated."""
    said: list[str] = []
    original = dataset.evaluate_plan

    def evaluate_plan(*arguments, **options):
        said.append(arguments[4])
        return original(*arguments, **options)

    monkeypatch.setattr(dataset, "evaluate_plan", evaluate_plan)
    return said


def evaluations(folder: RunFolder) -> dict[int, dict]:
    found = {line["step"]: line for line in read_lines(folder.metrics) if any(name.startswith("eval") for name in line)}
    for line in found.values():
        jsonschema.validate(line, schema("metric"))
    return found


def figures(line: dict) -> dict[str, float]:
    return {name.removeprefix("eval_"): value for name, value in line.items() if name.startswith("eval_")}


def test_the_last_step_says_what_the_evaluation_says_and_is_evaluated_once(tmp_path, asked):
    folder = carry_out(planned(tmp_path))
    assert asked == ["before training", "at step 2", "at step 4"]
    lines = evaluations(folder)
    assert list(lines) == [2, 4]
    found = figures(lines[4])
    assert found.pop("loss") > 0 and found.pop("seconds") > 0
    scores = json.loads(folder.evaluation.read_text())["scores"]
    assert found == {name: rate["rate"] for name, rate in scores.items() if rate is not None}
    assert {"per", "wer", "wer_with_stress", "stress_error", "cer", "exact_match"} == set(found)
    assert "loss" not in lines[2] and figures(lines[2]).keys() == figures(lines[4]).keys()
    predictions = [line["prediction"] for line in read_lines(folder.predictions)]
    assert len(predictions) == scores["exact_match"]["total"] and any(predictions)


def test_a_checkpoint_is_sealed_with_the_scores_of_its_step(tmp_path):
    folder = carry_out(planned(tmp_path, save_steps=2, evaluate_untrained=False))
    for step, line in evaluations(folder).items():
        seal = read_seal(folder.path / f"checkpoint-{step}")
        assert seal is not None
        kept = {name.removeprefix("eval_"): value for name, value in seal.facts.items() if name.startswith("eval_")}
        assert kept == {name: value for name, value in figures(line).items() if name != "seconds"}
        assert "wer" in kept


def test_the_best_by_wer_is_kept_though_a_later_one_has_a_lower_loss(tmp_path, monkeypatch):
    plan = planned(tmp_path, save_steps=1, eval_steps=1, max_steps=4, save_total_limit=1, evaluate_untrained=False)
    assert plan.metric_for_best_model == "wer"
    rates = iter([0.5, 0.25, 0.75, 1.0])
    real = Scoring.__call__
    monkeypatch.setattr(Scoring, "__call__", lambda self, step: {**real(self, step), "eval_wer": next(rates)})
    folder = carry_out(plan)
    assert sorted(path.name for path in checkpoint_folders(folder.path)) == ["checkpoint-2", "checkpoint-4"]
    losses = [line["eval_loss"] for line in evaluations(folder).values()]
    assert min(losses) != losses[1]


def test_the_last_step_is_evaluated_whatever_eval_steps_is(tmp_path, asked):
    folder = carry_out(planned(tmp_path, eval_steps=3, evaluate_untrained=False))
    assert asked == ["at step 3", "at step 4"]
    assert list(evaluations(folder)) == [3, 4] and folder.evaluation.is_file()


def test_without_eval_steps_it_is_evaluated_after_training(tmp_path, asked):
    folder = carry_out(planned(tmp_path, eval_steps=0, evaluate_untrained=False))
    assert asked == ["after training"]
    assert evaluations(folder) == {} and folder.evaluation.is_file()


def test_a_step_says_what_a_run_that_ends_there_says(tmp_path):
    """The figures of step 2 are those of a run of the same schedule that is evaluated at its end only."""
    long, short = tmp_path / "long", tmp_path / "short"
    long.mkdir()
    short.mkdir()
    of_step = figures(evaluations(carry_out(planned(long, lr_scheduler_type="constant", warmup_ratio=0.0)))[2])
    folder = carry_out(planned(short, lr_scheduler_type="constant", warmup_ratio=0.0, max_steps=2, eval_steps=0))
    assert evaluations(folder) == {}
    for name, rate in json.loads(folder.evaluation.read_text())["scores"].items():
        assert rate is None or of_step[name] == rate["rate"]


def test_a_chat_has_no_phone_rates(tmp_path):
    lines = evaluations(carry_out(planned(tmp_path, spaces_separate=None, max_steps=2)))
    assert figures(lines[2]).keys() == {"loss", "cer", "exact_match", "seconds"}


def check_same_end(folder: RunFolder, whole: RunFolder, *, averaged: bool = False, scored: bool = False) -> None:
    """The end of a run that was stopped at step 2 is that of the one left in peace; of its curve the figures of the
    held-out part at step 2 are missing, unless it was `scored` there."""
    for name in ("model.safetensors", "optimizer.pt", *(["before_averaging.safetensors"] if averaged else [])):
        assert (folder.path / "checkpoint-4" / name).read_bytes() == (whole.path / "checkpoint-4" / name).read_bytes()
    lines = [
        [{k: v for k, v in line.items() if k not in MAY_DIFFER} for line in read_lines(run.metrics)]
        for run in (folder, whole)
    ]
    assert lines[0] == [line for line in lines[1] if scored or not ("eval_loss" in line and line["step"] == 2)]


def test_evaluations_change_nothing_of_the_training(tmp_path):
    curves = []
    for steps in (0, 1):
        at = tmp_path / str(steps)
        at.mkdir()
        folder = carry_out(planned(at, eval_steps=steps, evaluate_untrained=False))
        curves.append([line["loss"] for line in read_lines(folder.metrics) if "loss" in line])
    assert len(curves[0]) == 4 and curves[0] == curves[1]


def test_a_stop_just_before_an_evaluation_changes_nothing_of_the_training(tmp_path, monkeypatch):
    import os
    import signal

    from sparksmith.train.trainer import FineTuner

    plan = planned(tmp_path)
    whole = carry_out(plan)
    original = FineTuner.training_step
    steps = []

    def step(self, *arguments, **options):
        steps.append(self.state.global_step)
        if steps == [0, 1]:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *arguments, **options)

    plan = plan.model_copy(update={"output_dir": str(tmp_path / "stopped")})
    with monkeypatch.context() as patch:
        patch.setattr(FineTuner, "training_step", step)
        code, folder = begin(plan)
    assert code == 143 and [path.name for path in checkpoint_folders(folder.path)] == ["checkpoint-2"]
    carry_out(plan.model_copy(update={"resume_from_checkpoint": "latest"}))
    check_same_end(folder, whole)


@pytest.mark.parametrize(("ema_window", "batch"), [(0.0, 1), (0.5, 1), (0.0, 2)])
def test_a_stop_while_answers_are_made_leaves_no_half_figure_and_the_run_goes_on(
    tmp_path, monkeypatch, ema_window, batch
):
    """At step 2, after the first of two batches, or after the last, when all figures are there: the step is saved, no
    other is trained, and the end is that of the run left in peace."""
    import os
    import signal

    plan = planned(tmp_path, eval_batch_size=16, ema_window=ema_window)
    whole = carry_out(plan)
    original = dataset.evaluate
    batches = []

    def evaluate(*arguments, on_batch, **options):
        def told(done):
            batches.append(done)
            if len(batches) == 2 + batch:  # two before training
                os.kill(os.getpid(), signal.SIGTERM)
            on_batch(done)

        return original(*arguments, on_batch=told, **options)

    plan = plan.model_copy(update={"output_dir": str(tmp_path / "stopped")})
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "evaluate", evaluate)
        code, folder = begin(plan)
    assert (code, batches) == (143, [16, 22, 16, 22][: 2 + batch])
    assert json.loads(folder.manifest.read_text())["state"] == "stopped"
    assert [path.name for path in checkpoint_folders(folder.path)] == ["checkpoint-2"]
    assert list(evaluations(folder)) == [2][: batch - 1] and not folder.evaluation.exists()

    carry_out(plan.model_copy(update={"resume_from_checkpoint": "latest"}))
    check_same_end(folder, whole, averaged=bool(ema_window), scored=batch == 2)


def test_nothing_that_is_not_a_number_is_saved_by_a_stop_while_answers_are_made(tmp_path, monkeypatch):
    import os
    import signal

    import torch

    from sparksmith.train.trainer import FineTuner

    original = FineTuner.held_out_figures

    def spoiled(self, eval_dataset):
        with torch.no_grad():
            next(self.model.parameters()).fill_(float("nan"))
        os.kill(os.getpid(), signal.SIGTERM)
        return original(self, eval_dataset)

    monkeypatch.setattr(FineTuner, "held_out_figures", spoiled)
    code, folder = begin(planned(tmp_path, save_steps=4))
    assert code == 1 and checkpoint_folders(folder.path) == []
    assert "the weights are not numbers after step 2" in list(read_lines(folder.events))[-1]["message"]


def test_the_speed_leaves_the_evaluations_out():
    """100 tokens in 10 seconds of which 5 went to an evaluation, then 100 in 10."""
    now = [0.0]
    lines = []
    trainer = SimpleNamespace(tokens_seen=0, seconds_away=0.0, restore_window=lambda: None)
    recorder = SimpleNamespace(event=lambda *a, **k: None, metric=lambda step, **figures: lines.append(figures))
    record = Record(recorder, lambda: 1, clock=lambda: now[0])
    record.trainer = trainer
    state = SimpleNamespace(global_step=0, max_steps=9)
    record.on_train_begin(None, state, None)
    now[0], trainer.tokens_seen, trainer.seconds_away = 10.0, 100, 5.0
    record.on_log(None, state, None, {"eval_loss": 1.0, "eval_wer": 0.5, "eval_seconds": 5.0, "total_flos": 1})
    record.on_log(None, state, None, {"loss": 2.0})
    now[0], trainer.tokens_seen = 20.0, 200
    record.on_log(None, state, None, {"loss": 1.0})
    assert lines[0] == {"eval_loss": 1.0, "eval_wer": 0.5, "eval_seconds": 5.0}
    assert [line["tokens_per_second"] for line in lines[1:]] == [20.0, 10.0]


def test_the_trainer_counts_what_its_evaluations_take(tmp_path, monkeypatch):
    from sparksmith.train import trainer as module

    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    away = []
    original = module.FineTuner.held_out_figures

    def slow(self, eval_dataset):
        now[0] += 7.0
        away.append(self.seconds_away)
        return original(self, eval_dataset)

    monkeypatch.setattr(module.FineTuner, "held_out_figures", slow)
    lines = evaluations(carry_out(planned(tmp_path, evaluate_untrained=False)))
    assert [line["eval_seconds"] for line in lines.values()] == [7.0, 7.0]
    assert away == [0.0, 0.0]  # taken off in the line that follows, at step 3


def test_scores_by_their_names_and_none_for_a_stop():
    asked = []

    def evaluate(*arguments):
        asked.append(arguments[4:])
        if asked[-1][0] == "at step 2,000":
            return None
        return SimpleNamespace(scores=SimpleNamespace(to_json=lambda: {"wer": {"rate": 0.25}, "per": None}))

    stopped = object()
    scoring = Scoring(evaluate, "model", "encoder", (), "plan", stopped)
    assert scoring(1000) == {"eval_wer": 0.25}
    kept = scoring.newest[1]
    assert scoring(2000) is None
    assert scoring.last(1000) is kept and asked == [("at step 1,000", stopped), ("at step 2,000", stopped)]
    assert scoring.last(2000) is not kept and asked[2:] == [("after training",)]
