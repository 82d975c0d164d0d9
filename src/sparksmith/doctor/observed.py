"""Small questions that several checks ask of what was examined. Each answers None where the facts do not tell."""

from __future__ import annotations

import re
from collections.abc import Sequence

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from sparksmith.doctor.finding import Examined
from sparksmith.doctor.hardware import release_of
from sparksmith.machine.facts import MachineFacts
from sparksmith.machine.toolkit import Toolkit

LABEL = re.compile(r"\+cu(\d\d)(\d)$")
RUNTIMES = ("nvidia-cuda-runtime", "nvidia-cuda-runtime-cu12")


def also(places: Sequence[str], most: int = 2) -> str:
    """The places behind the first of a fault: "; also at a.py:1, b.py:2 and 5 more"; nothing for none."""
    more = f" and {len(places) - most} more" if len(places) > most else ""
    return f"; also at {', '.join(places[:most])}{more}" if places else ""


def version_of(examined: Examined, name: str) -> str | None:
    """The version of a package of the environment; None where it is not there, or is none that is looked for."""
    return examined.python.packages.get(name) if examined.python else None


def has_package(examined: Examined, name: str) -> bool | None:
    """Whether any package of that name is installed; None where the packages were not all looked at."""
    if examined.audit is None:
        return None
    return any(canonicalize_name(package.name) == name for package in examined.audit.packages)


def is_version(version: str | None, wanted: str) -> bool:
    """Whether a version is one of the wanted ones; no for none, and for what is no version."""
    try:
        return version is not None and SpecifierSet(wanted).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def torch_cuda(examined: Examined) -> tuple[int, int | None] | None:
    """The CUDA that the environment's torch was built for: as its files say, else as versions do."""
    if examined.audit is not None and examined.audit.setting.of_torch:
        return examined.audit.setting.cuda
    torch = version_of(examined, "torch")
    if torch is None or torch.endswith("+cpu"):
        return None
    if found := LABEL.search(torch):
        return int(found[1]), int(found[2])
    return next((cuda for name in RUNTIMES if (cuda := release_of(version_of(examined, name)))), None)


def toolkit_at(machine: MachineFacts, path: str) -> Toolkit | None:
    """The toolkit that a path is, or lies in: /usr/local/cuda/bin/ptxas. Elsewhere than there none is known."""
    for toolkit in machine.toolkits.toolkits:
        if path == toolkit.path or path.startswith(f"{toolkit.path}/"):
            return toolkit
    if path == "/usr/local/cuda" or path.startswith("/usr/local/cuda/"):
        return next((toolkit for toolkit in machine.toolkits.toolkits if toolkit.is_default), None)
    return None


def build_nvcc(machine: MachineFacts) -> tuple[str | None, str] | None:
    """The release of the nvcc that a build of torch's takes, and where it is: CUDA_HOME's, else that of the PATH, else
    /usr/local/cuda's. The release is None where it is not known; None altogether where there is no nvcc."""
    facts = machine.toolkits
    if facts.cuda_home:
        toolkit = toolkit_at(machine, facts.cuda_home.rstrip("/"))
        if toolkit is None:
            return None if facts.cuda_home_exists is False else (None, facts.cuda_home)
        return None if lacks_nvcc(toolkit) else (toolkit.nvcc, f"{toolkit.path}/bin/nvcc")
    if facts.nvcc_on_path or "nvcc" in facts.programs:
        return facts.nvcc_on_path, facts.programs.get("nvcc", "nvcc")
    default = toolkit_at(machine, "/usr/local/cuda")
    return None if default is None or lacks_nvcc(default) else (default.nvcc, f"{default.path}/bin/nvcc")


def lacks_nvcc(toolkit: Toolkit) -> bool:
    """Whether a toolkit has no nvcc; no where it has one that does not say of which release it is."""
    return toolkit.nvcc is None and (toolkit.why("nvcc") or "").endswith("is not there")
