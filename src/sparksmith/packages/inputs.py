"""What is to be audited: wheels, an environment, or something that has to be resolved first."""

from __future__ import annotations

import contextlib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from sparksmith.base.errors import SparksmithError, UsageProblem
from sparksmith.base.redact import redact_text
from sparksmith.packages.addresses import local_path
from sparksmith.packages.requirements import (
    Line,
    RequirementLines,
    is_named_address,
    parse_address,
    parse_requirement,
    read_requirements,
)
from sparksmith.packages.wheel.source import is_source_name

EXTRAS = re.compile(r"^(?P<path>.+?)\[(?P<extras>[A-Za-z0-9._, -]*)\]$")
PACKAGE = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(\[.*\])?$")  # what could be a package's name, too
PYLOCK = re.compile(r"^pylock(\.[^.]+)?\.toml$")
# What looks like a file, or is called like an environment's folder, and is not there: not taken for a package.
FILE = re.compile(r"\.(whl|txt|in|toml|lock|ya?ml|py\w*|cfg|json|gz|zip|tgz|bz2|xz|so|conda)$")
FOLDERS = frozenset({"venv", "env", ".venv", ".env", "pyproject", "requirements"})
INTERPRETER = re.compile(r"^python(\d(\.\d+)?)?$")
CHOICES = (
    "give a wheel or a source distribution, a folder of them, an environment, a requirements file, a pyproject.toml, "
    "a uv.lock, or requirements like 'torch>=2.11'"
)


@dataclass(frozen=True, slots=True)
class Wheels:
    """Wheel files, and source distributions as files; `alone` where exactly one was named, and is judged by itself."""

    paths: tuple[Path, ...]
    alone: bool


@dataclass(frozen=True, slots=True)
class Environment:
    """An installed environment: a venv, a conda environment, a container's root, or a folder of distributions; named by
    its folder, or by its interpreter."""

    root: Path


@dataclass(frozen=True, slots=True)
class Asked:
    """Requirements, from a file or from the command line."""

    requirements: RequirementLines
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """A pyproject.toml. `lines` is what it asks for itself, `sources` the names that [tool.uv.sources] takes from a
    folder or a repository, `requires_python` the versions of Python that it allows ("" for all)."""

    file: Path
    extras: tuple[str, ...]
    lines: tuple[Line, ...]
    sources: tuple[str, ...] = ()
    requires_python: str = ""


@dataclass(frozen=True, slots=True)
class Lock:
    """A uv.lock, or a pylock.toml (PEP 751), parsed as TOML."""

    file: Path
    extras: tuple[str, ...]
    content: dict[str, Any] = field(repr=False)

    @property
    def requires_python(self) -> str:
        return str(self.content.get("requires-python", ""))


Subject = Wheels | Environment | Asked | Project | Lock


def read_subject(words: Sequence[str]) -> Subject:
    """What the words of the command line name. Raises `SparksmithError` for what cannot be found or understood."""
    if not words:
        raise UsageProblem("nothing to audit", CHOICES)
    subjects = [_read_word(word) for word in words]
    if len(subjects) == 1:
        return subjects[0]
    if all(isinstance(subject, Wheels) for subject in subjects):
        paths = (path for subject in subjects if isinstance(subject, Wheels) for path in subject.paths)
        return Wheels(tuple(dict.fromkeys(paths)), alone=False)
    # a wheel beside requirements is one of them, as pip takes it
    subjects = [_as_asked(subject) for subject in subjects]
    if all(isinstance(subject, Asked) for subject in subjects):
        return Asked(_together([subject.requirements for subject in subjects if isinstance(subject, Asked)]))
    raise UsageProblem(
        "these are different kinds of things: "
        + ", ".join(f"{redact_text(word)} ({_kind(s)})" for word, s in zip(words, subjects, strict=True)),
        "audit them one after the other; several wheels, or several requirements, go together",
    )


