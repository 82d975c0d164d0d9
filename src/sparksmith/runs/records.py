"""Write and read what a run records. Each line of events and metrics is flushed as it is written; secrets are redacted.

The schemas stand beside this file (schemas/*.json, JSON Schema 2020-12). A record carries the version of its schema.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import read_json, write_json
from sparksmith.base.redact import redact
from sparksmith.runs.layout import RunFolder

RECORD_VERSION = 1
Sink = Callable[[dict[str, Any]], None]


def schema(name: str) -> dict[str, Any]:
    """The JSON schema of `manifest`, `event`, `metric`, `evaluation` or `prediction`."""
    loaded: dict[str, Any] = json.loads((files("sparksmith.runs") / "schemas" / f"{name}.json").read_text())
    return loaded


class Recorder:
    """Appends to events.jsonl and metrics.jsonl, and hands each event on to the sinks (the progress line, a page)."""

    def __init__(self, folder: RunFolder, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self.sinks: list[Sink] = []
        self._clock = clock
        self._events = _open_to_append(folder.events)
        self._metrics = _open_to_append(folder.metrics)

    def event(self, kind: str, **facts: Any) -> None:
        """Something happened. `kind` is one of the schema's."""
        line = redact({"version": RECORD_VERSION, "time": self._clock(), "kind": kind, **facts})
        _write_line(self._events, line)
        for sink in self.sinks:
            sink(line)

    def metric(self, step: int, **figures: float) -> None:
        """A point of the curves: figures of one step."""
        line = {"version": RECORD_VERSION, "time": self._clock(), "step": step, **figures}
        _write_line(self._metrics, line)
        for sink in self.sinks:
            sink({"kind": "metric", **line})

    def close(self) -> None:
        self._events.close()
        self._metrics.close()


def _open_to_append(path: Path) -> IO[str]:
    """Open for whole lines: one that was cut off when a process died goes first, or it would stand in the middle."""
    if path.is_file() and not (content := path.read_bytes()).endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)
    return path.open("a", encoding="utf-8")


def _write_line(file: IO[str], value: dict[str, Any]) -> None:
    file.write(json.dumps(value, ensure_ascii=False) + "\n")
    file.flush()


def write_manifest(folder: RunFolder, **facts: Any) -> None:
    """Write or renew the manifest: what is given replaces what stood there."""
    known = read_json(folder.manifest) if folder.manifest.is_file() else {}
    write_json(folder.manifest, redact({"version": RECORD_VERSION, **known, **facts}))


def write_evaluation(folder: Path, evaluation: dict[str, Any], predictions: list[dict[str, Any]]) -> None:
    """evaluation.json and predictions.jsonl, each whole or not at all."""
    from sparksmith.base.files import write_atomic

    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in predictions)
    write_atomic(RunFolder(folder).predictions, lines)
    write_json(RunFolder(folder).evaluation, {"version": RECORD_VERSION, **evaluation})


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
            raise SparksmithError(f"{path}, line {number}, is not JSON") from None
        yield record


def new_run_id(clock: Callable[[], float] = time.time) -> str:
    """A name for a run that sorts by time and does not collide: 20261121-031500-1a2b."""
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime(clock())) + "-" + os.urandom(2).hex()
