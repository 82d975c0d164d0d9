"""The control group that this process is in, and what limits it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sparksmith.machine.own import read_user_id
from sparksmith.machine.root import Root, whole_number
from sparksmith.machine.subject import UNLIMITED, Limit, Subject, explained

MOUNT = "sys/fs/cgroup"
LINE = re.compile(r"^(\d{1,6}):([^:]*):(/.*)$")
V1_UNLIMITED = 2**60  # v1 writes the largest multiple of a page that fits 63 bits


@dataclass(frozen=True)
class CgroupFacts(Subject):
    """`version` 2, 1, or 0 where there are none. `memory_limit` is the least memory.max of our group and those above,
    `memory_used` what is charged to our own (never CUDA's memory on a Spark). `delegated` says whether systemd hands
    the user's own groups a memory controller, which a limit without root needs."""

    version: int | None
    controllers: tuple[str, ...]
    memory_limit: Limit | None
    memory_high: Limit | None
    swap_limit: Limit | None
    memory_used_bytes: int | None
    delegated: bool | None


def parse_own_groups(text: str) -> dict[str, str]:
    """/proc/self/cgroup: the path by controller; v2 has the controller ""."""
    groups = {}
    for line in text.splitlines():
        if match := LINE.match(line):
            for controller in match[2].split(","):
                groups[controller] = match[3]
    return groups


def parse_limit(text: str | None) -> Limit | None:
    """A limit file's bytes, UNLIMITED, or None where it says neither."""
    word = (text or "").strip()
    number = whole_number(word)
    if word == "max" or (number is not None and (number >= V1_UNLIMITED or number < 0)):
        return UNLIMITED
    return number


def least(limits: list[Limit | None]) -> Limit | None:
    """The least of those known; None where none is."""
    numbers = [limit for limit in limits if isinstance(limit, int)]
    return min(numbers) if numbers else UNLIMITED if UNLIMITED in limits else None


def read_cgroup(root: Root) -> CgroupFacts:
    """Look at /proc/self/cgroup and below /sys/fs/cgroup."""
    groups = parse_own_groups(root.text("proc/self/cgroup") or "")
    own = root.why("proc/self/cgroup")
    if "" in groups and (root.exists(f"{MOUNT}/cgroup.controllers") or "memory" not in groups):
        return _read_v2(root, groups[""])
    if "memory" in groups:
        return _read_v1(root, groups["memory"])
    version = None if root.text("proc/self/cgroup") is None else 0
    return explained(CgroupFacts(version, (), None, None, None, None, None), "there is no control group", version=own)


def _read_v2(root: Root, path: str) -> CgroupFacts:
    folders = _upwards(path)
    limits = {
        name: least([parse_limit(root.line(f"{folder}/{name}")) for folder in folders])
        for name in ("memory.max", "memory.high", "memory.swap.max")
    }
    controllers = tuple((root.line(f"{MOUNT}/cgroup.controllers") or "").split())
    # The root group has no limit files, nor has a group without the memory controller: then nothing limits us.
    default: Limit | None = UNLIMITED if controllers else None
    user = read_user_id(root)
    service = f"{MOUNT}/user.slice/user-{user}.slice/user@{user}.service/cgroup.controllers"
    given = root.line(service) if user is not None else None
    delegated = "memory" in given.split() if given is not None else True if user == 0 else None
    return explained(
        CgroupFacts(
            version=2,
            controllers=controllers,
            memory_limit=limits["memory.max"] if limits["memory.max"] is not None else default,
            memory_high=limits["memory.high"] if limits["memory.high"] is not None else default,
            swap_limit=limits["memory.swap.max"] if limits["memory.swap.max"] is not None else default,
            memory_used_bytes=root.number(f"{folders[0]}/memory.current"),
            delegated=delegated,
        ),
        root.why(f"{MOUNT}/cgroup.controllers"),
        memory_used_bytes=root.why(f"{folders[0]}/memory.current"),
        delegated=root.why(service) if user is not None else "whose process this is is not known",
    )


def _read_v1(root: Root, path: str) -> CgroupFacts:
    base = f"{MOUNT}/memory"
    folders = [f"{base}{path.rstrip('/')}", base]  # a container sees its own group at the mount's root
    limits = least([parse_limit(root.line(f"{folder}/memory.limit_in_bytes")) for folder in folders])
    return explained(
        CgroupFacts(
            version=1,
            controllers=root.names(MOUNT),
            memory_limit=limits,
            memory_high=UNLIMITED,
            swap_limit=UNLIMITED,
            memory_used_bytes=next(
                (used for one in folders if (used := root.number(f"{one}/memory.usage_in_bytes")) is not None), None
            ),
            delegated=False,
        ),
        root.why(f"{base}/memory.limit_in_bytes"),
    )


def _upwards(path: str) -> list[str]:
    """The folders of a group and of those above it, its own first."""
    parts = [part for part in path.split("/") if part and part != ".."][:64]
    return [f"{MOUNT}/{'/'.join(parts[:count])}".rstrip("/") for count in range(len(parts), -1, -1)]
