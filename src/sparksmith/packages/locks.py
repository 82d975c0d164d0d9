"""Locks: uv.lock, and pylock.toml (PEP 751), which uv also writes for one platform."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName
from packaging.utils import canonicalize_name

from sparksmith.base.errors import SparksmithError
from sparksmith.packages.platform import Platform
from sparksmith.packages.resolution import Chosen, WheelFile, best_wheel, why_no_wheel

# uv writes an extra inside a conflict as extra-<length of the package's name>-<package>-<extra>, a group likewise
CONFLICT = re.compile(r"extra\s*(==|!=)\s*(['\"])((?:extra|group)-\d+-[^'\"]+)\2")


@dataclass(frozen=True, slots=True)
class Locked:
    """A version with all its files. `elsewhere` says, in a word, what it comes from instead of an index; `direct` that
    its wheel was named by a path or an address."""

    name: str
    version: str
    wheels: tuple[WheelFile, ...]
    sdist: WheelFile | None = None  # its source distribution
    elsewhere: str = ""
    direct: bool = False

    @property
    def from_index(self) -> bool:
        """Whether other versions of it are to be had where this one is from."""
        return not self.elsewhere and not self.direct

    @property
    def uploaded(self) -> datetime | None:
        """When the first of its files was published."""
        times = [wheel.uploaded for wheel in self.wheels if wheel.uploaded]
        return min(times, default=self.sdist.uploaded if self.sdist else None)

    @property
    def foreign(self) -> tuple[str, ...]:
        """Its wheels where there is nothing else, for a platform that none of them fits."""
        return () if self.sdist or self.elsewhere else tuple(wheel.file for wheel in self.wheels)

    def choose(self, platform: Platform, asked: str = "") -> Chosen:
        """What an installer takes on a platform."""
        wheel = best_wheel(self.wheels, platform)
        if wheel is not None:
            return Chosen(self.name, self.version, wheel, asked)
        why = f"it comes from a {self.elsewhere}" if self.elsewhere else why_no_wheel(self.wheels, platform)
        return Chosen(self.name, self.version, None, asked, why, self.sdist, self.foreign)


def parse_pylock(
    content: Mapping[str, Any], platform: Platform, extras: Sequence[str] = (), folder: Path | None = None
) -> list[Locked]:
    """The packages of a pylock.toml in `folder` that a platform gets. Raises `SparksmithError` for what is no such
    file."""
    if str(content.get("lock-version", "")).split(".")[0] != "1":
        raise SparksmithError(f"a pylock.toml of version {content.get('lock-version')}: 1.x is what is understood")
    return [
        _locked(row, folder)
        for row in _rows(content, "packages")
        if _holds(row.get("marker", ""), platform, {canonicalize_name(extra) for extra in extras})
    ]


def parse_uv_lock(
    content: Mapping[str, Any], platform: Platform, extras: Sequence[str] = (), folder: Path | None = None
) -> list[Locked]:
    """The packages of a uv.lock in `folder` that `uv sync` installs on a platform, those of the project's `dev` group
    included."""
    if content.get("version") != 1:
        raise SparksmithError(f"a uv.lock of version {content.get('version')}: 1 is what is understood")
    rows = _rows(content, "package")
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_name.setdefault(row["name"], []).append(row)
    roots = [row for row in rows if {"virtual", "editable"} & row.get("source", {}).keys()]
    first = [row for row in roots if "." in row["source"].values()] or roots
    if not first:
        raise SparksmithError("a uv.lock without a project in it", "audit the requirements file or pyproject.toml")
    wanted_extras = {canonicalize_name(extra) for extra in extras}
    known_extras = {canonicalize_name(extra) for row in first for extra in row.get("optional-dependencies", {})}
    if missing := wanted_extras - known_extras:
        there = f"it has {', '.join(sorted(known_extras))}" if known_extras else "it has none"
        raise SparksmithError(f"the uv.lock has no extra {', '.join(sorted(missing))}: {there}")
    active = {f"extra-{len(row['name'])}-{row['name']}-{extra}" for row in first for extra in wanted_extras}

    reached: dict[tuple[str, str], dict[str, Any]] = {}
    seen: set[tuple[str, str, str]] = set()
    waiting = [(row, extra) for row in first for extra in ("", *sorted(wanted_extras))]
    while waiting:
        row, extra = waiting.pop()
        key = (row["name"], row.get("version", ""), extra)
        if key in seen:
            continue
        seen.add(key)
        if row not in roots:
            reached[key[:2]] = row
        for dependency in _dependencies(row, extra, with_groups=row in first and not extra):
            if not _holds(dependency.get("marker", ""), platform, active):
                continue
            for target in by_name.get(dependency["name"], ()):
                if dependency.get("version", target.get("version")) == target.get("version"):
                    waiting += [(target, inner) for inner in ("", *dependency.get("extra", ()))]
    return [_locked(reached[key], folder) for key in sorted(reached)]


def _dependencies(row: dict[str, Any], extra: str, with_groups: bool) -> Iterable[dict[str, Any]]:
    if extra:
        optional = row.get("optional-dependencies", {})
        return [entry for name in optional if canonicalize_name(name) == canonicalize_name(extra)
                for entry in optional[name]]  # fmt: skip
    return [*row.get("dependencies", ()), *(row.get("dev-dependencies", {}).get("dev", ()) if with_groups else ())]


def _rows(content: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    rows = content.get(key, [])
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and isinstance(row.get("name"), str) for row in rows
    ):
        raise SparksmithError(f"not a lock: its {key} are not a list of tables with names")
    return rows


def _holds(marker: str, platform: Platform, extras: Iterable[str]) -> bool:
    """Whether a marker is true; `extras` are those asked for, as the lock spells them."""
    if not marker:
        return True
    active = set(extras)

    def plain(match: re.Match[str]) -> str:
        return "os_name == 'posix'" if (match[3] in active) == (match[1] == "==") else "os_name != 'posix'"

    try:
        environment: dict[str, Any] = {**platform.environment(), "extras": active, "dependency_groups": set()}
        return Marker(CONFLICT.sub(plain, marker)).evaluate(environment, context="lock_file")
    except (InvalidMarker, UndefinedEnvironmentName) as error:
        raise SparksmithError(f"a lock with a marker that cannot be read: {marker}") from error


def _locked(row: dict[str, Any], folder: Path | None) -> Locked:
    wheels = [_wheel(entry, folder) for entry in row.get("wheels", ())]
    archive = row.get("archive") or {}
    source = row.get("source", {})
    address = str(archive.get("url") or archive.get("path") or source.get("url") or source.get("path") or "")
    direct = address.split("?")[0].endswith(".whl")
    if direct:  # of a wheel at a path, uv.lock lists the name and the hash by themselves
        listed = row["wheels"][0] if wheels and "path" in source else {}
        if not wheels or listed:
            wheels = [_wheel({**listed, "path" if "://" not in address else "url": address, **archive}, folder)]
    elsewhere = ""
    for keys, word in ((("vcs", "git"), "repository"), (("directory", "path", "editable", "virtual"), "folder")):
        if not direct and any(key in row or key in source for key in keys):
            elsewhere = word
    if not wheels and not elsewhere and address:
        elsewhere = "source archive"
    sdist = row.get("sdist")
    return Locked(
        canonicalize_name(row["name"]), str(row.get("version", "")), tuple(wheels),
        _wheel(sdist, folder) if sdist else None, elsewhere, direct,
    )  # fmt: skip


def _wheel(entry: Mapping[str, Any], folder: Path | None) -> WheelFile:
    path = entry.get("path")
    url = entry.get("url") or (((folder or Path()) / path).absolute().resolve().as_uri() if path else None)
    sha256 = entry.get("hashes", {}).get("sha256") or str(entry.get("hash", "")).removeprefix("sha256:") or None
    size = entry.get("size")
    name = entry.get("name") or entry.get("filename") or unquote(urlsplit(url or "").path.rpartition("/")[2])
    return WheelFile(
        file=str(name),
        sha256=sha256.lower() if sha256 else None,
        bytes=size if isinstance(size, int) else None,
        uploaded=_time(entry.get("upload-time")),
        url=url,
    )


def _time(value: Any) -> datetime | None:
    """TOML's own times in a pylock, strings in a uv.lock."""
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
