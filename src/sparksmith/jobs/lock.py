"""One Job in a folder at a time: a lock that the kernel lets go of when the Job ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparksmith.base.errors import SparksmithError

NAME = ".lock"


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Hold a run's folder. Raises `SparksmithError` where another Job holds it."""
    try:
        descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise SparksmithError(
            f"the run's folder {folder} cannot be written: {error.strerror}", f"ls -ld {shlex.quote(str(folder))}"
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SparksmithError(
                f"a job is running in {folder}", f"sparksmith stop {shlex.quote(str(folder))}, or another folder"
            ) from None
        yield
    finally:
        os.close(descriptor)


def is_held(folder: Path) -> bool:
    """Whether a Job holds the folder now."""
    try:
        descriptor = os.open(folder / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
