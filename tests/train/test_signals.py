"""Every request to stop, at every phase of a run: the exit code, the checkpoint, what is said and what is recorded.

The Jobs are forked from one process that has imported everything (warm.py) and announce the phase they are in.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import queue
import re
import shlex
import signal
import subprocess
import sys
import termios
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs_here import prepare
from plans import make_plan, write_pairs
from sparksmith.base.files import write_json
from sparksmith.jobs.identity import parse_identity
from sparksmith.jobs.status import read_status
from sparksmith.jobs.stop import NAME, StopRequest, ask_to_stop
from sparksmith.runs.checkpoints import checkpoint_folders, find_faults
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import read_lines

pytestmark = [pytest.mark.effects, pytest.mark.filterwarnings("ignore")]

STEPS = 6
PHASES = ("loading", "training", "held-out loss", "scoring", "save", "evaluation")
FLAGS = {"evaluation": {"eval_steps": 0}}  # otherwise the last step's answers are the run's
# request: (exit code with everything saved, with nothing to save, the reason on record)
REQUESTS = {
    "SIGINT": (130, 130, "Ctrl+C"),
    "SIGTERM": (143, 143, "SIGTERM"),
    "SIGHUP": (129, 129, "a hang-up of the terminal"),
    "channel": (75, 76, "a test: the table"),
}
# phase: (the checkpoints after it, what is said)
EXPECTED = {
    "loading": ([], "stopped; nothing was saved yet"),
    "training": ([2, 3], "stopped, and saved checkpoint-3"),
    "held-out loss": ([2], "stopped, and saved checkpoint-2"),
    "scoring": ([2], "stopped, and saved checkpoint-2"),
    "save": ([2], "stopped, and saved checkpoint-2"),
    "evaluation": ([2, 4, 6], "stopped, and saved checkpoint-6"),
}


@dataclass
class Ended:
    code: int
    folder: RunFolder
    said: str

    @property
    def manifest(self) -> dict:
        return json.loads(self.folder.manifest.read_text())

    @property
    def steps(self) -> list[int]:
        """The checkpoints, each whole to the last byte."""
        found = checkpoint_folders(self.folder.path)
        for path in found:
            assert find_faults(path, hashes=True) == []
        return [int(path.name.split("-")[1]) for path in found]

    @property
    def events(self) -> list[dict]:
        return list(read_lines(self.folder.events))


class Warm:
    """The process that forks Jobs."""

    def __init__(self, home: Path) -> None:
        environment = {**os.environ, "HOME": str(home), "HF_HUB_OFFLINE": "1", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
        environment["PATH"] = f"{sys.prefix}/bin:{environment['PATH']}"
        self.home = home
        self.count = 0
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "warm.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=environment, text=True, cwd=home,
        )  # fmt: skip
        self.said: queue.Queue[str] = queue.Queue()
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()
        self.expect("ready")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.thread.join(timeout=5)
        self.process.stdout.close()

    def heard(self, words: str) -> None:
        """Wait until the Job has said so."""
        deadline = time.monotonic() + 10
        while words not in self.log.read_text():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)

    def _listen(self) -> None:
        for line in self.process.stdout:
            self.said.put(line.strip())

    def expect(self, word: str) -> str:
        line = self.said.get(timeout=90)
        assert line.startswith(word), (line, word)
        return line.removeprefix(word).strip()

    def start(self, phase: str, linger: float = 0.0, **flags) -> tuple[RunFolder, int]:
        self.count += 1
        at = self.home / f"a job's {self.count}"
        at.mkdir()
        data = str(write_pairs(at))
        flags = {
            "data_file": data, "eval_file": data, "max_steps": STEPS, "save_steps": 2, "eval_steps": 2, "batch_size": 4,
            "logging_steps": 1, "save_total_limit": 9, "evaluate_untrained": False, "max_new_tokens": 2, **flags,
        }  # fmt: skip
        plan = make_plan(at, **flags)
        folder = prepare(plan)
        self.log = at / "said.log"
        self.process.stdin.write(
            json.dumps({"folder": str(folder.path), "log": str(self.log), "phase": phase, "linger": linger}) + "\n"
        )
        self.process.stdin.flush()
        return folder, int(self.expect("started"))

    def end(self, folder: RunFolder) -> Ended:
        code = int(self.expect("exit"))
        return Ended(code, folder, self.log.read_text())


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    process = Warm(tmp_path_factory.mktemp("signals"))
    yield process
    process.close()


def send(request: str, folder: RunFolder, process: int) -> None:
    if request == "channel":
        identity = parse_identity(json.loads(folder.manifest.read_text())["process"])
        ask_to_stop(folder.path, identity, StopRequest("a test", "the table"))
    else:
        os.kill(process, getattr(signal, request))


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("request_", REQUESTS)
def test_the_table(warm, request_, phase):
    folder, process = warm.start(phase, **FLAGS.get(phase, {}))
    warm.expect(f"phase {phase}")
    send(request_, folder, process)
    ended = warm.end(folder)
    saved_code, unsaved_code, reason = REQUESTS[request_]
    steps, words = EXPECTED[phase]
    code = saved_code if steps else unsaved_code
    assert ended.code == code, ended.said
    assert ended.steps == steps
    assert words in ended.said and "Traceback" not in ended.said
    assert ("--resume_from_checkpoint" in ended.said) == bool(steps)
    kinds = [event["kind"] for event in ended.events]
    assert kinds.count("checkpoint_saved") == len(steps) and kinds.count("job_finished") == 1
    assert ended.manifest["state"] == "stopped" and ended.manifest["message"] == reason
    assert ended.manifest["exit_code"] == code and ended.manifest["process"] is None
    assert not (folder.path / NAME).exists()
    assert [line["step"] for line in read_lines(folder.metrics) if "loss" in line] == list(
        range(1, (steps or [0])[-1] + 1)
    )
    evaluated = [line["step"] for line in read_lines(folder.metrics) if "eval_loss" in line]
    assert evaluated == {"training": [2], "scoring": [2], "save": [2]}.get(phase, [])  # whole or not there


@pytest.mark.parametrize("phase", ["training", "held-out loss", "scoring", "second save", "evaluation"])
def test_a_second_ctrl_c_ends_at_once_and_loses_nothing(warm, phase):
    folder, process = warm.start(phase, linger=5.0, **FLAGS.get(phase, {}))
    warm.expect(f"phase {phase}")
    os.kill(process, signal.SIGINT)
    if phase == "evaluation":  # it ends on the first one by itself; the second may come a moment later
        time.sleep(0.01)
    else:
        warm.heard("Ctrl+C stops at once")
    os.kill(process, signal.SIGINT)
    ended = warm.end(folder)
    assert ended.code == 130, ended.said
    steps = {"training": [2], "held-out loss": [], "scoring": [], "second save": [2], "evaluation": [2, 4, 6]}
    assert ended.steps == steps[phase]
    assert "Traceback" not in ended.said
    assert ended.manifest["state"] == "stopped" and ended.manifest["exit_code"] == 130
    assert read_status(folder).state == "stopped"


def test_a_request_after_sigterm_is_the_same_request(warm):
    folder, process = warm.start("training", linger=0.3)
    warm.expect("phase training")
    os.kill(process, signal.SIGTERM)
    warm.heard("stopping after this step (SIGTERM)")
    os.kill(process, signal.SIGTERM)
    os.kill(process, signal.SIGHUP)
    ended = warm.end(folder)
    assert ended.code == 143 and ended.steps == [2, 3]


def test_a_signal_when_the_run_has_ended_comes_too_late(warm):
    folder, process = warm.start("the end")
    warm.expect("phase the end")
    os.kill(process, signal.SIGINT)
    os.kill(process, signal.SIGTERM)
    ended = warm.end(folder)
    assert ended.code == 0 and ended.manifest["state"] == "finished" and "Traceback" not in ended.said


def test_a_wake_without_a_request_changes_nothing(warm):
    folder, process = warm.start("training")
    warm.expect("phase training")
    os.kill(process, signal.SIGUSR1)
    other = {"pid": process, "start_ticks": 1, "boot": "another"}  # left over from an earlier job
    write_json(folder.path / NAME, {"version": 1, "process": other, "who": "somebody", "reason": "long ago"})
    os.kill(process, signal.SIGUSR1)
    ended = warm.end(folder)
    assert ended.code == 0 and ended.manifest["state"] == "finished" and ended.steps == [2, 4, 6]


def command(folder: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "sparksmith", "train", "--data_file", "pairs.tsv", "--model", "tiny", "--output_dir",
        str(folder), "--max_steps", "100000", "--logging_steps", "1", "--save_steps", "100000", *more,
    ]  # fmt: skip


def environment(home: Path) -> dict[str, str]:
    path = f"{sys.prefix}/bin:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "HOME": str(home), "NO_COLOR": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "40"}


class InTerminal:
    """A command as the first process of a terminal's session, with the terminal's other end here."""

    def __init__(self, argv: list[str], home: Path) -> None:
        self.master, slave = pty.openpty()

        def own_terminal() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)

        self.process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, cwd=home, env=environment(home), preexec_fn=own_terminal
        )
        os.close(slave)
        self.text = b""
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self.master, 65536)
            except OSError:
                return
            if not part:
                return
            self.text += part


def wait_for_points(metrics: Path, process: subprocess.Popen, count: int = 3) -> None:
    deadline = time.monotonic() + 90
    while not (metrics.exists() and metrics.read_text().count("\n") >= count):
        assert process.poll() is None and time.monotonic() < deadline, "training did not begin"
        time.sleep(0.05)


def test_ctrl_c_and_a_hang_up_in_a_real_terminal(tmp_path):
    """At once, to be quick: ^C typed into one terminal, the other closed. A second job into one folder is refused."""
    write_pairs(tmp_path)
    typed = InTerminal(command(tmp_path / "typed"), tmp_path)
    closed = InTerminal(command(tmp_path / "closed"), tmp_path)
    wait_for_points(tmp_path / "typed/metrics.jsonl", typed.process)
    second = subprocess.run(
        command(tmp_path / "typed", "--resume_from_checkpoint"), cwd=tmp_path, env=environment(tmp_path),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert second.returncode == 1 and "a job is running in" in second.stderr, second.stderr
    plain = subprocess.run(
        [sys.executable, "-m", "sparksmith.train", str(tmp_path / "typed")], capture_output=True, text=True,
        env=environment(tmp_path), check=False, timeout=60,
    )  # fmt: skip
    assert plain.returncode == 1 and "a job is running in" in plain.stderr
    assert typed.process.poll() is None

    os.write(typed.master, b"\x03")
    wait_for_points(tmp_path / "closed/metrics.jsonl", closed.process)
    os.close(closed.master)
    assert typed.process.wait(timeout=60) == 130, typed.text.decode()
    assert closed.process.wait(timeout=60) == 129

    for name, code in (("typed", 130), ("closed", 129)):
        folder = RunFolder(tmp_path / name)
        ended = Ended(code, folder, "")
        assert len(ended.steps) == 1
        assert [event["kind"] for event in ended.events].count("checkpoint_saved") == 1
        assert ended.manifest["state"] == "stopped" and ended.manifest["exit_code"] == code
    typed.thread.join(timeout=5)
    said = typed.text.decode(errors="replace")
    assert "Traceback" not in said and "^C" in said
    assert "stopped, and saved checkpoint-" in said
    hint = next(line for line in said.splitlines() if line.startswith("hint: "))
    assert str(tmp_path / "typed") in shlex.split(hint)
    for line in re.split(r"[\r\n]+", said):  # the renewed line keeps to the terminal's width
        if "\033[K" in line:
            assert len(line.replace("\033[K", "")) < 40


def test_under_nohup_a_hang_up_is_not_heard(tmp_path):
    from sparksmith.train.stop import Stop

    before = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    }
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        Stop(tmp_path, print, print).install()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is not before[signal.SIGTERM]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
