"""Whether the files that an installed package's RECORD lists are there, told from their names alone.

The audit says so of libraries, where it judges; this holds on every machine, with a GPU or without, and for modules.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sparksmith.machine.python_env import Distribution, printable, read_python_environment, read_start
from sparksmith.packages.installed_files import RECORD_BYTES, parse_rows
from sparksmith.packages.wheel.examine import SHARED_LIBRARY

# What images are made smaller by; the package runs without.
LEFT_OUT = ("/test/", "/tests/", "/testing/", "/include/", "/share/")


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A package that is only half there: `seen` says what is not, `record` where that was read."""

    name: str
    version: str
    seen: str
    record: str


def find_incomplete(root: Path, name: str) -> Incomplete | None:
    """What is missing of the package of that name in an environment; None where nothing is, or where it cannot be told
    (no such package, an editable one, conda's). Raises `SparksmithError` where there is no environment."""
    for distribution in read_python_environment(root).active():
        if distribution.key == name and distribution.form == "dist-info" and distribution.editable is None:
            seen = _look(distribution)
            record = str(distribution.metadata / "RECORD").removeprefix(f"{root}{os.sep}")
            return Incomplete(distribution.name, distribution.version, seen, printable(record)) if seen else None
    return None


def _look(distribution: Distribution) -> str:
    """What is missing, in words; empty where nothing is."""
    module = distribution.folder / distribution.key.replace("-", "_")
    try:
        text = read_start(distribution.metadata / "RECORD", RECORD_BYTES).decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return "" if (module / "__init__.py").exists() else f"it has neither a RECORD nor {module.name}/__init__.py"
    except OSError:
        return ""
    own, base = f"{module.name}/", f"{distribution.folder}{os.sep}"
    gone = [
        path
        for path, _ in parse_rows(text, [])
        if path.startswith(own)
        and (path.endswith(".py") or SHARED_LIBRARY.search(path))
        and not any(part in path for part in LEFT_OUT)
        and not os.path.lexists(base + path)
    ]
    if not gone:
        return ""
    files = f"{len(gone):,} of its files are" if len(gone) > 1 else "one of its files is"
    first = "the first is " if len(gone) > 1 else ""
    return f"{files} not there: {first}{printable(min(gone, key=lambda path: (path.count('/'), path)))[:200]}"
