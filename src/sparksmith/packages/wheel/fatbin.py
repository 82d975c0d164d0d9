"""The device code in a library, counted from the headers of its fat binaries; nothing is decompressed.

A section holds containers one after another, with zeros between them. A container is u32 magic, u16 version, u16 size
of this header, u64 size of what follows; an entry is a header (+0 u16 kind, +4 u32 size of the header, +8 u64 size of
the payload, +24 u16 minor, +26 u16 major, +28 u32 architecture, +40 u64 flags) and a payload. Headers are never
compressed. Layout from reading libraries; the counts agree with cuobjdump's (benchmarks/cuobjdump_counts.py).

Not seen: fat binaries outside `.nv_fatbin`. cuFFT 12.5 keeps its own in `.data`, and cuobjdump too says of it that it
"does not contain device code".
"""

from __future__ import annotations

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
HEADERS_AT_MOST = 500_000  # 5,666 in x86-64's libcublasLt, 8,124 in the whole aarch64 cuBLAS wheel
SORTS_AT_MOST = 500
PROBLEMS_AT_MOST = 5

ReadAt = Callable[[int, int], bytes]


@dataclass(slots=True)
class Budget:
    """How many headers may still be read, in one library or in all of a wheel's together."""

    headers: int = HEADERS_AT_MOST

    def spend(self) -> None:
        """Raises `Damaged` once nothing is left."""
        if self.headers <= 0:
            raise Damaged("more fat binary headers than any real library has; the rest is not read")
        self.headers -= 1


class Damaged(Exception):
    """What follows cannot be read."""


def parse_fat_binaries(
    read_at: ReadAt, start: int, size: int, budget: Budget
) -> tuple[tuple[DeviceCode, ...], list[str]]:
    """The device code in `size` bytes from `start` on, sorted by architecture, and problems in words.

    `read_at(offset, size)` returns fewer bytes only at the end of the file.
    """
    counted: dict[tuple[int, Kind, Variant, tuple[int, int] | None], list[int]] = {}
    problems: list[str] = []
    position, end = start, start + size
    try:
        while (position := _skip_zeros(read_at, position, end)) < end:
            position = _read_container(read_at, position, end, start, counted, problems, budget)
            if len(problems) >= PROBLEMS_AT_MOST:
                break
    except Damaged as damaged:
        problems.append(str(damaged))
    code = [
        DeviceCode(kind, architecture, variant, isa, count, stored)
        for (architecture, kind, variant, isa), (count, stored) in counted.items()
    ]
    return tuple(sorted(code, key=lambda one: (one.architecture, one.kind, one.variant, one.isa or (0, 0)))), problems


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
    counted: dict[tuple[int, Kind, Variant, tuple[int, int] | None], list[int]],
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
