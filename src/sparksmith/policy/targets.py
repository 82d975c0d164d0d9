"""The machines that packages are judged against: `targets.toml`, or a user's own rows in a file of theirs."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from sparksmith.base.errors import SparksmithError, describe_problems, perhaps

MACHINES = ("aarch64", "x86_64")
ROW_HINT = 'a row: [targets.NAME] with like = "gb10" and the figures that differ, for example driver = 595'
# CUDA major: the first driver that brings it (NVIDIA's table of minor-version compatibility)
FIRST_DRIVER = {12: 525, 13: 580}
Version = tuple[int, int]


@dataclass(frozen=True)
class Source:
    """Where a figure is known from, read at `date` (ISO)."""

    url: str
    date: str
    says: str


@dataclass(frozen=True)
class Target:
    """A kind of machine. Rates in FLOP/s (dense), bandwidth in bytes/s; None where no source gives a figure.

    `driver` is the lowest assumed, `cuda` the release that it brings, `ptx_isa` the newest PTX that it compiles.
    """

    name: str
    title: str
    compute_capability: Version
    machine: str
    driver: int
    cuda: Version
    ptx_isa: Version
    glibc: Version
    python: Version
    memory_bytes: int
    unified_memory: bool
    bf16_flops: float | None = None
    fp8_flops: float | None = None
    bandwidth: float | None = None
    sources: Mapping[str, Source] = field(default_factory=dict, compare=False)  # figure -> where it is known from

    @property
    def architecture(self) -> int:
        """The compute capability as binaries write it: 121 for 12.1."""
        major, minor = self.compute_capability
        return 10 * major + minor


def list_targets() -> list[str]:
    """The names of the shipped targets."""
    return list(_shipped()["targets"])


def load_target(name: str) -> Target:
    """A shipped target, or FILE.toml (one row) or FILE.toml:ROW of the user's. Raises `SparksmithError`."""
    file, colon, row = name.rpartition(":")
    if name.endswith(".toml") or (colon and file.endswith(".toml")):
        path, row = (Path(file), row) if colon and file.endswith(".toml") else (Path(name), "")
        return _load_own(path, row)
    shipped = _shipped()
    rows = shipped["targets"]
    if name not in rows:
        raise SparksmithError(
            f"there is no target {name}{perhaps(name, rows)}",
            f"the targets are {', '.join(rows)}; or a file of your own, FILE.toml",
        )
    return parse_target(name, rows[name], sources=shipped["sources"], sourced=True)


def _shipped() -> dict[str, Any]:
    return tomllib.loads((files("sparksmith.policy") / "targets.toml").read_text(encoding="utf-8"))


def _load_own(path: Path, name: str) -> Target:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SparksmithError(f"{path} cannot be read: {error.strerror}", ROW_HINT) from error
    except ValueError as error:  # TOML or UTF-8
        raise SparksmithError(f"{path} is not TOML: {error}", ROW_HINT) from error
    rows = document.get("targets")
    if not isinstance(rows, dict) or not rows:
        raise SparksmithError(f"{path} has no [targets.NAME]", ROW_HINT)
    if not name and len(rows) > 1:
        raise SparksmithError(f"{path} has {len(rows)} targets", f"name one: {path}:{next(iter(rows))}")
    name = name or next(iter(rows))
    if name not in rows:
        raise SparksmithError(f"{path} has no target {name}{perhaps(name, rows)}", f"it has {', '.join(rows)}")
    row = rows[name]
    if isinstance(row, dict) and "like" in row:
        like = str(row["like"])
        shipped = _shipped()
        if like not in shipped["targets"]:
            known = shipped["targets"]
            raise SparksmithError(
                f"{path}: like = {like!r} is no target{perhaps(like, known)}", f"the targets are {', '.join(known)}"
            )
        base, sources = dict(shipped["targets"][like]), shipped["sources"]
        del base["title"]
        row = {**base, **{key: value for key, value in row.items() if key != "like"}}
        return parse_target(name, row, sources=sources, sourced=False)
    return parse_target(name, row, sources={}, sourced=False)


