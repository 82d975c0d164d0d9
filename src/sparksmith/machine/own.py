"""What this process may do: its limits, its place before the OOM killer, its user and groups.

oom_score_adj is inherited: a job started from a shell that a protected ssh service started has -1000, is never picked
and livelocks at its group's limit (measured under Debian 12).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sparksmith.machine.root import Root, whole_number
from sparksmith.machine.subject import UNLIMITED, Limit, Subject, explained
from sparksmith.machine.system import parse_status

LIMIT = re.compile(r"^(Max [a-z -]+?)\s{2,}(unlimited|\d{1,20})\s+(unlimited|\d{1,20})(?:\s|$)")
LOCKED, FILES, STACK = "Max locked memory", "Max open files", "Max stack size"


@dataclass(frozen=True)
class ProcessFacts(Subject):
    """Our own process. Limits are soft ones in bytes, but for `open_files`, which counts; the hard one stands beside
    where raising it may be the fix. `is_root` by the effective user."""

    oom_score_adj: int | None
    locked_memory: Limit | None
    locked_memory_hard: Limit | None
    open_files: Limit | None
    open_files_hard: Limit | None
    stack: Limit | None
    is_root: bool | None


def parse_limits(text: str) -> dict[str, tuple[Limit, Limit]]:
    """/proc/self/limits: soft and hard by the kernel's own name."""
    found: dict[str, tuple[Limit, Limit]] = {}
    for line in text.splitlines():
        if match := LIMIT.match(line):
            found[match[1]] = _limit(match[2]), _limit(match[3])
    return found


def read_process(root: Root) -> ProcessFacts:
    """Look at /proc/self."""
    limits = parse_limits(root.text("proc/self/limits") or "")
    user = read_user_id(root)
    locked, files, stack = (limits.get(name, (None, None)) for name in (LOCKED, FILES, STACK))
    return explained(
        ProcessFacts(
            oom_score_adj=root.number("proc/self/oom_score_adj"),
            locked_memory=locked[0],
            locked_memory_hard=locked[1],
            open_files=files[0],
            open_files_hard=files[1],
            stack=stack[0],
            is_root=user == 0 if user is not None else None,
        ),
        root.why("proc/self/limits"),
        oom_score_adj=root.why("proc/self/oom_score_adj"),
        is_root=root.why("proc/self/status"),
    )


def read_user_id(root: Root) -> int | None:
    """The effective user's number."""
    words = parse_status(root.text("proc/self/status") or "").get("Uid", "").split()
    return whole_number(words[1]) if len(words) > 1 else None


def read_group_ids(root: Root) -> frozenset[int] | None:
    """The numbers of the groups that this process is in; None where that cannot be read."""
    status = parse_status(root.text("proc/self/status") or "")
    if "Groups" not in status:
        return None
    words = [*status["Groups"].split(), *status.get("Gid", "").split()]
    return frozenset(number for word in words if (number := whole_number(word)) is not None)


def _limit(word: str) -> Limit:
    return UNLIMITED if word == UNLIMITED else int(word)
