"""One look at the machine: what a plan is made from."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from sparksmith.machine.gpu import Gpu, read_gpus
from sparksmith.machine.memory import Memory, read_memory


@dataclass(frozen=True)
class Machine:
    """What was observed. `cores` are those that this process may use."""

    architecture: str
    cores: int
    memory: Memory
    gpus: tuple[Gpu, ...]


def collect(root: Path = Path("/")) -> Machine:
    """Look now. Raises `SparksmithError` where there is no /proc."""
    return Machine(platform.machine(), len(os.sched_getaffinity(0)), read_memory(root), tuple(read_gpus()))
