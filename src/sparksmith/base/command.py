"""The only door to other processes: every room goes through here, so that tests can shut it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Answer:
    """What a command said. `code` is None where it was not there or did not answer in time."""

    code: int | None
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.code == 0


def ask(argv: Sequence[str], timeout_seconds: float = 5.0) -> Answer:
    """Run a command that only tells something, and return what it said. Never raises for a missing or slow one."""
    try:
        done = subprocess.run(
            list(argv), capture_output=True, text=True, errors="replace", timeout=timeout_seconds, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        return Answer(None, "", f"{argv[0]}: not found")
    except subprocess.TimeoutExpired:
        return Answer(None, "", f"{argv[0]}: no answer within {timeout_seconds:g} s")
    except OSError as error:
        return Answer(None, "", f"{argv[0]}: {error}")
    return Answer(done.returncode, done.stdout, done.stderr)


def start(
    argv: Sequence[str], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a command that shares our terminal, and leave it running."""
    return subprocess.Popen(list(argv), cwd=cwd, env=dict(environment) if environment is not None else None)


def start_detached(argv: Sequence[str], log: Path, *, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, with no input and its output appended to a file."""
    with log.open("ab") as output:
        return subprocess.Popen(
            list(argv),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def start_piped(argv: Sequence[str], *, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a command in a session and group of its own, with no input, whose output and errors we read."""
    return subprocess.Popen(
        list(argv),
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
