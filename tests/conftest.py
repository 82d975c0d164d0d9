"""What every test stands on: no real effects, no network, and a home of its own.

A unit test may start no process, send no signal to one and open no connection; `@pytest.mark.effects` lifts that for
the few tests that are about processes. Only attributes are replaced, and only while a test runs, so that pytest's own
workers are not touched.
"""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

pytest.register_assert_rewrite("typed")
os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when huggingface_hub is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers side by side that spin for each other's cores take minutes

# The same examples every time, and no folder of them in the checkout.
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "sparksmith-hypothesis")
settings.register_profile("sparksmith", derandomize=True, deadline=None, max_examples=50, database=None)
settings.load_profile("sparksmith")

FORBIDDEN = (
    (os, ("system", "fork", "forkpty", "posix_spawn", "posix_spawnp", "execv", "execve", "kill", "killpg", "abort")),
    (pty, ("fork",)),
    (signal, ("pidfd_send_signal",)),
    (socket.socket, ("connect", "connect_ex", "bind", "sendto")),
    (socket, ("create_connection", "getaddrinfo", "gethostbyname")),
)
HARMLESS_CALLERS = {"ctypes.util"}  # asks ldconfig where a library lies, when torch is imported


def forbid(name: str) -> Callable[..., Any]:
    """A function that fails the test that calls it, past every `except Exception`."""

    def forbidden(*arguments: Any, **options: Any) -> Any:
        shown = ", ".join(map(repr, arguments))[:120]
        pytest.fail(
            f"a unit test called {name}({shown}): hand in a fake, or mark the test with `effects`", pytrace=True
        )

    return forbidden


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nothing of the user's is read or written, and no library asks a hub."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name, folder in (
        ("STATE", ".local/state"),
        ("DATA", ".local/share"),
        ("CONFIG", ".config"),
        ("CACHE", ".cache"),
    ):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / folder))
    monkeypatch.setenv("HF_HOME", str(home / ".cache/huggingface"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("PATH", f"{sys.prefix}/bin:{os.environ['PATH']}")  # as in an environment that was activated
    monkeypatch.delenv("SPARKSMITH_TRACE", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return home


@pytest.fixture(autouse=True)
def no_effects(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shut every door to other processes and to the network, unless the test is marked `effects`."""
    if request.node.get_closest_marker("effects"):
        return
    for owner, names in FORBIDDEN:
        for name in names:
            if hasattr(owner, name):
                monkeypatch.setattr(owner, name, forbid(f"{owner.__name__}.{name}"))
    start = subprocess.Popen.__init__

    def popen(self: Any, *arguments: Any, **options: Any) -> None:
        if sys._getframe(1).f_globals.get("__name__") in HARMLESS_CALLERS:
            return start(self, *arguments, **options)
        return forbid("subprocess.Popen")(*arguments)

    # Popen stays a class, so that libraries which are imported late can derive from it
    monkeypatch.setattr(subprocess.Popen, "__init__", popen)
