"""Start a Job, in the foreground or left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sparksmith.base.command import start, start_detached
from sparksmith.base.errors import ExitCode
from sparksmith.jobs.stop import WAKE

ASKING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, WAKE}


def job_command(folder: Path, interpreter: str = sys.executable) -> list[str]:
    """The command that carries out the plan in a folder."""
    return [interpreter, "-m", "sparksmith.train", str(folder)]


@contextmanager
def _asking_blocked() -> Iterator[None]:
    """What is started here inherits the signals that ask it to stop blocked, until it can answer."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_job(folder: Path) -> int:
    """Start the Job in the foreground and return its exit code.

    Ctrl+C reaches the Job by itself (it is in the terminal's process group), so this process only waits for it to end.
    SIGTERM, which is sent to one process, is passed on; a hang-up too, of which the kernel tells only the first process
    of a terminal's session (`ssh -t host sparksmith train`). Under nohup a hang-up stays ignored.
    """
    before: dict[signal.Signals, Any] = {}
    try:
        with _asking_blocked():
            before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: None)  # SIG_IGN would be inherited
            job = start(job_command(folder))
            before[signal.SIGTERM] = signal.signal(signal.SIGTERM, lambda *_: job.terminate())
            if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
                before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: job.send_signal(signal.SIGHUP))
        code = job.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else ExitCode.KILLED if code == -signal.SIGKILL else 128 - code


def detach_job(folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start the Job in a session of its own, its output appended to a log; it outlives this process and terminal."""
    with _asking_blocked():
        return start_detached(job_command(folder), log, environment={**os.environ, "COLUMNS": "120"})
