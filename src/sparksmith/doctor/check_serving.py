"""vLLM, as the project's scripts start it."""

from __future__ import annotations

from collections.abc import Iterator

from sparksmith.base.units import format_bytes
from sparksmith.doctor.finding import Check, Examined, Seen
from sparksmith.doctor.hardware import shares_memory
from sparksmith.doctor.marks import Ask
from sparksmith.doctor.observed import is_version, version_of

DEFAULT_SHARE = 0.9  # vLLM's own, of all memory
LARGEST_SHARE = 0.8  # more than this a Spark's system and its page cache seldom leave


def check_utilization(examined: Examined) -> Iterator[Seen]:
    """A share of memory that the system shares with the GPU, and does not have free."""
    memory, project = examined.machine.memory, examined.project
    if project is None or not shares_memory(examined.machine) or memory.total_bytes is None:
        return
    asked: list[tuple[Ask, float]] = [(ask, float(ask.text)) for ask in project.of("utilization")]
    asked += [(ask, DEFAULT_SHARE) for ask in project.of("vllm serve")]
    for ask, share in asked:
        wanted = share * memory.total_bytes
        lacks = memory.available_bytes is not None and wanted > memory.available_bytes
        if lacks or (ask.mark == "utilization" and share > LARGEST_SHARE):
            left = f", and {format_bytes(memory.available_bytes)} are available" if memory.available_bytes else ""
            own = "" if ask.mark == "utilization" else " (vLLM's own, as nothing is said)"
            here = f"{ask.place}: a share of {share:g}{own} is {format_bytes(wanted)}{left}"
            yield Seen("vllm-memory-utilization", here, (ask.place, "/proc/meminfo"))


def check_serialization(examined: Examined) -> Iterator[Seen]:
    """New weights sent to vLLM's engine with a torch.dtype beside."""
    project = examined.project
    if project is None or examined.machine.variables.values.get("VLLM_ALLOW_INSECURE_SERIALIZATION") == "1":
        return
    if project.of("insecure serialization") or not is_version(version_of(examined, "vllm"), ">=0.10"):
        return
    for ask in project.of("weights to vLLM")[:1]:
        here = f"{ask.place} sends weights to vLLM, and VLLM_ALLOW_INSECURE_SERIALIZATION is not set"
        yield Seen("vllm-serialization", here, (ask.place,))


CHECKS: tuple[Check, ...] = (check_utilization, check_serialization)
