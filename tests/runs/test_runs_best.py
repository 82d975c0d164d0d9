"""Which checkpoint is the best, by what was sealed with it."""

from __future__ import annotations

import pytest

from records import write_checkpoint
from sparksmith.runs.best import find_best, metric_of
from sparksmith.runs.layout import RunFolder

MEASURED = {  # the loss and the scores do not agree
    10: {"eval_loss": 0.9, "eval_wer": 0.30, "eval_exact_match": 0.5},
    20: {"eval_loss": 0.7, "eval_wer": 0.25, "eval_exact_match": 0.6},
    30: {"eval_loss": 0.8, "eval_wer": 0.20, "eval_exact_match": 0.6},
}


@pytest.mark.parametrize(
    ("metric", "step", "words"),
    [
        ("loss", 20, "loss 0.7000"),
        ("wer", 30, "WER 20.0%"),
        ("exact_match", 20, "exact match 60.0%"),  # of equal ones the lower loss
        ("cer", 20, "loss 0.7000"),  # which was not measured
    ],
)
def test_by_a_metric(tmp_path, metric, step, words):
    for at, facts in MEASURED.items():
        write_checkpoint(tmp_path, at, **facts)
    best = find_best(tmp_path, metric)
    assert best is not None
    assert (best.path.name, best.describe(), best.measured) == (f"checkpoint-{step}", words, 3)


def test_checkpoints_from_before_scores_were_sealed_are_compared_by_the_loss(tmp_path):
    write_checkpoint(tmp_path, 5, eval_loss=0.6)
    for at, facts in MEASURED.items():
        write_checkpoint(tmp_path, at, **facts)
    best = find_best(tmp_path, "wer")
    assert best is not None and (best.path.name, best.metric) == ("checkpoint-5", "loss")


def test_nothing_measured_or_not_whole(tmp_path):
    write_checkpoint(tmp_path, 5, eval_loss=None)
    assert find_best(tmp_path, "wer") is None
    write_checkpoint(tmp_path, 10, eval_loss=0.5)
    write_checkpoint(tmp_path, 20, eval_loss=0.1)
    (tmp_path / "checkpoint-20/optimizer.pt").unlink()
    best = find_best(tmp_path, "loss")
    assert best is not None and (best.path.name, best.measured) == ("checkpoint-10", 1)


def test_of_equal_ones_the_later(tmp_path):
    for step in (10, 20):
        write_checkpoint(tmp_path, step, eval_loss=0.5, eval_wer=1.0)
    best = find_best(tmp_path, "wer")
    assert best is not None and best.path.name == "checkpoint-20"


@pytest.mark.parametrize(
    ("plan", "metric"),
    [('{"metric_for_best_model": "wer"}', "wer"), ("{}", "loss"), ("[1]", "loss"), ('{"m', "loss"), (None, "loss"),
     ('{"metric_for_best_model": "beauty"}', "loss"), ('{"metric_for_best_model": [1]}', "loss")],
)  # fmt: skip
def test_what_a_plan_calls_the_best(tmp_path, plan, metric):
    if plan is not None:
        (tmp_path / "plan.json").write_text(plan)
    assert metric_of(RunFolder(tmp_path)) == metric
