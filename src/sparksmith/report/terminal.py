"""Standard output and error that may go away: a terminal that hung up, a pipe whose reader ended, a full disk."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

GONE = {errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO}


class Lasting:
    """A text stream that never raises: what cannot be said is dropped. Everything else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except RuntimeError:  # a signal's handler speaks while the same stream is being written to
            with contextlib.suppress(OSError, ValueError):
                os.write(self._stream.fileno(), text.encode(errors="replace"))
        except (OSError, ValueError) as error:
            self._drop(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except RuntimeError:  # as above: who is writing will flush
            pass
        except (OSError, ValueError) as error:
            self._drop(error)

    def _drop(self, error: Exception) -> None:
        if getattr(error, "errno", None) in GONE:
            with contextlib.suppress(OSError, ValueError):
                silence(self._stream.fileno())


class OutputLost(Exception):
    """Standard output cannot be written. No `OSError`, so that nobody takes it for one about a file of theirs."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror or str(error))
        self.reader_left = error.errno == errno.EPIPE  # who read has seen enough


class Watched:
    """A text stream whose failures are `OutputLost`. Everything else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            raise OutputLost(error) from None

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            raise OutputLost(error) from None


@contextlib.contextmanager
def watched_output() -> Iterator[None]:
    """Inside, and at the end, standard output that cannot be written raises `OutputLost`; Python's own end is quiet."""
    before = sys.stdout
    if before is None:  # closed: >&-
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
            yield
        return
    sys.stdout = Watched(before)
    try:
        yield
        sys.stdout.flush()
    except OutputLost:
        with contextlib.suppress(OSError, ValueError):
            silence(before.fileno())
        raise
    finally:
        sys.stdout = before


def silence(descriptor: int) -> None:
    """What is written to this descriptor from now on goes nowhere."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)
    os.close(null)


@contextlib.contextmanager
def lasting_streams() -> Iterator[None]:
    """Inside, nothing that is said can fail; at the end nothing is left that fails when Python ends."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Lasting(before[0]), Lasting(before[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in before:
            try:
                stream.flush()
            except (OSError, ValueError):
                with contextlib.suppress(OSError, ValueError):
                    silence(stream.fileno())
                    stream.flush()
