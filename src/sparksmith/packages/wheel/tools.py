"""Compilers for GPU code that packages bring: which architectures ptxas knows, from the strings in it."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from sparksmith.packages.facts import ToolFacts
from sparksmith.packages.wheel.elf import Source, machine_of

TOOLS = ("ptxas", "ptxas-blackwell")
ARCHITECTURE = re.compile(rb"sm_(?:[2-9][0-9]|1[0-9]{2})[af]?(?![0-9A-Za-z_])")
WORD = re.compile(rb"[0-9A-Za-z_]")
RELEASE = re.compile(rb"release (\d{1,3})\.(\d{1,3})(?!\d)")
BLOCK, OVERLAP = 1 << 20, 64
BYTES_AT_MOST = 1 << 28  # 46 MB seen
SORTS_AT_MOST = 500


def is_tool(path: str) -> bool:
    """Whether a file of this name is a compiler that is looked into."""
    return PurePosixPath(path).name in TOOLS


def read_tool(source: Source, path: str, header: Any) -> tuple[ToolFacts, list[str]]:
    """The facts of a ptxas, and problems in words. Reads the file in pieces, as it may be truncated meanwhile."""
    found: set[bytes] = set()
    release: tuple[int, int] | None = None
    problems = []
    for offset in range(0, min(source.size, BYTES_AT_MOST), BLOCK):
        block = source.at(max(0, offset - OVERLAP), BLOCK + (OVERLAP if offset else 0))
        found.update(
            match.group()
            for match in ARCHITECTURE.finditer(block)
            if not WORD.match(block[match.start() - 1 : match.start()])
        )
        if release is None and (said := RELEASE.search(block)):
            release = int(said[1]), int(said[2])
        if len(found) > SORTS_AT_MOST:
            break
    if source.size > BYTES_AT_MOST:
        problems.append(f"{source.size:,} bytes; the first {BYTES_AT_MOST:,} are read")
    if not found:
        problems.append("names no architecture that it compiles for")
    names = sorted((name.decode() for name in found), key=_order)[:SORTS_AT_MOST]
    return ToolFacts(path, source.size, machine_of(header), release, tuple(names)), problems


def _order(name: str) -> tuple[int, str]:
    return int(name[3:].rstrip("af")), name
