"""Which distributions lie in an environment, read from files alone; nothing of them is imported or run.

The environment may be a venv, a conda environment, a container's root, or a folder of distributions, also of another
architecture. What cannot be read, or should not be there, becomes a finding in words.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from sparksmith.base.errors import SparksmithError
from sparksmith.machine.distributions import (
    Distribution,
    is_folder,
    normalize_name,
    printable,
    read_distribution,
    read_start,
)
from sparksmith.machine.python_paths import Kind, SearchPath, inside, system_of

MACHINES = ("x86_64", "aarch64", "armv7l", "i686", "ppc64le", "riscv64", "s390x")
ELF_MACHINES = {3: "i686", 21: "ppc64le", 22: "s390x", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
ABI = re.compile(r"^cp\d{2,3}t?$")
# Where images keep environments, beside the system's own Python; a star is one folder.
IN_CONTAINERS = (".venv", "venv", "opt/*", "opt/*/*", "app/*", "workspace/*", "root/*", "srv/*", "home/*/*")

__all__ = [
    "Distribution", "PythonEnvironment", "find_environments", "has_module", "inside", "is_folder", "normalize_name",
    "printable", "read_python_environment", "read_start", "read_versions",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class PythonEnvironment:
    """What was read. `system` is the root of the file system that it runs on, where that is known; `python` the
    interpreter's version as far as files tell it ("3.12.3" or "3.12"), `abi` its tag (cp312, cp313t); `search_path` in
    Python's order; `distributions` in that order, shadowed ones included.
    """

    root: Path
    kind: Kind
    system: Path | None
    python: str | None
    abi: str | None
    machine: str | None
    search_path: tuple[Path, ...]
    distributions: tuple[Distribution, ...]
    findings: tuple[str, ...]

    def active(self) -> list[Distribution]:
        """Those that Python finds."""
        return [one for one in self.distributions if one.shadowed_by is None]


def read_versions(names: Iterable[str]) -> dict[str, str]:
    """Installed versions by distribution name, in the running interpreter; one that is not installed is left out."""
    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def has_module(name: str) -> bool:
    """Whether `import name` would find something here."""
    return name in sys.modules or find_spec(name) is not None


def read_python_environment(root: Path) -> PythonEnvironment:
    """Read an environment's distributions. Raises `SparksmithError` where there is none."""
    root = root.absolute()
    try:
        names = {entry.name for entry in os.scandir(root)}
    except OSError as error:
        raise SparksmithError(
            f"{printable(root)} cannot be read: {error.strerror}",
            "give the folder of a venv, of a conda environment, or the root of a container's files",
        ) from error
    if not names & {"pyvenv.cfg", "conda-meta"} and ("usr" in names and {"etc", "bin", "lib"} & names):
        return _read_container(root)
    return _Reader(root, system_of(root)).read()


def find_environments(root: Path) -> list[Path]:
    """The venvs and conda environments that a container's root holds, where images usually keep them."""
    found = []
    for pattern in IN_CONTAINERS:
        try:
            for folder in sorted(root.glob(pattern)):
                if (folder / "pyvenv.cfg").is_file() or (folder / "conda-meta").is_dir():
                    found.append(folder)
        except OSError:
            continue
    return found


def _read_container(root: Path) -> PythonEnvironment:
    """The environment of a container's root that most was installed into, torch before numbers; others are named."""
    readers = [_Reader(root, root), *(_Reader(folder, root) for folder in find_environments(root))]
    read = [reader.read() for reader in readers if reader.has_any()]
    if not read:
        raise SparksmithError(
            f"{printable(root)} is the root of a system without a Python environment",
            "give the environment's own folder, for example ROOT/opt/venv",
        )
    read.sort(key=lambda one: (any(had.key == "torch" for had in one.active()), len(one.active())), reverse=True)
    others = [f"{printable(one.root)} ({len(one.active())} distributions)" for one in read[1:] if one.active()]
    if not others:
        return read[0]
    said = f"several environments lie here; {printable(read[0].root)} is read, not {', '.join(others)}"
    return replace(read[0], findings=(said, *read[0].findings))


