"""Which process a record speaks of. A pid is not enough: pids are given again, and machines are restarted."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path("/")


@dataclass(frozen=True)
class Identity:
    """A process: its pid, when it started (clock ticks since boot), and which boot that was."""

    pid: int
    start_ticks: int
    boot: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def parse_start_ticks(stat: str) -> tuple[str, int]:
    """(state, start time) out of /proc/PID/stat; the command's name in it may hold spaces and parentheses (proc(5))."""
    fields = stat.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def read_identity(pid: int, root: Path = ROOT) -> Identity | None:
    """The identity of a running process, or None where there is none (a zombie is none)."""
    try:
        state, ticks = parse_start_ticks((root / f"proc/{pid}/stat").read_text(errors="replace"))
    except (OSError, ValueError, IndexError):
        return None
    return None if state in "ZX" else Identity(pid, ticks, read_boot(root))


def read_boot(root: Path = ROOT) -> str:
    """The kernel's name for this boot."""
    try:
        return (root / "proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def own_identity() -> Identity:
    """This process."""
    identity = read_identity(os.getpid())
    assert identity is not None, "this process is in /proc"
    return identity


def parse_identity(record: Any) -> Identity | None:
    """An identity out of a manifest's `process`, or None."""
    try:
        return Identity(int(record["pid"]), int(record["start_ticks"]), str(record["boot"]))
    except (TypeError, KeyError, ValueError, OverflowError):
        return None


def is_alive(identity: Identity, root: Path = ROOT) -> bool:
    """Whether that very process still runs."""
    return read_identity(identity.pid, root) == identity
