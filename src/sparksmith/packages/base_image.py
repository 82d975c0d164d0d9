"""Which system or container image an environment stands in, from the image's own files.

The marks, and where they are known from (read 2026-11-21): NVIDIA's PyTorch images build torch themselves and name the
release in its version (2.9.0a0+145a3a7bda.nv25.10; NVIDIA_PYTORCH_VERSION is set in the image's configuration, which no
file of it repeats) and have /opt/nvidia/nvidia_entrypoint.sh; Jetson Linux has /etc/nv_tegra_release; DGX OS
/etc/dgx-release, which also holds a serial number that is not read; CUDA images /usr/local/cuda/version.json.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from sparksmith.machine.python_env import PythonEnvironment, inside, printable, read_start

FILE_BYTES = 2**16
NVIDIA_RELEASE = re.compile(r"\+(?:[\w.]*\.)?nv(\d{2}\.\d{1,2})(?:\.|$)")
TEGRA = re.compile(r"# R(\d+) \(release\), REVISION: ([\d.]+)")
WORD = re.compile(r"[\w.+~:-]{1,60}")


@dataclass(frozen=True, slots=True)
class BaseImage:
    """`name` and `release` ("NVIDIA PyTorch", "25.10"), the `system` below it ("ubuntu 24.04"), its CUDA toolkit's
    version ("13.0.2"), and which file says so (`seen`)."""

    name: str
    release: str
    system: str | None
    cuda: str | None
    seen: str

    def sentence(self) -> str:
        """All of it on one line."""
        beside = [part for part in (self.system, f"CUDA {self.cuda}" if self.cuda else None) if part]
        return f"{self.name} {self.release}".strip() + (f" ({', '.join(beside)})" if beside else "")


def read_base_image(environment: PythonEnvironment) -> BaseImage | None:
    """What an environment stands in; None where its system is not here, or says nothing of itself."""
    system = environment.system
    if system is None:
        return None
    release = _read_pairs(inside(system, "etc/os-release"))
    plain = " ".join(part for part in (release.get("ID", ""), release.get("VERSION_ID", "")) if part)
    cuda = _read_cuda(inside(system, "usr/local/cuda/version.json"))
    for one in environment.active():
        if one.key == "torch" and (found := NVIDIA_RELEASE.search(one.version)) and _has_entry(system):
            return BaseImage("NVIDIA PyTorch", found[1], plain or None, cuda, "torch's version")
    if found := TEGRA.search(_read(system / "etc/nv_tegra_release")):
        return BaseImage("Jetson Linux", f"{found[1]}.{found[2]}", plain or None, cuda, "/etc/nv_tegra_release")
    dgx = _read_pairs(system / "etc/dgx-release")
    if dgx:
        version = dgx.get("DGX_OTA_VERSION") or dgx.get("DGX_SWBUILD_VERSION", "")
        return BaseImage("DGX OS", version, plain or None, cuda, "/etc/dgx-release")
    if _has_entry(system):
        return BaseImage("an image of NVIDIA's", "", plain or None, cuda, "/opt/nvidia/nvidia_entrypoint.sh")
    if release.get("ID"):
        return BaseImage(release["ID"], release.get("VERSION_ID", ""), None, cuda, "/etc/os-release")
    return None


def _has_entry(system: Path) -> bool:
    try:
        return (system / "opt/nvidia/nvidia_entrypoint.sh").exists()
    except OSError:
        return False


def _read(path: Path) -> str:
    try:
        return read_start(path, FILE_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _read_pairs(path: Path) -> dict[str, str]:
    """NAME="value" lines; the last of a name counts, as for a shell. Values that are no plain words are left out."""
    pairs = {}
    for line in _read(path).splitlines():
        name, equals, value = line.partition("=")
        value = value.strip().strip("\"'")
        if equals and WORD.fullmatch(value):
            pairs[name.strip()] = printable(value)
    return pairs


def _read_cuda(path: Path) -> str | None:
    try:
        said = json.loads(_read(path) or "null")["cuda"]["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return said if isinstance(said, str) and WORD.fullmatch(said) else None
