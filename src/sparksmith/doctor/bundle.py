"""One file for a bug report: what the doctor read of the machine, the facts, and what it found.

Names of the host and the user, home folders, addresses, URLs and secrets are taken out (`machine/private.py`), of the
archive's own fields, too. What is in it can be looked at before it is sent: docs/concepts/doctor.md.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparksmith.base.errors import SparksmithError

FOLDER, TREE = "sparksmith-doctor", "machine"
READ_ME = """What `sparksmith doctor --bundle` saw, for a bug report.

doctor.txt      what it said
findings.json   the same, for programs
facts.json      what was observed
machine/        the files and answers that this was read from, cut down to what a fact is made from

`sparksmith doctor --root machine` looks at it as it looked at the machine; of the packages only names are here.
Host and user names, home folders, addresses, URLs and secrets were taken out. Look at it before you send it: what
another user called a folder outside of a home is not known to be private.
"""
OTHER_NAME = "name another file: sparksmith doctor --bundle FILE"


def check_target(file: Path) -> None:
    """Raises `SparksmithError` where no new file can be made by that name, before anything is read for it."""
    try:
        if file.is_dir():
            hint = "name a file; an ENV stands before: sparksmith doctor ENV --bundle"
            raise SparksmithError(f"{file} is a folder, and the bundle is one file", hint)
        if file.exists() or file.is_symlink():
            raise SparksmithError(f"{file} is there already, and is not overwritten", OTHER_NAME)
        if not file.parent.is_dir():
            raise SparksmithError(f"the folder {file.parent} does not exist", OTHER_NAME)
    except OSError as error:
        raise SparksmithError(f"{file} cannot be written: {error.strerror}", OTHER_NAME) from None


def write_bundle(file: Path, tree: Path, texts: Mapping[str, str]) -> int:
    """Pack the captured `tree` and `texts` by name into a new file; returns its bytes. Raises `SparksmithError` where
    it cannot be written; then nothing is left of it."""
    try:
        with file.open("xb") as opened:
            try:
                with (
                    gzip.GzipFile(filename="", mode="wb", fileobj=opened, mtime=0) as packed,
                    tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
                ):
                    for name, text in {"README.txt": READ_ME, **texts}.items():
                        _add(archive, name, text)
                    archive.add(tree, f"{FOLDER}/{TREE}", filter=_nobodys)
            except BaseException:
                file.unlink(missing_ok=True)
                raise
    except FileExistsError:
        raise SparksmithError(f"{file} is there already, and is not overwritten", OTHER_NAME) from None
    except OSError as error:
        raise SparksmithError(f"{file} cannot be written: {error.strerror or error}", OTHER_NAME) from None
    return file.stat().st_size


def as_text(value: Any) -> str:
    """JSON as it is shown."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _add(archive: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode("utf-8", "replace")
    member = tarfile.TarInfo(f"{FOLDER}/{name}")
    member.size = len(data)
    archive.addfile(_nobodys(member), io.BytesIO(data))


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A member without an owner or a time; a link of the machine's leads where it did, inside of the copy."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    if member.issym() and member.linkname.startswith("/"):
        folder = f"/{member.name.removeprefix(f'{FOLDER}/{TREE}').lstrip('/')}"
        member.linkname = os.path.relpath(member.linkname, os.path.dirname(folder))  # noqa: PTH120 - no path of here
    return member
