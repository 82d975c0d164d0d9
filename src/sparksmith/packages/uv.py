"""Ask uv which packages a platform would get. Nothing is built: no code of a package runs here.

uv is asked for a pylock.toml (PEP 751), which names each wheel's file, hash and address. It reads its own settings,
so that a user's indexes and credentials are those of their installs.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.utils import canonicalize_name

import sparksmith
from sparksmith.base.command import Answer, ask
from sparksmith.base.errors import SparksmithError
from sparksmith.packages.locks import Locked, parse_pylock
from sparksmith.packages.platform import Platform
from sparksmith.packages.refusals import explain_failure, names_without_wheels

TIMEOUT_SECONDS = 600.0
OLDEST_PYTHON = "3.8"  # that wheels of today's indexes are looked for
COMMON = (
    "--format", "pylock.toml", "--no-header", "--no-annotate", "--no-python-downloads", "--color", "never",
)  # fmt: skip
NO_EXTRA = re.compile(
    r"The package `(?P<name>[A-Za-z0-9._-]+)(?![A-Za-z0-9._-])[^`]*` does not have an extra named `(?P<extra>[^`]+)`"
)

Ask = Callable[[Sequence[str], float], Answer]


class NoUv(SparksmithError):
    """uv is not there."""


@dataclass(frozen=True)
class Found:
    """What uv resolved, and the packages that it was told to leave out because only their source fits.

    `no_extras` are the extras that it warns of, as (package, extra): the package has none of that name.
    """

    packages: tuple[Locked, ...]
    without: tuple[str, ...]
    no_extras: tuple[tuple[str, str], ...] = ()


def find_uv() -> str:
    """uv's path: on PATH, where its installer puts it, or in this clone's .tools. Raises `NoUv`."""
    clone = Path(sparksmith.__file__).parents[2]
    places = [Path.home() / ".local/bin/uv", clone / ".tools/bin/uv", clone / ".tools/lib/bin/uv"]
    found = shutil.which("uv") or next((str(place) for place in places if place.is_file()), None)
    if found is None:
        raise NoUv(
            "uv is missing, and resolving needs it",
            "curl -LsSf https://astral.sh/uv/install.sh | sh   (or pip install uv); without it: audit a uv.lock, or a "
            "requirements file with every version pinned and hashed",
        )
    return found


def compile_for(
    platform: Platform,
    requirements: str | Path,
    *,
    extras: Sequence[str] = (),
    constraints: Sequence[Path] = (),
    exclude: Sequence[str] = (),
    dependencies: bool = True,
    pins: Mapping[str, str] | None = None,
    uv: str | None = None,
    ask: Ask = ask,
) -> Found:
    """Resolve requirements (their text, or a pyproject.toml) for a platform. Raises `SparksmithError`.

    A package without a wheel that fits is left out and named, with what only it would bring. `pins` are versions by
    name that are to be taken, if the package is.
    """
    program = uv or find_uv()
    excluded = list(exclude)
    with TemporaryDirectory(prefix="sparksmith-") as scratch:
        listed = Path(scratch) / "excluded.txt"
        source = requirements if isinstance(requirements, Path) else Path(scratch) / "requirements.in"
        if not isinstance(requirements, Path):
            source.write_text(requirements, encoding="utf-8")
        pinned = Path(scratch) / "pins.txt"
        pinned.write_text("".join(f"{name}=={version}\n" for name, version in (pins or {}).items()), encoding="utf-8")
        argv = [
            program, "pip", "compile", str(source), *COMMON, "--no-build", "--python", sys.executable,
            "--python-version", platform.python_text, "--python-platform", platform.uv_name,
            *(word for extra in extras for word in ("--extra", extra)),
            *(word for file in constraints for word in ("--constraints", str(file))),
            *(["--constraints", str(pinned)] if pins else []),
            *([] if dependencies else ["--no-deps"]),
            *(["--project", str(source.parent)] if isinstance(requirements, Path) else []),
        ]  # fmt: skip
        while True:
            listed.write_text("".join(f"{name}\n" for name in excluded), encoding="utf-8")
            answer = ask([*argv, *(["--excludes", str(listed)] if excluded else [])], TIMEOUT_SECONDS)
            if answer.ok:
                without = tuple(name for name in excluded if name not in exclude)
                return Found(tuple(parse_answer(answer.stdout, platform)), without, parse_warnings(answer.stderr))
            more = [name for name in names_without_wheels(answer.stderr) if name not in excluded]
            if not more:
                raise explain_failure(answer, platform)
            excluded += more


def newest_of(
    requirements: Mapping[str, str],
    platform: Platform,
    *,
    options: Sequence[str] = (),
    uv: str | None = None,
    ask: Ask = ask,
) -> dict[str, Locked]:
    """The newest version of each package for the platform's Python, with all of its files, wherever they run.

    `requirements` are by name: the name alone, or with the versions to choose among. Each package is given empty
    metadata, so that uv neither builds nor reads any. One of which nothing fits that Python is listed with the files
    that it has for an older one. What uv cannot say is left out: what rests on this must not stop an audit.
    """
    program = uv or find_uv() if requirements else ""
    newest: dict[str, Locked] = {}
    waiting = dict(requirements)
    for python in (platform.python_text, OLDEST_PYTHON):
        unlisted: dict[str, str] = {}
        while waiting:
            answer = _list_files(program, waiting, python, options, ask)
            if answer.ok:
                with contextlib.suppress(SparksmithError):  # an older uv writes no pylock.toml
                    newest |= {found.name: found for found in parse_answer(answer.stdout, platform)}
                break
            # one that uv cannot list stops all others
            without = {name for name in names_without_wheels(answer.stderr) if name in waiting}
            unlisted |= {name: waiting.pop(name) for name in without}
            if not without:
                break
        waiting = unlisted
    return newest


def versions_beside(
    chosen: Iterable[Locked],
    sources: Mapping[str, str],
    platform: Platform,
    *,
    options: Sequence[str] = (),
    exclude: Sequence[str] = (),
    uv: str | None = None,
    ask: Ask = ask,
) -> dict[str, str]:
    """The version that an installer would build of each source, beside packages that are chosen already.

    `sources` are requirements by name, as in `newest_of`; what the chosen ask for bounds them. Their metadata is left
    empty, so that nothing is built for it; what uv cannot say is left out.
    """
    pins = [f"{package.name}=={package.version}" for package in chosen if package.from_index and package.version]
    if not sources or not pins:
        return {}
    only = [word for name in sources for word in ("--no-binary", name)]
    answer = _ask_aside(
        uv or find_uv(), sources, [*options, *pins, *sources.values()], exclude,
        ["--only-binary", ":all:", *only, "--python-version", platform.python_text,
         "--python-platform", platform.uv_name], ask,
    )  # fmt: skip
    if not answer.ok:
        return {}
    with contextlib.suppress(SparksmithError):
        return {found.name: found.version for found in parse_answer(answer.stdout, platform) if found.name in sources}
    return {}


def _list_files(program: str, requirements: Mapping[str, str], python: str, options: Sequence[str], ask: Ask) -> Answer:
    """uv's answer to which files the newest versions have, for every platform."""
    words = ["--universal", "--no-deps", "--python-version", python]
    return _ask_aside(program, requirements, [*options, *requirements.values()], (), words, ask)


