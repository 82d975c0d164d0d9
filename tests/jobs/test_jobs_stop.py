"""The stop channel and the lock, with real processes."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys

import pytest

from sparksmith.base.errors import SparksmithError
from sparksmith.jobs import stop
from sparksmith.jobs.identity import Identity, own_identity, read_identity
from sparksmith.jobs.lock import hold_folder, is_held
from sparksmith.jobs.start import _asking_blocked
from sparksmith.jobs.stop import NAME, WAKE, StopRequest, ask_to_stop, clear_request, read_request

ASK = StopRequest("a test", "enough")


def write_request(folder, process):
    (folder / NAME).write_text(json.dumps({"process": process.to_json(), "who": "a", "reason": "b"}))


def test_a_request_is_heard_by_whom_it_is_meant_for(tmp_path):
    assert read_request(tmp_path) is None
    own = own_identity()
    write_request(tmp_path, own)
    assert read_request(tmp_path) == StopRequest("a", "b")
    for other in (Identity(own.pid + 1, own.start_ticks, own.boot), Identity(own.pid, 1, own.boot),
                  Identity(own.pid, own.start_ticks, "another boot")):  # fmt: skip
        write_request(tmp_path, other)  # left over from an earlier Job
        assert read_request(tmp_path) is None
    clear_request(tmp_path)
    clear_request(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", "5", '{"process": 5}'])
def test_a_request_that_is_none(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    assert read_request(tmp_path) is None


def test_nobody_to_ask(tmp_path, monkeypatch):
    own = own_identity()
    for process in (Identity(2**22 + 7, 1, own.boot), Identity(own.pid, 1, own.boot)):
        with pytest.raises(SparksmithError, match="does not run any more"):
            ask_to_stop(tmp_path, process, ASK)
        assert list(tmp_path.iterdir()) == []  # no request is left for a later process


@pytest.mark.parametrize(("error", "words"), [
    (ProcessLookupError(), "does not run any more"), (PermissionError(), "belongs to another user"),
])  # fmt: skip
def test_a_signal_that_does_not_arrive(tmp_path, monkeypatch, error, words):
    def send(descriptor, number):
        raise error

    monkeypatch.setattr(signal, "pidfd_send_signal", send)
    with pytest.raises(SparksmithError, match=words):
        ask_to_stop(tmp_path, own_identity(), ASK)


def test_a_full_disk_has_another_way(tmp_path, monkeypatch):
    def full(path, value):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stop, "write_json", full)
    with pytest.raises(SparksmithError, match="No space left") as caught:
        ask_to_stop(tmp_path, own_identity(), ASK)
    assert caught.value.hint == f"kill -TERM {os.getpid()}"


CHILD = """
import signal, sys
from pathlib import Path
from sparksmith.jobs.stop import WAKE, read_request
print("up", flush=True)
sys.stdin.readline()
heard = []
signal.signal(WAKE, lambda *_: heard.append(read_request(Path(sys.argv[1]))))
signal.pthread_sigmask(signal.SIG_UNBLOCK, {WAKE})
print(heard[0].who, heard[0].reason, flush=True)
"""
HOLDER = """
import sys, time
from pathlib import Path
from sparksmith.jobs.lock import hold_folder
with hold_folder(Path(sys.argv[1])):
    print("up", flush=True)
    time.sleep(60)
"""


def begin(script, folder):
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "up\n"
    return child


@pytest.mark.effects
def test_an_early_request_kills_nobody_and_is_answered(tmp_path):
    with _asking_blocked():
        child = begin(CHILD, tmp_path)
    assert WAKE not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
    ask_to_stop(tmp_path, read_identity(child.pid), ASK)
    out, _ = child.communicate("go on\n", timeout=30)
    assert (child.returncode, out) == (0, "a test enough\n")


@pytest.mark.effects
def test_one_job_in_a_folder_and_the_lock_dies_with_it(tmp_path):
    assert not is_held(tmp_path)
    child = begin(HOLDER, tmp_path)
    try:
        assert is_held(tmp_path)
        with pytest.raises(SparksmithError, match="a job is running in") as caught, hold_folder(tmp_path):
            pass
        assert "sparksmith stop" in caught.value.hint
    finally:
        child.kill()
        child.communicate()
    assert not is_held(tmp_path)
    with hold_folder(tmp_path):
        assert is_held(tmp_path)
    assert not is_held(tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
    assert not is_held(tmp_path / "absent")
    with pytest.raises(SparksmithError, match="cannot be written"), hold_folder(tmp_path / "absent"):
        pass
