"""Which kind of machine stands here, told by whatever of it answers: the driver, the product's name, the bus."""

from __future__ import annotations

import re

from sparksmith.machine.facts import MachineFacts

# The maker's name for the whole machine, where no driver answers. NVIDIA's own and those that name the chip; other
# makers' names (GX10, PGX, ZGX) are not taken for it.
PRODUCT = re.compile(r"DGX[ _-]?Spark|\bGB10\b", re.IGNORECASE)


def is_gb10(machine: MachineFacts) -> bool:
    """Whether this is a DGX Spark or another machine with its chip."""
    names = [gpu.name for gpu in machine.gpu.gpus if gpu.name]
    return any("GB10" in name for name in names) if names else bool(PRODUCT.search(machine.system.product or ""))


def shares_memory(machine: MachineFacts) -> bool:
    """Whether the GPU uses the machine's own memory."""
    known = [gpu.unified_memory for gpu in machine.gpu.gpus if gpu.unified_memory is not None]
    return any(known) if known else is_gb10(machine)


def has_gpu(machine: MachineFacts) -> bool:
    """Whether an NVIDIA GPU is there, be it that no driver answers for it."""
    gpu = machine.gpu
    return bool(gpu.gpus or gpu.pci_devices or gpu.driver or gpu.device_nodes)


def release_of(version: str | None) -> tuple[int, int] | None:
    """The first two numbers of a version: (13, 0) of "13.0.2" and of "13"; None where it does not begin with one."""
    match = re.match(r"(\d{1,5})(?:\.(\d{1,5}))?", version or "")
    return (int(match[1]), int(match[2] or 0)) if match else None
