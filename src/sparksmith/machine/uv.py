"""uv's settings, from its files and variables: what decides which packages `uv sync` and `uv run` put where."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from sparksmith.machine.distributions import printable
from sparksmith.machine.root import Root
from sparksmith.machine.subject import Subject, explained
from sparksmith.machine.variables import keep_value

# Settings whose value is kept; of the others only that they are set. docs.astral.sh/uv/reference/settings, 2026-11-21.
KEPT = (
    "no-sync", "no-build-isolation", "no-build-isolation-package", "no-build", "no-binary", "compile-bytecode",
    "link-mode", "python-preference", "python-downloads", "prerelease", "resolution", "index-strategy", "offline",
    "torch-backend", "managed", "package", "override-dependencies", "constraint-dependencies", "exclude-dependencies",
    "required-environments", "environments", "system-certs", "native-tls", "system", "break-system-packages", "upgrade",
)  # fmt: skip
INDEXES = ("index", "index-url", "extra-index-url", "find-links")
MOST_CHARACTERS = 500
MOST_FOLDERS = 64


@dataclass(frozen=True)
class UvFile(Subject):
    """One file of settings: `settings` by name, values as text; `indexes` counts package indexes, which are not named;
    `problem` says what is wrong with the file, if anything."""

    path: str
    settings: Mapping[str, str]
    indexes: int
    problem: str


@dataclass(frozen=True)
class UvFacts(Subject):
    """`program` is where uv lies. A later file in `files` is overruled by the earlier ones: the project's, the user's,
    the system's. `project_environment` is the project's .venv where it is there. `variables` are UV_*, as far as they
    may be kept."""

    program: str | None
    files: tuple[UvFile, ...]
    project_environment: str | None
    has_lock: bool | None
    variables: Mapping[str, str]


def parse_uv_settings(text: str, table: tuple[str, ...] = ()) -> tuple[dict[str, str], int]:
    """Settings that are kept, and how many indexes there are. Raises `ValueError` for what is no TOML."""
    try:
        said: Any = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    for name in table:
        said = said.get(name, {}) if isinstance(said, dict) else {}
    if not isinstance(said, dict):
        return {}, 0
    pip = said.get("pip")
    both = {**{f"pip.{name}": value for name, value in (pip.items() if isinstance(pip, dict) else ())}, **said}
    settings = {
        printable(name): printable(keep_value(name, _plain(value)))[:MOST_CHARACTERS]
        for name, value in both.items()
        if name.removeprefix("pip.") in KEPT
    }
    indexes = sum(
        len(value) if isinstance(value, list) else 1
        for name, value in both.items()
        if name.removeprefix("pip.") in INDEXES
    )
    return settings, indexes


def read_uv(root: Root, environ: Mapping[str, str], home: str | None, project: str | None) -> UvFacts:
    """The files that uv would read in the folder `project` or the nearest above that is one, and its variables."""
    project = _nearest(root, project) if project else None
    config = environ.get("XDG_CONFIG_HOME") or (f"{home.rstrip('/')}/.config" if home else None)
    places = [
        *([(f"{project}/uv.toml", ()), (f"{project}/pyproject.toml", ("tool", "uv"))] if project else []),
        *([(f"{config}/uv/uv.toml", ())] if config else []),
        ("/etc/uv/uv.toml", ()),
    ]
    if environ.get("UV_CONFIG_FILE"):
        places = [(environ["UV_CONFIG_FILE"], ())]
    files = [file for path, table in places if (file := _read_file(root, path, table))]
    own = f"{project}/.venv" if project and root.exists(f"{project}/.venv/pyvenv.cfg") else None
    return explained(
        UvFacts(
            program=root.program("uv", environ),
            files=tuple(files),
            project_environment=own,
            has_lock=root.exists(f"{project}/uv.lock") if project else None,
            variables={
                name: keep_value(name, value) for name, value in sorted(environ.items()) if name.startswith("UV_")
            },
        ),
        "no project's folder was given",
        program="uv is not on the PATH",
        project_environment="no .venv is in the project's folder" if project else "no project's folder was given",
    )


def _nearest(root: Root, folder: str) -> str:
    """The folder, or the nearest above it, that has settings: where uv finds its project. The folder if none has."""
    above = [str(path) for path in (PurePosixPath(folder), *PurePosixPath(folder).parents)][:MOST_FOLDERS]
    return next(
        (path for path in above if any(root.exists(f"{path}/{name}") for name in ("uv.toml", "pyproject.toml"))), folder
    )


def _read_file(root: Root, path: str, table: tuple[str, ...]) -> UvFile | None:
    text = root.text(path)
    if text is None:
        return None
    problem = ""
    try:
        settings, indexes = parse_uv_settings(text, table)
    except ValueError as error:
        settings, indexes, problem = {}, 0, f"it is not TOML: {printable(error)[:200]}"
    if table and not settings and not indexes and not problem:
        return None
    return UvFile(printable(path), settings, indexes, problem)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(one) for one in value[:100])
    if isinstance(value, bool):
        return str(value).lower()
    return "[a table]" if isinstance(value, dict) else str(value)
