"""The fixtures of conftest.py do what they promise."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sparksmith.base.command import ask, start

FORBIDDEN = pytest.fail.Exception


@pytest.mark.parametrize(
    "effect",
    [
        lambda: subprocess.run(["true"], check=False),
        lambda: subprocess.Popen(["true"]),
        lambda: subprocess.check_output(["true"]),
        lambda: os.system("true"),
        lambda: os.popen("true"),
        lambda: os.fork(),
        lambda: pty.fork(),
        lambda: os.posix_spawn("/bin/true", ["true"], {}),
        lambda: os.execv("/bin/true", ["true"]),
        lambda: os.kill(os.getpid(), signal.SIGTERM),
        lambda: os.killpg(os.getpgid(0), 0),
        lambda: ask(["true"]),
        lambda: start(["true"]),
    ],
)
def test_processes_are_out_of_reach(effect):
    with pytest.raises(FORBIDDEN, match="mark the test with `effects`"):
        effect()


@pytest.mark.parametrize(
    "effect",
    [
        lambda opened: opened.connect(("127.0.0.1", 9)),
        lambda opened: opened.connect_ex(("127.0.0.1", 9)),
        lambda opened: opened.bind(("127.0.0.1", 0)),
        lambda opened: socket.create_connection(("127.0.0.1", 9), timeout=0.1),
        lambda opened: socket.getaddrinfo("example.org", 80),
        lambda opened: asyncio.run(asyncio.open_connection("127.0.0.1", 9)),
    ],
)
def test_the_network_is_out_of_reach(effect):
    with socket.socket() as opened, pytest.raises(FORBIDDEN, match="a unit test called"):
        effect(opened)


def test_the_message_names_the_call_and_passes_every_except_exception():
    def careless():
        try:
            subprocess.run(["rm", "-r", "somewhere"], check=False)
        except Exception:
            return "swallowed"
        return "ran"

    with pytest.raises(FORBIDDEN, match=r"subprocess\.Popen\(\['rm', '-r', 'somewhere'\]"):
        careless()


@pytest.mark.effects
def test_the_marker_lifts_it():
    done = subprocess.run([sys.executable, "-c", "print(1 + 1)"], capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"
    os.kill(os.getpid(), 0)


def test_home_is_a_folder_of_this_test(own_home):
    assert Path.home() == own_home
    assert Path("~").expanduser() == own_home
    assert Path(os.environ["XDG_STATE_HOME"]).is_relative_to(own_home)
    assert Path(os.environ["HF_HOME"]).is_relative_to(own_home)
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert list(own_home.iterdir()) == []
    (own_home / "left").touch()


test_home_is_fresh_again = test_home_is_a_folder_of_this_test
