"""CUDA toolkits and the compilers that Triton, inductor and source builds need."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from sparksmith.base.command import Answer
from sparksmith.machine.commands import NVCC, Answers, why_silent
from sparksmith.machine.distributions import open_ordinary, printable
from sparksmith.machine.root import Root
from sparksmith.machine.subject import Subject, explained

FOLDER = re.compile(r"cuda(?:-(\d{1,3}(?:\.\d{1,3})?))?")
TOOLS = b" tools, release "
RELEASE = re.compile(rb"release (\d{1,3}\.\d{1,3}), V(\d{1,3}\.\d{1,3}\.\d{1,5})")
NUMBERS = re.compile(r"\d{1,5}(?:\.\d{1,5}){1,3}")
MOST_TOOLKITS = 30
PTXAS_BYTES = 2**27  # 46 MB seen
BUILD_TOOLS = ("cc", "gcc", "g++", "clang", "cmake", "ninja", "make", "git", "uv", "nvcc", "ptxas", "cuobjdump")


@dataclass(frozen=True)
class Toolkit(Subject):
    """A CUDA toolkit. `version` is the release ("13.0.2" or, from the folder's name, "13.0"), `nvcc` and `ptxas` what
    those programs are of; None where they are not there. `is_default` says that /usr/local/cuda is this one."""

    path: str
    version: str | None
    nvcc: str | None
    ptxas: str | None
    is_default: bool


@dataclass(frozen=True)
class ToolkitFacts(Subject):
    """`nvcc_on_path` is the release of the nvcc that a shell finds ("13.0.88"); `cuda_home` what CUDA_HOME or CUDA_PATH
    says and `cuda_home_exists` whether it is there. `programs` are the paths of the compilers and tools on the PATH."""

    toolkits: tuple[Toolkit, ...]
    nvcc_on_path: str | None
    cuda_home: str | None
    cuda_home_exists: bool | None
    programs: Mapping[str, str]


def parse_nvcc_version(text: str) -> str | None:
    """ "13.0.88" from nvcc's or ptxas' "release 13.0, V13.0.88"."""
    match = RELEASE.search(text.encode("utf-8", "replace"))
    return match[2].decode() if match else None


def parse_version_json(text: str) -> tuple[str | None, str | None]:
    """A toolkit's version and its nvcc's, from version.json."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None, None

    def version(key: str) -> str | None:
        part = said.get(key) if isinstance(said, dict) else None
        found = part.get("version") if isinstance(part, dict) else None
        return found if isinstance(found, str) and NUMBERS.fullmatch(found) else None

    return version("cuda"), version("cuda_nvcc")


def read_toolkits(root: Root, answers: Answers, environ: Mapping[str, str]) -> ToolkitFacts:
    """Look into /usr/local/cuda*, and at what nvcc on the PATH says."""
    real = {name: root.resolve(f"usr/local/{name}") for name in root.names("usr/local") if FOLDER.fullmatch(name)}
    default = real.get("cuda")
    folders = sorted({path for path in real.values() if root.exists(path)})  # cuda-13 may be a link to cuda-13.0
    toolkits = tuple(_read_toolkit(root, path, path == default) for path in folders[:MOST_TOOLKITS])
    answer = answers.get(NVCC, Answer(None, "", "nvcc was not asked"))
    home = environ.get("CUDA_HOME") or environ.get("CUDA_PATH")
    programs = {name: path for name in BUILD_TOOLS if (path := root.program(name, environ))}
    return explained(
        ToolkitFacts(
            toolkits=toolkits,
            nvcc_on_path=parse_nvcc_version(answer.stdout) if answer.ok else None,
            cuda_home=printable(home) if home else None,
            cuda_home_exists=root.exists(home) if home else None,
            programs=programs,
        ),
        why_silent(NVCC, answer),
        cuda_home="neither CUDA_HOME nor CUDA_PATH is set",
        cuda_home_exists="neither CUDA_HOME nor CUDA_PATH is set",
    )


def read_release(root: Root, name: str) -> str | None:
    """The release that a ptxas says of itself ("12.8.93"), from the strings in it: it is not run."""
    try:
        with open_ordinary(root.place(name)) as file:
            last = b""
            for _ in range(PTXAS_BYTES >> 20):
                block = file.read(1 << 20)
                start = (last + block).find(TOOLS)
                if start >= 0 and (match := RELEASE.search((last + block)[start : start + 100] + file.read(100))):
                    root.texts.setdefault(name.lstrip("/"), (TOOLS[:-8] + match[0]).decode())  # enough of it for a copy
                    return match[2].decode()
                if not block:
                    break
                last = block[-64:]
    except (OSError, ValueError):
        return None
    return None


def _read_toolkit(root: Root, path: str, is_default: bool) -> Toolkit:
    version, nvcc = parse_version_json(root.text(f"{path}/version.json") or "")
    named = FOLDER.fullmatch(path.rpartition("/")[2])
    has_nvcc, has_ptxas = (root.exists(f"{path}/bin/{name}") for name in ("nvcc", "ptxas"))
    ptxas = (nvcc or read_release(root, f"{path}/bin/ptxas")) if has_ptxas else None
    unsaid = "it is there, and does not say of which release it is"
    return explained(
        Toolkit(
            path=f"/{path}",
            version=version or (named[1] if named else None),
            nvcc=(nvcc or ptxas) if has_nvcc else None,
            ptxas=ptxas,
            is_default=is_default,
        ),
        f"/{path} has no version.json",
        nvcc=unsaid if has_nvcc else f"/{path}/bin/nvcc is not there",
        ptxas=unsaid if has_ptxas else f"/{path}/bin/ptxas is not there",
    )
