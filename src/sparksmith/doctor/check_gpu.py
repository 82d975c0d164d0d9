"""The GPU, its driver and its toolkits: what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sparksmith.base.units import plural
from sparksmith.doctor.finding import Check, Examined, Seen
from sparksmith.doctor.hardware import has_gpu, is_gb10, release_of
from sparksmith.machine.gpu_state import MODULE, GpuState
from sparksmith.policy.targets import FIRST_DRIVER

SMI = "nvidia-smi -q"
# The release that first compiles for sm_121 (CUDA 12.9's release notes, read 2026-11-21).
FIRST_NVCC = (12, 9)
# Percent: less is a desktop, or a job between two steps. A GB10 in the stuck state stood at 95 and more while it worked
# (Blackwellboy/model-serving-minefield#55, read 2026-11-21).
BUSY_PERCENT = 80
# Of the highest SM clock, 3,003 MHz. Healthy GB10s work at 2,281 to 2,405 MHz, or at 2,184 where their owners cap them
# (`nvidia-smi -lgc 0,2200`, tonyd2wild/DeepSeek-V4.1-Flash-vLLM-DGX-Spark#1); stuck ones at 695 to 799 (thread above).
LOW_SHARE = 0.5
THERMAL = ("HW Thermal Slowdown", "SW Thermal Slowdown")
BRAKE, CAP = "HW Power Brake Slowdown", "SW Power Cap"
# nvidia-smi's second line where the driver's module and its libraries differ: the libraries' version.
LIBRARY = re.compile(r"NVML library version: ([\d.]{1,20})|Driver/library version mismatch")
CUDA_12, RUNTIME_12 = re.compile(r"\+cu1[12]\d"), "nvidia-cuda-runtime-cu12"
# nvidia-smi's words where a GPU was there and is gone (Xid 79), in the query and in the list.
LOST = re.compile(r"Unable to determine the device handle|fallen off the bus")
NOT_ASKED = re.compile(r"no answer within|: not found$|not asked when")


def check_driver_version(examined: Examined) -> Iterator[Seen]:
    """A driver that CUDA 13 does not run on, unless the environment's torch is a build for CUDA 12."""
    facts = examined.machine.gpu
    release, oldest = release_of(facts.driver), FIRST_DRIVER[13]
    packages = examined.python.packages if examined.python else {}
    is_for_12 = CUDA_12.search(packages.get("torch", "")) or RUNTIME_12 in packages
    if release is None or release[0] >= oldest or is_for_12:
        return
    is_wsl = examined.machine.system.is_wsl
    cuda = "CUDA 13" if "torch" in packages else "CUDA 13, which Sparksmith's packages are for,"
    yield Seen(
        "driver-too-old",
        f"the driver is {facts.driver}, and {cuda} needs {oldest}" + (" (it is Windows' driver)" if is_wsl else ""),
        (f"/{MODULE}" if facts.open_module is not None else SMI,),
        "wsl.exe --shutdown   # after NVIDIA's driver was renewed in Windows" if is_wsl else None,
    )


def check_driver_loaded(examined: Examined) -> Iterator[Seen]:
    """A GPU on the bus and no module, one that a GB10 cannot be started with, or one for which no GPU answers."""
    machine = examined.machine
    facts = machine.gpu
    if machine.container.is_container:
        return
    said = facts.why("tools_driver") or ""
    if facts.pci_devices and facts.pci_devices > 0 and facts.driver is None:
        kernel = f" (kernel {machine.system.kernel})" if machine.system.kernel else ""
        yield Seen(
            "driver-missing",
            f"an NVIDIA GPU is on the PCI bus, and no NVIDIA driver is loaded{kernel}",
            ("/sys/bus/pci/devices", f"/{MODULE}"),
        )
    elif LOST.search(said):
        yield Seen("gpu-lost", said, (SMI,))
    elif is_gb10(machine) and facts.open_module is False and not facts.gpus:  # up to 580.159 it could be started
        yield Seen(
            "driver-closed-module",
            f"the closed kernel module {facts.driver} is loaded, and no GPU answers",
            (f"/{MODULE}",),
        )
    elif facts.open_module is not None and not facts.gpus and not NOT_ASKED.search(said) and not LIBRARY.search(said):
        yield Seen("gpu-no-answer", f"the module {facts.driver} is loaded; {said}", (f"/{MODULE}", SMI))


def check_driver_library(examined: Examined) -> Iterator[Seen]:
    """A module of one version and libraries of another."""
    facts = examined.machine.gpu
    said = LIBRARY.search(facts.why("tools_driver") or "")
    if said is None:
        return
    library = f"of version {said[1]}" if said[1] else "of another version"
    loaded = f" {facts.driver}" if facts.driver else ""
    yield Seen("driver-library-mismatch", f"the loaded module is{loaded}, NVML {library}", (f"/{MODULE}", SMI))


