"""Fetch wheels and sources into the user's cache: resumed where they broke off, checked by their hash, whole or not
at all."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import netrc
import os
import re
import shutil
import ssl
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from filelock import FileLock, Timeout

from sparksmith.base.errors import SparksmithError
from sparksmith.base.folders import cache_folder
from sparksmith.base.units import format_bytes
from sparksmith.packages.resolution import WheelFile

PIECE = 1024 * 1024
ATTEMPTS = 5  # in a row, without a byte more
READ_TIMEOUT_SECONDS = 60.0
LOCK_TIMEOUT_SECONDS = 3600.0
SPARE_BYTES = 256 * 1024 * 1024  # left free on the disk
LOCK = ".lock"
SAFE_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+!-]*\.(whl|zip|tgz|tar\.gz|tar\.bz2)$")
SOURCE_AT_MOST = 100 * 1024 * 1024  # bytes of a source distribution; larger ones hold data or other projects' sources

Progress = Callable[[str, int, int | None], None]  # file, bytes so far, bytes in all


class WrongHash(SparksmithError):
    """What was fetched is not what the lock or the index names."""


class Unreachable(SparksmithError):
    """A server that does not answer: no network, or none to it."""


def wheels_folder() -> Path:
    """Where fetched wheels are kept: $XDG_CACHE_HOME/sparksmith/wheels, a folder for each hash."""
    return cache_folder() / "wheels"


def fetch_wheel(
    wheel: WheelFile,
    folder: Path | None = None,
    progress: Progress | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> Path:
    """The file of a wheel or a source, fetched unless it is there.

    Raises `SparksmithError`: not found, refused, broken, too large, no room.

    Two at once wait for each other. A wheel without a hash cannot be checked; its folder is named after its address.
    """
    if not SAFE_NAME.match(wheel.file):
        raise SparksmithError(f"{wheel.file!r} is not the name of a wheel or a source distribution")
    _check_source(wheel, wheel.bytes)
    if not wheel.url:
        raise SparksmithError(f"nothing says where to get {wheel.file}", "fetch it yourself and audit the file")
    home = (folder or wheels_folder()) / (wheel.sha256 or f"url-{hashlib.sha256(wheel.url.encode()).hexdigest()[:32]}")
    whole = home / wheel.file
    if _is_there(whole, wheel):
        return whole
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / LOCK, timeout=LOCK_TIMEOUT_SECONDS):
            if not _is_there(whole, wheel):
                part = home / f"{wheel.file}.part"
                _download(wheel, part, progress, wait)
                part.replace(whole)
    except Timeout:
        raise SparksmithError(f"{wheel.file} is being fetched by another process that does not end") from None
    except OSError as error:
        raise SparksmithError(f"{wheel.file} cannot be written into {home}: {error.strerror or error}") from error
    return whole


def drop_wheel(path: Path) -> None:
    """Delete a wheel that `fetch_wheel` brought, and its folder where nothing else is in it."""
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (path.parent / LOCK).unlink(missing_ok=True)
        path.parent.rmdir()


def _is_there(path: Path, wheel: WheelFile) -> bool:
    """It was checked before it got its name; the size tells whether somebody cut it since."""
    try:
        size = path.stat().st_size
    except OSError:
        return False
    return size > 0 if wheel.bytes is None else size == wheel.bytes


def _download(wheel: WheelFile, part: Path, progress: Progress | None, wait: Callable[[float], None]) -> None:
    """Attempt until it is whole; an attempt that brought something does not count against the limit."""
    failures, resumed = 0, part.exists()
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _attempt(wheel, part, progress)
            _check(wheel, part)
            return
        except WrongHash:
            part.unlink(missing_ok=True)
            if not resumed:
                raise
            resumed = False  # the part may have been another file's: once more from the start
        except (URLError, HTTPException, TimeoutError, ConnectionError, ssl.SSLError, EOFError) as error:
            if isinstance(error, HTTPError):
                error.close()  # it holds the connection
                if error.code < 500 and error.code not in (408, 416, 429):
                    raise _refused(wheel, error.code) from None
                if error.code == 416:
                    part.unlink(missing_ok=True)
            failures = 1 if part.exists() and part.stat().st_size > before else failures + 1
            if failures >= ATTEMPTS:
                kind = SparksmithError if isinstance(error, HTTPError) else Unreachable
                raise kind(
                    f"{wheel.file} could not be fetched from {host_of(wheel)}: {_reason(error)}",
                    "try again: what is there already is kept",
                ) from None
            resumed = True
            wait(min(2.0 ** (failures - 1), 10.0))


def _attempt(wheel: WheelFile, part: Path, progress: Progress | None) -> None:
    """Fetch what is missing. Raises `EOFError` where the connection ended early."""
    start = part.stat().st_size if part.exists() else 0
    if wheel.bytes is not None and start == wheel.bytes:
        return
    with urlopen(wheel_request(wheel, start), timeout=READ_TIMEOUT_SECONDS) as response:
        if start and not _continues(response, start):
            start = 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else wheel.bytes
        if wheel.bytes is not None and total is not None and total > wheel.bytes:
            raise SparksmithError(
                f"{wheel.file} is {total} bytes at {host_of(wheel)}, and {wheel.bytes} in the lock or index"
            )
        _check_source(wheel, total)
        _check_room(part.parent, (total or 0) - start, wheel)
        done = start
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            while piece := response.read(PIECE):
                file.write(piece)
                done += len(piece)
                _check_source(wheel, done)
                if progress is not None:
                    progress(wheel.file, done, total)
                if total is not None and done > total:
                    break
        if total is not None and done != total:
            raise EOFError(f"it ended after {format_bytes(done)} of {format_bytes(total)}")


def wheel_request(wheel: WheelFile, start: int) -> Request:
    """The request, credentials taken out of its address; they are not sent on when it is redirected."""
    parts = urlsplit(wheel.url or "")
    if parts.scheme not in ("https", "http", "file"):
        raise SparksmithError(f"{wheel.file} is at an address of kind {parts.scheme!r}; https is what is understood")
    host = parts.netloc.rpartition("@")[2]
    request = Request(urlunsplit((parts.scheme, host, parts.path, parts.query, "")))
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not user and parts.hostname:
        user, password = _from_netrc(parts.hostname)
    if user and parts.scheme != "file":
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    request.add_header("Accept-Encoding", "identity")
    if start:
        request.add_header("Range", f"bytes={start}-")
    return request


def _from_netrc(host: str) -> tuple[str, str]:
    path = os.environ.get("NETRC") or Path.home() / ".netrc"
    with contextlib.suppress(OSError, netrc.NetrcParseError):
        if found := netrc.netrc(str(path)).authenticators(host):
            return found[0], found[2] or ""
    return "", ""


def _continues(response: Any, start: int) -> bool:
    """Whether the server goes on where we asked, or begins anew."""
    where = str(response.headers.get("Content-Range", ""))
    return response.status == 206 and where.startswith(f"bytes {start}-")


def _check(wheel: WheelFile, part: Path) -> None:
    if wheel.sha256 is None:
        return
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wheel.sha256:
        raise WrongHash(
            f"{wheel.file} from {host_of(wheel)} has the sha256 {found}, and {wheel.sha256} was expected",
            "the index serves another file than the lock names: make the lock anew, or ask who runs the index",
        )


def _check_source(wheel: WheelFile, size: int | None) -> None:
    """Raises `SparksmithError` for a source distribution that is too large to be looked into."""
    if size is not None and size > SOURCE_AT_MOST and not wheel.file.endswith(".whl"):
        raise SparksmithError(f"{wheel.file} is larger than {format_bytes(SOURCE_AT_MOST)}: it is not looked into")


def _check_room(folder: Path, missing: int, wheel: WheelFile) -> None:
    free = shutil.disk_usage(folder).free
    if missing + SPARE_BYTES > free:
        raise SparksmithError(
            f"{wheel.file} needs {format_bytes(missing)} in {folder}, where {format_bytes(free)} are free",
            "set XDG_CACHE_HOME to a folder on a larger disk",
        )


def _refused(wheel: WheelFile, code: int) -> SparksmithError:
    if code in (401, 403, 407):
        hint = "put the index's name and password into ~/.netrc, or fetch the wheel yourself and audit the file"
        return SparksmithError(f"{host_of(wheel)} asks for a name and password for {wheel.file} ({code})", hint)
    return SparksmithError(f"{host_of(wheel)} has no {wheel.file} (it answers {code})")


def _reason(error: Exception) -> str:
    """Without the address, which may hold a secret."""
    if isinstance(error, HTTPError):
        return f"it answers {error.code}"
    reason = getattr(error, "reason", None) or error
    return str(reason) or type(reason).__name__


def host_of(wheel: WheelFile) -> str:
    """The server's name, without user, password, path or query."""
    return urlsplit(wheel.url or "").hostname or "this machine"
