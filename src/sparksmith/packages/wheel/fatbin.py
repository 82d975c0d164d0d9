"""The device code in a library, counted from the headers of its fat binaries; nothing is decompressed.

A section holds containers one after another, with zeros between them. A container is u32 magic, u16 version, u16 size
of this header, u64 size of what follows; an entry is a header (+0 u16 kind, +4 u32 size of the header, +8 u64 size of
the payload, +24 u16 minor, +26 u16 major, +28 u32 architecture, +40 u64 flags) and a payload. Headers are never
compressed. Layout from reading libraries; the counts agree with cuobjdump's (benchmarks/cuobjdump_counts.py).

cuFFT and cuRAND keep their kernels as containers among the variables of `.data` or `.ldata`, where no wrapper of
`.nvFatBinSegment` points at them (cuFFT 12.5 has none at all: it hands them to the driver itself). There they are
found by their first eight bytes, and stepped over by their size. cuobjdump says of cuFFT 12.5 that it "does not contain
device code"; given the containers, it counts the same (benchmarks/cuobjdump_counts.py). Not counted: helpers among
constants (`.rodata` of cuSPARSE and CUPTI), and `.cask_resource` (cuBLASLt, cuDNN, cuSPARSELt), which lies beside a
`.nv_fatbin` with code for the same GPUs.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from sparksmith.packages.facts import DeviceCode, Kind, Variant

MAGIC = 0xBA55ED50
VERSION = 1
KINDS: dict[int, Kind] = {1: "ptx", 2: "cubin"}  # others hold intermediate code for linking, which no driver runs
EXACT, FAMILY = 0x100000, 0x200000
CONTAINER = struct.Struct("<IHHQ")
ENTRY = struct.Struct("<HHIQQHHIQQ")  # up to and with the flags
HEADER_AT_MOST = 65_536  # 64 to 112 seen
ZEROS_AT_MOST = 1 << 20  # 255 seen
HEADERS_AT_MOST = 500_000  # 8,124 in the whole aarch64 cuBLAS wheel, 48,000 in cuFFT 12.0's
SEARCHED_AT_MOST = 1 << 29  # bytes of data between containers; 129 MB in libcublasLt, which has none there
SORTS_AT_MOST = 500
PROBLEMS_AT_MOST = 5

START = struct.pack("<IHH", MAGIC, VERSION, CONTAINER.size)  # of a container, as all compilers write it
NEXT = re.compile(re.escape(START))  # four times as fast over zeros as bytes.find
BLOCK, PIECE = 1 << 18, 1 << 12  # bytes read at once where containers are searched for, and where headers are expected

ReadAt = Callable[[int, int], bytes]
Counted = dict[tuple[int, Kind, Variant, tuple[int, int] | None], list[int]]


@dataclass(slots=True)
class Budget:
    """What may still be read, in one library or in all of a wheel's together: headers, and bytes searched for them."""

    headers: int = HEADERS_AT_MOST
    searched: int = SEARCHED_AT_MOST

    def spend(self) -> None:
        """Raises `Damaged` once nothing is left."""
        if self.headers <= 0:
            raise Damaged("more fat binary headers than any real library has; the rest is not read")
        self.headers -= 1

    def search(self, size: int) -> None:
        """Raises `Damaged` once nothing is left."""
        if self.searched < size:
            raise Damaged("more data to search for fat binaries than any real library has; the rest is not searched")
        self.searched -= size


class Damaged(Exception):
    """What follows cannot be read."""


def parse_fat_binaries(
    read_at: ReadAt, start: int, size: int, budget: Budget
) -> tuple[tuple[DeviceCode, ...], list[str]]:
    """The device code in `size` bytes from `start` on, sorted by architecture, and problems in words.

    `read_at(offset, size)` returns fewer bytes only at the end of the file.
    """
    counted: Counted = {}
    problems: list[str] = []
    position, end = start, start + size
    try:
        while (position := _skip_zeros(read_at, position, end)) < end:
            position = _read_container(read_at, position, end, start, counted, problems, budget)
            if len(problems) >= PROBLEMS_AT_MOST:
                break
    except Damaged as damaged:
        problems.append(str(damaged))
    return _sorted(counted), problems


def find_fat_binaries(
    read_at: ReadAt, start: int, size: int, budget: Budget
) -> tuple[tuple[DeviceCode, ...], list[str]]:
    """The same where containers lie among other data: what only looks like one is passed over without a word."""
    counted: Counted = {}
    problems: list[str] = []
    window = _Window(read_at)
    position, end = start, start + size
    try:
        while (found := window.find(position, end, budget)) is not None:
            length = CONTAINER.size + CONTAINER.unpack(window.at(found, CONTAINER.size))[3]
            if found + length > end:
                budget.spend()
                position = found + len(START)
                continue
            position = _read_container(window.at, found, found + length, start, counted, problems, budget)
            if len(problems) >= PROBLEMS_AT_MOST:
                break
    except Damaged as damaged:
        problems.append(str(damaged))
    return _sorted(counted), problems


