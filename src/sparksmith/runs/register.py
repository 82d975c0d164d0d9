"""The user's runs, wherever their folders are: one small file each in the user's state folder."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from sparksmith.base.files import write_json
from sparksmith.base.folders import state_folder
from sparksmith.runs.layout import RunFolder


@dataclass(frozen=True)
class Registered:
    """A run that was begun: its identity, its folder, and the file that says so."""

    run: str
    folder: RunFolder
    created: float
    entry: Path


def register_folder() -> Path:
    """Where the register is."""
    return state_folder() / "runs"


def register(run: str, folder: RunFolder, created: float) -> None:
    """Remember a run. Raises `OSError`."""
    place = register_folder()
    place.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w-]", "_", run)  # a manifest from elsewhere must not lead out of the register
    write_json(place / f"{name}.json", {"version": 1, "run": run, "folder": str(folder.path), "created": created})


def registered() -> list[Registered]:
    """All remembered runs, newest first; an entry that cannot be read is passed over."""
    found = []
    for entry in register_folder().glob("*.json"):
        try:
            row = json.loads(entry.read_text(encoding="utf-8"))
            found.append(Registered(str(row["run"]), RunFolder(Path(row["folder"])), float(row["created"]), entry))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda run: run.created, reverse=True)


def newest_of_each_folder() -> list[Registered]:
    """The remembered runs, newest first, each folder once: a folder that was used again shows its newest run."""
    found: dict[Path, Registered] = {}
    for run in registered():
        found.setdefault(run.folder.path.resolve(), run)
    return list(found.values())
