"""One installed distribution as its files describe it: dist-info and egg-info; nothing is imported or run."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from sparksmith.base.redact import redact_text

HEADER_BYTES = 2**20  # of a METADATA file; the longest that was seen has 20 KiB before its description
SMALL_BYTES = 2**16
METADATA_FOLDER = re.compile(
    r"^(?P<name>[A-Za-z0-9](?:[\w.]*[A-Za-z0-9])?)-(?P<version>[^-]+)(?:-.*)?\.(?:dist|egg)-info$"
)
VALID_NAME = re.compile(r"^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$")
VALID_VERSION = re.compile(r"^[\w.!+*-]+$", re.ASCII)
Form = Literal["dist-info", "egg-info", "conda"]
Tell = Callable[[str], None]  # takes a finding


@dataclass(frozen=True, slots=True)
class Distribution:
    """One installed distribution. `folder` is the entry of the search path that it lies in; `metadata` its dist-info or
    egg-info, or conda's record. `editable` is where the sources of an editable install are; `url` what direct_url.json
    says, without secrets; `shadowed_by` the metadata of the one of the same name that Python finds first.
    """

    name: str
    version: str
    form: Form
    folder: Path
    metadata: Path
    installer: str = ""
    url: str | None = None
    editable: Path | None = None
    requires: tuple[str, ...] = ()
    requires_python: str | None = None
    tags: tuple[str, ...] = ()
    shadowed_by: Path | None = None

    @property
    def key(self) -> str:
        """The name as indexes compare it."""
        return normalize_name(self.name)


def normalize_name(name: str) -> str:
    """The name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def printable(text: object) -> str:
    """A name from a disk on one line, whatever is in it."""
    shown = str(text)
    if shown.isprintable():
        return shown
    shown = shown.encode("utf-8", "backslashreplace").decode()
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown)


def open_ordinary(path: Path | str) -> FileIO:
    """An ordinary file, to be read. Raises `OSError`; a pipe or a device is not opened for long enough to wait for
    it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return FileIO(descriptor)
    os.close(descriptor)
    raise OSError(errno.EINVAL, "not an ordinary file", str(path))


def read_start(path: Path | str, limit: int) -> bytes:
    """At most `limit` bytes of an ordinary file. Raises `OSError`."""
    with open_ordinary(path) as file:
        parts = []
        while limit > 0 and (part := file.read(min(limit, 2**20))):
            parts.append(part)
            limit -= len(part)
        return b"".join(parts)


def read_distribution(
    folder: Path, entry: str, is_folder: bool, editable: Path | None, place: Callable[[str], Path], tell: Tell
) -> Distribution | None:
    """One dist-info or egg-info, or None where not even its name can be told. `editable` is what a .pth file says of
    its sources, `place` finds an absolute path where it lies here."""
    shown = printable(entry)
    metadata = folder / entry
    form: Form = "dist-info" if entry.endswith(".dist-info") else "egg-info"
    file = metadata / ("METADATA" if form == "dist-info" else "PKG-INFO") if is_folder else metadata
    headers: dict[str, list[str]] = {}
    try:
        headers = _parse_headers(read_start(file, HEADER_BYTES))
    except OSError as error:
        tell(f"{shown} has no readable {printable(file.name)}: {error.strerror}")
    named = METADATA_FOLDER.match(entry)
    name = next(iter(headers.get("name", [])), "")
    if not VALID_NAME.match(name):
        if headers:
            tell(f"{shown} says that its name is {printable(name)!r}")
        name = named["name"] if named else entry.removesuffix(".egg-info")
        if not VALID_NAME.match(name):
            tell(f"{shown} has no name that a distribution may have: it is left out")
            return None
    version = next(iter(headers.get("version", [])), "")
    if not VALID_VERSION.match(version):
        if headers:
            tell(f"{shown} says that its version is {printable(version)!r}" if version else f"{shown} has no version")
        version = named["version"] if named and VALID_VERSION.match(named["version"]) else ""
    url, source = _read_direct_url(metadata, place, tell) if form == "dist-info" else (None, None)
    return Distribution(
        name, version, form, folder, metadata,
        installer=_read_word(metadata / "INSTALLER"), url=url, editable=source or editable,
        requires=tuple(map(printable, headers.get("requires-dist", []))) or _read_requires(metadata, form),
        requires_python=next(map(printable, headers.get("requires-python", [])), None),
        tags=_read_tags(metadata / "WHEEL") if form == "dist-info" else (),
    )  # fmt: skip


def is_folder(path: Path) -> bool:
    """Whether a folder is there; no for a name that none can have."""
    try:
        return path.is_dir()
    except (OSError, ValueError):  # too long, or with a zero byte
        return False


def _read_direct_url(metadata: Path, place: Callable[[str], Path], tell: Tell) -> tuple[str | None, Path | None]:
    """What direct_url.json says: the URL without secrets, and where an editable install's sources are."""
    try:
        said = json.loads(read_start(metadata / "direct_url.json", SMALL_BYTES))
        url = said["url"]
        if not isinstance(url, str):
            raise ValueError("its url is no text")
        is_editable = bool(said.get("dir_info", {}).get("editable")) and url.startswith("file:")
        source = place(unquote(urlsplit(url).path)) if is_editable else None
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        tell(f"{printable(metadata.name)}/direct_url.json cannot be read: {type(error).__name__}: {printable(error)}")
        return None, None
    if source is not None and not is_folder(source):
        tell(f"{printable(metadata.name)} is an editable install of {printable(source)}, which is not here")
    return printable(redact_text(url)), source


def _parse_headers(data: bytes) -> dict[str, list[str]]:
    """Header lines by name in lower case, up to the first empty line; a folded line becomes one."""
    headers: dict[str, list[str]] = {}
    last: list[str] = []
    for line in data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n"):
        if not line.strip():
            break
        if line[0] not in " \t":
            name, _, value = line.partition(":")
            last = headers.setdefault(name.lower(), [])
            last.append(value.strip())
        elif last:
            last[-1] += f" {line.strip()}"
    return headers


def _read_tags(path: Path) -> tuple[str, ...]:
    try:
        return tuple(map(printable, _parse_headers(read_start(path, SMALL_BYTES)).get("tag", [])))
    except OSError:
        return ()


def _read_word(path: Path) -> str:
    try:
        return printable(read_start(path, 256).decode("utf-8", "replace").strip())
    except OSError:
        return ""


def _read_requires(metadata: Path, form: Form) -> tuple[str, ...]:
    """requires.txt of an egg-info, without its extras."""
    if form != "egg-info":
        return ()
    try:
        text = read_start(metadata / "requires.txt", SMALL_BYTES).decode("utf-8", "replace")
    except OSError:
        return ()
    plain = "" if text.startswith("[") else text.split("\n[", 1)[0]
    return tuple(printable(line.strip()) for line in plain.splitlines() if line.strip())