def _sorted(counted: Counted) -> tuple[DeviceCode, ...]:
    code = [
        DeviceCode(kind, architecture, variant, isa, count, stored)
        for (architecture, kind, variant, isa), (count, stored) in counted.items()
    ]
    return tuple(sorted(code, key=lambda one: (one.architecture, one.kind, one.variant, one.isa or (0, 0))))


@dataclass(slots=True)
class _Window:
    """The last bytes that were read: not a system call for each header of cuFFT's eighteen thousand containers."""

    read_at: ReadAt
    offset: int = 0
    block: bytes = b""

    def at(self, offset: int, size: int, ahead: int = PIECE) -> bytes:
        inner = offset - self.offset
        if inner < 0 or inner + size > len(self.block):
            self.offset, inner = offset, 0
            self.block = self.read_at(offset, max(size, ahead))
        return self.block[inner : inner + size]

    def find(self, position: int, end: int, budget: Budget) -> int | None:
        """Where the next container may begin, with room for its header before `end`."""
        while end - position >= CONTAINER.size:
            head = self.at(position, CONTAINER.size)
            if head.startswith(START):  # most follow one upon the other
                return position
            if len(self.block) - (position - self.offset) < PIECE // 2:
                head = self.at(position, BLOCK)
            if len(head) < CONTAINER.size:
                return None
            place = NEXT.search(self.block, position - self.offset)
            after = self.offset + (place.start() if place else len(self.block) - len(START) + 1)
            budget.search(after - position)
            if place:
                return after if end - after >= CONTAINER.size else None
            position = after
        return None


def _skip_zeros(read_at: ReadAt, position: int, end: int) -> int:
    """Where the next byte other than zero stands, or `end`."""
    first = position
    while position < end:
        block = read_at(position, min(512 if position == first else 65_536, end - position))
        if not block:
            raise Damaged(f"ends {end - position:,} bytes before its size says")
        zeros = len(block) - len(block.lstrip(b"\0"))
        position += zeros
        if zeros < len(block):
            return position
        if position - first > ZEROS_AT_MOST:
            raise Damaged(f"{position - first:,} zeros where a fat binary should be; the rest is not read")
    return end


def _read_container(
    read_at: ReadAt,
    position: int,
    end: int,
    start: int,
    counted: Counted,
    problems: list[str],
    budget: Budget,
) -> int:
    """Count one container's entries, and return where it ends."""
    budget.spend()
    header = read_at(position, CONTAINER.size)
    if len(header) < CONTAINER.size or end - position < CONTAINER.size:
        raise Damaged(f"a fat binary cut off after {min(len(header), end - position)} bytes")
    magic, version, header_size, size = CONTAINER.unpack(header)
    if magic != MAGIC:
        raise Damaged(f"no fat binary at byte {position - start:,} (magic 0x{magic:08x}); the rest is not read")
    if version != VERSION or not CONTAINER.size <= header_size <= HEADER_AT_MOST:
        raise Damaged(f"a fat binary of version {version}, header of {header_size} bytes: not one that is known here")
    stop: int = position + header_size + size
    if stop > end:
        problems.append(f"a fat binary says {size:,} bytes where {max(0, end - position - header_size):,} are left")
        stop = end
    inner = position + header_size
    while inner < stop:
        budget.spend()
        header = read_at(inner, ENTRY.size)
        if len(header) < ENTRY.size or stop - inner < ENTRY.size:
            if header.strip(b"\0"):
                problems.append(f"an entry of a fat binary cut off after {min(len(header), stop - inner)} bytes")
            break
        kind, _, header_size, payload, _, minor, major, architecture, _, flags = ENTRY.unpack(header)
        if not ENTRY.size <= header_size <= HEADER_AT_MOST:
            problems.append(f"an entry of a fat binary says its header has {header_size:,} bytes")
            break
        inner += header_size + payload
        if inner > stop:
            problems.append(f"an entry of a fat binary says {payload:,} bytes, {inner - stop:,} more than there are")
            break
        if kind in KINDS:
            variant: Variant = "a" if flags & EXACT else "f" if flags & FAMILY else ""
            isa = (major, minor) if KINDS[kind] == "ptx" else None
            sums = counted.setdefault((architecture, KINDS[kind], variant, isa), [0, 0])
            sums[0] += 1
            sums[1] += payload
            if len(counted) > SORTS_AT_MOST:
                raise Damaged(f"device code for more than {SORTS_AT_MOST} architectures; the rest is not read")
    return stop