def parse_target(name: str, row: Any, *, sources: Mapping[str, Any], sourced: bool) -> Target:
    """A row as a Target, checked; with `sourced` every figure needs a source. Raises with every problem at once."""
    if not isinstance(row, dict):
        raise SparksmithError(f"the target {name} is no table", ROW_HINT)
    problems: list[str] = []
    values: dict[str, Any] = {"name": name, "title": str(row.get("title", name))}
    known: dict[str, Source] = {}
    for key in row.keys() - _PARSERS.keys() - {"title"}:
        problems.append(f"{key} is not a key{perhaps(key, _PARSERS)}")
    for key, parse in _PARSERS.items():
        if key not in row:
            if key not in _OPTIONAL:
                problems.append(f"{key} is missing")
            continue
        figure = row[key]
        value = figure.get("value") if isinstance(figure, dict) else figure
        source = figure.get("source") if isinstance(figure, dict) else None
        if isinstance(source, str) and source in sources:
            known[key] = Source(sources[source]["url"], str(sources[source]["date"]), sources[source]["says"])
        elif sourced:
            problems.append(f"{key} has no source")
        try:
            values[key] = parse(value)
        except (TypeError, ValueError) as error:
            problems.append(f"{key} = {value!r}: {error}")
    if not problems:
        target = Target(**values, sources=known)
        problems = check_target(target)
    if problems:
        raise SparksmithError(describe_problems(f"the target {name} is wrong:", sorted(problems)), ROW_HINT)
    return target


def check_target(target: Target) -> list[str]:
    """What contradicts itself in a target, in words."""
    problems = []
    if target.machine not in MACHINES:
        problems.append(f"machine = {target.machine}: expected {' or '.join(MACHINES)}, as uname -m says")
    first = FIRST_DRIVER.get(target.cuda[0])
    if first is None:
        problems.append(f"cuda = {show_version(target.cuda)}: only CUDA 12 and 13 are known")
    elif target.driver < first:
        problems.append(f"driver {target.driver} is older than {first}, the first with CUDA {target.cuda[0]}")
    if first is not None and target.ptx_isa > (newest := newest_isa(target.cuda)):
        problems.append(
            f"ptx_isa = {show_version(target.ptx_isa)} is newer than CUDA {show_version(target.cuda)} knows "
            f"({show_version(newest)})"
        )
    if target.glibc[0] != 2:
        problems.append(f"glibc = {show_version(target.glibc)}: expected 2.x")
    if target.python < (3, 8):
        problems.append(f"python = {show_version(target.python)}: expected 3.8 or newer")
    if not 20 <= target.architecture <= 999:
        problems.append(f"compute_capability = {show_version(target.compute_capability)}: expected 2.0 to 99.9")
    if target.fp8_flops and target.bf16_flops and target.fp8_flops < target.bf16_flops:
        problems.append("fp8_flops is below bf16_flops")
    return problems


def newest_isa(cuda: Version) -> Version:
    """The PTX ISA of a CUDA release: 9.0 for 13.0, 8.7 for 12.8 (12.6 added none)."""
    major, minor = cuda
    if major == 12 and minor >= 6:
        return (8, minor - 1)
    return (major - 4, minor)


def show_version(version: Version) -> str:
    """12.1 for (12, 1)."""
    return f"{version[0]}.{version[1]}"


def _version(value: Any) -> Version:
    if not isinstance(value, str) or not (found := re.fullmatch(r"(\d{1,3})\.(\d{1,3})", value)):
        raise ValueError('expected "major.minor", in quotes')
    return int(found[1]), int(found[2])


def _positive(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ValueError("expected a positive number")
    return value


def _whole(value: Any) -> int:
    if not isinstance(_positive(value), int):
        raise ValueError("expected a whole number")
    return int(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected text")
    return value


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "compute_capability": _version,
    "machine": _text,
    "driver": _whole,
    "cuda": _version,
    "ptx_isa": _version,
    "glibc": _version,
    "python": _version,
    "memory_bytes": _whole,
    "unified_memory": _yes_or_no,
    "bf16_flops": _positive,
    "fp8_flops": _positive,
    "bandwidth": _positive,
}
_OPTIONAL = {"bf16_flops", "fp8_flops", "bandwidth"}
