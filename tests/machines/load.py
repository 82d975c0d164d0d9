"""Machines as folder trees for tests: each is a base and what differs from it.

`NAME/machine.toml` says what the machine is, its `base`, what of it is `removed` (a path and all below), small `files`,
`programs` (files that only have to be there), `folders`, `links`, and the `sources` of what is real; `NAME/tree` holds
the longer files. HOW_CAPTURED.md says where each comes from. Machines with one fault each are in `faulty.py`.
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NAMES = tuple(sorted(path.parent.name for path in HERE.glob("*/machine.toml")))


def describe(name: str) -> dict[str, Any]:
    """machine.toml of a machine."""
    return tomllib.loads((HERE / name / "machine.toml").read_text(encoding="utf-8"))


def build(name: str, destination: Path) -> Path:
    """The machine's whole tree in `destination`, its base first; returns it."""
    said = describe(name)
    if "base" in said:
        build(said["base"], destination)
    tree = HERE / name / "tree"
    longer = {
        str(file.relative_to(tree)): file.read_text(encoding="utf-8") for file in tree.rglob("*") if file.is_file()
    }
    return change(destination, said, longer)


def change(destination: Path, said: dict[str, Any], longer: dict[str, str] | None = None) -> Path:
    """Make of the tree in `destination` what `said` says, as a machine.toml does; returns it. `replaced` are pairs of
    an old and a new text by file, and the old one must be there."""
    destination.mkdir(parents=True, exist_ok=True)
    for path in said.get("removed", []):
        _remove(destination / path)
    for folder in said.get("folders", []):
        (destination / folder).mkdir(parents=True, exist_ok=True)
    files = {**dict.fromkeys(said.get("programs", []), ""), **(longer or {}), **said.get("files", {})}
    for path, text in files.items():
        file = destination / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    for path, pairs in said.get("replaced", {}).items():
        file = destination / path
        text = file.read_text(encoding="utf-8")
        for old, new in pairs:
            assert old in text, f"{path} has no {old!r}"
            text = text.replace(old, new)
        file.write_text(text, encoding="utf-8")
    for path, target in said.get("links", {}).items():
        link = destination / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    return destination


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
