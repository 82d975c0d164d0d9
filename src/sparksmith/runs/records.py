"""Write and read what a run records. Each line of events and metrics is flushed as it is written; secrets are redacted.

The schemas stand beside this file (schemas/*.json, JSON Schema 2020-12). A record carries the version of its schema.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shlex
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import read_json, write_atomic, write_json
from sparksmith.base.redact import redact
from sparksmith.runs.layout import RunFolder

RECORD_VERSION = 1
Sink = Callable[[dict[str, Any]], None]


def schema(name: str) -> dict[str, Any]:
    """The JSON schema of `manifest`, `data`, `event`, `metric`, `evaluation`, `prediction`, `predict` or `status`."""
    loaded: dict[str, Any] = json.loads((files("sparksmith.runs") / "schemas" / f"{name}.json").read_text())
    return loaded


class LineFile:
    """A file of whole lines. A line that cannot be written (a full disk) leaves no part of itself behind."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        content = path.read_bytes()
        if content and not content.endswith(b"\n"):  # the process before died in the middle of a line
            os.ftruncate(self._descriptor, content.rfind(b"\n") + 1)

    def write(self, value: dict[str, Any]) -> None:
        """Append one line and hand it to the system. Raises `OSError`, with the file as it was."""
        data = (json.dumps(value, ensure_ascii=False) + "\n").encode()
        before = os.fstat(self._descriptor).st_size
        try:
            if os.write(self._descriptor, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, before)
            raise

    def close(self) -> None:
        os.close(self._descriptor)


class Recorder:
    """Appends to events.jsonl and metrics.jsonl, and hands each event on to the sinks (the progress line, a page).

    A line that cannot be written does not stop a run: the sinks are told once, and the lost lines are counted.
    """

    def __init__(self, folder: RunFolder, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self.sinks: list[Sink] = []
        self.lost_lines = 0
        self._clock = clock
        self._events = LineFile(folder.events)
        self._metrics = LineFile(folder.metrics)

    def event(self, kind: str, **facts: Any) -> None:
        """Something happened. `kind` is one of the schema's."""
        line = redact({"version": RECORD_VERSION, "time": self._clock(), "kind": kind, **facts})
        self._write(self._events, line)
        self.tell(line)

    def metric(self, step: int, **figures: Any) -> None:
        """A point of the curves: figures of one step."""
        line = {"version": RECORD_VERSION, "time": self._clock(), "step": step, **figures}
        self._write(self._metrics, line)
        self.tell({"kind": "metric", **line})

    def tell(self, line: dict[str, Any]) -> None:
        """Show the sinks something that is not written down."""
        for sink in self.sinks:
            sink(line)

    def restart_metrics(self) -> None:
        """Go on with metrics.jsonl after another has rewritten it."""
        self._metrics.close()
        self._metrics = LineFile(self.folder.metrics)

    def close(self) -> None:
        self._events.close()
        self._metrics.close()

    def _write(self, file: LineFile, line: dict[str, Any]) -> None:
        try:
            file.write(line)
        except OSError as error:
            self.lost_lines += 1
            if self.lost_lines == 1:
                self.tell(
                    {"kind": "warning", "message": f"the run's records cannot be written: {error.strerror or error}"}
                )


def drop_metrics_after(folder: RunFolder, step: int) -> int:
    """Take the points after a step out of metrics.jsonl, before they are made again. Returns how many.

    A line without a step is no point of ours, and stays.
    """
    lines = list(read_lines(folder.metrics))
    kept = [line for line in lines if not _is_after(line, step)]
    if len(kept) < len(lines):
        write_atomic(folder.metrics, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept))
    return len(lines) - len(kept)


def _is_after(line: Any, step: int) -> bool:
    at = line.get("step") if isinstance(line, dict) else None
    return isinstance(at, int | float) and at > step


def write_manifest(folder: RunFolder, **facts: Any) -> None:
    """Write or renew the manifest: what is given replaces what stood there."""
    try:
        known = read_json(folder.manifest)
    except SparksmithError:  # none yet, or one that a disk has damaged: no reason not to record how a run ended
        known = {}
    write_json(folder.manifest, redact({"version": RECORD_VERSION, **known, **facts}))


def write_evaluation(folder: Path, evaluation: dict[str, Any], predictions: list[dict[str, Any]]) -> None:
    """evaluation.json and predictions.jsonl, each whole or not at all."""
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in predictions)
    write_atomic(RunFolder(folder).predictions, lines)
    write_json(RunFolder(folder).evaluation, {"version": RECORD_VERSION, **evaluation})


def write_data(folder: Path, facts: dict[str, Any]) -> None:
    """data.json, whole or not at all."""
    write_json(RunFolder(folder).data, facts)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a .jsonl file. A last line that was cut off while it was written is passed over.

    Raises `SparksmithError` for a line in the middle that is not JSON.
    """
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            if number == len(lines):
                return
            raise SparksmithError(
                f"{path}, line {number}, is not JSON", f"sed -n {number}p {shlex.quote(str(path))}"
            ) from None
        yield record


def new_run_id(clock: Callable[[], float] = time.time) -> str:
    """A name for a run that sorts by time and does not collide: 20261121-031500-1a2b."""
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime(clock())) + "-" + os.urandom(2).hex()
