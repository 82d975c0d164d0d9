"""The command as a user types it, in processes of its own, in a folder whose name holds a space and a quote."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from plans import write_pairs
from sparksmith.runs.records import schema

pytestmark = pytest.mark.effects


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("end to end") / "a user's folder"
    path.mkdir()
    return path


def environment(folder: Path) -> dict[str, str]:
    """As in an environment that was activated, so that commands are shown by their plain name."""
    path = f"{sys.prefix}/bin:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "HOME": str(folder), "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}


def sparksmith(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sparksmith", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False, timeout=240
    )


@pytest.fixture(scope="module")
def quick_test(folder) -> subprocess.CompletedProcess[str]:
    """The older guides' quick test, with `--model tiny`."""
    (folder / "test_mini.tsv").write_text("שלום\tʃalˈom\nמה קורה\tmˈa koʁˈe\n", encoding="utf-8")
    return sparksmith(
        folder, "train", "--data_file", "test_mini.tsv", "--model", "tiny", "--max_steps", "10", "--save_steps", "5",
        "--batch_size", "2",
    )  # fmt: skip


def test_the_quick_test_makes_its_checkpoints(folder, quick_test):
    assert quick_test.returncode == 0, quick_test.stderr
    assert (folder / "outputs/checkpoint-5").is_dir() and (folder / "outputs/checkpoint-10").is_dir()
    assert "Traceback" not in quick_test.stderr and "Warning" not in quick_test.stderr
    assert "sparksmith predict outputs" in quick_test.stdout


def test_a_second_run_does_not_write_into_the_first(folder, quick_test):
    before = sorted(path.name for path in (folder / "outputs").iterdir())
    again = sparksmith(folder, "train", "--data_file", "test_mini.tsv", "--model", "tiny", "--max_steps", "10")
    assert again.returncode == 1
    assert "holds a run already" in again.stderr and "--resume_from_checkpoint" in again.stderr
    assert before == sorted(path.name for path in (folder / "outputs").iterdir())


def test_predict_reads_arguments_and_lines(folder, quick_test):
    done = sparksmith(folder, "predict", "outputs", "שלום", "מה קורה")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_eval_keeps_to_its_schema(folder, quick_test):
    done = sparksmith(folder, "eval", "outputs/checkpoint-5", "test_mini.tsv", "--json", "--spaces_separate", "words")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    jsonschema.validate(answer, schema("evaluation"))
    assert answer["rows"] == 2 and answer["scores"]["wer"]["total"] == 3
    assert answer["model"] == "outputs/checkpoint-5"


def test_ctrl_c_saves_and_the_printed_command_goes_on(folder):
    """Interrupted while it trains: saved, exit 130; the command that the hint prints resumes and finishes."""
    import shlex

    write_pairs(folder)
    command = [
        sys.executable, "-m", "sparksmith", "train", "--data_file", "pairs.tsv", "--model", "tiny", "--output_dir",
        "long run", "--max_steps", "3000", "--logging_steps", "1", "--save_steps", "100000",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    metrics = folder / "long run/metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.read_text().count("\n") > 3):
        assert process.poll() is None and time.monotonic() < deadline, "training did not begin"
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130, error
    assert "stopped, and saved checkpoint-" in error and "Traceback" not in error
    hint = next(line for line in error.splitlines() if line.startswith("hint: ")).removeprefix("hint: ")
    step = int(error.split("saved checkpoint-")[1].split()[0])
    arguments = shlex.split(hint)[1:]
    resumed = sparksmith(folder, *arguments, "--max_steps", str(step + 2))
    assert resumed.returncode == 0, resumed.stderr
    assert f"going on from step {step:,}" in resumed.stderr
    assert (folder / f"long run/checkpoint-{step + 2}").is_dir()


def test_detach_come_back_follow_stop_and_go_on(folder):
    """A job left behind outlives its command; `runs` knows it, `logs -f` follows it, `stop` makes it save and end."""
    write_pairs(folder)
    flags = ["--model", "tiny", "--max_steps", "100000", "--logging_steps", "5", "--save_steps", "100000"]
    begun = sparksmith(folder, "train", "--data_file", "pairs.tsv", *flags, "--output_dir", "left behind", "--detach")
    assert begun.returncode == 0, begun.stderr
    assert "sparksmith logs -f" in begun.stderr and "sparksmith stop" in begun.stderr
    metrics = folder / "left behind/metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.read_text().count("\n") > 3):
        assert time.monotonic() < deadline, (folder / "left behind/job.log").read_text()
        time.sleep(0.1)
    assert "running" in sparksmith(folder, "runs", "show", "left behind").stdout
    listed = json.loads(sparksmith(folder, "runs", "--json").stdout)["runs"]
    assert [run["state"] for run in listed if run["folder"].endswith("left behind")] == ["running"]
    second = sparksmith(folder, "train", "--data_file", "pairs.tsv", *flags, "--output_dir", "left behind")
    assert second.returncode == 1 and "a job is running in" in second.stderr
    follow = subprocess.Popen(
        [sys.executable, "-m", "sparksmith", "logs", "-f", "left behind"], cwd=folder, env=environment(folder),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    stopped = sparksmith(folder, "stop", "left behind")
    assert stopped.returncode == 0, stopped.stderr
    said, _ = follow.communicate(timeout=60)
    assert "saved checkpoint-" in said
    record = json.loads((folder / "left behind/manifest.json").read_text())
    assert (record["state"], record["exit_code"], record["process"]) == ("stopped", 75, None)
    step = json.loads(sparksmith(folder, "runs", "show", "left behind", "--json").stdout)
    assert step["checkpoint"] == f"checkpoint-{step['step']}" and "--resume_from_checkpoint" in step["resume"]
    assert sparksmith(folder, "clean", "left behind", "--yes").returncode == 0
    assert not (folder / "left behind").exists()
