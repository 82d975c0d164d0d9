"""Requirement files as pip and uv read them: one requirement a line, options, hashes, files that include files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from sparksmith.base.errors import SparksmithError, describe_problems
from sparksmith.base.redact import redact_text
from sparksmith.packages.addresses import whole_address
from sparksmith.packages.platform import Platform

HASH = re.compile(r"\s--hash[= ]sha256:([0-9a-fA-F]{64})(?=\s|$)")
COMMENT = re.compile(r"(^|\s)#.*$")
INCLUDE = re.compile(r"^(?:-r|--requirement)[= ]?\s*(\S.*)$")
CONSTRAINT = re.compile(r"^(?:-c|--constraint)[= ]?\s*(\S.*)$")
EDITABLE = re.compile(r"^(?:-e|--editable)[= ]?\s*(\S.*)$")
INDEX = re.compile(r"^(?:-i|--index-url|--extra-index-url|-f|--find-links|--no-index|--pre)(?:[= ]|$)")
LINKS = re.compile(r"^(-f|--find-links)[= ]\s*(\S.*)$")
ADDRESS = re.compile(r"^([^\s;]+)(\s*;.*)?$")
NAMED = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[^\]]*\])?\s*@")  # foo @ ADDRESS, which may stand without spaces
WHEEL = re.compile(r"^(?P<path>.*\.whl)(?P<extras>\[[^\]]*\])?$")
EGG = re.compile(r"[#&]egg=([A-Za-z0-9._-]+)")
# of the last part of an address, what follows a project's name: .git, @REVISION, -VERSION, an archive's ending
AFTER_NAME = re.compile(r"(@.*|\.git(@.*)?|(-v?\d[^/]*)?\.(zip|tar\.gz|tgz))$")
ONE_A_LINE = "one requirement a line, like torch>=2.11 or trl==1.16.0 (PEP 508)"
LIMIT = 32 * 1024 * 1024  # a requirement file of megabytes is hashes; past this it is something else


@dataclass(frozen=True, slots=True)
class Line:
    """A requirement and the hashes that it allows (in small letters; empty where it names none)."""

    requirement: Requirement
    hashes: frozenset[str]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def pinned(self) -> str | None:
        """The one version that it allows."""
        specifiers = list(self.requirement.specifier)
        if len(specifiers) != 1 or specifiers[0].operator not in ("==", "===") or "*" in specifiers[0].version:
            return None
        return specifiers[0].version

    def wanted_on(self, platform: Platform) -> bool:
        marker = self.requirement.marker
        return marker is None or marker.evaluate(platform.environment())


@dataclass(frozen=True, slots=True)
class RequirementLines:
    """What a requirement file, or the command line, asks for.

    `options` are lines about indexes, handed to uv as they stand (paths made whole) and never shown. `constraints` are
    files. `left_out` are lines that name a folder, or something else that is no package, in words.
    """

    lines: tuple[Line, ...]
    options: tuple[str, ...] = ()
    constraints: tuple[Path, ...] = ()
    left_out: tuple[str, ...] = ()


def read_requirements(path: Path) -> RequirementLines:
    """A requirement file and those that it includes. Raises `SparksmithError` with every line that is not one."""
    problems: list[str] = []
    found = _read(path, (), problems)
    if problems:
        raise SparksmithError(
            describe_problems(f"{path} is not a file of requirements:", problems, limit=5),
            ONE_A_LINE,
        )
    return found


def parse_requirement(text: str, folder: Path | None = None) -> Line:
    """One requirement with its hashes. A path that is its address counts from `folder`. Raises `packaging`'s
    `InvalidRequirement`."""
    hashes = frozenset(value.lower() for value in HASH.findall(text))
    requirement = Requirement(HASH.sub("", text).strip())
    if requirement.url:
        requirement.url = whole_address(requirement.url, folder or Path())
    return Line(requirement, hashes)


def is_named_address(text: str) -> bool:
    """Whether a line names a package and where it is: foo @ ADDRESS, foo[extra]@ADDRESS."""
    return NAMED.match(text) is not None


def parse_address(text: str, folder: Path | None = None) -> Line | None:
    """A line that is a wheel's or a repository's address and names no package itself, as the requirement that it is;
    None for another. A wheel's path counts from `folder`. Raises `packaging`'s `InvalidRequirement`."""
    address, marker = (match[1], match[2] or "") if (match := ADDRESS.match(HASH.sub("", text))) else ("", "")
    if is_named_address(address):
        return None
    path = unquote(address.split("#")[0].split("?")[0])
    if wheel := WHEEL.match(path):
        name = wheel["path"].rpartition("/")[2].partition("-")[0] + (wheel["extras"] or "")
        address = whole_address(address.removesuffix(wheel["extras"] or ""), folder or Path())
    elif address.startswith(("git+", "http://", "https://")):
        egg = EGG.search(address)
        name = egg[1] if egg else AFTER_NAME.sub("", path.partition("/archive/")[0].rstrip("/").rpartition("/")[2])
    else:
        return None
    found = parse_requirement(f"{name} @ {address} {marker}")
    return Line(found.requirement, frozenset(value.lower() for value in HASH.findall(text)))


def _whole_option(text: str, folder: Path) -> str:
    """An option with the path that it names made absolute: uv is called elsewhere."""
    match = LINKS.match(text)
    if match is None or "://" in match[2]:
        return text
    return f"{match[1]} {(folder / match[2]).resolve()}"


def joined_lines(text: str) -> Iterable[tuple[int, str]]:
    """Lines without comments, those that end with a backslash joined to the next; with the number of the first."""
    collected, first = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        first = first or number
        stripped = raw.rstrip()
        if stripped.endswith("\\") and not stripped.lstrip().startswith("#"):
            collected += stripped[:-1] + " "
            continue
        line = COMMENT.sub("", collected + stripped).strip()
        if line:
            yield first, line
        collected, first = "", 0
    if line := COMMENT.sub("", collected).strip():
        yield first, line


def _read(path: Path, includers: tuple[Path, ...], problems: list[str]) -> RequirementLines:
    if path.resolve() in includers:
        problems.append(f"{path} includes itself")
        return RequirementLines(())
    lines: list[Line] = []
    options: list[str] = []
    constraints: list[Path] = []
    left_out: list[str] = []
    for number, text in joined_lines(_text(path)):
        if match := INCLUDE.match(text):
            inner = _read(path.parent / match[1].strip("\"'"), (*includers, path.resolve()), problems)
            lines += inner.lines
            options += inner.options
            constraints += inner.constraints
            left_out += inner.left_out
        elif match := CONSTRAINT.match(text):
            constraints.append(path.parent / match[1].strip("\"'"))
        elif match := EDITABLE.match(text):
            left_out.append(f"{path.name}, line {number}: an editable {redact_text(match[1])} is not looked into")
        elif INDEX.match(text):
            options.append(_whole_option(text, path.parent))
        elif text.startswith("-"):
            left_out.append(f"{path.name}, line {number}: the option {redact_text(text.split()[0])} is not followed")
        else:
            try:
                if line := parse_address(text, path.parent):
                    lines.append(line)
                elif text.startswith((".", "/", "git+", "http://", "https://", "file:")):
                    what = f"{redact_text(text)} names no package, and is not looked into"
                    left_out.append(f"{path.name}, line {number}: {what}")
                else:
                    lines.append(parse_requirement(text, path.parent))
            except InvalidRequirement as error:
                problems.append(f"{path.name}, line {number}: {redact_text(str(error).splitlines()[0])}")
    return RequirementLines(tuple(lines), tuple(options), tuple(constraints), tuple(left_out))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT + 1)
        if len(data) > LIMIT:
            raise SparksmithError(f"{path} is too large for a file of requirements", ONE_A_LINE)
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise SparksmithError(f"{path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SparksmithError(f"{path} cannot be read as text: {reason}", ONE_A_LINE) from error
