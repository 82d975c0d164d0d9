"""The NVIDIA GPUs, as nvidia-smi names them; memory is left out where it is not reported, as on a DGX Spark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sparksmith.base.command import Answer, ask
from sparksmith.machine.root import whole_number

QUERY = ("nvidia-smi", "--query-gpu=name,compute_cap,driver_version,memory.total", "--format=csv,noheader,nounits")


@dataclass(frozen=True)
class Gpu:
    """One GPU. `memory_bytes` is None where the driver reports none (unified memory)."""

    name: str
    compute_capability: tuple[int, int]
    driver: str
    memory_bytes: int | None

    @property
    def has_bf16(self) -> bool:
        """bfloat16 arithmetic came with compute capability 8.0 (CUDA C++ Programming Guide, arithmetic table, 2026)."""
        return self.compute_capability >= (8, 0)


def parse_gpus(text: str) -> list[Gpu]:
    """GPUs out of nvidia-smi's lines; a line that is not one is passed over."""
    gpus = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != 4:
            continue
        name, capability, driver, memory = fields
        major, minor = map(whole_number, capability.partition(".")[::2])
        if major is None or minor is None:
            continue
        mebibytes = whole_number(memory)
        gpus.append(Gpu(name, (major, minor), driver, mebibytes * 1024**2 if mebibytes is not None else None))
    return gpus


def read_gpus(ask: Callable[..., Answer] = ask) -> list[Gpu]:
    """The GPUs that the driver answers for; none where there is no driver."""
    answer = ask(QUERY, timeout_seconds=10.0)
    return parse_gpus(answer.stdout) if answer.ok else []
