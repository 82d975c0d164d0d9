"""The extras that a wheel has, from its METADATA alone: a few hundred kilobytes of a file that may have gigabytes.

Kept facts do not list them all, and only a misspelt one asks for them. What cannot be had is no extras.
"""

from __future__ import annotations

import io
import zipfile
from email.parser import BytesHeaderParser
from http.client import HTTPException
from typing import IO, Any
from urllib.error import HTTPError
from urllib.request import urlopen

from sparksmith.base.errors import SparksmithError
from sparksmith.packages.addresses import local_path
from sparksmith.packages.fetch import wheel_request
from sparksmith.packages.resolution import WheelFile
from sparksmith.packages.wheel.archive import DAMAGE, DIRECTORY_AT_MOST
from sparksmith.packages.wheel.read import METADATA, METADATA_AT_MOST

TIMEOUT_SECONDS = 15.0
PIECE = 64 * 1024


class _Remote(io.RawIOBase):
    """A file at an address, of which each read fetches its part. Raises `OSError` where the server sends all."""

    def __init__(self, wheel: WheelFile) -> None:
        self._wheel, self._at = wheel, 0
        with self._ask(0, 0) as answer:
            self._size = int(str(answer.headers.get("Content-Range", "")).rpartition("/")[2])

    def _ask(self, first: int, last: int) -> Any:
        request = wheel_request(self._wheel, 0)
        request.add_header("Range", f"bytes={first}-{last}")
        try:
            answer = urlopen(request, timeout=TIMEOUT_SECONDS)
        except HTTPError as error:
            error.close()  # it holds the connection
            raise
        if answer.status != 206:
            answer.close()
            raise OSError("the server sends whole files only")
        return answer

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, place + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        if wanted > DIRECTORY_AT_MOST:
            raise OSError("more is asked for than a list of members has")
        with self._ask(self._at, self._at + wanted - 1) as answer:
            content = answer.read(wanted)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)


def fetch_extras(wheel: WheelFile) -> tuple[str, ...]:
    """The extras of a wheel, where it lies or from its server."""
    try:
        with _open(wheel) as file, zipfile.ZipFile(file) as archive:
            name = next(name for name in archive.namelist() if METADATA.fullmatch(name))
            with archive.open(name) as member:
                headers = BytesHeaderParser().parsebytes(member.read(METADATA_AT_MOST))
        return tuple(str(each).strip() for each in headers.get_all("Provides-Extra", []))
    except (*DAMAGE, SparksmithError, HTTPException, StopIteration):
        return ()


def _open(wheel: WheelFile) -> IO[bytes]:
    if path := local_path(wheel.url):
        return path.open("rb")
    return io.BufferedReader(_Remote(wheel), PIECE)
