"""What is shown of a run: the progress line, the first batch, and failures."""

from __future__ import annotations

import io
import shlex

import pytest

from asked import parameters_of
from sparksmith.base.errors import SparksmithError, UsageProblem
from sparksmith.report import failures
from sparksmith.report.first_batch import LONGEST, show_first_batch
from sparksmith.report.progress import QUIET_SECONDS, Progress
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import write_manifest


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def metric(step: int, loss: float | None = 2.5, **more) -> dict:
    figures = {"tokens_per_second": 12_100.0, "memory_available_bytes": 3 * 1024**3, **more}
    return {"kind": "metric", "step": step, "loss": loss, **figures}


class TestProgress:
    def test_a_file_gets_a_line_now_and_then_and_the_last(self):
        stream, clock = io.StringIO(), Clock()
        progress = Progress(stream, clock)
        progress({"kind": "training_started", "step": 0, "max_steps": 100})
        for step in (10, 20, 30):
            clock.now += 4
            progress(metric(step))
        clock.now += QUIET_SECONDS
        progress(metric(40))
        progress(metric(100))
        lines = stream.getvalue().splitlines()
        assert [line.split()[1] for line in lines] == ["10/100", "40/100", "100/100"]
        # 10 steps in 4 s leave 90 steps in 36 s
        assert lines[0] == "step 10/100  loss 2.5000  12.1k tok/s  3.0 GiB free  36 s left"
        assert "\r" not in stream.getvalue()

    def test_a_terminal_gets_one_line_renewed(self, monkeypatch):
        monkeypatch.setenv("COLUMNS", "40")
        stream, clock = Terminal(), Clock()
        progress = Progress(stream, clock)
        progress({"kind": "training_started", "step": 0, "max_steps": 1000})
        clock.now += 1
        progress(metric(10))
        progress(metric(20))
        assert stream.getvalue().count("\n") == 0
        shown = stream.getvalue().split("\r\033[K")[1:]
        assert shown[0] == "step 10/1,000  loss 2.5000  12.1k tok/s"
        assert all(len(line) < 40 for line in shown)
        progress({"kind": "checkpoint_saved", "step": 20})
        assert stream.getvalue().endswith("\nsaved checkpoint-20\n")
        progress(metric(1000))
        assert stream.getvalue().endswith("\n")

    def test_what_stays(self):
        stream = io.StringIO()
        progress = Progress(stream, Clock())
        for event in (
            {"kind": "job_started", "pid": 1},
            {"kind": "model_ready", "parameters": 1_400_000, "trainable_parameters": 1_400_000},
            {"kind": "model_ready", "parameters": 1_000_000, "trainable_parameters": 5_000},
            {"kind": "warning", "message": "two rows are too long"},
            {"kind": "training_started", "step": 500, "max_steps": 1000},
            {"kind": "metric", "step": 600, "eval_loss": 1.25},
            {"kind": "metric", "step": 600, "loss": None, "eval_loss": None},
            {"kind": "training_finished", "step": 1000, "seconds": 200},
        ):
            progress(event)
        assert stream.getvalue().splitlines() == [
            "model: 1.4M parameters, all of them train",
            "model: 1M parameters, 5k (0.5%) train",
            "warning: two rows are too long",
            "going on from step 500",
            "step 600: loss on the held-out part 1.2500",
            "trained to step 1,000 in 3 min 20 s",
        ]

    def test_time_left_counts_from_where_a_run_goes_on(self):
        stream, clock = io.StringIO(), Clock()
        progress = Progress(stream, clock)
        progress({"kind": "training_started", "step": 500, "max_steps": 600})
        clock.now += 10
        progress(metric(510))  # 10 steps in 10 s leave 90 steps
        assert stream.getvalue().splitlines()[-1].endswith("1 min 30 s left")

    def test_evaluating(self):
        stream = io.StringIO()
        progress = Progress(stream, Clock())
        for done in (64, 128, 200):
            progress({"kind": "evaluating", "when": "after training", "done": done, "rows": 200})
        assert stream.getvalue().splitlines() == [
            "predicting after training: 64/200",
            "predicting after training: 200/200",
        ]


