"""Addresses of files on this machine, as requirements and locks spell them: file:///a/b.whl, ./b.whl, ../dist/b.whl."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


def local_path(address: str | None) -> Path | None:
    """The file that a file: address is of; None for another address, and for one of another machine's file."""
    if not address or not address.startswith("file:"):
        return None
    parts = urlsplit(address)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        return None
    return Path(unquote(parts.path))


def whole_address(address: str, folder: Path) -> str:
    """A path, or a file: address, as an absolute file: address; another address as it is.

    A relative path counts from `folder`, and from the working folder, as pip and uv take it, where only that has it.
    """
    rest = address.removeprefix("file:")
    if SCHEME.match(rest) or rest.startswith("//") or "${" in rest:  # a variable is for uv to replace
        return address
    path = Path(unquote(rest))
    near = folder / path
    return (path if not near.exists() and path.exists() else near).resolve().as_uri()
