"""The stop channel: ask a Job to save and stop, and hear that one was asked.

Who asks writes `stop.json` into the Job's folder, then sends SIGUSR1 to wake it. The request names the process it is
meant for, so that one left over from an earlier Job stops nobody. A Job is started with SIGUSR1 blocked and unblocks it
when it can answer, so that an early one kills nothing.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import read_json, write_json
from sparksmith.jobs.identity import Identity, is_alive, own_identity, parse_identity

NAME = "stop.json"
WAKE = signal.SIGUSR1


@dataclass(frozen=True)
class StopRequest:
    """Who asked, and why."""

    who: str
    reason: str


def ask_to_stop(folder: Path, process: Identity, request: StopRequest) -> None:
    """Write the request and wake the Job. Raises `SparksmithError` where it does not run any more or is not ours."""
    ended = SparksmithError(f"the job in {folder} does not run any more", "sparksmith runs")
    try:
        descriptor = os.pidfd_open(process.pid)  # opened first, so that the signal cannot reach a later process
    except OSError:
        raise ended from None
    try:
        if not is_alive(process):
            raise ended
        asked = {"process": process.to_json(), "who": request.who, "reason": request.reason}
        write_json(folder / NAME, {"version": 1, "time": time.time(), **asked})
        signal.pidfd_send_signal(descriptor, WAKE)
    except ProcessLookupError:
        clear_request(folder)
        raise ended from None
    except PermissionError:
        raise SparksmithError(f"the job in {folder} belongs to another user", "ask its owner, or use sudo") from None
    except OSError as error:  # a full disk, say
        raise SparksmithError(
            f"the request cannot be written into {folder}: {error.strerror}", f"kill -TERM {process.pid}"
        ) from None
    finally:
        os.close(descriptor)


def read_request(folder: Path) -> StopRequest | None:
    """The request that is meant for this process, or None."""
    try:
        content = read_json(folder / NAME)
        if parse_identity(content["process"]) != own_identity():
            return None
        return StopRequest(str(content["who"]), str(content["reason"]))
    except (SparksmithError, KeyError, TypeError):
        return None


def clear_request(folder: Path) -> None:
    """Take an answered or stale request away."""
    (folder / NAME).unlink(missing_ok=True)
