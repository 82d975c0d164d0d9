"""The GPUs as they are now: driver, clocks and what holds them down, who uses them, whose memory they use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest

from sparksmith.base.command import Answer
from sparksmith.machine.cgroup import parse_own_groups
from sparksmith.machine.commands import NVIDIA_SMI_Q, NVIDIA_SMI_TABLE, Answers, why_silent
from sparksmith.machine.distributions import printable
from sparksmith.machine.gpu import QUERY, Gpu, parse_gpus
from sparksmith.machine.nvidia_smi import (
    SmiAnswer,
    SmiGpu,
    SmiProcess,
    parse_nvidia_smi,
    parse_nvidia_smi_table,
    version_of,
)
from sparksmith.machine.root import Root
from sparksmith.machine.subject import Subject, explained

MODULE = "proc/driver/nvidia/version"
DEVICES = "sys/bus/pci/devices"
MOST_DEVICES = 512
NVIDIA, DISPLAY_CLASSES = "0x10de", ("0x0300", "0x0302")
NVRM = re.compile(r"NVRM version:\s+NVIDIA UNIX (Open )?.{0,80}?\s(\d{3}\.[\d.]{1,20})\s")
# The control group of what was started in a login, a terminal or through systemd-run; a service, a container and an
# application of the desktop, whose parent is the first process from the start, have others.
SCOPE = re.compile(r"(?:session|vte-spawn|tmux-spawn|run)-.*\.scope")
MOST_PARENTS = 64
NOT_REPORTED = "the driver reports none (N/A)"
# GPUs whose memory is the machine's own: DGX Spark and RTX Spark (N1X), Jetson Thor and Orin.
UNIFIED = re.compile(r"\b(GB10|N1X|Thor|Orin)\b")


@dataclass(frozen=True)
class GpuState(Subject):
    """One GPU. `unified_memory` says that it has no memory of its own; `memory_bytes` is None then. Clocks in MHz,
    temperature in degrees Celsius, power in watts, utilization in percent. `limited_by` are the reasons that hold the
    clocks down now, by nvidia-smi's names and without "Idle"; `limited_microseconds` how long each did since the driver
    was loaded."""

    name: str | None
    compute_capability: tuple[int, int] | None
    unified_memory: bool | None
    memory_bytes: int | None
    addressing: str | None
    performance_state: str | None
    clock_mhz: int | None
    max_clock_mhz: int | None
    temperature: int | None
    power_watts: float | None
    power_limit_watts: float | None
    utilization_percent: int | None
    is_idle: bool | None
    limited_by: tuple[str, ...] | None
    limited_microseconds: Mapping[str, int]


@dataclass(frozen=True)
class GpuFacts(Subject):
    """`driver` is the kernel module's version where it is loaded, `tools_driver` what nvidia-smi says (two versions: a
    restart is due); `cuda` the newest CUDA that the driver supports. `pci_devices` counts NVIDIA's display devices on
    the bus, whether a driver answers or not; `device_nodes` are the names in /dev. `processes` hold a GPU; inside a
    container none are seen. `orphans` are the numbers of those that a user started from something that is gone: their
    parent is the system's or the user's first process, and they are no service."""

    driver: str | None
    tools_driver: str | None
    open_module: bool | None
    cuda: str | None
    gpus: tuple[GpuState, ...]
    pci_devices: int | None
    device_nodes: tuple[str, ...]
    processes: tuple[SmiProcess, ...] | None
    orphans: tuple[int, ...] | None


def parse_module_version(text: str) -> tuple[str | None, bool | None]:
    """Version of the loaded kernel module, and whether it is the open one, from /proc/driver/nvidia/version."""
    match = NVRM.search(text)
    return (version_of(match[2]), match[1] is not None) if match else (None, None)


def read_gpu_facts(root: Root, answers: Answers) -> GpuFacts:
    """Join what nvidia-smi says, in one answer or another, with the module and the bus."""
    smi, source = _read_smi(answers)
    query = answers.get(QUERY, Answer(None, "", "nvidia-smi was not asked"))
    named = parse_gpus(query.stdout) if query.ok else []
    processes = tuple(one for gpu in smi.gpus for one in gpu.processes) if smi.gpus else None
    module, is_open = parse_module_version(root.text(MODULE) or "")
    tools = smi.driver or (version_of(named[0].driver) if named else None)
    # In a list of several answers the GPUs stand in the same order: that of their bus.
    states = tuple(_state(gpu, state, query, source) for gpu, state in zip_longest(named, smi.gpus))
    return explained(
        GpuFacts(
            driver=module or tools,
            tools_driver=tools,
            open_module=is_open,
            cuda=smi.cuda,
            gpus=states,
            pci_devices=_count_devices(root),
            device_nodes=tuple(
                printable(name) for name in root.names("dev") if name.startswith(("nvidia", "dxg", "nvmap"))
            ),
            processes=processes,
            orphans=_find_orphans(root, processes) if processes is not None else None,
        ),
        source,
        driver=f"{root.why(MODULE)}; {source}",
        open_module=root.why(MODULE),
        pci_devices=root.why(DEVICES),
    )


def _read_smi(answers: Answers) -> tuple[SmiAnswer, str]:
    """The fullest answer, and why what is not in it is not known."""
    said = answers.get(NVIDIA_SMI_Q, Answer(None, "", "nvidia-smi was not asked"))
    if said.ok:
        return parse_nvidia_smi(said.stdout), "nvidia-smi -q does not say, or says N/A"
    why = why_silent(NVIDIA_SMI_Q, said)
    table = answers.get(NVIDIA_SMI_TABLE)
    if table is not None and table.ok:
        return parse_nvidia_smi_table(table.stdout), f"{why}; the table of nvidia-smi does not say"
    return SmiAnswer(None, None, ()), why


def _state(gpu: Gpu | None, state: SmiGpu | None, query: Answer, source: str) -> GpuState:
    name = printable(gpu.name) if gpu else state.name if state else None
    seen = state or SmiGpu(bus="")
    memory = (gpu.memory_bytes if gpu else None) or seen.memory_total_bytes
    limited = seen.limited_by
    return explained(
        GpuState(
            name=name,
            compute_capability=gpu.compute_capability if gpu else None,
            unified_memory=_is_unified(name, seen, memory),
            memory_bytes=memory,
            addressing=seen.addressing,
            performance_state=seen.performance_state,
            clock_mhz=seen.clock,
            max_clock_mhz=seen.max_clock,
            temperature=seen.temperature,
            power_watts=seen.power,
            power_limit_watts=seen.power_limit,
            utilization_percent=seen.utilization,
            is_idle="Idle" in limited if limited is not None else None,
            limited_by=tuple(reason for reason in limited if reason != "Idle") if limited is not None else None,
            limited_microseconds=seen.limited_microseconds,
        ),
        source,
        compute_capability=why_silent(QUERY, query),
        unified_memory="no memory of its own is reported, and the name is not one that is known to share the machine's",
        memory_bytes=NOT_REPORTED,
    )


def _find_orphans(root: Root, processes: tuple[SmiProcess, ...]) -> tuple[int, ...]:
    found = []
    for one in processes[:MOST_PARENTS]:
        stat = (root.line(f"proc/{one.pid}/stat") or "").rpartition(")")[2].split()
        parent = stat[1] if len(stat) > 1 else ""
        if parent == "1" or (parent.isascii() and parent.isdigit() and root.line(f"proc/{parent}/comm") == "systemd"):
            group = parse_own_groups(root.text(f"proc/{one.pid}/cgroup") or "").get("", "")
            if SCOPE.fullmatch(group.rpartition("/")[2]):
                found.append(one.pid)
    return tuple(found)


def _is_unified(name: str | None, state: SmiGpu, memory: int | None) -> bool | None:
    if name and UNIFIED.search(name):
        return True
    return False if memory else None


def _count_devices(root: Root) -> int | None:
    names = root.names(DEVICES)
    if not names:
        return None
    return sum(
        root.line(f"{DEVICES}/{name}/vendor") == NVIDIA
        and (root.line(f"{DEVICES}/{name}/class") or "").startswith(DISPLAY_CLASSES)
        for name in names[:MOST_DEVICES]
    )
