"""Where an environment's Python looks for packages: pyvenv.cfg, site folders, .pth files; read, never run."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from sparksmith.machine.distributions import SMALL_BYTES, VALID_NAME, VALID_VERSION, is_folder, printable, read_start

MOST_FINDINGS = 200
MOST_LINKS = 40  # as the kernel has it
PYTHON_FOLDER = re.compile(r"^(python|pypy)(\d+)\.(\d+)(t?)$")
EDITABLE_FINDER = re.compile(r"^import (__editable___\w+_finder)\b")
Kind = Literal["venv", "conda", "system", "prefix", "folder"]


class SearchPath:
    """The search path of the Python of `root`; `kind`, `python` and `abi` as PythonEnvironment has them.

    `system` is the root that absolute paths count from; `editable` where the sources of .pth files' stems are.
    """

    def __init__(self, root: Path, system: Path) -> None:
        self.root = root
        self.system = system
        self.findings: list[str] = []
        self.config = self._read_config()
        self.kind: Kind = "folder"
        self.python: str | None = None
        self.abi: str | None = None
        self.editable: dict[str, Path] = {}
        self.site_folders = self._find_site_folders()

    def tell(self, finding: str) -> None:
        """Keep a finding; of very many, the first ones."""
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)
        elif len(self.findings) == MOST_FINDINGS:
            self.findings.append("and more of this kind, which are not listed")

    def placed(self, path: str) -> Path:
        """A path that the environment names, as it lies here."""
        return inside(self.system, path) if path.startswith("/") else self.root / os.path.normpath(path)

    def follow(self) -> list[Path]:
        """The search path: each site folder, then what its .pth files add."""
        path: list[Path] = []
        for folder in self.site_folders:
            path.append(folder)
            names = sorted(
                name for name, _ in self.names_in(folder) if name.endswith(".pth") and not name.startswith(".")
            )
            for name in names:
                path += self._read_path_file(folder, name)
        return _distinct(path)

    def names_in(self, folder: Path) -> list[tuple[str, bool]]:
        """Names in a folder, and whether each is a folder; one that is absent is empty."""
        try:
            with os.scandir(folder) as entries:
                return sorted((entry.name, _entry_is_folder(entry)) for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self.tell(f"{printable(folder)} cannot be read: {error.strerror}")
            return []

    def conda_records(self) -> list[tuple[Path, str, str]]:
        folder = self.root / "conda-meta"
        records = [(folder / name, *split_conda(name)) for name, _ in self.names_in(folder) if name.endswith(".json")]
        return [one for one in records if VALID_NAME.match(one[1].strip("_")) and VALID_VERSION.match(one[2])]

    def _read_config(self) -> dict[str, str]:
        """pyvenv.cfg; empty where there is none."""
        try:
            text = read_start(self.root / "pyvenv.cfg", SMALL_BYTES).decode("utf-8", "replace")
        except FileNotFoundError:
            return {}
        except OSError as error:
            self.tell(f"pyvenv.cfg cannot be read: {error.strerror}")
            return {}
        pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
        return {name.strip().lower(): value.strip() for name, _, value in pairs}

    def _find_site_folders(self) -> list[Path]:
        if self.root == self.system:
            self.kind = "system"
            local = self.root / "usr/local"
            return (
                self._prefix_folders(local, own_only=True)
                or self._prefix_folders(self.root / "usr")
                or self._prefix_folders(local)  # packages beside a Python that was not copied
            )
        folders = self._prefix_folders(self.root)
        if folders:
            self.kind = "venv" if self.config else "conda" if (self.root / "conda-meta").is_dir() else "prefix"
            self.python = self.config.get("version_info") or self.config.get("version") or self.python
            self.python = ".".join(self.python.split(".")[:3]) if self.python else None
            if self.kind == "conda":
                records = [record for record, name, _ in self.conda_records() if name == "python"]
                self.python = split_conda(records[0].name)[1] if records else self.python
            if self.config.get("include-system-site-packages", "").lower() == "true":
                folders += self._base_folders()
        elif any(name.endswith((".dist-info", ".egg-info")) for name, _ in self.names_in(self.root)):
            folders = [self.root]
        return folders

    def _prefix_folders(self, prefix: Path, own_only: bool = False) -> list[Path]:
        """Site folders of the Python under a prefix, in its order. `own_only`: only if its standard library is there
        (/usr/local of a container is another Python's place for packages, or a Python of its own)."""
        wanted = ".".join((self.config.get("version_info") or self.config.get("version") or "").split(".")[:2])
        found = []
        for library in ("lib", "lib64"):
            for name, holds in self.names_in(prefix / library):
                if holds and (match := PYTHON_FOLDER.match(name)):
                    found.append((int(match[2]), int(match[3]), match[4] == "", name))
        pythons = sorted({one for one in found if not own_only or (prefix / "lib" / one[3] / "os.py").is_file()})
        if not pythons:
            return []
        default = self._default_python(prefix)
        chosen = next((one for one in pythons if f"{one[0]}.{one[1]}" == wanted or one[3] == default), pythons[-1])
        if len({one[:2] for one in pythons}) > 1 and not wanted and not default:
            names = ", ".join(one[3] for one in pythons)
            self.tell(f"several Pythons under {printable(prefix)}: {names}; {chosen[3]} is read")
        major, minor, plain, name = chosen
        self.python = self.python or f"{major}.{minor}"
        self.abi = self.abi or f"{'pp' if name.startswith('pypy') else 'cp'}{major}{minor}{'' if plain else 't'}"
        local = prefix.parent / "usr/local" if prefix.name == "usr" else prefix / "absent"
        candidates = [
            local / "lib" / name / "dist-packages",  # Debian's and Ubuntu's order
            prefix / "lib" / name / "site-packages",
            prefix / "lib64" / name / "site-packages",
            prefix / "lib" / f"python{major}" / "dist-packages",
            prefix / "lib" / name / "dist-packages",
        ]
        if prefix.name == "usr":
            candidates.insert(1, local / "lib" / name / "site-packages")
        return _distinct(folder for folder in candidates if folder.is_dir())

    def _default_python(self, prefix: Path) -> str | None:
        """Which python3.X a prefix's `python3` is, where that is a link."""
        try:
            return (prefix / "bin/python3").readlink().name
        except OSError:
            return None

    def _base_folders(self) -> list[Path]:
        """Site folders of the Python that a venv was made from, for include-system-site-packages."""
        home = self.config.get("home", "")
        prefix = self.placed(home).parent if home else None
        folders = self._prefix_folders(prefix) if prefix else []
        if not folders:
            where = printable(home) or "?"
            self.tell(f"it also sees the packages of the Python in {where}, which is not here: they are left out")
        return folders

    def _read_path_file(self, folder: Path, name: str) -> Iterator[Path]:
        try:
            text = read_start(folder / name, SMALL_BYTES).decode("utf-8", "replace")
        except OSError as error:
            self.tell(f"{printable(name)} cannot be read: {error.strerror}")
            return
        for line in text.splitlines():
            line = line.strip()
            if match := EDITABLE_FINDER.match(line):
                self._read_editable_finder(folder / f"{match[1]}.py", name)
            elif line and "\0" not in line and not line.startswith(("#", "import ", "import\t")):
                added = folder / line if not line.startswith("/") else self.placed(line)
                if is_folder(added):
                    self.editable.setdefault(name.removesuffix(".pth"), added)
                    yield added
                elif not line.endswith(".egg"):
                    self.tell(f"{printable(name)} names {printable(line)}, which is not here")

    def _read_editable_finder(self, file: Path, name: str) -> None:
        """setuptools' finder holds `MAPPING = {module: folder}`; it is parsed, never run."""
        try:
            tree = ast.parse(read_start(file, SMALL_BYTES))
            for node in tree.body:
                targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
                if any(isinstance(one, ast.Name) and one.id == "MAPPING" for one in targets):
                    mapping = ast.literal_eval(getattr(node, "value"))  # noqa: B009
                    sources = next(iter(mapping.values()), None)
                    if isinstance(sources, str):
                        self.editable[name.removesuffix(".pth")] = self.placed(sources).parent
        except (OSError, ValueError, SyntaxError, AttributeError, RecursionError, MemoryError) as error:
            self.tell(f"{printable(file.name)}, which {printable(name)} imports, cannot be read: {printable(error)}")


def inside(system: Path, path: str) -> Path:
    """Where a path of another file system lies under its root `system`: its links count from there too."""
    if system == Path("/"):
        return Path(os.path.normpath(f"/{path.lstrip('/')}"))
    found: list[str] = []
    waiting = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    links = 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            del found[-1:]
            continue
        try:
            target = str(Path(system, *found, part).readlink()) if links < MOST_LINKS else ""
        except (OSError, ValueError):  # no link
            target = ""
        if not target:
            found.append(part)
            continue
        links += 1
        if target.startswith("/"):
            found = []
        waiting += [part for part in reversed(target.split("/")) if part not in ("", ".")]
    return Path(system, *found)


def system_of(root: Path) -> Path:
    """The root of the file system that an environment belongs to: the nearest folder above that looks like one."""
    for folder in root.parents:
        if is_folder(folder / "usr/lib") and is_folder(folder / "etc"):
            return folder
    return Path("/")


def _distinct(folders: Iterable[Path]) -> list[Path]:
    """Each folder once, whatever its name."""
    seen: dict[tuple[int, int], Path] = {}
    for folder in folders:
        try:
            status = folder.stat()
        except OSError:
            continue
        seen.setdefault((status.st_dev, status.st_ino), folder)
    return list(seen.values())


def _entry_is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circle of links
        return False


def split_conda(record: str) -> tuple[str, str]:
    """Name and version of a record's file name, NAME-VERSION-BUILD.json."""
    name, _, rest = record.removesuffix(".json").rpartition("-")[0].rpartition("-")
    return name, rest
