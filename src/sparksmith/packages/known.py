"""Facts of wheels and source distributions that were read before, by their sha256: those shipped in `policy/wheels`,
then the user's own.

A shipped row keeps what a verdict needs and no more. Libraries that hold GPU code, or ask for a CUDA library, stand by
themselves, without the NEEDED entries that say nothing: glibc's, the driver's, the system's, the wheel's own. Of all
others the largest and the one that asks for the newest glibc, for each machine, with torch's libraries among NEEDED.
Run paths are left out, and what extras require without a bound from above, which decides nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import read_json, write_atomic
from sparksmith.base.folders import cache_folder
from sparksmith.packages.facts import (
    FACTS_VERSION,
    ROW_VERSIONS,
    Compiled,
    DeviceCode,
    LibraryFacts,
    PackageFacts,
    ToolFacts,
)
from sparksmith.packages.judge_cuda import OF_TORCH, from_elsewhere, provided

CUDA_LIBRARY = re.compile(r"^lib(cu(?!rl)|nv|nccl)")
RESTRICTS = re.compile(r"==|~=|!=|<")
ROW_START = '{"sha256":"'
SHA256 = re.compile(r"[0-9a-f]{64}")


class KnownWheels:
    """Facts by sha256. The shipped rows are read when the first is asked for, and each is parsed when it is."""

    def __init__(self, shipped: str | None = None, folder: Path | None = None) -> None:
        self._text = shipped
        self._folder = folder

    @cached_property
    def _rows(self) -> dict[str, str]:
        text = shipped_rows() if self._text is None else self._text
        start = len(ROW_START)
        return {row[start : start + 64]: row for row in text.splitlines() if row.startswith(ROW_START)}

    @property
    def folder(self) -> Path:
        """Where the user's own facts lie."""
        return self._folder or cache_folder() / "wheel-facts"

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._rows or (SHA256.fullmatch(sha256) is not None and self._path(sha256).is_file())

    def find(self, sha256: str) -> PackageFacts | None:
        """The facts of a wheel; None where it is not known. A file of the cache that cannot be read is passed over."""
        if row := self._rows.get(sha256):
            return parse_row(row)
        if not SHA256.fullmatch(sha256):
            return None
        try:
            facts = PackageFacts.from_json(read_json(self._path(sha256)))
        except SparksmithError:
            return None
        return facts if facts.sha256 == sha256 else None

    def remember(self, facts: PackageFacts) -> None:
        """Keep facts for the next time; without a word where that is not possible."""
        if facts.sha256 is None or facts.sha256 in self._rows or not SHA256.fullmatch(facts.sha256):
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self._path(facts.sha256), json.dumps(facts.to_json(), ensure_ascii=False))
        except OSError:
            return

    def _path(self, sha256: str) -> Path:
        return self.folder / f"{FACTS_VERSION}-{sha256}.json"


def shipped_rows() -> str:
    """The rows that come with Sparksmith, one wheel a line."""
    return (files("sparksmith.policy") / "wheels" / "known.jsonl").read_text(encoding="utf-8")


def reduce_facts(facts: PackageFacts) -> PackageFacts:
    """What a shipped row keeps of a wheel's facts (see above)."""
    kept: list[LibraryFacts] = []
    others: dict[str, list[LibraryFacts]] = {}
    own = provided(facts)
    for library in facts.libraries:
        cuda = any(CUDA_LIBRARY.match(name) for name in library.needed)
        if library.device_code or cuda or CUDA_LIBRARY.match(library.soname or library.path.rpartition("/")[2]):
            needed = tuple(name for name in library.needed if CUDA_LIBRARY.match(name) or from_elsewhere(name, own))
            kept.append(replace(library, needed=needed, rpath=()))
        else:
            needed = tuple(name for name in library.needed if OF_TORCH.fullmatch(name) and name not in own)
            others.setdefault(library.machine, []).append(replace(library, needed=needed, rpath=(), soname=None))
    for libraries in others.values():
        newest = max(libraries, key=lambda library: (library.glibc or (0, 0), library.bytes))
        kept += {newest, max(libraries, key=lambda library: library.bytes)}
    return replace(
        facts, libraries=tuple(sorted(kept, key=lambda library: library.path)),
        requires=tuple(filter(_decides, facts.requires)),
    )  # fmt: skip


