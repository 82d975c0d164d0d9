"""Start a Job and wait for it."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from sparksmith.base.command import start
from sparksmith.base.errors import ExitCode


def job_command(folder: Path, interpreter: str = sys.executable) -> list[str]:
    """The command that carries out the plan in a folder."""
    return [interpreter, "-m", "sparksmith.train", str(folder)]


def run_job(folder: Path) -> int:
    """Start the Job in the foreground and return its exit code.

    Ctrl+C reaches the Job by itself (it is in the terminal's process group), so this process only waits for it to end.
    """
    job = start(job_command(folder))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    forwarded = signal.signal(signal.SIGTERM, lambda *_: job.terminate())
    try:
        code = job.wait()
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, forwarded)
    return code if code >= 0 else ExitCode.KILLED if code == -signal.SIGKILL else 128 - code
