"""Which system runs on the machine: kernel, distribution, DGX OS, product, cores."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass

from sparksmith.machine.distributions import printable
from sparksmith.machine.root import Root
from sparksmith.machine.subject import Subject, explained

RELEASES = ("etc/os-release", "usr/lib/os-release")
# Words of the kernel's command line that change what memory there is or how it is given out; the rest (disks' ids,
# consoles) is nobody's business.
KERNEL_WORDS = (
    "kho", "cma", "hugepages", "hugepagesz", "default_hugepagesz", "transparent_hugepage", "psi", "mem", "crashkernel",
    "iommu", "init_on_alloc", "numa_balancing", "cgroup_disable", "cgroup_enable", "systemd.unified_cgroup_hierarchy",
)  # fmt: skip
# Services that end processes when memory runs short; one that runs has a control group (version 2).
SERVICES = ("earlyoom", "nohang", "systemd-oomd")
PAIR = re.compile(r"^\s*(\w+)=(.*)$")
RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


@dataclass(frozen=True)
class SystemFacts(Subject):
    """`distribution` and `version` as /etc/os-release has them ("ubuntu", "24.04"); `dgx_os` the release that the last
    update over the air brought, else the one installed; `dgx_installed` the latter. `cores` are those that this process
    may use; `kernel_words` what of the kernel's command line concerns memory; `services` those of SERVICES that run."""

    kernel: str | None
    architecture: str | None
    distribution: str | None
    version: str | None
    dgx_os: str | None
    dgx_installed: str | None
    product: str | None
    is_wsl: bool
    cores: int | None
    kernel_words: tuple[str, ...]
    services: tuple[str, ...]


def parse_pairs(text: str) -> dict[str, str]:
    """NAME=value lines as a shell reads them: quotes off, the last of a name counts."""
    pairs = {}
    for line in text.splitlines():
        if match := PAIR.match(line):
            pairs[match[1]] = printable(match[2].strip().strip("\"'"))[:200]
    return pairs


def parse_kernel_words(text: str) -> tuple[str, ...]:
    """The words of a kernel's command line that KERNEL_WORDS names."""
    return tuple(printable(word)[:80] for word in text.split() if word.partition("=")[0] in KERNEL_WORDS)


def parse_cpu_list(text: str) -> int | None:
    """How many processors "0-3,8" names; None where it is no such list."""
    count = 0
    for part in text.strip().split(","):
        match = RANGE.fullmatch(part.strip())
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            return None
        count += int(match[2]) - int(match[1]) + 1 if match[2] else 1
    return count


def read_system(root: Root) -> SystemFacts:
    """Look at the files that say it; no command is asked."""
    kernel = root.line("proc/sys/kernel/osrelease")
    architecture = root.line("proc/sys/kernel/arch") or (platform.machine() if root.live else None)  # from Linux 6.1 on
    release = next((parse_pairs(text) for name in RELEASES if (text := root.text(name)) is not None), {})
    dgx = parse_pairs(root.text("etc/dgx-release") or "")
    status = parse_status(root.text("proc/self/status") or "")
    product = root.line("sys/class/dmi/id/product_name")
    return explained(
        SystemFacts(
            kernel=kernel,
            architecture=architecture,
            distribution=release.get("ID"),
            version=release.get("VERSION_ID"),
            dgx_os=dgx.get("DGX_OTA_VERSION") or dgx.get("DGX_SWBUILD_VERSION"),
            dgx_installed=dgx.get("DGX_SWBUILD_VERSION"),
            product=product,
            is_wsl="microsoft" in (kernel or "").lower(),
            cores=parse_cpu_list(status.get("Cpus_allowed_list", "")),
            kernel_words=parse_kernel_words(root.text("proc/cmdline") or ""),
            services=tuple(one for one in SERVICES if root.exists(f"sys/fs/cgroup/system.slice/{one}.service")),
        ),
        "not said",
        kernel=root.why("proc/sys/kernel/osrelease"),
        architecture=root.why("proc/sys/kernel/arch"),
        distribution=root.why(RELEASES[0]),
        version=root.why(RELEASES[0]),
        dgx_os=root.why("etc/dgx-release"),
        dgx_installed=root.why("etc/dgx-release"),
        product=root.why("sys/class/dmi/id/product_name"),
        cores=root.why("proc/self/status"),
    )


def parse_status(text: str) -> dict[str, str]:
    """/proc/PID/status by field."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, colon, value in pairs if colon}
