"""The disks that training fills: the model cache, the checkpoints' folder, temporary files, shared memory.

`df` is asked, in a child with a deadline: one network disk that does not answer would hang statvfs for good.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sparksmith.base.command import Answer
from sparksmith.machine.commands import DISK_FREE, Answers, why_silent
from sparksmith.machine.distributions import printable
from sparksmith.machine.root import Root
from sparksmith.machine.subject import Subject, explained

ROW = re.compile(r"^(\S.*?)\s+(\S+)\s+(\d{1,18}|-)\s+(\d{1,18}|-)\s+(\d{1,18}|-)\s+(\d{1,3}%|-)\s+(/.*)$")
OCTAL = re.compile(r"\\([0-7]{3})")
SIZE = re.compile(r"(?:^|,)size=(\d{1,15})([kmgKMG]?)(?:,|$)")
UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
MOST_ROWS = 5000


@dataclass(frozen=True)
class Disk(Subject):
    """What a folder lies on. `purpose` is "model cache", "checkpoints", "temporary files" or "shared memory"; `path`
    need not exist yet; `mount` is where its file system begins, `filesystem` its kind ("ext4")."""

    purpose: str
    path: str
    exists: bool
    mount: str | None
    filesystem: str | None
    total_bytes: int | None
    free_bytes: int | None


@dataclass(frozen=True)
class FileSystem:
    """A row of df."""

    kind: str
    total_bytes: int | None
    free_bytes: int | None
    mount: str


def parse_df(text: str) -> tuple[FileSystem, ...]:
    """The rows of `df -kPT`; the header and what is no row are passed over."""
    rows = []
    for line in text.splitlines()[:MOST_ROWS]:
        if match := ROW.match(line.rstrip()):
            rows.append(FileSystem(printable(match[2])[:60], _kibibytes(match[3]), _kibibytes(match[5]), match[7]))
    return tuple(rows)


def parse_mounts(text: str) -> dict[str, tuple[str, str]]:
    """Kind and options by mount point, from /proc/mounts; of several at one point the last counts."""
    mounts = {}
    for line in text.splitlines()[:MOST_ROWS]:
        words = line.split(" ")
        if len(words) >= 4:
            mounts[OCTAL.sub(lambda match: chr(int(match[1], 8)), words[1])] = words[2], words[3]
    return mounts


def parse_size_option(options: str) -> int | None:
    """The bytes of a tmpfs' option size=65536k."""
    match = SIZE.search(options)
    return int(match[1]) * UNITS[match[2].lower()] if match else None


def folders_of(environ: Mapping[str, str], home: str | None, checkpoints: str | None) -> dict[str, str]:
    """Which folders count, by purpose: Hugging Face's cache as its library finds it, then the others."""
    cache = environ.get("XDG_CACHE_HOME") or (f"{home.rstrip('/')}/.cache" if home else None)
    hub = environ.get("HF_HOME") or (f"{cache}/huggingface" if cache else None)
    models = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE") or (f"{hub}/hub" if hub else None)
    found = {
        "model cache": models, "checkpoints": checkpoints, "temporary files": environ.get("TMPDIR") or "/tmp",
        "shared memory": "/dev/shm",
    }  # fmt: skip
    return {purpose: path for purpose, path in found.items() if path and path.startswith("/")}


def read_disks(root: Root, answers: Answers, folders: Mapping[str, str]) -> tuple[Disk, ...]:
    """What each folder lies on."""
    answer = answers.get(DISK_FREE, Answer(None, "", "df was not asked"))
    rows = {row.mount: row for row in parse_df(answer.stdout)}  # df exits 1 where one of many disks is out of reach
    mounts = parse_mounts(root.text("proc/mounts") or "")
    why = why_silent(DISK_FREE, answer)
    return tuple(_read_disk(root, purpose, path, rows, mounts, why) for purpose, path in folders.items())


def mount_of(path: str, mounts: Mapping[str, object]) -> str | None:
    """The longest mount point that a path lies below."""
    above = [mount for mount in mounts if path == mount or path.startswith(f"{mount.rstrip('/')}/")]
    return max(above, key=len, default=None)


def _read_disk(
    root: Root, purpose: str, path: str, rows: Mapping[str, FileSystem], mounts: Mapping[str, tuple[str, str]], why: str
) -> Disk:
    mount = mount_of(path, mounts) or mount_of(path, rows)
    row = rows.get(mount or "")
    kind, options = mounts.get(mount or "", (None, ""))
    total = row.total_bytes if row else None
    return explained(
        Disk(
            purpose=purpose,
            path=printable(path),
            exists=root.exists(path),
            mount=printable(mount) if mount else None,
            filesystem=printable(kind)[:60] if kind else row.kind if row else None,
            total_bytes=total if total is not None else parse_size_option(options),
            free_bytes=row.free_bytes if row else None,
        ),
        why if row is None else "df does not say",
        mount=root.why("proc/mounts"),
        filesystem=root.why("proc/mounts"),
    )


def _kibibytes(word: str) -> int | None:
    return int(word) * 1024 if word != "-" else None
