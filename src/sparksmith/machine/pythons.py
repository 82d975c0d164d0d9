"""The Python environments of a machine, at a glance: where they are, which Python, and the few packages that decide.

`python_env.py` reads one of them whole; here only the names in its folders are looked at, so that many take little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sparksmith.machine.distributions import METADATA_FOLDER, normalize_name, printable
from sparksmith.machine.python_paths import Kind, SearchPath, system_of
from sparksmith.machine.root import Root
from sparksmith.machine.subject import Subject, explained
from sparksmith.machine.toolkit import read_release

# torch and what decides whether it finds the GPU, and what the older guides add to it
WATCHED = frozenset((
    "torch", "triton", "pytorch-triton", "transformers", "trl", "peft", "accelerate", "datasets", "bitsandbytes",
    "liger-kernel", "torchao", "unsloth", "unsloth-zoo", "vllm", "xformers", "flash-attn", "deepspeed", "sparksmith",
    "flashinfer-python", "causal-conv1d", "mamba-ssm", "llama-cpp-python", "flash-linear-attention", "torchvision",
    "huggingface-hub", "hf-transfer", "wandb", "numpy", "nvidia-cuda-runtime", "nvidia-cuda-runtime-cu12",
    "nvidia-cudnn-cu13", "nvidia-cudnn-cu12",
))  # fmt: skip
PTXAS = ("triton/backends/nvidia/bin/ptxas", "triton/backends/nvidia/bin/ptxas-blackwell")
MOST_ENVIRONMENTS = 12


@dataclass(frozen=True)
class PythonSummary(Subject):
    """One environment. `role` says how it was found: "given", "active" (VIRTUAL_ENV), "conda", "project" (.venv) or
    "system". `packages` are the watched ones, version by name, the first on the search path; `count` is of all
    distributions; `ptxas` the release of Triton's own compilers by their path; `has_headers` whether Python.h is there,
    which Triton compiles its launchers with; `compiled` whether byte code lies beside torch, None where torch has no
    files. `problem` is not empty where it could not be read."""

    role: str
    path: str
    kind: Kind | None
    python: str | None
    sees_system_packages: bool | None
    packages: Mapping[str, str]
    count: int | None
    ptxas: Mapping[str, str]
    has_headers: bool | None
    compiled: bool | None
    problem: str


def find_pythons(root: Root, environ: Mapping[str, str], project: str | None, given: str | None) -> dict[str, str]:
    """The environments' paths, and the role of each; a path is in one role only."""
    places = {
        "given": given, "active": environ.get("VIRTUAL_ENV"), "conda": environ.get("CONDA_PREFIX"),
        "project": environ.get("UV_PROJECT_ENVIRONMENT") or (f"{project.rstrip('/')}/.venv" if project else None),
        "system": "/",
    }  # fmt: skip
    found: dict[str, str] = {}
    for role, path in places.items():
        if path and path.startswith("/") and root.exists(path):
            found.setdefault(path.rstrip("/") or "/", role)
    return found


def read_pythons(
    root: Root, environ: Mapping[str, str], project: str | None = None, given: str | None = None
) -> tuple[PythonSummary, ...]:
    """A glance at each of the environments that count."""
    found = find_pythons(root, environ, project, given)
    return tuple(_read_one(root, path, role) for path, role in list(found.items())[:MOST_ENVIRONMENTS])


def _read_one(root: Root, path: str, role: str) -> PythonSummary:
    folder = root.place(path)
    root.text(f"{path}/pyvenv.cfg")  # SearchPath reads it again: so that a copy of the machine has it
    system = root.path if not root.live else Path("/") if path == "/" else system_of(folder)
    try:
        search = SearchPath(folder, system)
    except (OSError, ValueError, RecursionError) as error:
        return _unread(role, path, f"{type(error).__name__}: {printable(error)[:200]}")
    if not search.site_folders:
        return _unread(role, path, "it holds no Python environment")
    root.folders.update(_below(root, one) for one in (*search.site_folders, *_libraries(search)))
    root.resolve(f"{path}/{'usr/' if search.kind == 'system' else ''}bin/python3")
    packages: dict[str, str] = {}
    count = 0
    for site in search.site_folders:
        for name, _ in search.names_in(site):
            match = METADATA_FOLDER.match(name)
            if match or name.endswith(".pth"):
                root.found.add(_below(root, site / name))
            count += match is not None
            if match and (key := normalize_name(match["name"])) in WATCHED:
                packages.setdefault(key, printable(match["version"])[:80])
    compilers = {
        f"/{name}": release
        for site in search.site_folders
        for tool in PTXAS
        if root.exists(name := _below(root, site / tool)) and (release := read_release(root, name))
    }
    return explained(
        PythonSummary(
            role=role,
            path=printable(path),
            kind=search.kind,
            python=search.python,
            sees_system_packages=_sees_system(search) if search.config else search.kind == "system",
            packages=packages,
            count=count,
            ptxas=compilers,
            has_headers=_has_headers(root, search, path),
            compiled=_is_compiled(root, search),
            problem="",
        ),
        "the environment's files do not say",
    )


def _libraries(search: SearchPath) -> list[Path]:
    """The folders lib/python3.X that the site folders are in, and for Debian's, the one beside."""
    return [folder for site in search.site_folders for folder in sorted(site.parent.parent.glob("python3.*"))[:20]]


def _sees_system(search: SearchPath) -> bool:
    return search.config.get("include-system-site-packages", "").lower() == "true"


def _has_headers(root: Root, search: SearchPath, path: str) -> bool | None:
    """Whether the headers of the environment's Python are there: of a venv, those of the Python it was made from."""
    version = ".".join((search.python or "").split(".")[:2])
    if not version:
        return None
    home = search.config.get("home", "")
    prefixes = [str(Path(home).parent)] if home else [path.rstrip("/"), f"{path.rstrip('/')}/usr"]
    return any(root.exists(f"{prefix}/include/python{version}/Python.h") for prefix in prefixes)


def _is_compiled(root: Root, search: SearchPath) -> bool | None:
    """Whether torch's byte code was kept, by this environment's Python or by whatever installed it."""
    torch = next((name for site in search.site_folders if root.exists(name := _below(root, site / "torch"))), None)
    return root.exists(f"{torch}/__pycache__") if torch and root.exists(f"{torch}/__init__.py") else None


def _unread(role: str, path: str, problem: str) -> PythonSummary:
    facts = PythonSummary(role, printable(path), None, None, None, {}, None, {}, None, None, problem)
    return explained(facts, problem)


def _below(root: Root, path: Path) -> str:
    return str(path.relative_to(root.path))