def _read_word(word: str) -> Subject:
    if not word.strip():
        raise UsageProblem("an empty word names nothing to audit", CHOICES)
    path = local_path(word) or Path(word)
    if _exists(path):
        return _read_path(path, (), word)
    if (match := EXTRAS.match(word)) and _exists(Path(match["path"])):
        extras = tuple(part.strip() for part in match["extras"].split(",") if part.strip())
        return _read_path(Path(match["path"]), extras, word)
    if _is_interpreter(path) and is_environment(path.parent.parent):  # a link to another machine's Python
        return Environment(path.parent.parent)
    with contextlib.suppress(OSError, ValueError):  # no link, or no name that a file can have
        raise UsageProblem(f"{word} is a link to {path.readlink()}, which is not there", CHOICES)
    named = is_named_address(word)
    if "://" not in word and not named and (FILE.search(word) or word in FOLDERS or word.startswith((".", "/", "~"))):
        raise UsageProblem(f"{word} does not exist", CHOICES)
    try:
        line = parse_address(word) or parse_requirement(word, Path())
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        said = f"{redact_text(word)} does not exist, and is no requirement: {redact_text(reason)}"
        raise UsageProblem(said, CHOICES) from None
    return Asked(RequirementLines((line,)))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long for a name, or in a folder that may not be entered
        return False


def _read_path(path: Path, extras: tuple[str, ...], word: str = "") -> Subject:
    """`word` is what was typed, where that was the path itself."""
    if path.is_dir():
        try:
            return _read_folder(path, extras, word)
        except OSError as error:
            raise SparksmithError(f"{path} cannot be read: {error.strerror or error}", f"ls -ld {path}") from error
    if not path.is_file():
        raise UsageProblem(f"{path} is neither a file nor a folder", CHOICES)
    if _is_interpreter(path):
        return Environment(path.parent.parent)
    if path.name == "pyproject.toml":
        return _read_project(path, extras)
    if path.name == "uv.lock" or PYLOCK.match(path.name):
        return Lock(path, extras, _read_toml(path))
    if extras and path.suffix == ".whl" and (line := parse_address(f"{path.absolute().as_uri()}[{','.join(extras)}]")):
        return Asked(RequirementLines((line,)))
    if extras:
        raise UsageProblem(f"{path} has no extras", "extras belong to a pyproject.toml, a uv.lock or a package")
    if _is_package_file(path):
        return Wheels((path,), alone=True)
    if path.suffix in (".gz", ".zip", ".bz2", ".xz", ".tar", ".tgz", ".egg", ".so", ".conda"):
        raise UsageProblem(
            f"{path} is no wheel, and not named as a source distribution is (NAME-VERSION.tar.gz)", CHOICES
        )
    return Asked(read_requirements(path), path)


def _read_folder(path: Path, extras: tuple[str, ...], word: str) -> Subject:
    if not extras:
        if is_environment(path):
            return Environment(path)
        if wheels := sorted(entry for entry in path.iterdir() if _is_package_file(entry) and entry.is_file()):
            return Wheels(tuple(wheels), alone=False)
    for name in ("uv.lock", "pylock.toml", "pyproject.toml", "requirements.txt"):
        if (path / name).is_file():
            return _read_path(path / name, extras)
    package = f"; the package of that name is {word}>=0" if PACKAGE.match(word) else ""
    raise UsageProblem(
        f"{path} holds no wheels, is no environment, and has no uv.lock, pylock.toml, pyproject.toml or "
        "requirements.txt",
        CHOICES + package,
    )


def _is_interpreter(path: Path) -> bool:
    return INTERPRETER.match(path.name) is not None and path.parent.name == "bin"


def _is_package_file(path: Path) -> bool:
    return path.suffix == ".whl" or is_source_name(path.name)


def is_environment(path: Path) -> bool:
    """Whether distributions are installed in a folder: a venv, a conda environment, a root, or site-packages itself."""
    if (path / "pyvenv.cfg").is_file() or (path / "conda-meta").is_dir():
        return True
    if any(path.glob("*.dist-info/METADATA")):
        return True
    return any(
        any(path.glob(f"{lib}/python3*/{packages}"))
        for lib in ("lib", "lib64", "usr/lib", "usr/local/lib", "opt/*/lib")
        for packages in ("site-packages", "dist-packages")
    ) or any(path.glob("usr/lib/python3/dist-packages"))


