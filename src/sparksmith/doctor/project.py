"""What the files of a project ask for, as far as a fault hangs on it: scripts, recipes, requirements, start-up files.

Covers the project's folder and two levels below, without environments, hidden folders and data.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from sparksmith.doctor.marks import MARKS, SHELL, START, Ask, parse_asks
from sparksmith.machine.distributions import printable
from sparksmith.machine.root import Root

MOST_FOLDERS, MOST_FILES, MOST_BYTES, FILE_BYTES, LOCK_BYTES = 100, 300, 2**23, 2**18, 2**23
MOST_ASKS = 200
DEEPEST = 2
SKIPPED = frozenset((
    "node_modules", "site-packages", "__pycache__", "venv", "env", "wandb", "build", "dist", "data", "datasets",
    "models", "logs", "third_party", "tests", "test", "docs",
))  # fmt: skip
CHECKPOINT = re.compile(r"checkpoint-(\d{1,12})")
WEIGHTS = re.compile(r"\.(?:safetensors|bin|pt|pth|distcp|gguf)$")
NOT_WEIGHTS = re.compile(r"^(?:optimizer|scheduler|scaler|rng_state\w*|training_args)\.")
START_UP = (".bashrc", ".bash_profile", ".profile", ".zshrc", ".zshenv")


@dataclass(frozen=True)
class BrokenCheckpoint:
    """The newest checkpoint of a run that was not written to its end, and the one before it."""

    path: str
    why: str
    before: str | None


@dataclass(frozen=True)
class ProjectFacts:
    """Of one folder. `names_torch`: whether pyproject.toml or uv.lock asks for torch; None where that cannot be told.
    `kernels` are notebook kernels of the user's whose python, in this folder, is not there: (file, python).
    `models` are the gated models asked for that the cache holds already."""

    folder: str
    has_pyproject: bool
    names_torch: bool | None
    asks: tuple[Ask, ...]
    checkpoints: tuple[BrokenCheckpoint, ...] = ()
    kernels: tuple[tuple[str, str], ...] = ()
    models: frozenset[str] = frozenset()

    def of(self, *marks: str) -> list[Ask]:
        """Where these marks were found."""
        return [ask for ask in self.asks if ask.mark in marks]


def read_project(root: Root, folder: str, home: str | None = None, cache: str | None = None) -> ProjectFacts | None:
    """Look through a project's files; None for a home folder and for /, which are none. `cache` is the hub's, where it
    is not in the home folder."""
    folder = folder.rstrip("/")
    cache = cache or (f"{home.rstrip('/')}/.cache/huggingface/hub" if home else None)
    if not folder.startswith("/") or folder == (home or "").rstrip("/"):
        return None
    files, folders = _walk(root, folder)
    if home:
        files += [f"{home.rstrip('/')}/{name}" for name in START_UP]
    asks: list[Ask] = []
    left = MOST_BYTES
    for path in files:
        name = path.rpartition("/")[2]
        if left <= 0 or len(asks) >= MOST_ASKS:
            break
        if any(where.search(name) for where, _, _ in MARKS.values()) and (text := root.text(path, FILE_BYTES)):
            left -= len(text)
            asks += parse_asks(path, text)
    gated = {ask.text for ask in asks if ask.mark == "gated"}
    return ProjectFacts(
        folder=printable(folder),
        has_pyproject=root.text(f"{folder}/pyproject.toml") is not None,
        names_torch=_names_torch(root, folder),
        asks=tuple(asks[:MOST_ASKS]),
        checkpoints=tuple(found for one in folders if (found := _read_checkpoints(root, one))),
        kernels=tuple(_read_kernels(root, folder, home)),
        models=frozenset(
            name for name in gated if cache and root.exists(f"{cache}/models--{name.replace('/', '--')}/snapshots")
        ),
    )


def _walk(root: Root, folder: str) -> tuple[list[str], list[str]]:
    """The project's files and folders, the nearest first."""
    files: list[str] = []
    folders = [folder]
    for here in folders:  # which grows
        names = root.names(here)
        if "pyvenv.cfg" in names and here != folder:
            continue
        depth = len(PurePosixPath(here).relative_to(folder).parts)
        for name in names:
            if "." in name.lstrip(".") or SHELL.search(name) or START.search(name):
                if len(files) < MOST_FILES:
                    files.append(f"{here}/{name}")
            elif depth < DEEPEST and len(folders) < MOST_FOLDERS and _may_hold_more(name):
                folders.append(f"{here}/{name}")
    return files, folders


def _may_hold_more(name: str) -> bool:
    return name not in SKIPPED and name.isprintable() and name[0] != "." and not CHECKPOINT.fullmatch(name)


def _read_checkpoints(root: Root, folder: str) -> BrokenCheckpoint | None:
    """What is wrong with the newest checkpoint in a folder, from the names in it."""
    found = sorted((int(match[1]), name) for name in root.names(folder) if (match := CHECKPOINT.fullmatch(name)))
    if not found:
        return None
    newest = f"{folder}/{found[-1][1]}"
    names = root.names(newest)
    weights = [name for name in names if WEIGHTS.search(name) and not NOT_WEIGHTS.search(name)]
    if "checkpoint-is-incomplete.txt" in names:
        why = "it has checkpoint-is-incomplete.txt"
    elif "trainer_state.json" in names and not weights and all("." in name for name in names):
        why = "it has no weights"  # a folder beside may hold them in shards
    elif "optimizer.pt" in names and "trainer_state.json" not in names:
        why = "it has an optimizer's state and no trainer_state.json"
    else:
        return None
    before = f"{folder}/{found[-2][1]}" if len(found) > 1 else None
    return BrokenCheckpoint(printable(newest), why, printable(before) if before else None)


def _read_kernels(root: Root, folder: str, home: str | None) -> Iterator[tuple[str, str]]:
    kernels = f"{home.rstrip('/')}/.local/share/jupyter/kernels" if home else ""
    for name in root.names(kernels)[:50] if kernels else ():
        file = f"{kernels}/{name}/kernel.json"
        try:
            python = json.loads(root.text(file) or "null")["argv"][0]
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            continue
        if isinstance(python, str) and python.startswith(f"{folder}/") and not root.exists(python):
            yield printable(file), printable(python)


def _names_torch(root: Root, folder: str) -> bool | None:
    """Whether the project itself asks for torch, directly or through its lock."""
    lock = root.text(f"{folder}/uv.lock", LOCK_BYTES)
    if lock:
        return re.search(r'^name = "torch"$', lock, re.MULTILINE) is not None
    try:
        said: Any = tomllib.loads(root.text(f"{folder}/pyproject.toml") or "")
        asked = said.get("project", {}).get("dependencies", [])
    except (ValueError, AttributeError, RecursionError):
        return None
    if not isinstance(asked, list):
        return None
    # what its packages require is not known without a lock
    return False if not asked else True if any(re.match(r"torch\b", str(each)) for each in asked) else None