def _ask_aside(
    program: str, empty: Iterable[str], lines: Iterable[str], exclude: Sequence[str], words: Sequence[str], ask: Ask
) -> Answer:
    """uv's answer in a project of its own, where the packages of `empty` have empty metadata."""
    with TemporaryDirectory(prefix="sparksmith-") as scratch:
        folder = Path(scratch)
        metadata = ", ".join(f"{{ name = {json.dumps(name)} }}" for name in empty)
        (folder / "pyproject.toml").write_text(f"[tool.uv]\ndependency-metadata = [{metadata}]\n", encoding="utf-8")
        asked, listed = folder / "requirements.in", folder / "excluded.txt"
        asked.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        listed.write_text("".join(f"{name}\n" for name in exclude), encoding="utf-8")
        return ask(
            [
                program, "pip", "compile", str(asked), *COMMON, "--quiet", *words, "--python", sys.executable,
                "--project", str(folder), *(["--excludes", str(listed)] if exclude else []),
            ],
            TIMEOUT_SECONDS,
        )  # fmt: skip


def parse_warnings(stderr: str) -> tuple[tuple[str, str], ...]:
    """The extras that packages do not have, as (package, extra)."""
    found = NO_EXTRA.finditer(" ".join(stderr.split()))
    return tuple(dict.fromkeys((canonicalize_name(each["name"]), canonicalize_name(each["extra"])) for each in found))


def parse_answer(text: str, platform: Platform) -> list[Locked]:
    """uv's pylock.toml. Raises `SparksmithError`."""
    try:
        return parse_pylock(tomllib.loads(text), platform)
    except tomllib.TOMLDecodeError as error:
        raise SparksmithError(
            f"uv answered with what is no pylock.toml: {error}", "uv 0.6.15 or newer is needed"
        ) from None
