"""Being asked to stop: signals from a terminal or the system, and the stop channel.

While the model trains, a request finishes the step, saves once and ends; before and after there is nothing to save, and
it ends at once. A second Ctrl+C ends at once anywhere: what was saved stays whole, because nothing is seen before that.
A third one waits for nothing, not even for the record of how the run ended (its disk may not answer).
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

from sparksmith.base.errors import ExitCode
from sparksmith.jobs.stop import WAKE, clear_request, read_request

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, WAKE)
WORDS = {signal.SIGINT: "Ctrl+C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "a hang-up of the terminal"}


class StopNow(BaseException):
    """Unwinds to the Job's entry. No `Exception`, so that no library takes it for one of its own."""


class Stop:
    """Hears requests to stop; `training` says whether there is something to save first, `all_saved` whether everything
    that was trained is saved already, `over` that the run has ended and a request comes too late.

    `at_once` is called before the process ends on a second Ctrl+C.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None], at_once: Callable[[int], None]) -> None:
        self.folder = folder
        self.tell = tell
        self.at_once = at_once
        self.reason: str | None = None
        self.number: int | None = None
        self.training = False
        self.all_saved = False
        self.over = False
        self._interrupts = 0

    def install(self) -> None:
        """From here on requests are answered; one that came before is answered now."""
        for number in SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # started under nohup
            signal.signal(number, self._handle)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def exit_code(self, *, saved: bool) -> int:
        """What the process returns: by the first request that came."""
        if self.number == WAKE:
            return ExitCode.STOPPED_SAVED if saved else ExitCode.STOPPED_UNSAVED
        assert self.number is not None
        return 128 + self.number

    def _handle(self, number: int, frame: object) -> None:
        if number == signal.SIGINT:
            self._interrupts += 1
            if self._interrupts > 2:
                os._exit(128 + number)
        if number == signal.SIGHUP:
            _leave_terminal()
        if self.over:
            return
        if self.reason is not None:
            if number == signal.SIGINT:
                code = 128 + number
                try:
                    self.at_once(code)
                finally:
                    os._exit(code)
            return  # the same request again (a group and its leader are both told) changes nothing
        if number == WAKE:
            request = read_request(self.folder)
            if request is None:
                return
            with contextlib.suppress(OSError):  # it names this process: left behind, it stops nobody else
                clear_request(self.folder)
            self.reason = f"{request.who}: {request.reason}"
        else:
            self.reason = WORDS[signal.Signals(number)]
        self.number = number
        if not self.training:
            raise StopNow
        self.tell(f"stopping after this step ({self.reason}); Ctrl+C stops at once")


def _leave_terminal() -> None:
    """The terminal is gone: what is still said goes nowhere instead of failing. Files and pipes stay.

    After a hang-up isatty() says no, so every character device counts as the terminal.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        try:
            terminal = stat.S_ISCHR(os.fstat(descriptor).st_mode)
        except OSError:
            terminal = True
        if terminal and descriptor != null:
            os.dup2(null, descriptor)
    if null > 2:
        os.close(null)
