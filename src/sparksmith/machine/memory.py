"""The machine's memory, from /proc/meminfo.

On a DGX Spark the GPU and the CPU share one memory and NVML reports none, so MemAvailable is the figure to watch:
cudaMemGetInfo's "free" equals MemFree and counts page cache as used (vllm-project/vllm#48140, read 2026-11-20).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sparksmith.base.errors import SparksmithError

NOT_KIBIBYTES = ("HugePages_",)  # counts of pages


@dataclass(frozen=True)
class Memory:
    """Bytes: what the machine has, what a new program could take without swapping, and swap."""

    total_bytes: int
    available_bytes: int
    swap_total_bytes: int


def parse_meminfo_fields(text: str) -> dict[str, int]:
    """Every figure of /proc/meminfo's text: bytes, and huge pages as their number."""
    figures: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isascii() and words[0].isdigit() and len(words[0]) <= 20:
            figures[name] = int(words[0]) * (1 if name.startswith(NOT_KIBIBYTES) else 1024)
    return figures


def parse_meminfo(text: str) -> Memory:
    """The three figures out of /proc/meminfo's text. Raises `ValueError` where MemTotal or MemAvailable is missing."""
    figures = parse_meminfo_fields(text)
    missing = {"MemTotal", "MemAvailable"} - set(figures)
    if missing:
        raise ValueError(f"/proc/meminfo has no {' and no '.join(sorted(missing))}")
    return Memory(figures["MemTotal"], figures["MemAvailable"], figures.get("SwapTotal", 0))


def read_memory(root: Path = Path("/")) -> Memory:
    """Read it now. Raises `SparksmithError` on a system without /proc/meminfo."""
    path = root / "proc/meminfo"
    try:
        return parse_meminfo(path.read_text())
    except (OSError, ValueError) as error:
        raise SparksmithError(
            f"the machine's memory cannot be read: {error}", "Sparksmith trains on Linux; this needs /proc/meminfo"
        ) from error
