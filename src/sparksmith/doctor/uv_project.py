"""Whether uv would keep the torch of a project's environment: what pyproject.toml and uv.lock say of it.

Measured with uv 0.13.9 in folders with one package: `uv sync` removes what the project does not name, with UV_NO_SYNC=1
too; `uv run` leaves it; and both replace a version that the lock does not name, 1.0+cu130 by 1.0 among them.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass

from sparksmith.doctor.requirements_text import asked_by
from sparksmith.machine.root import Root

LOCK_BYTES = 2**23
PACKAGE = re.compile(r"^name = \"torch\"$(?:\nversion = \"(?P<version>[^\"\n]+)\"$)?", re.MULTILINE)
TORCH = re.compile(r"torch\b(?!-)")


@dataclass(frozen=True)
class Listed:
    """`is_project`: there is a pyproject.toml with a table [project], which uv manages. `torch`: whether it or the lock
    asks for torch; None where that cannot be told. `locked` are the versions of torch that uv.lock names."""

    is_project: bool = False
    torch: bool | None = None
    locked: frozenset[str] = frozenset()


def read_listed(root: Root, folder: str) -> Listed:
    """Of the project in a folder."""
    return parse_listed(root.text(f"{folder}/pyproject.toml"), root.text(f"{folder}/uv.lock", LOCK_BYTES))


def parse_listed(pyproject: str | None, lock: str | None) -> Listed:
    """From the texts of the two files, None where one is not there."""
    try:
        said = tomllib.loads(pyproject or "")
    except (ValueError, RecursionError):
        return Listed()
    project = said.get("project")
    if not isinstance(project, dict):
        return Listed(torch=bool(PACKAGE.search(lock)) or None if lock else None)
    if lock:
        found = [match["version"] for match in PACKAGE.finditer(lock)]
        return Listed(True, bool(found), frozenset(found) if all(found) else frozenset())
    asked = asked_by(said)
    if any(TORCH.match(each) for each in asked):
        return Listed(True, torch=True)
    # what its packages require is not known without a lock, nor what is computed when it is built
    dynamic = project.get("dynamic")
    unknown = bool(asked) or (isinstance(dynamic, list) and "dependencies" in dynamic)
    return Listed(True, torch=None if unknown else False)
