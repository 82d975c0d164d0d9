"""Which files an installed distribution has: from RECORD, from conda's record, else by looking into its folders.

Only those that may be libraries or compilers are kept. Nothing that a record says is believed without looking.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from sparksmith.base.units import plural
from sparksmith.machine.python_env import Distribution, PythonEnvironment, printable, read_start
from sparksmith.packages.wheel.declared import may_declare_cuda
from sparksmith.packages.wheel.examine import SHARED_LIBRARY, SMALLEST, worth_opening

RECORD_BYTES = 2**25  # torch's has 2 MB
FILES_AT_MOST = 200_000
CANDIDATES_AT_MOST = 20_000
LARGEST_BYTES = 2**40  # no package has a file of a tebibyte
DEEPEST = 40
VERSION_FILE = re.compile(r"(?:version|build|_wheel|cpp_lib)[\w/]*\.(?:py|json)$")  # a first sieve, for speed


@dataclass(slots=True)
class FileList:
    """`candidates` are absolute paths, each once, in order; `bytes` the sum of what the record says. `records` are the
    files that all of this was read from; empty where folders were looked through, so that only looking again tells what
    is there."""

    candidates: dict[str, None] = field(default_factory=dict)
    bytes: int = 0
    records: list[str] = field(default_factory=list)
    version_files: list[str] = field(default_factory=list)  # that may say which CUDA it was built with
    cuda_sources: list[tuple[str, int | None]] = field(default_factory=list)  # paths as a RECORD has them, and bytes
    modules: int = 0  # files of Python, as a RECORD has them
    problems: list[str] = field(default_factory=list)


def list_files(environment: PythonEnvironment, distribution: Distribution) -> FileList:
    """The files of one distribution that may hold code for a machine or a GPU."""
    files = FileList()
    if distribution.form == "conda":
        _list_conda(environment, distribution, files)
    elif distribution.editable is not None:
        for folder in _source_folders(environment, distribution):
            _walk(folder, files)
    elif not _list_record(environment, distribution, files):
        if distribution.installer in ("pip", "uv"):
            files.problems.append("has no RECORD: which files are its own is told from their folders' names")
        for name in _top_levels(distribution):
            _walk(str(distribution.folder / name), files)
            files.candidates |= _beside(distribution.folder, name)
    return files


def _list_record(environment: PythonEnvironment, distribution: Distribution, files: FileList) -> bool:
    """Whether there is a RECORD (or installed-files.txt, its elder)."""
    if distribution.form == "dist-info":
        record, base = distribution.metadata / "RECORD", distribution.folder
    else:
        record, base = distribution.metadata / "installed-files.txt", distribution.metadata
    try:
        data = read_start(record, RECORD_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        files.problems.append(f"{record.name} cannot be read: {error.strerror}")
        return False
    if len(data) > RECORD_BYTES:
        files.problems.append(f"{record.name} is larger than {RECORD_BYTES // 2**20} MiB; the rest is not read")
    files.records.append(str(record))
    text = data[:RECORD_BYTES].decode("utf-8", "surrogateescape")
    roots = _roots(environment, distribution.folder)
    outside: list[str] = []
    start = f"{base}{os.sep}"
    for path, size in parse_rows(text, files.problems):
        if size is not None:
            files.bytes += size
        if path.startswith((".", "/")) or "/." in path:
            whole = os.path.normpath(start + path) if not path.startswith("/") else os.path.normpath(path)
            if not whole.startswith(roots):
                if SHARED_LIBRARY.search(path):  # pip --target leaves ../../bin/NAME of scripts that it moved
                    outside.append(path)
                continue
        else:
            whole = start + path
        if path.endswith((".py", ".json")):
            files.modules += path.endswith(".py")
            if VERSION_FILE.search(path) and may_declare_cuda(path):
                files.version_files.append(whole)
        elif _may_be_code(path):
            files.candidates[whole] = None
        elif path.endswith(".cu"):
            files.cuda_sources.append((path, size))
    if outside:
        files.problems.append(
            f"{record.name} names {plural(len(outside), 'library', 'libraries')} outside the environment, not read "
            f"here; the first is {printable(outside[0])[:200]}"
        )
    _cut(files)
    return True


def parse_rows(text: str, problems: list[str]) -> list[tuple[str, int | None]]:
    """(path, size) of a RECORD's lines; most have no quotes, and then need no CSV reader."""
    rows: list[tuple[str, int | None]] = []
    absurd = 0
    try:
        parts = (
            csv.reader(io.StringIO(text, newline=""))
            if '"' in text
            else (line.rsplit(",", 2) for line in text.split("\n") if line)
        )
        for row in parts:
            if len(rows) >= FILES_AT_MOST:
                problems.append(f"its record has more than {FILES_AT_MOST:,} lines; the rest is not read")
                break
            if not row or not row[0] or "\0" in row[0]:
                continue
            said = row[2].strip() if len(row) > 2 else ""
            size = int(said) if said.isascii() and said.isdigit() and len(said) < 16 else None
            if (said and size is None) or (size or 0) > LARGEST_BYTES:
                absurd += 1
                size = None
            rows.append((row[0], size))
    except csv.Error as error:
        problems.append(f"RECORD cannot be read further than line {len(rows) + 1}: {error}")
    if absurd:
        problems.append(f"RECORD says {absurd} sizes that no file has")
    return rows


