"""Which process a record speaks of, and what became of a run by it: under made-up /proc trees."""

from __future__ import annotations

import os

import pytest

from records import RAN, fake_proc, stat_line, write_checkpoint, write_run
from sparksmith.jobs.identity import is_alive, own_identity, parse_identity, parse_start_ticks, read_identity
from sparksmith.jobs.status import read_status
from sparksmith.runs.layout import RunFolder


@pytest.mark.parametrize("command", ["python", "a b", "a) S 1 (b", ")", "((", "new\nline", "tab\t)", "", ") Z 5 5 5"])
def test_the_start_time_whatever_the_command_is_called(command):
    assert parse_start_ticks(stat_line(7, command, "R", 12345)) == ("R", 12345)


def test_the_kernels_own_line_is_read():
    identity = own_identity()
    assert identity.pid == os.getpid()
    assert identity.start_ticks > 0
    assert len(identity.boot) == 36
    assert is_alive(identity)
    assert parse_identity(identity.to_json()) == identity


@pytest.mark.parametrize("record", [None, 5, [], {}, {"pid": 1}, {"pid": "x", "start_ticks": 1, "boot": ""},
                                    {"pid": float("inf"), "start_ticks": 1, "boot": ""}])  # fmt: skip
def test_a_record_that_names_no_process(record):
    assert parse_identity(record) is None


OTHERS = {
    "no process": {},
    "its pid was given again": {"p7": "S 900"},
    "a zombie": {"p7": "Z 500"},
    "dead": {"p7": "X 500"},
    "another boot": {"boot": "boot-b", "p7": "S 500"},
}


@pytest.mark.parametrize("processes", OTHERS.values(), ids=OTHERS)
def test_who_is_not_alive(tmp_path, processes):
    assert not is_alive(RAN, fake_proc(tmp_path, **processes))


def test_who_is_alive(tmp_path):
    assert is_alive(RAN, fake_proc(tmp_path, p7="D 500"))
    (tmp_path / "proc/7/stat").write_text("cut")
    assert read_identity(7, tmp_path) is None


@pytest.mark.parametrize("processes", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("state", ["planned", "running", "finished", "stopped", "failed"])
def test_a_dead_process_is_never_shown_as_running(tmp_path, state, processes):
    folder = write_run(tmp_path / "run", state, process=RAN.to_json())
    status = read_status(folder, fake_proc(tmp_path, **processes))
    assert status.process is None
    assert status.state == ("died" if state == "running" else state)
    assert status.can_go_on is (state != "finished")
    if state == "running":
        assert ("restarted" in status.why) is (processes.get("boot") == "boot-b")
        assert ("without a word" in status.why) is ("boot" not in processes)


def test_a_running_one(tmp_path):
    folder = write_run(tmp_path / "run", "running", process=RAN.to_json())
    write_checkpoint(folder.path, 5)
    (write_checkpoint(folder.path, 9) / "optimizer.pt").unlink()
    folder.metrics.write_text('{"step": 6, "loss": 0.5, "time": 1}\n{"step": 7, "eval_loss": 1, "time": 1}\n{"st')
    status = read_status(folder, fake_proc(tmp_path, p7="R 500"))
    assert (status.state, status.why, status.process, status.can_go_on) == ("running", "", RAN, False)
    assert (status.step, status.max_steps, status.loss, status.checkpoint) == (6, 20, 0.5, "checkpoint-5")


def test_a_checkpoint_may_be_further_than_the_curves(tmp_path):
    folder = write_run(tmp_path / "run", "stopped", message="Ctrl+C")
    write_checkpoint(folder.path, 8)
    status = read_status(folder, fake_proc(tmp_path))
    assert (status.state, status.why, status.step, status.loss) == ("stopped", "Ctrl+C", 8, None)


def test_no_run(tmp_path):
    (tmp_path / "empty").mkdir()
    assert read_status(RunFolder(tmp_path / "absent")).state == "gone"
    assert read_status(RunFolder(tmp_path / "empty")).state == "gone"


@pytest.mark.parametrize("text", ["", "[]", "5", '"x"', "{", "\x00"])
def test_records_that_something_else_has_written_into(tmp_path, text):
    folder = write_run(tmp_path / "run")
    for path in (folder.manifest, folder.plan, folder.metrics):
        path.write_text(text)
    folder.metrics.write_text(text + "\n" + text + "\n5\n")
    status = read_status(folder, fake_proc(tmp_path))
    assert (status.state, status.step, status.max_steps) == ("failed", 0, None)
    assert "cannot be read" in status.why
