"""The machine's memory, from /proc/meminfo.

On a DGX Spark the GPU and the CPU share one memory and NVML reports none, so MemAvailable is the figure to watch:
cudaMemGetInfo's "free" equals MemFree and counts page cache as used (vllm-project/vllm#48140, read 2026-11-20).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sparksmith.base.errors import SparksmithError


@dataclass(frozen=True)
class Memory:
    """Bytes: what the machine has, what a new program could take without swapping, and swap."""

    total_bytes: int
    available_bytes: int
    swap_total_bytes: int


def parse_meminfo(text: str) -> Memory:
    """The three figures out of /proc/meminfo's text. Raises `ValueError` where MemTotal or MemAvailable is missing."""
    kibibytes: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            kibibytes[name] = int(words[0])
    missing = {"MemTotal", "MemAvailable"} - set(kibibytes)
    if missing:
        raise ValueError(f"/proc/meminfo has no {' and no '.join(sorted(missing))}")
    return Memory(
        kibibytes["MemTotal"] * 1024, kibibytes["MemAvailable"] * 1024, kibibytes.get("SwapTotal", 0) * 1024
    )  # fmt: skip


def read_memory(root: Path = Path("/")) -> Memory:
    """Read it now. Raises `SparksmithError` on a system without /proc/meminfo."""
    path = root / "proc/meminfo"
    try:
        return parse_meminfo(path.read_text())
    except (OSError, ValueError) as error:
        raise SparksmithError(
            f"the machine's memory cannot be read: {error}", "Sparksmith trains on Linux; this needs /proc/meminfo"
        ) from error