def _may_be_code(path: str) -> bool:
    """What the examination would open, told from the name alone."""
    return worth_opening(path, SMALLEST)


def _roots(environment: PythonEnvironment, folder: Path) -> tuple[str, ...]:
    """Where files of a distribution in `folder` may lie: the environment, and the prefix of that folder's Python."""
    above = folder.parents
    prefix = above[2] if len(above) > 2 and folder.name.endswith("-packages") else folder
    return tuple({os.path.join(str(one), "") for one in (environment.root, prefix)})  # noqa: PTH118


def _list_conda(environment: PythonEnvironment, distribution: Distribution, files: FileList) -> None:
    try:
        data = read_start(distribution.metadata, 2 * RECORD_BYTES)
        record = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        files.problems.append(f"conda's record of it cannot be read: {type(error).__name__}: {printable(error)[:200]}")
        return
    named = record.get("files") if isinstance(record, dict) else None
    if not isinstance(named, list):
        files.problems.append("conda's record of it does not list its files")
        return
    paths = [path for path in named if isinstance(path, str) and "\0" not in path]
    files.records.append(str(distribution.metadata))
    root = os.path.join(str(environment.root), "")  # noqa: PTH118
    outside = 0
    for path in paths[:FILES_AT_MOST]:
        whole = os.path.normpath(root + path)
        if not whole.startswith(root):
            outside += 1
        elif _may_be_code(path):
            files.candidates[whole] = None
    if outside:
        files.problems.append(
            f"conda's record of it names {plural(outside, 'file')} outside the environment, not read here"
        )
    _cut(files)


def _source_folders(environment: PythonEnvironment, distribution: Distribution) -> list[str]:
    """The packages of an editable install, in its sources."""
    source = distribution.editable
    assert source is not None
    bases = [source, source / "src", *(one for one in environment.search_path if one.is_relative_to(source))]
    folders = [base / name for base in bases for name in _top_levels(distribution)]
    return list({str(folder): None for folder in folders if not folder.is_symlink()})


def _top_levels(distribution: Distribution) -> list[str]:
    """The names that it can be imported by, as far as it says; else its own name."""
    try:
        text = read_start(distribution.metadata / "top_level.txt", 2**16).decode("utf-8", "replace")
    except OSError:
        text = ""
    names = [name.strip() for name in text.splitlines()]
    named = [name for name in names if name and name.isprintable() and not name.startswith((".", "/", "_"))]
    return [name for name in named if ".." not in name] or [distribution.key.replace("-", "_")]


def _walk(folder: str, files: FileList) -> None:
    """Everything under a folder; links to folders are not followed."""
    left = FILES_AT_MOST
    waiting = [(folder, 0)]
    while waiting:
        here, depth = waiting.pop()
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    left -= 1
                    if left < 0:
                        files.problems.append(
                            f"{printable(folder)} holds more than {FILES_AT_MOST:,} files; the rest is not read"
                        )
                        return _cut(files)
                    if entry.is_dir(follow_symlinks=False):
                        if depth < DEEPEST and entry.name != "__pycache__" and not entry.name.startswith("."):
                            waiting.append((entry.path, depth + 1))
                    elif _may_be_code(entry.name):
                        files.candidates[entry.path] = None
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            files.problems.append(f"{printable(here)} cannot be read: {printable(error)[:200]}")
    return _cut(files)


def _beside(folder: Path, name: str) -> dict[str, None]:
    """Modules that are one file: name.cpython-312-aarch64-linux-gnu.so."""
    try:
        return {str(path): None for path in folder.glob(f"{name}.*so") if "/" not in name}
    except (OSError, ValueError, NotImplementedError):
        return {}


def _cut(files: FileList) -> None:
    if len(files.candidates) > CANDIDATES_AT_MOST:
        files.problems.append(f"has more than {CANDIDATES_AT_MOST:,} libraries by name; the rest is not read")
        files.candidates = dict(list(files.candidates.items())[:CANDIDATES_AT_MOST])
