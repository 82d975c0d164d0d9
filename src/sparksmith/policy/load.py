"""Read the rows of this folder and check that they agree with each other."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from sparksmith.base.errors import SparksmithError, perhaps

PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)(?: ; ([^\\\n]+?))? *\\?$", re.MULTILINE)


@dataclass(frozen=True)
class Stack:
    """A dated, hashed, known-good set of packages; where it does not work a known-bad one, perhaps without hashes."""

    name: str
    why: str
    verified: str
    packages: dict[str, str]  # the ones that decide, name -> exact version
    requirements: str  # the universal hashed requirement file
    source: str = ""
    works: bool = True

    def pinned(self) -> dict[str, set[str]]:
        """Every version that the requirement file holds for a package (several where markers differ)."""
        versions: dict[str, set[str]] = {}
        for name, version, _ in PIN.findall(self.requirements):
            versions.setdefault(name.lower(), set()).add(version)
        return versions


def list_stacks() -> list[str]:
    """The names of the shipped stacks."""
    return sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.name.endswith(".toml"))


def stack_file(stack: Stack) -> Path:
    """The requirement file of a stack."""
    return Path(str(_folder() / f"{stack.name}.txt"))


def audited_file(stack: Stack) -> Path:
    """The hashed file that tells which wheels a stack means: its own; of one without hashes what it resolved to."""
    return stack_file(stack) if stack.works else Path(str(_folder() / f"{stack.name}.resolved.txt"))


def _folder() -> Traversable:
    return files("sparksmith.policy") / "stacks"


def load_stack(name: str) -> Stack:
    """A shipped stack by name. Raises `SparksmithError` for an unknown name or rows that contradict each other."""
    known = list_stacks()
    if name not in known:
        raise SparksmithError(f"there is no stack {name}{perhaps(name, known)}", f"the stacks are {', '.join(known)}")
    folder = _folder()
    row = tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))
    stack = Stack(
        name=name, why=row["why"], verified=str(row["verified"]), packages=dict(row["packages"]),
        requirements=(folder / f"{name}.txt").read_text(encoding="utf-8"),
        source=row["source"], works=row.get("works", True),
    )  # fmt: skip
    if problems := check_stack(stack):
        raise SparksmithError(f"the stack {name} contradicts itself: {'; '.join(problems)}")
    return stack


def check_stack(stack: Stack) -> list[str]:
    """What is wrong with a stack: a package that the file pins otherwise, a pin without a hash, an index line."""
    pinned = stack.pinned()
    problems = [
        f"{name} is {version} in {stack.name}.toml and {', '.join(sorted(pinned.get(name, {'absent'})))} in the file"
        for name, version in stack.packages.items()
        if pinned.get(name) != {version}
    ]
    blocks = re.split(r"\n(?=[A-Za-z0-9])", stack.requirements)
    if stack.works:
        problems += [
            f"no hash: {block.splitlines()[0]}" for block in blocks if "==" in block and "sha256:" not in block
        ]
    if re.search(r"^\s*(--(extra-)?index-url|-i|--find-links|-f)\b", stack.requirements, re.MULTILINE):
        problems.append("an index line")
    return problems
