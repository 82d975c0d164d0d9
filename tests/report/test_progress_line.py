"""The progress line where it is read: in a pipe, a log file, a terminal of 40 columns; and when that goes away."""

from __future__ import annotations

import errno
import io
import os
import sys

import pytest

from sparksmith.report.progress import QUIET_SECONDS, Progress
from sparksmith.report.terminal import Lasting, lasting_streams


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def train(progress: Progress, clock: Clock, steps: int = 3000, pause: float = 0.5) -> None:
    """A run as its events come, long enough that every figure has its widest form."""
    progress({"kind": "model_ready", "parameters": 268_000_000, "trainable_parameters": 3_800_000})
    progress({"kind": "training_started", "step": 0, "max_steps": steps})
    for step in range(100, steps + 1, 100):
        clock.now += pause
        figures = {"tokens_per_second": 128_400.0, "memory_available_bytes": 104 * 2**30}
        progress({"kind": "metric", "step": step, "loss": 12.34567, **figures})
        if step % 1000 == 0:
            progress({"kind": "metric", "step": step, "eval_loss": 2.5})
            progress({"kind": "checkpoint_saved", "step": step})
    progress({"kind": "training_finished", "step": steps, "seconds": steps / 100 * pause})


def screen(text: str, columns: int) -> list[str]:
    """What a terminal of that width shows in the end: lines that are too long are wrapped."""
    rows, row = [], ""
    for part in text.replace("\r\033[K", "\r").split("\n"):
        row = part.split("\r")[-1]
        for before in part.split("\r"):
            assert len(before) <= columns or before == row, "a renewed line that wraps cannot be renewed"
        rows.append(row)
    return rows


def test_in_a_terminal_of_40_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    stream, clock = Terminal(), Clock()
    train(Progress(stream, clock), clock)
    renewed = [part.split("\n")[0] for part in stream.getvalue().split("\r\033[K")[1:]]
    assert len(renewed) == 30 and all(len(line) < 40 for line in renewed)
    assert renewed[0] == "step 100/3,000  loss 12.3457  14 s left"
    shown = screen(stream.getvalue(), 40)
    assert [line for line in shown if line.startswith("saved")] == [
        "saved checkpoint-1000", "saved checkpoint-2000", "saved checkpoint-3000",
    ]  # fmt: skip
    assert shown[-2].startswith("trained to step 3,000") and shown[-1] == ""
    assert sum(line.startswith("step 1,000/3,000") for line in shown) == 1  # what stays begins a line of its own


def test_a_terminal_without_a_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "1")
    stream, clock = Terminal(), Clock()
    train(Progress(stream, clock), clock, steps=100)
    assert "\r\033[K" in stream.getvalue()


def test_in_a_pipe_and_in_a_file_there_is_nothing_to_renew(tmp_path):
    reader, writer = os.pipe()
    path = tmp_path / "job.log"
    clock = Clock()
    with os.fdopen(writer, "w") as pipe:
        train(Progress(pipe, clock), clock)
    with path.open("w") as file:
        clock.now = 0.0
        train(Progress(file, clock), clock)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    assert said == path.read_text()
    assert "\r" not in said and "\033" not in said and said.endswith("\n")
    lines = [line for line in said.splitlines() if "loss 12" in line]
    assert len(lines) == 3 and lines[-1].startswith("step 3,000/3,000")  # 15 s: the first, 10 s later, the last
    assert QUIET_SECONDS == 10.0


def test_each_line_can_be_read_at_once(tmp_path):
    """`tail -f` and `sparksmith logs -f` see a line when it is said, not when a buffer is full."""
    path = tmp_path / "job.log"
    with path.open("w") as file:
        Progress(file)({"kind": "checkpoint_saved", "step": 5})
        assert path.read_text() == "saved checkpoint-5\n"


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO, errno.ENOSPC])
def test_a_stream_that_fails_stops_nothing(number):
    class Broken(Terminal):
        def write(self, text):
            raise OSError(number, os.strerror(number))

    clock = Clock()
    train(Progress(Broken(), clock), clock, steps=100)
    lasting = Lasting(Broken())
    print("something", file=lasting, flush=True)
    train(Progress(lasting, clock), clock, steps=100)


def test_a_pipe_whose_reader_ended():
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w", buffering=1)
    lasting = Lasting(stream)
    for _ in range(3):
        print("into nothing", file=lasting, flush=True)
    assert lasting.isatty() is False
    stream.close()  # nothing is left that fails


def test_a_handler_speaks_while_the_stream_is_written_to(tmp_path):
    class Busy(io.StringIO):
        def __init__(self, descriptor):
            super().__init__()
            self.descriptor = descriptor

        def fileno(self):
            return self.descriptor

        def write(self, text):
            raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")

        flush = write

    path = tmp_path / "said"
    with path.open("wb") as file:
        Lasting(Busy(file.fileno())).write("stopping after this step\n")
    assert path.read_text() == "stopping after this step\n"


def test_the_streams_are_given_back(monkeypatch):
    before = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", before[0])
    monkeypatch.setattr(sys, "stderr", before[1])
    with lasting_streams():
        print("data")
        print("talk", file=sys.stderr)
    assert (sys.stdout, sys.stderr) == before
    assert (before[0].getvalue(), before[1].getvalue()) == ("data\n", "talk\n")