def _read_project(path: Path, extras: tuple[str, ...]) -> Project:
    content = _read_toml(path)
    project = content.get("project")
    if not isinstance(project, dict):
        hint = "write its dependencies into a requirements file, one a line, and audit that"
        raise SparksmithError(f"{path} has no [project] table", hint)
    if "dependencies" in project.get("dynamic", []):
        raise SparksmithError(
            f"{path} makes its dependencies when it is built (dynamic), and nothing is built here",
            "audit its uv.lock or its requirements file instead",
        )
    optional = project.get("optional-dependencies", {})
    known = {canonicalize_name(extra) for extra in optional}
    missing = [extra for extra in extras if canonicalize_name(extra) not in known]
    if missing:
        there = f"it has {', '.join(sorted(optional))}" if optional else "it has none"
        raise UsageProblem(f"{path} has no extra {', '.join(missing)}: {there}")
    try:
        lines = [parse_requirement(text) for text in project.get("dependencies", [])]
        wanted = {canonicalize_name(extra) for extra in extras}
        for name, texts in optional.items():
            if canonicalize_name(name) in wanted:
                lines += [parse_requirement(text) for text in texts]
    except (InvalidRequirement, TypeError) as error:
        raise SparksmithError(f"{path}: {str(error).splitlines()[0]}") from None
    own = canonicalize_name(str(project.get("name", "")))
    sources = content.get("tool", {}).get("uv", {}).get("sources", {})
    wheels = {str(canonicalize_name(name)): found for name, source in sources.items() if (found := _wheel_at(source))}
    lines = [_placed(line, path.parent / wheels[line.name]) if line.name in wheels else line for line in lines]
    return Project(
        path, extras, tuple(line for line in lines if line.name != own),
        tuple(sorted(canonicalize_name(name) for name, source in sources.items() if _is_elsewhere(source))),
        str(project.get("requires-python", "")),
    )  # fmt: skip


def _wheel_at(source: Any) -> str | None:
    """The path of the wheel that a package is taken from, as the file says it."""
    path = source.get("path") if isinstance(source, dict) else None
    return path if isinstance(path, str) and path.endswith(".whl") else None


def _placed(line: Line, wheel: Path) -> Line:
    """A requirement that is taken from a file."""
    requirement = Requirement(str(line.requirement))
    requirement.url, requirement.specifier = wheel.resolve().as_uri(), SpecifierSet()
    return Line(requirement, line.hashes)


def _is_elsewhere(source: Any) -> bool:
    if _wheel_at(source):
        return False
    rows = source if isinstance(source, list) else [source]
    return any(isinstance(row, dict) and row.keys() & {"git", "path", "workspace", "url"} for row in rows)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SparksmithError(f"{path} cannot be read as TOML: {error}") from error


def _as_asked(subject: Subject) -> Subject:
    """A wheel that was named by itself as the requirement that it is; everything else as it is."""
    if isinstance(subject, Wheels) and subject.alone and subject.paths[0].suffix == ".whl":
        with contextlib.suppress(InvalidRequirement):
            if line := parse_address(subject.paths[0].absolute().as_uri()):
                return Asked(RequirementLines((line,)))
    return subject


def _together(parts: Sequence[RequirementLines]) -> RequirementLines:
    return RequirementLines(
        tuple(line for part in parts for line in part.lines),
        tuple(option for part in parts for option in part.options),
        tuple(file for part in parts for file in part.constraints),
        tuple(text for part in parts for text in part.left_out),
    )


def _kind(subject: Subject) -> str:
    return {
        Wheels: "wheels", Environment: "an environment", Asked: "requirements", Project: "a project", Lock: "a lock",
    }[type(subject)]  # fmt: skip
