"""Writing so that a reader never sees half of a file, and reading with an error that helps."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from sparksmith.base.errors import SparksmithError


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write beside and rename into place, flushed to disk: a reader sees the old content or the new, whole."""
    data = content.encode() if isinstance(content, str) else content
    descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(beside).chmod(0o666 & ~umask)  # mkstemp makes it 0600; a team shares the run's folder
        Path(beside).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(beside).unlink()
        raise


def write_json(path: Path, value: Any) -> None:
    """JSON with two spaces and the characters as they are."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The JSON in a file. Raises `SparksmithError` where it is missing or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SparksmithError(f"{path} does not exist") from None
    except (ValueError, OSError) as error:
        raise SparksmithError(f"{path} cannot be read as JSON: {error}") from error


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