class TestFirstBatch:
    def test_what_the_loss_does_not_count_is_bracketed(self):
        stream = io.StringIO()
        show_first_batch([[("cat", False), ("k æ t\n", True)], [("[red]x", True)]], stream)
        assert stream.getvalue() == (
            "the first examples (the loss counts what is outside the brackets):\n  [cat]k æ t\\n\n  [red]x\n"
        )

    def test_a_long_part_is_clipped_in_the_middle(self):
        stream = io.StringIO()
        show_first_batch([[("a" * 1000 + "b" * 1000, False)]], stream)
        line = stream.getvalue().splitlines()[1].strip()
        half = LONGEST // 2
        assert line == f"[{'a' * half} ... {'b' * half}]"


class TestFailures:
    def test_an_error_and_its_hint(self, capsys):
        failures.show(UsageProblem("what is wrong", "what to type"))
        assert capsys.readouterr() == ("", "error: what is wrong\nhint: what to type\n")
        failures.show(SparksmithError("only this"))
        assert capsys.readouterr().err == "error: only this\n"

    def test_secrets_are_not_shown(self, capsys, tmp_path):
        secret = "hf_" + "abcdEFGH" * 4
        failures.show(SparksmithError(f"401 for {secret}", f"HF_TOKEN={secret}"))
        failures.show_defect(ValueError(f"bad {secret}"), tmp_path / "events.jsonl")
        assert secret not in capsys.readouterr().err

    def test_a_defect_says_where_to_report_it(self, capsys, monkeypatch, tmp_path):
        try:
            raise KeyError("missing")
        except KeyError as error:
            caught = error
        failures.show_defect(caught, tmp_path / "events.jsonl")
        text = capsys.readouterr().err
        assert text.startswith("error: a defect of Sparksmith: KeyError: 'missing'\nhint: please report it")
        assert "events.jsonl" in text
        assert "Traceback" not in text
        failures.show_defect(caught, None)
        assert "Traceback" in capsys.readouterr().err
        monkeypatch.setenv("SPARKSMITH_TRACE", "1")
        failures.show_defect(caught, tmp_path / "events.jsonl")
        assert "Traceback" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("checkpoints", "saved", "words"),
        [
            ([], False, "stopped; nothing was saved yet"),
            ([], True, "stopped; nothing was saved yet"),
            ([5, 10], True, "stopped, and saved checkpoint-10"),
            ([5], False, "stopped at once; the newest checkpoint is checkpoint-5"),
        ],
    )
    def test_after_a_stop(self, capsys, tmp_path, checkpoints, saved, words):
        folder = RunFolder(tmp_path / "a run")
        for step in checkpoints:
            (folder.path / f"checkpoint-{step}").mkdir(parents=True)
        if checkpoints:
            write_manifest(folder, command=["sparksmith", "train", "sft"])
        failures.say_stopped(folder, saved=saved)
        first, *rest = capsys.readouterr().err.splitlines()
        assert first == words
        assert len(rest) == (1 if checkpoints else 0)

    @pytest.mark.parametrize("name", ["run", "a run", "it's", "run-{n}", "-x", "$HOME"])
    def test_the_command_that_goes_on_means_this_run(self, capsys, tmp_path, name):
        folder = RunFolder(tmp_path / name)
        (folder.path / "checkpoint-5").mkdir(parents=True)
        write_manifest(folder, command=["sparksmith", "train", "sft", "--seed", "1"])
        failures.say_stopped(folder, saved=True)
        hint = capsys.readouterr().err.splitlines()[-1]
        assert hint.startswith("hint: sparksmith train ")
        parameters = parameters_of(*shlex.split(hint)[3:])
        assert parameters["recipe"] is None  # what it was stands in its folder
        assert parameters["output_dir"] == str(folder.path)
        assert parameters["resume_from_checkpoint"] == "latest"

    def test_colour_only_on_a_terminal_that_wants_it(self, monkeypatch):
        stream = Terminal()
        monkeypatch.setattr("sys.stderr", stream)
        failures.show(SparksmithError("plain"))  # NO_COLOR is set
        assert stream.getvalue() == "error: plain\n"
        monkeypatch.delenv("NO_COLOR")
        failures.show(SparksmithError("painted"))
        assert "\033[1;31merror:\033[0m painted\n" in stream.getvalue()
