"""Facts of installed packages, kept in the user's cache folder: one file for each environment.

A package's facts hold as long as every file that they were read from has the same size and times (modification, and
change of its inode: images and wheels give many files one modification time). Written whole and renamed into place, so
readers side by side see the old facts or the new; a file that is damaged or of another version is as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparksmith import __version__
from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import write_atomic
from sparksmith.base.folders import cache_folder
from sparksmith.packages.facts import FACTS_VERSION, PackageFacts

CACHE_VERSION = 1
LARGEST_BYTES = 2**26
Stamp = tuple[int, int, int] | None  # size in bytes, and two times in ns; None for a file that is not there


def stamp(path: str) -> Stamp:
    """What tells that a file is another than before."""
    try:
        status = os.stat(path)  # noqa: PTH116 - thousands of them
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


@dataclass(frozen=True, slots=True)
class Kept:
    """One package's facts, and what its files were."""

    stamps: dict[str, Stamp]
    facts: PackageFacts

    def holds(self) -> bool:
        return all(stamp(path) == before for path, before in self.stamps.items())


def cache_file(root: Path) -> Path:
    """Where the facts of an environment are kept."""
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:24]
    return cache_folder() / "facts" / f"{name}.json"


def read_kept(file: Path) -> dict[str, Kept]:
    """What is kept, by the path of a distribution's metadata; nothing where it cannot be used."""
    try:
        if file.stat().st_size > LARGEST_BYTES:
            return {}
        value = json.loads(file.read_bytes())
        if value["written_by"] != _written_by():
            return {}
        return {key: _kept(entry) for key, entry in value["packages"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SparksmithError):
        return {}


def write_kept(file: Path, root: Path, kept: dict[str, Kept]) -> None:
    """Keep facts. A cache folder that cannot be written costs time, not the audit."""
    value = {
        "written_by": _written_by(),
        "environment": str(root),
        "packages": {key: {"stamps": one.stamps, "facts": one.facts.to_json()} for key, one in kept.items()},
    }
    with contextlib.suppress(OSError, UnicodeError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, json.dumps(value))


def _written_by() -> list[Any]:
    """What facts depend on beside the files: the versions, and in a clone the readers' own sources."""
    here = Path(__file__).parent
    sources = sorted([*here.glob("*.py"), *here.glob("wheel/*.py")])
    return [CACHE_VERSION, FACTS_VERSION, __version__, *(list(stamp(str(path)) or ()) for path in sources)]


def _kept(entry: dict[str, Any]) -> Kept:
    stamps: dict[str, Stamp] = {
        path: (before[0], before[1], before[2]) if before else None for path, before in entry["stamps"].items()
    }
    return Kept(stamps, PackageFacts.from_json(entry["facts"]))
