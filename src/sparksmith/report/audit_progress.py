"""What an audit that takes longer than two seconds is doing: one line, renewed in place on a terminal."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from sparksmith.base.units import format_bytes

SLOW_SECONDS = 2.0
RENEW_SECONDS = 0.2
QUIET_SECONDS = 10.0  # at least this long between lines where they cannot be renewed in place


class AuditProgress:
    """Heard from several threads: `say` begins another part of the work, `fetched` counts bytes of a file."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream
        self.clock = clock
        self.live = stream.isatty()
        self.begun = clock()
        self.text = ""
        self.files: dict[str, tuple[int, int | None]] = {}
        self.shown = ""
        self.shown_at = -QUIET_SECONDS
        self.lock = threading.Lock()
        self.timer: threading.Timer | None = None

    def __enter__(self) -> AuditProgress:
        self.timer = threading.Timer(SLOW_SECONDS, self.tell)
        self.timer.daemon = True
        self.timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.timer:
            self.timer.cancel()
        with self.lock, contextlib.suppress(OSError, ValueError):
            if self.live and self.shown:
                self.stream.write("\r\033[K")
                self.stream.flush()
            self.begun = float("inf")  # a thread that is still at it says nothing more

    def say(self, text: str) -> None:
        """What is being done from now on."""
        self.text = text
        self.files.clear()
        self.tell()

    def fetched(self, file: str, done: int, total: int | None) -> None:
        """So many bytes of a file are there."""
        self.files[file] = (done, total)
        self.tell()

    def tell(self) -> None:
        """Show it, if it is time."""
        with self.lock, contextlib.suppress(OSError, ValueError):
            now = self.clock()
            line = self.line()
            if now - self.begun < SLOW_SECONDS or not line or line == self.shown:
                return
            changed = line.split()[:1] != self.shown.split()[:1]
            if now - self.shown_at < (RENEW_SECONDS if self.live else QUIET_SECONDS) and not changed:
                return
            self.shown, self.shown_at = line, now
            if self.live:
                width = shutil.get_terminal_size().columns - 1
                self.stream.write(f"\r\033[K{line[:width]}")
            else:
                self.stream.write(f"{line}\n")
            self.stream.flush()

    def line(self) -> str:
        """fetching 2 wheels: 120.3 MiB of 489.0 MiB, torch-2.9.0-cp312-..."""
        files = dict(self.files)
        if not files:
            return self.text
        done = sum(each for each, _ in files.values())
        totals = [total for _, total in files.values()]
        of = f" of {format_bytes(sum(total or 0 for total in totals))}" if all(totals) else ""
        wheels = f"{len(files)} wheels" if len(files) > 1 else "one wheel"
        unfinished = [name for name, (here, total) in files.items() if here != total]
        return f"fetching {wheels}: {format_bytes(done)}{of}" + (f", {unfinished[-1]}" if unfinished else "")