class _Reader:
    """Reads one environment. Links and paths that are absolute count from `system`."""

    def __init__(self, root: Path, system: Path) -> None:
        self.path = SearchPath(root, system)
        self.tell = self.path.tell

    def has_any(self) -> bool:
        return bool(self.path.site_folders)

    def read(self) -> PythonEnvironment:
        if not self.path.site_folders:
            raise SparksmithError(
                f"{printable(self.path.root)} holds no Python environment",
                "give the folder of a venv, of a conda environment, or the root of a container's files",
            )
        search_path = self.path.follow()
        distributions = [one for folder in search_path for one in self._read_folder(folder)]
        if self.path.kind == "conda":
            distributions += self._read_conda({one.key for one in distributions})
        distributions = self._mark_shadowed(distributions)
        machine = self._vote(distributions)
        runs_here = self.path.system != Path("/") or machine in (None, os.uname().machine)
        return PythonEnvironment(
            self.path.root, self.path.kind, self.path.system if runs_here else None, self.path.python,
            self.path.abi or _abi_of(distributions), machine, tuple(search_path), tuple(distributions),
            tuple(self.path.findings),
        )  # fmt: skip

    # What lies there

    def _read_folder(self, folder: Path) -> list[Distribution]:
        listed = self.path.names_in(folder)
        found = []
        for name, holds in listed:
            if name.startswith("~") and name.endswith(".dist-info"):
                self.tell(f"{printable(name)} is what a broken uninstall left behind")
            elif name.endswith(".egg-info") or (name.endswith(".dist-info") and holds):
                editable = self.path.editable.get(f"__editable__.{name.removesuffix('.dist-info')}")
                if name.endswith(".egg-info") and folder not in self.path.site_folders:
                    editable = folder  # a folder of sources that a .pth file names
                found.append(read_distribution(folder, name, holds, editable, self.path.placed, self.tell))
        return [one for one in found if one is not None]

    def _read_conda(self, known: set[str]) -> list[Distribution]:
        """conda's records of what is no Python distribution by the same name: its libraries."""
        folder = self.path.root / "conda-meta"
        return [
            Distribution(name, said, "conda", folder, record, installer="conda")
            for record, name, said in self.path.conda_records()
            if normalize_name(name) not in known
        ]

    # What follows from it

    def _mark_shadowed(self, distributions: list[Distribution]) -> list[Distribution]:
        """The first of a name in the search path is found; two in one folder are a broken upgrade."""
        by_key: dict[str, list[Distribution]] = {}
        for one in distributions:
            by_key.setdefault(one.key, []).append(one)
        found: dict[Path, Path] = {}
        for same in by_key.values():
            beside = [one for one in same if one.folder == same[0].folder]
            first = max(beside, key=lambda one: (_modified(one.metadata), one.version)) if len(beside) > 1 else same[0]
            if len({one.version for one in beside}) > 1:
                versions = " and ".join(one.version or "?" for one in beside)
                self.tell(
                    f"{first.name} is recorded twice in {printable(first.folder)}, as {versions}: "
                    f"the one written last, {first.version or '?'}, is taken"
                )
            for one in same:
                if one is not first:
                    found[one.metadata] = first.metadata
            for one in same[1:]:
                if one.folder != first.folder and one.version != first.version:
                    self.tell(
                        f"{one.name} {one.version} in {printable(one.folder)} is hidden by {first.version} "
                        f"in {printable(first.folder)}"
                    )
        return [replace(one, shadowed_by=found.get(one.metadata)) for one in distributions]

    def _vote(self, distributions: list[Distribution]) -> str | None:
        """The machine that most wheels were built for, else the interpreter's."""
        built = [(one, machine) for one in distributions if (machine := _machine_of(one.tags)) and not one.shadowed_by]
        counted = Counter(machine for _, machine in built)
        if not counted:
            return self._interpreter_machine()
        winner = counted.most_common(1)[0][0]
        for one, machine in built:
            if machine != winner:
                self.tell(f"{one.name} {one.version} is built for {machine}, the others for {winner}")
        return winner

    def _interpreter_machine(self) -> str | None:
        prefix = self.path.root / "usr" if self.path.kind == "system" else self.path.root
        file = inside(self.path.system, str((prefix / "bin/python3").relative_to(self.path.system)))
        try:
            start = read_start(file, 20)
        except OSError:
            return None
        return ELF_MACHINES.get(int.from_bytes(start[18:20], "little")) if start[:4] == b"\x7fELF" else None


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _machine_of(tags: tuple[str, ...]) -> str | None:
    for tag in tags:
        for machine in MACHINES:
            if tag.endswith(f"_{machine}"):
                return machine
    return None


def _abi_of(distributions: list[Distribution]) -> str | None:
    """The ABI that most wheels were built for, where no folder's name tells it."""
    parts = (tag.split("-") for one in distributions for tag in one.tags[:1])
    counted = Counter(part[1] for part in parts if len(part) == 3 and ABI.match(part[1]))
    return counted.most_common(1)[0][0] if counted else None
