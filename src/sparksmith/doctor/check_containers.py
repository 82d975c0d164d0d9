"""Docker and podman, and what this container lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sparksmith.base.units import GIB, MIB, format_bytes
from sparksmith.doctor.finding import Check, Examined, Seen
from sparksmith.doctor.hardware import has_gpu, is_gb10, release_of
from sparksmith.machine.facts import MachineFacts
from sparksmith.machine.subject import UNLIMITED

# Docker gives 64 MiB; a data loader's workers hand whole batches over in it, each perhaps tens of MiB. NVIDIA's guide
# to its images asks for --ipc=host or for 1 GiB (frameworks' user guide, read 2026-11-21).
LEAST_SHARED = GIB
# Docker gives 64 KiB or 8 MiB; registering buffers with an RDMA card takes hundreds of MiB. A Spark's own limit, an
# eighth of the memory, is enough (read 2026-11-21: the same guide asks for no limit).
LEAST_LOCKED = GIB
# Kinds of container that are thrown away: the others (LXC, Apptainer) keep their files or see the home folder.
THROWN_AWAY = ("docker", "podman", "kubernetes", "container")
DEVICE = re.compile(r"nvidia\d+|nvidiactl|dxg|nvmap")
SOCKET = re.compile(r"(?i)(?:cannot|failed to) connect to the docker [^\n]*?/run/docker\.sock")
LOST = "Unknown Error"  # what NVML says where opening the device is refused


def check_docker(examined: Examined) -> Iterator[Seen]:
    """Docker absent where the guides use it, refusing this user, or not running; nothing where podman does the same."""
    machine = examined.machine
    docker = machine.docker
    if machine.container.is_container or docker.podman or not has_gpu(machine):
        return
    if docker.docker is None:
        if is_gb10(machine):
            yield Seen("docker-missing", "neither docker nor podman is on the PATH", ("PATH",))
    elif docker.denied:
        due = docker.listed_in_group is True and docker.in_group is False
        yield Seen(
            "docker-group",
            "docker refuses this user" + (", who is in its group since after this login" if due else ""),
            ("docker info", "/etc/group"),
            "newgrp docker" if due else None,
        )
    elif docker.reachable is False and SOCKET.search(docker.why("version") or "") and not _is_elsewhere(machine):
        yield Seen("docker-not-running", "docker is installed, and its daemon does not answer", ("docker info",))


def check_toolkit(examined: Examined) -> Iterator[Seen]:
    """Docker that cannot hand the GPU on."""
    machine = examined.machine
    docker = machine.docker
    if machine.container.is_container or machine.system.is_wsl or docker.docker is None or not has_gpu(machine):
        return
    if docker.nvidia_ctk is None and not docker.cdi and not docker.nvidia_runtime and not _is_elsewhere(machine):
        yield Seen(
            "container-toolkit-missing",
            "docker is installed; nvidia-ctk, the runtime nvidia and a description in /etc/cdi are not there",
            ("PATH", "docker info", "/etc/cdi"),
        )


def check_gpu_in_container(examined: Examined) -> Iterator[Seen]:
    """A container on a machine with a GPU that was not handed the GPU, or lost it."""
    machine = examined.machine
    gpu = machine.gpu
    if not machine.container.is_container:
        return
    nodes = [name for name in gpu.device_nodes if DEVICE.fullmatch(name)]
    if not nodes and not gpu.gpus and (gpu.driver or gpu.pci_devices):
        host = f"the host's driver is {gpu.driver}" if gpu.driver else "the host has an NVIDIA GPU"
        yield Seen("container-without-gpu", f"{host}, and /dev has no NVIDIA device", ("/dev",))
    elif nodes and LOST in (gpu.why("tools_driver") or ""):
        yield Seen(
            "container-lost-gpu", f"/dev/{nodes[0]} is there, and opening it is refused", ("nvidia-smi -q", "/dev")
        )


def check_limits(examined: Examined) -> Iterator[Seen]:
    """Shared and locked memory of a container."""
    machine = examined.machine
    if not machine.container.is_container:
        return
    shared, locked = machine.container.shm_bytes, machine.process.locked_memory
    if shared is not None and 0 < shared < LEAST_SHARED:
        yield Seen("container-shm-small", f"/dev/shm has {_size(shared)}", ("/dev/shm",))
    if locked is not None and locked != UNLIMITED and 0 <= locked < LEAST_LOCKED and has_gpu(machine):
        yield Seen("container-memlock", f"this process may lock {_size(locked)} of memory", ("/proc/self/limits",))


def check_image(examined: Examined) -> Iterator[Seen]:
    """An image of a newer major CUDA than the driver's (the image's compatibility libraries counted in)."""
    machine = examined.machine
    image, driver = release_of(machine.variables.values.get("CUDA_VERSION")), release_of(machine.gpu.cuda)
    if machine.container.is_container and image and driver and image[0] > driver[0]:
        name = machine.container.image
        shown = f"the image {name} {machine.container.image_release}" if name else "this image"
        yield Seen(
            "image-needs-newer-driver",
            f"{shown} is made with CUDA {image[0]}.{image[1]}, the driver supports {driver[0]}.{driver[1]}",
            ("CUDA_VERSION", "nvidia-smi -q"),
        )


def check_cache(examined: Examined) -> Iterator[Seen]:
    """A model cache in the container's own layer."""
    machine = examined.machine
    cache = next((disk for disk in machine.disks if disk.purpose == "model cache"), None)
    if machine.container.kind in THROWN_AWAY and cache and cache.mount == "/" and "overlay" in (cache.filesystem or ""):
        yield Seen(
            "container-cache-lost",
            f"models are kept in {cache.path}, in the container's own file system",
            ("/proc/mounts",),
        )


def _is_elsewhere(machine: MachineFacts) -> bool:
    """Whether the docker that is talked to may be another machine's."""
    return bool(machine.variables.values.get("DOCKER_HOST"))


def _size(count: int) -> str:
    return f"{count // MIB} MiB" if count >= MIB and count % MIB == 0 else format_bytes(count)


CHECKS: tuple[Check, ...] = (
    check_docker, check_toolkit, check_gpu_in_container, check_limits, check_image, check_cache,
)  # fmt: skip
