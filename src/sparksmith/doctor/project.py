"""What the files of a project ask for, as far as a fault hangs on it: scripts, recipes, requirements, start-up files.

Covers the project's folder and two levels below, without environments, hidden folders, data, other people's projects,
and what is there to be read instead of run: tests, documentation, examples.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from sparksmith.doctor.marks import Ask, kind_of, parse_asks
from sparksmith.doctor.uv_project import Listed, read_listed
from sparksmith.machine.distributions import printable
from sparksmith.machine.root import Root

MOST_FOLDERS, MOST_FILES, MOST_BYTES, FILE_BYTES = 100, 300, 2**23, 2**18
MOST_PYTHON_BYTES = 2**20  # TRL's sources take 0.35 s for each MiB, the densest code 1.7 s
MOST_OF_A_MARK = 50
DEEPEST = 2
SKIPPED = frozenset((
    "node_modules", "site-packages", "dist-packages", "__pycache__", "venv", "env", "wandb", "build", "dist", "data",
    "datasets", "models", "logs", "third_party", "vendor", "external", "submodules", "tests", "test", "docs", "doc",
    "examples", "example", "samples",
))  # fmt: skip
SHOWN = frozenset((".devcontainer",))
SAVING_SECONDS = 600  # since the last change of a checkpoint that may still be written
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
    """Of one folder. `listed` is what uv would keep of torch. `cares` are the logins and variables that its files take
    care of (`marks.CARES`). `kernels` are notebook kernels of the user's whose python, in this folder, is not there:
    (file, python). `models` are the gated models asked for that the cache holds already."""

    folder: str
    listed: Listed
    asks: tuple[Ask, ...]
    cares: frozenset[str] = frozenset()
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
    asks, cares = _read_files(root, folder, files)
    gated = {ask.text for ask in asks if ask.mark == "gated"}
    return ProjectFacts(
        folder=printable(folder),
        listed=read_listed(root, folder),
        asks=asks,
        cares=cares,
        checkpoints=tuple(found for one in folders if (found := _read_checkpoints(root, one))),
        kernels=tuple(_read_kernels(root, folder, home)),
        models=frozenset(
            name for name in gated if cache and root.exists(f"{cache}/models--{name.replace('/', '--')}/snapshots")
        ),
    )


def _read_files(root: Root, folder: str, files: list[str]) -> tuple[tuple[Ask, ...], frozenset[str]]:
    """What the files ask for and take care of. Of a file with several names, the one that is no link counts."""
    asks: list[Ask] = []
    cares: set[str] = set()
    counted: Counter[str] = Counter()
    left, python_left = MOST_BYTES, MOST_PYTHON_BYTES
    real_files: set[str] = set()
    for path in sorted(files, key=lambda path: _is_link(root, path)):
        kind = kind_of(path.rpartition("/")[2])
        if kind is None or left <= 0 or (kind in ("python", "notebook") and python_left <= 0):
            continue
        text = root.text(path, FILE_BYTES)
        if not text:
            continue
        left -= len(text)
        here = path.rpartition("/")[0]
        found = parse_asks(
            path, text, below=path.removeprefix(f"{folder}/"), in_package="__init__.py" in root.names(here)
        )
        if found.looked_into and kind in ("python", "notebook"):
            python_left -= len(text)
        real = root.resolve(path) if found.asks else ""
        if real and real in real_files:
            continue
        real_files.add(real)
        cares |= found.cares
        for ask in found.asks:
            counted[ask.mark] += 1
            if counted[ask.mark] <= MOST_OF_A_MARK:
                asks.append(ask)
    order = {path: place for place, path in enumerate(map(printable, files))}
    return tuple(sorted(asks, key=lambda ask: (order[ask.file], ask.line))), frozenset(cares)


def _is_link(root: Root, path: str) -> bool:
    return (root.path / path.lstrip("/")).is_symlink()


def _walk(root: Root, folder: str) -> tuple[list[str], list[str]]:
    """The project's files and folders, the nearest first."""
    files: list[str] = []
    folders = [folder]
    for here in folders:  # which grows
        names = root.names(here)
        if here != folder and ("pyvenv.cfg" in names or ".git" in names):
            continue  # an environment, or a project of its own
        depth = len(PurePosixPath(here).relative_to(folder).parts)
        for name in names:
            if kind_of(name) and name.isprintable():
                if len(files) < MOST_FILES:
                    files.append(f"{here}/{name}")
            elif depth < DEEPEST and len(folders) < MOST_FOLDERS and _may_hold_more(name):
                folders.append(f"{here}/{name}")
    return files, folders


def _may_hold_more(name: str) -> bool:
    """Whether a name may be that of a folder whose files are the user's."""
    if "." in name.lstrip(".") or name in SKIPPED or not name.isprintable() or CHECKPOINT.fullmatch(name):
        return False
    return name[0] != "." or name in SHOWN


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
    if _may_be_written_now(root, newest, names):
        return None
    before = f"{folder}/{found[-2][1]}" if len(found) > 1 else None
    return BrokenCheckpoint(printable(newest), why, printable(before) if before else None)


def _may_be_written_now(root: Root, folder: str, names: tuple[str, ...]) -> bool:
    """Whether something in a folder of this machine changed a moment ago. A copy's times are those of the copying."""
    if not root.live:
        return False
    changed = 0.0
    for name in ("", *names[:100]):
        with contextlib.suppress(OSError, ValueError):
            changed = max(changed, root.place(f"{folder}/{name}").stat().st_mtime)
    return time.time() - changed < SAVING_SECONDS


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