def _decides(requirement: str) -> bool:
    """Whether a requirement can stand against a version, or belongs to no extra."""
    asked, _, marker = requirement.partition(";")
    return "extra" not in marker or RESTRICTS.search(asked) is not None


def format_row(facts: PackageFacts) -> str:
    """A shipped row, without the line's end. Raises `SparksmithError` for facts without a sha256."""
    if facts.sha256 is None or not SHA256.fullmatch(facts.sha256):
        raise SparksmithError(f"the facts of {facts.file or facts.name} have no sha256")
    facts = reduce_facts(facts)
    row: dict[str, Any] = {"sha256": facts.sha256, "v": FACTS_VERSION, "file": facts.file, "bytes": facts.bytes}
    name, version, tags = file_facts(facts.file)
    for key, value, default in (
        ("name", facts.name, name), ("version", facts.version, version), ("tags", sorted(facts.tags), tags),
        ("python", facts.requires_python, None), ("requires", list(facts.requires), []),
        ("cuda", facts.declared_cuda, None), ("libraries", [_library_row(entry) for entry in facts.libraries], []),
        ("tools", [[t.path, t.bytes, t.machine, t.release, list(t.architectures)] for t in facts.tools], []),
        ("problems", list(facts.problems), []),
        ("compiles", None if facts.compiles is None else
         [[c.needs, c.path, c.what, c.bytes] for c in facts.compiles], None),
    ):  # fmt: skip
        if value != default:
            row[key] = value
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def parse_row(text: str) -> PackageFacts:
    """Raises `SparksmithError` for what `format_row` did not write."""
    try:
        row = json.loads(text)
        if row["v"] not in ROW_VERSIONS:
            raise SparksmithError(f"a row of facts of version {row['v']}, this is {FACTS_VERSION}")
        name, version, tags = file_facts(row["file"])
        return PackageFacts(
            name=row.get("name", name), version=row.get("version", version), file=row["file"], sha256=row["sha256"],
            bytes=row["bytes"], tags=tuple(row.get("tags", tags)), requires_python=row.get("python"),
            requires=tuple(row.get("requires", ())), declared_cuda=row.get("cuda"),
            libraries=tuple(_parse_library(entry) for entry in row.get("libraries", ())),
            tools=tuple(
                ToolFacts(path, size, machine, _pair(release), tuple(architectures))
                for path, size, machine, release, architectures in row.get("tools", ())
            ),
            problems=tuple(row.get("problems", ())),
            compiles=tuple(Compiled(*entry) for entry in row["compiles"]) if "compiles" in row else None,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SparksmithError(f"not a row of facts: {type(error).__name__}: {error}") from error


def merge_rows(old: str, new: Iterable[PackageFacts]) -> str:
    """The text of the shipped rows with some added or renewed, in the order of their file names."""
    rows = {json.loads(row)["sha256"]: row for row in old.splitlines() if row}
    rows |= {facts.sha256 or "": format_row(facts) for facts in new}
    ordered = sorted(rows.values(), key=lambda row: (json.loads(row)["file"].lower(), row))
    return "".join(f"{row}\n" for row in ordered)


def _library_row(library: LibraryFacts) -> list[Any]:
    """[path, bytes, machine, glibc, soname, needed, device code, its sections], shortened where the end is empty."""
    code = [[c.kind, c.architecture, c.variant, c.isa, c.count, c.bytes] for c in library.device_code]
    row = [library.path, library.bytes, library.machine, library.glibc, library.soname, list(library.needed), code,
           list(library.code_sections)]  # fmt: skip
    while not row[-1]:
        row.pop()
    return row


def _parse_library(row: list[Any]) -> LibraryFacts:
    row = row + [None] * (8 - len(row))
    path, size, machine, glibc, soname, needed, code, sections = row
    return LibraryFacts(
        path, size, machine, soname, tuple(needed or ()), (), _pair(glibc),
        tuple(DeviceCode(kind, architecture, variant, _pair(isa), count, stored)
              for kind, architecture, variant, isa, count, stored in code or ()),
        tuple(sections or ()),
    )  # fmt: skip


def _pair(value: list[int] | None) -> tuple[int, int] | None:
    return (value[0], value[1]) if value else None


def file_facts(file: str) -> tuple[str, str, list[str]]:
    """Name, version and tags as the file's name says them; what differs stands in the row."""
    try:
        name, version, _, tags = parse_wheel_filename(file)
        return str(name), str(version), sorted(map(str, tags))
    except InvalidWheelFilename:
        return "", "", []
