"""Five runs of `make test-kill`, and three with the saving broken, which must be found out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.effects

SCRIPT = Path(__file__).with_name("kill_test.py")


def run(folder: Path, *arguments: str) -> tuple[int, dict, str]:
    """The script in a process of its own, because it forks: its exit code, its summary, what it printed."""
    summary = folder / "summary.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--json", str(summary), *arguments],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert summary.is_file(), done.stderr[-3000:]
    return done.returncode, json.loads(summary.read_text(encoding="utf-8")), done.stdout


def test_killed_runs_are_the_runs_that_nobody_disturbed(tmp_path):
    code, summary, shown = run(tmp_path, "--runs", "4", "--lora-runs", "1")
    assert summary["faults"] == [] and code == 0, shown
    assert summary["equal"] == summary["finished"] == summary["runs"] == 5
    assert summary["kills_a_run"][0] >= 3 and summary["resumes"] >= 4
    assert summary["groups"]["save"] >= 3 and summary["groups"]["removal"] >= 1 and summary["groups"]["resume"] >= 1


def test_checkpoints_written_in_place_are_found_out(tmp_path):
    code, summary, shown = run(tmp_path, "--runs", "3", "--broken")
    assert code == 1, shown
    assert summary["finished"] < 3 and summary["broken_checkpoints_seen"] > 0, shown