def check_nvcc(examined: Examined) -> Iterator[Seen]:
    """An nvcc that does not know the chip, where a build would find it: CUDA_HOME first, then the PATH."""
    if not is_gb10(examined.machine):
        return
    facts = examined.machine.toolkits
    home = (facts.cuda_home or "").rstrip("/")
    default = home == "/usr/local/cuda"
    of_home = next((one for one in facts.toolkits if one.path == home or (default and one.is_default)), None)
    nvcc, where = (of_home.nvcc, home) if of_home else (facts.nvcc_on_path, facts.programs.get("nvcc", "PATH"))
    release = release_of(nvcc)
    if release is not None and release < FIRST_NVCC:
        known = [one for one in facts.toolkits if (release_of(one.nvcc) or (0, 0)) >= FIRST_NVCC]
        newer = max((one.path for one in known), key=len, default=None)
        yield Seen(
            "nvcc-no-sm121",
            f"nvcc {nvcc} is the one that a build finds; sm_121 came with {'.'.join(map(str, FIRST_NVCC))}",
            (where,),
            f"export CUDA_HOME={newer} PATH={newer}/bin:$PATH" if newer else None,
        )


def check_clocks(examined: Examined) -> Iterator[Seen]:
    """Clocks that are held down now: by heat, by power, or by nothing that the driver names."""
    for gpu in examined.machine.gpu.gpus:
        yield from _check_heat(gpu)
        yield from _check_power(gpu)
        if is_gb10(examined.machine) and gpu.limited_by == () and gpu.is_idle is False and _is_slow(gpu):
            yield Seen("low-clocks", f"{_speed(gpu)}, and no reason is given", (SMI,))


def check_visible_devices(examined: Examined) -> Iterator[Seen]:
    """CUDA_VISIBLE_DEVICES that leaves none of the machine's GPUs."""
    value = examined.machine.variables.values.get("CUDA_VISIBLE_DEVICES")
    if value is None or not has_gpu(examined.machine):
        return
    first, count = value.split(",")[0].strip(), len(examined.machine.gpu.gpus)
    # CUDA stops at the first number that is none; a name (GPU-..., MIG-...) is not judged.
    hides = not first or first == "-1"
    if hides or (count and first.isascii() and first.isdigit() and int(first[:9]) >= count):
        shown = f"CUDA_VISIBLE_DEVICES is {value[:60]!r}" if value else "CUDA_VISIBLE_DEVICES is set and empty"
        there = "" if hides else f", and the machine has {plural(count, 'GPU')}, counted from 0"
        yield Seen("cuda-devices-hidden", shown + there, ("CUDA_VISIBLE_DEVICES",))


def _check_heat(gpu: GpuState) -> Iterator[Seen]:
    reasons = [reason for reason in gpu.limited_by or () if reason in THERMAL]
    if reasons:
        held = sum(gpu.limited_microseconds.get(reason, 0) for reason in THERMAL)
        since = f", {held / 1e6:,.0f} s since the driver was loaded" if held > 0 else ""
        heat = f" at {gpu.temperature} °C" if gpu.temperature is not None else ""
        yield Seen("thermal-throttle", f"{' and '.join(reasons)}{heat}{since}{_clock(gpu)}", (SMI,))


def _check_power(gpu: GpuState) -> Iterator[Seen]:
    """The brake always; the cap only where it costs much, for a busy GPU is at its power limit by design."""
    reasons = gpu.limited_by or ()
    if BRAKE in reasons or (CAP in reasons and _is_slow(gpu)):
        watts = f" at {gpu.power_watts:.0f} W" if gpu.power_watts is not None else ""
        yield Seen("power-cap", f"{BRAKE if BRAKE in reasons else CAP}{watts}{_clock(gpu)}", (SMI,))


def _is_slow(gpu: GpuState) -> bool:
    """Busy, and far below its highest clock."""
    clock, highest, used = gpu.clock_mhz, gpu.max_clock_mhz, gpu.utilization_percent
    if clock is None or highest is None or used is None:
        return False
    return used >= BUSY_PERCENT and 0 < clock < LOW_SHARE * highest


def _speed(gpu: GpuState) -> str:
    return f"the GPU is {gpu.utilization_percent}% busy at {gpu.clock_mhz:,} of {gpu.max_clock_mhz:,} MHz"


def _clock(gpu: GpuState) -> str:
    if gpu.clock_mhz is None or gpu.max_clock_mhz is None:
        return ""
    return f", {gpu.clock_mhz:,} of {gpu.max_clock_mhz:,} MHz"


CHECKS: tuple[Check, ...] = (
    check_driver_version, check_driver_loaded, check_driver_library, check_nvcc, check_clocks, check_visible_devices,
)  # fmt: skip
