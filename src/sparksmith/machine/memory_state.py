"""How the memory is used: page cache, swap, CMA, huge pages, fragments, pressure.

On a Spark all of it comes out of what CUDA can have. CmaFree above CmaTotal is the sign of a kernel 7 that keeps about
9.3 GiB back (NVIDIA/NV-Kernels#591); few free blocks of order 9 (2 MiB) and more, that of long uptime, after which the
driver finds no contiguous memory although MemAvailable looks well (FujitsuPolycom/sparkring#173). Read 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sparksmith.machine.memory import parse_meminfo_fields
from sparksmith.machine.root import Root, whole_number
from sparksmith.machine.subject import Subject, explained

LARGE_ORDER = 9  # of 4 KiB pages: 2 MiB
ZONE = re.compile(r"^Node\s+(\d+),\s+zone\s+(\w+)\s+([\d ]+)$")
PRESSURE = re.compile(r"^(some|full)\s+avg10=(\d{1,3}(?:\.\d{1,4})?)\s.*\btotal=(\d{1,20})")


@dataclass(frozen=True)
class MemoryFacts(Subject):
    """Bytes, but for counts: `huge_pages` and `huge_pages_free` are numbers of pages of `huge_page_bytes`,
    `free_large_blocks` the free blocks of order 9 and above (2 MiB and more, where pages have 4 KiB). `swap_devices`
    are "partition", "file" or "zram", one for each."""

    total_bytes: int | None
    available_bytes: int | None
    free_bytes: int | None
    cached_bytes: int | None
    shared_bytes: int | None
    swap_total_bytes: int | None
    swap_free_bytes: int | None
    swap_devices: tuple[str, ...]
    swappiness: int | None
    cma_total_bytes: int | None
    cma_free_bytes: int | None
    huge_pages: int | None
    huge_pages_free: int | None
    huge_page_bytes: int | None
    free_large_blocks: int | None
    free_large_bytes: int | None


@dataclass(frozen=True)
class PressureFacts(Subject):
    """Pressure stall information: the share of the last 10 s, in percent, in which some or all tasks waited for memory,
    and the microseconds since boot."""

    some_percent: float | None
    full_percent: float | None
    some_microseconds: int | None
    full_microseconds: int | None


def parse_buddyinfo(text: str) -> dict[int, int]:
    """Free blocks by order, over all nodes and zones."""
    blocks: dict[int, int] = {}
    for line in text.splitlines():
        if match := ZONE.match(line.strip()):
            for order, word in enumerate(match[3].split()[:32]):
                blocks[order] = blocks.get(order, 0) + (whole_number(word) or 0)
    return blocks


def parse_swaps(text: str) -> tuple[str, ...]:
    """What each line of /proc/swaps swaps to."""
    kinds = []
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) >= 2:
            kinds.append("zram" if words[0].startswith("/dev/zram") else words[1][:20])
    return tuple(kinds)


def parse_pressure(text: str) -> dict[str, tuple[float, int]]:
    """avg10 and total of the lines "some" and "full" of a pressure file."""
    found = {}
    for line in text.splitlines():
        if match := PRESSURE.match(line):
            found[match[1]] = float(match[2]), int(match[3])
    return found


def parse_memory(meminfo: str, buddyinfo: str, swaps: str, swappiness: int | None) -> MemoryFacts:
    """The facts out of the texts of /proc; what a text lacks is None."""
    figures: Mapping[str, int] = parse_meminfo_fields(meminfo)
    blocks = parse_buddyinfo(buddyinfo)
    large = {order: count for order, count in blocks.items() if order >= LARGE_ORDER}
    return MemoryFacts(
        total_bytes=figures.get("MemTotal"),
        available_bytes=figures.get("MemAvailable"),
        free_bytes=figures.get("MemFree"),
        cached_bytes=figures.get("Cached"),
        shared_bytes=figures.get("Shmem"),
        swap_total_bytes=figures.get("SwapTotal"),
        swap_free_bytes=figures.get("SwapFree"),
        swap_devices=parse_swaps(swaps),
        swappiness=swappiness,
        cma_total_bytes=figures.get("CmaTotal"),
        cma_free_bytes=figures.get("CmaFree"),
        huge_pages=figures.get("HugePages_Total"),
        huge_pages_free=figures.get("HugePages_Free"),
        huge_page_bytes=figures.get("Hugepagesize"),
        free_large_blocks=sum(large.values()) if large else None,
        free_large_bytes=sum(count * 4096 << order for order, count in large.items()) if large else None,
    )


def read_memory_facts(root: Root) -> MemoryFacts:
    """Look at /proc."""
    facts = parse_memory(
        root.text("proc/meminfo") or "", root.text("proc/buddyinfo") or "", root.text("proc/swaps") or "",
        root.number("proc/sys/vm/swappiness"),
    )  # fmt: skip
    buddy = root.why("proc/buddyinfo")
    return explained(
        facts, root.why("proc/meminfo"),
        free_large_blocks=buddy, free_large_bytes=buddy, swappiness=root.why("proc/sys/vm/swappiness"),
    )  # fmt: skip


def read_pressure(root: Root) -> PressureFacts:
    """Look at /proc/pressure/memory."""
    found = parse_pressure(root.text("proc/pressure/memory") or "")
    some, full = found.get("some"), found.get("full")
    return explained(
        PressureFacts(
            some_percent=some[0] if some else None,
            full_percent=full[0] if full else None,
            some_microseconds=some[1] if some else None,
            full_microseconds=full[1] if full else None,
        ),
        f"{root.why('proc/pressure/memory')} (the kernel may have been built or started without PSI)",
    )
