"""Whether this is a container, of which kind and image, and how much shared memory it was given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sparksmith.machine.cgroup import parse_own_groups
from sparksmith.machine.disk import Disk
from sparksmith.machine.distributions import printable
from sparksmith.machine.root import Root
from sparksmith.machine.subject import Subject, explained

# Where containers are told by. The first two are made by docker and podman; the others name themselves.
MARKS = {".dockerenv": "docker", "run/.containerenv": "podman", ".singularity.d": "apptainer"}
GROUPS = ("docker", "kubepods", "libpod", "lxc", "containerd", "garden", "buildkit")
NAMES = {"kubepods": "kubernetes", "libpod": "podman", "garden": "container", "buildkit": "docker"}
# NVIDIA's images say their release in variables of the image: NVIDIA_PYTORCH_VERSION=25.10 and the like.
IMAGE_VARIABLE = re.compile(r"NVIDIA_(PYTORCH|VLLM|TENSORRT_LLM|TRITON_SERVER|NEMO|RAPIDS|JAX|TENSORFLOW)_VERSION")
RELEASE = re.compile(r"\d{2}\.\d{1,2}[\w.-]{0,20}")
ENTRY = "opt/nvidia/nvidia_entrypoint.sh"


@dataclass(frozen=True)
class ContainerFacts(Subject):
    """`kind` is docker, podman, kubernetes, lxc, apptainer or container; None outside of one, and then `is_container`
    is False. `image` is the name of NVIDIA's image ("pytorch"), `image_release` its release ("25.10"). `shm_bytes` is
    the size of /dev/shm: 64 MiB unless --shm-size or --ipc=host was given."""

    is_container: bool
    kind: str | None
    image: str | None
    image_release: str | None
    shm_bytes: int | None
    shm_free_bytes: int | None


def parse_container_of_groups(text: str) -> str | None:
    """The kind of container that /proc/1/cgroup or /proc/self/cgroup names."""
    paths = " ".join(parse_own_groups(text).values())
    return next((NAMES.get(word, word) for word in GROUPS if re.search(rf"[/:-]{word}|^{word}", paths)), None)


def image_of(environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Name and release of the image of NVIDIA's that the variables speak of."""
    for name, value in sorted(environ.items()):
        if (match := IMAGE_VARIABLE.fullmatch(name)) and RELEASE.fullmatch(value):
            return match[1].lower(), value
    return None, None


def read_container(root: Root, environ: Mapping[str, str], disks: tuple[Disk, ...]) -> ContainerFacts:
    """Look at the marks that containers leave."""
    kind = next((kind for mark, kind in MARKS.items() if root.exists(mark)), None)
    kind = kind or ("kubernetes" if environ.get("KUBERNETES_SERVICE_HOST") else None)
    named = environ.get("container", "")
    kind = kind or (printable(named)[:40] if re.fullmatch(r"[a-z][a-z0-9-]{1,30}", named) else None)
    kind = kind or parse_container_of_groups(root.text("proc/self/cgroup") or "")
    image, release = image_of(environ)
    has_entry = root.exists(ENTRY)
    kind = kind or ("container" if image or has_entry else None)
    shm = next((disk for disk in disks if disk.purpose == "shared memory"), None)
    own = shm is not None and shm.mount == "/dev/shm"
    return explained(
        ContainerFacts(
            is_container=kind is not None,
            kind=kind,
            image=image,
            image_release=release,
            shm_bytes=shm.total_bytes if shm and own else None,
            shm_free_bytes=shm.free_bytes if shm and own else None,
        ),
        "there is no /dev/shm of its own" if not own else "neither df nor /proc/mounts says how large /dev/shm is",
        kind="no mark of a container is there",
        image="no variable names an image of NVIDIA's" + (", though its entry script is there" if has_entry else ""),
        image_release="no variable names an image of NVIDIA's",
    )
