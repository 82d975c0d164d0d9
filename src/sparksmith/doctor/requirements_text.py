"""What lists of requirements ask for: requirements and constraints files, and pyproject.toml.

Of pyproject.toml only what `uv sync` installs counts: its dependencies and the groups that are there by default.
Extras are somebody's choice. A requirement under a condition that this machine decides is left out.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

NEVER_A_WHEEL = r"flash[-_]attn|xformers|deepspeed|causal[-_]conv1d|mamba[-_]ssm"
EXTRA = re.compile(r"\btrl\[[\w,\s-]*\bvllm\b[\w,\s-]*\]")
WHEEL = re.compile(r"[\w.+!%-]+-(?:cp|py)\d[\w.]*-[\w.]+-[\w.]+\.whl\b")
BUILT = r"^\s*({})\s*(?=[\[=<>!~;,@ ]|$)(?!.*\.whl)"  # a requirement that is no wheel's address
SOURCE = re.compile(BUILT.format(NEVER_A_WHEEL), re.IGNORECASE)
CPU_BY_DEFAULT = re.compile(BUILT.format(r"llama[-_]cpp[-_]python"), re.IGNORECASE)
RESOLVED_FOR = re.compile(r"^#.*\buv pip compile\b.*--python-platform[= ](\S+)")
CONDITION = re.compile(r"platform_machine|sys_platform|platform_system|marker\s*=|python_version")
COMMENT = re.compile(r"(?:^|\s)#")
INSTALLERS = frozenset(("pip", "pip3", "uv", "python", "python3"))
ANY_TABLE = dict[str, Any]


def parse_requirements(text: str) -> Iterator[tuple[str, str, int]]:
    """Mark, words and line of each requirement that a fault hangs on."""
    for number, line in enumerate(text.split("\n"), 1):
        if match := RESOLVED_FOR.search(line):
            yield "resolved for", match[1], number
        comment = COMMENT.search(line)
        yield from _marks(line[: comment.start()] if comment else line, number)


def parse_pyproject(text: str) -> Iterator[tuple[str, str, int]]:
    """The same of a project. The line is the first that has the requirement's words."""
    try:
        said = tomllib.loads(text)
    except (ValueError, RecursionError):
        return
    lines = text.split("\n")
    for requirement in [*asked_by(said), *_sources(said)]:
        written = (f'"{requirement}"', f"'{requirement}'")
        line = next((at for at, each in enumerate(lines, 1) if any(one in each for one in written)), 1)
        yield from _marks(requirement, line)


def asked_by(said: ANY_TABLE) -> list[str]:
    """The requirements of a pyproject.toml that an environment made from it has in any case."""
    found = _texts(_table(said, "project").get("dependencies"))
    groups, settings = _table(said, "dependency-groups"), _table(_table(said, "tool"), "uv")
    default = settings.get("default-groups", ["dev"])
    for name in groups if default == "all" else _texts(default):
        found += _group(groups, name, set())
    return [*found, *_texts(settings.get("dev-dependencies"))]


def _group(groups: ANY_TABLE, name: str, seen: set[str]) -> list[str]:
    """A group's requirements, and those of the groups that it includes."""
    found: list[str] = []
    listed = groups.get(name)
    if name in seen or not isinstance(listed, list):
        return found
    for each in listed:
        if isinstance(each, str):
            found.append(each)
        elif isinstance(each, dict) and isinstance(each.get("include-group"), str):
            found += _group(groups, each["include-group"], seen | {name})
    return found


def _sources(said: ANY_TABLE) -> list[str]:
    """Files that packages are taken from, but for those under a condition."""
    sources = _table(_table(_table(said, "tool"), "uv"), "sources")
    return [
        str(each[key])
        for each in sources.values()
        if isinstance(each, dict) and "marker" not in each
        for key in ("url", "path")
        if key in each
    ]


def _table(said: ANY_TABLE, name: str) -> ANY_TABLE:
    found = said.get(name)
    return found if isinstance(found, dict) else {}


def _texts(found: object) -> list[str]:
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _marks(requirement: str, line: int) -> Iterator[tuple[str, str, int]]:
    if match := EXTRA.search(requirement):
        yield "trl[vllm]", match[0], line
    if CONDITION.search(requirement):
        return
    if match := WHEEL.search(requirement):
        yield "wheel", match[0], line
    if match := SOURCE.match(requirement):
        yield "source", match[1], line
    if match := CPU_BY_DEFAULT.match(requirement):
        yield "CPU by default", match[1], line


def is_installing(words: list[str]) -> bool:
    """Whether a command installs packages: pip install, uv pip install, uv add, python -m pip install."""
    if not words or words[0] not in INSTALLERS:
        return False
    return "install" in words[1:4] if "pip" in words[0] or "pip" in words[1:3] else words[1:2] == ["add"]
