"""Several runs on one page."""

from __future__ import annotations

import json
import re

import pytest

from made_runs import evaluation, rate, write_made_run
from sparksmith.report.compare import differences, render_comparison, score_lines
from sparksmith.report.page import State
from sparksmith.report.run_records import read_records
from sparksmith.runs.layout import RunFolder

DONE = State("finished", "")


@pytest.fixture
def runs(tmp_path):
    first = write_made_run(tmp_path / "first")
    second = write_made_run(tmp_path / "second", steps=400, learning_rate=0.001, lora_r=8)
    told = evaluation()
    told["scores"] |= {"per": rate(100, 2685, 0.03, 0.045), "exact_match": rate(200, 336, 0.54, 0.65)}
    second.evaluation.write_text(json.dumps(told))
    return [first, second]


def test_only_what_differs(runs):
    assert differences([read_records(run) for run in runs]) == [
        ("learning_rate", ["0.003", "0.001"]), ("max_steps", ["600", "400"]), ("lora_r", ["–", "8"]),
    ]  # fmt: skip


def test_the_same_run_twice_differs_in_nothing(runs):
    page = render_comparison([runs[0], runs[0]], [DONE, DONE])
    assert "Nothing: the plans, the machine and the packages are the same." in page


def test_the_best_of_every_rate(runs):
    lines = score_lines([read_records(run) for run in runs], comparable=True)
    best = {line.heading: (line.best, line.overlap) for line in lines}
    assert best["PER"] == (1, "")  # 3.0 to 4.5% against 5.1 to 6.9%
    assert best["Exact match"] == (0, "")  # 69.9 to 79.2% against 54 to 65%: higher is better
    assert best["WER"] == (None, "intervals overlap")  # the same in both


def test_overlapping_intervals_have_no_best(tmp_path):
    runs = [write_made_run(tmp_path / name) for name in ("a", "b", "c")]
    for run, per in zip(
        runs, [rate(90, 2685, 0.03, 0.04), rate(96, 2685, 0.032, 0.045), rate(161, 2685, 0.05, 0.07)], strict=True
    ):
        told = evaluation()
        told["scores"] |= {"per": per}
        run.evaluation.write_text(json.dumps(told))
    line = next(
        line for line in score_lines([read_records(run) for run in runs], comparable=True) if line.heading == "PER"
    )
    assert (line.best, line.overlap) == (None, "A and B overlap")
    page = render_comparison(runs, [DONE] * 3)
    assert "★" not in page
    assert "<em>A and B overlap</em>" in page
    assert "these rows do not tell which run is better" in page


def test_rates_without_intervals_have_no_best(runs):
    told = json.loads(runs[0].evaluation.read_text())
    for row in told["scores"].values():
        del row["low"], row["high"]
    runs[0].evaluation.write_text(json.dumps(told))
    lines = score_lines([read_records(run) for run in runs], comparable=True)
    assert {(line.best, line.overlap) for line in lines} == {(None, "")}


def test_other_data_has_no_best(runs):
    plan = json.loads(runs[1].plan.read_text())
    plan["eval_data"]["sha256"] = "ef" * 32
    runs[1].plan.write_text(json.dumps(plan))
    page = render_comparison(runs, [DONE, DONE])
    assert "★" not in page
    assert "scored on different data, so none of them is called the best" in page


def test_one_colour_and_letter_a_run(runs):
    page = render_comparison(runs, [DONE, DONE])
    chart = re.search(r'id="chart-eval_per".*?</figure>', page, re.DOTALL)[0]
    assert re.findall(r'class="curve" style="stroke:var\(--(run-\d)\)"', chart) == ["run-0", "run-1"]
    assert ">A 7.3%</span>" in chart
    assert ">B 7.3%</span>" in chart


def test_what_one_run_lacks_the_others_show(runs):
    runs[0].metrics.unlink()
    runs[0].evaluation.write_text("[]")
    page = render_comparison(runs, [DONE, DONE])
    assert "A has no curves yet" in page
    assert "A: evaluation.json cannot be read" in page
    assert page.count('class="curve" style="stroke:var(--run-0)"') == 0
    assert page.count('class="curve" style="stroke:var(--run-1)"') == 12


def test_runs_with_nothing_at_all(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "plan.json").write_text("{}")
    page = render_comparison([RunFolder(tmp_path / "a"), RunFolder(tmp_path / "b")], [DONE, DONE])
    assert "A has no curves yet" in page
