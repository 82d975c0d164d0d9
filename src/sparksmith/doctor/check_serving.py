"""vLLM, as the project's scripts start it."""

from __future__ import annotations

from collections.abc import Iterator

from sparksmith.base.units import GIB, format_bytes
from sparksmith.doctor.finding import Check, Examined, Seen
from sparksmith.doctor.hardware import shares_memory
from sparksmith.doctor.marks import Ask
from sparksmith.doctor.observed import is_version, version_of

DEFAULT_SHARE = 0.9  # vLLM's own, of all memory
# vLLM takes its share at once. What it leaves must hold the system, the other processes and the page cache that the
# model is read through. Owners of Sparks settle on 0.85, which leaves 18 GiB; with 0.90 (12 GiB) and more they run out
# after long sessions (MiaAI-Lab/DeepSeek-v4-Flash-DSpark-2x-DGX-Spark#5, read 2026-11-28). Between the two.
LEAST_LEFT = 16 * GIB


def check_utilization(examined: Examined) -> Iterator[Seen]:
    """A share of memory that the system shares with the GPU, and does not have free."""
    memory, project = examined.machine.memory, examined.project
    if project is None or not shares_memory(examined.machine) or memory.total_bytes is None:
        return
    asked: list[tuple[Ask, float]] = [(ask, float(ask.text)) for ask in project.of("utilization")]
    asked += [(ask, DEFAULT_SHARE) for ask in project.of("vllm serve")]
    for ask, share in asked:
        wanted, available = int(share * memory.total_bytes), memory.available_bytes
        own = "" if ask.mark == "utilization" else " (vLLM's own, as nothing is said)"
        here = f"{ask.place}: a share of {share:g}{own} is {format_bytes(wanted)}"
        left = memory.total_bytes - wanted
        if available is not None and wanted > available:
            here = f"{here}, and {format_bytes(available)} are available"
        elif ask.mark == "utilization" and left < LEAST_LEFT:
            here = f"{here}, which leaves {format_bytes(left)} to everything else"
        else:
            continue
        yield Seen("vllm-memory-utilization", here, (ask.place, "/proc/meminfo"))


def check_serialization(examined: Examined) -> Iterator[Seen]:
    """New weights sent to vLLM's engine with a torch.dtype beside."""
    project = examined.project
    if (
        project is None
        or not examined.is_own
        or examined.machine.variables.values.get("VLLM_ALLOW_INSECURE_SERIALIZATION") == "1"
    ):
        return
    if "serialization" in project.cares or not is_version(version_of(examined, "vllm"), ">=0.10"):
        return
    for ask in project.of("weights to vLLM")[:1]:
        here = f"{ask.place} sends weights to vLLM, and VLLM_ALLOW_INSECURE_SERIALIZATION is not set"
        yield Seen("vllm-serialization", here, (ask.place,))


CHECKS: tuple[Check, ...] = (check_utilization, check_serialization)
