"""A child that is not trusted to end: its lines are handed on while they come, and at the deadline its group is killed.

Covers what hangs, crashes, floods its output, ignores SIGTERM or leaves processes behind in its group. Does not cover a
descendant that makes a session of its own, nor a process that hangs inside the driver: that one is left, and said so.
Its memory is bounded by what it takes itself; where memory runs short all the same, it is the first that the kernel
kills. (RLIMIT_AS would break CUDA, which reserves addresses for far more than it uses.)
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sparksmith.base.command import start_piped

LINE_BYTES = 1 << 18  # of a longer line only the end is kept
ERRORS_BYTES = 1 << 16  # of the standard error: its end
READ_BYTES = 1 << 16
LOOK_SECONDS = 0.05  # between two looks whether it has ended
LAST_WORDS_SECONDS = 0.5  # to say where it hangs
LEFT_BYTES = 1 << 24  # read at most after its end: something that it left behind may still write
REAP_SECONDS = 5.0
FIRST_TO_DIE = "1000"  # oom_score_adj; raising it needs no rights (proc(5))


@dataclass(frozen=True)
class Ending:
    """How a child ended. `code` is as subprocess has it (-11: SIGSEGV), None where it never started (`problem` says
    why) or did not end. `late`: the deadline came first. `stuck`: it outlived SIGKILL, so it hangs in the kernel."""

    code: int | None
    seconds: float
    errors: str
    late: bool = False
    stuck: bool = False
    problem: str = ""


def watch(
    argv: Sequence[str], environment: Mapping[str, str], deadline_seconds: float, on_line: Callable[[bytes], None]
) -> Ending:
    """Run a command to its end or to the deadline. Whatever happens here, nothing of its group is left running."""
    began = time.monotonic()
    try:
        process = start_piped(argv, environment=environment)
    except OSError as error:
        return Ending(None, time.monotonic() - began, "", problem=error.strerror or str(error))
    late = stuck = False
    with _Pipes(process, on_line) as pipes:
        try:
            with suppress(OSError):  # not Linux, or gone already
                Path(f"/proc/{process.pid}/oom_score_adj").write_text(FIRST_TO_DIE, encoding="ascii")
            late = not _ends(process, pipes, began + deadline_seconds)
            if late:  # the probe answers this with where it is
                process.send_signal(signal.SIGUSR1)
                _ends(process, pipes, time.monotonic() + LAST_WORDS_SECONDS)
        finally:
            stuck = not _kill_group(process)
        pipes.drain()
    return Ending(process.returncode, time.monotonic() - began, pipes.errors, late, stuck)


def _ends(process: subprocess.Popen[bytes], pipes: _Pipes, until: float) -> bool:
    """Read until the process has ended (True) or it is `until` (monotonic seconds)."""
    while process.poll() is None:
        left = until - time.monotonic()
        if left <= 0:
            return False
        pipes.read(min(LOOK_SECONDS, left))
    return True


def _kill_group(process: subprocess.Popen[bytes]) -> bool:
    """Kill it with all of its group, and whether it could be reaped. A group's number is not given again while it has
    members, so what is killed is never somebody else's."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(REAP_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


@dataclass
class _Pipes:
    """The child's output, cut into lines, and the end of its standard error."""

    process: subprocess.Popen[bytes]
    on_line: Callable[[bytes], None]
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _begun: bytes = b""
    _errors: bytes = b""

    def __enter__(self) -> _Pipes:
        for pipe, take in ((self.process.stdout, self._take_lines), (self.process.stderr, self._take_errors)):
            assert pipe is not None, "both are pipes"
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ, take)
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    @property
    def errors(self) -> str:
        return self._errors.decode("utf-8", "replace")

    def read(self, seconds: float) -> int:
        """Wait that long for something to read, and take it; how many bytes it was."""
        if not self._selector.get_map():  # both were closed by the child
            time.sleep(seconds)
            return 0
        count = 0
        for key, _ in self._selector.select(seconds):
            try:
                new = os.read(key.fd, READ_BYTES)
            except BlockingIOError:
                continue
            if new:
                key.data(new)
            else:
                self._selector.unregister(key.fileobj)
            count += len(new)
        return count

    def drain(self) -> None:
        """Take what is still there."""
        count = 0
        while count < LEFT_BYTES and (new := self.read(0)):
            count += new
        if self._begun:
            self.on_line(self._begun)

    def _take_lines(self, new: bytes) -> None:
        *whole, begun = (self._begun + new).split(b"\n")
        self._begun = begun[-LINE_BYTES:]
        for line in whole:
            self.on_line(line)

    def _take_errors(self, new: bytes) -> None:
        self._errors = (self._errors + new)[-ERRORS_BYTES:]
