"""The line that says what a slow audit is doing."""

from __future__ import annotations

import io

from sparksmith.report.audit_progress import AuditProgress

MIB = 1024**2


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress(stream) -> tuple[AuditProgress, Clock]:
    clock = Clock()
    return AuditProgress(stream, clock), clock


def test_what_is_quick_says_nothing():
    stream = io.StringIO()
    made, clock = progress(stream)
    with made:
        made.say("resolving for a machine")
        clock.now += 1.9
        made.say("looking at 12 packages")
    assert stream.getvalue() == ""


def test_in_a_pipe_a_line_for_each_part_and_then_every_ten_seconds():
    stream = io.StringIO()
    made, clock = progress(stream)
    with made:
        made.say("resolving for a machine")
        clock.now += 2.5
        made.tell()  # as the timer does
        made.say("looking at 12 packages")
        made.fetched("one.whl", MIB, 4 * MIB)
        clock.now += 5
        made.fetched("one.whl", 2 * MIB, 4 * MIB)
        made.fetched("two.whl", MIB, None)
        clock.now += 6
        made.fetched("one.whl", 4 * MIB, 4 * MIB)
    assert stream.getvalue().splitlines() == [
        "resolving for a machine", "looking at 12 packages", "fetching one wheel: 1.0 MiB of 4.0 MiB, one.whl",
        "fetching 2 wheels: 5.0 MiB, two.whl",
    ]  # fmt: skip


def test_on_a_terminal_one_line_renewed_and_taken_away(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    stream = Terminal()
    made, clock = progress(stream)
    with made:
        clock.now += 3
        made.fetched("long-name-of-a-wheel.whl", MIB, 4 * MIB)
        made.fetched("long-name-of-a-wheel.whl", 2 * MIB, 4 * MIB)  # too soon
        clock.now += 0.5
        made.fetched("long-name-of-a-wheel.whl", 3 * MIB, 4 * MIB)
    assert stream.getvalue().split("\r\033[K") == [
        "", "fetching one wheel: 1.0 MiB o", "fetching one wheel: 3.0 MiB o", "",
    ]  # fmt: skip
    made.fetched("late.whl", MIB, MIB)  # a thread that was still at it
    assert stream.getvalue().endswith("\r\033[K")


def test_a_stream_that_is_gone_stops_nothing():
    stream = io.StringIO()
    made, clock = progress(stream)
    with made:
        clock.now += 3
        stream.close()
        made.say("reading x.whl")
