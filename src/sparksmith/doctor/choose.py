"""Which environment is examined, and which target it is judged for, where the user does not say."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sparksmith.base.errors import SparksmithError
from sparksmith.doctor.hardware import PRODUCT
from sparksmith.machine.facts import MachineFacts
from sparksmith.machine.gpu_state import GpuState
from sparksmith.machine.python_env import printable
from sparksmith.machine.pythons import find_pythons, read_pythons
from sparksmith.machine.root import Root
from sparksmith.packages.environment import EnvironmentRecord, read_record
from sparksmith.packages.inputs import is_environment
from sparksmith.policy.targets import Target, list_targets, load_target

RECORD = ".sparksmith/environment.json"
GIVE = "give the folder of a venv or of a conda environment; without one, the active one is examined"


@dataclass(frozen=True)
class Place:
    """An environment: `path` of that machine, `role` how it was found, `record` of its making where there is one."""

    path: str
    role: str
    record: EnvironmentRecord | None = None


def choose_environment(
    root: Root, environ: Mapping[str, str], project: str | None, given: str | None = None
) -> tuple[Place | None, list[str]]:
    """The one given, else the recorded one, the active one, the project's .venv, the running Python's or the system's
    if torch is there; and what is to be said about it. Raises `SparksmithError` for a given one that is none."""
    record, problems = _read_record(root, project)
    if given is not None:
        path = _check_given(root, given)
        return Place(path, "given", record if record and _same(root, record.path, path) else None), problems
    if record and root.exists(record.path):
        return Place(record.path.rstrip("/") or "/", "recorded", record), problems
    if record:
        problems.append(f"the environment that {RECORD} records, {record.path}, is not there")
    problems += [
        f"{name} names {printable(path)}, which is not there"
        for name in ("VIRTUAL_ENV", "CONDA_PREFIX")
        if (path := environ.get(name, "")).startswith("/") and not root.exists(path)
    ]
    found = {role: path for path, role in find_pythons(root, environ, project, None).items()}
    for role in ("active", "conda", "project"):
        if role in found:
            return Place(found[role], role), problems
    running = sys.prefix if root.live else None
    for summary in read_pythons(root, {}, None, running):
        if "torch" in summary.packages:
            shared = summary.path in ("/", "/usr", "/usr/local")
            return Place("/", "system") if shared else Place(summary.path, "running"), problems
    problems.append("no Python environment is examined: none is active, and no torch was found")
    return None, problems


def folder_of(root: Root, place: Place) -> Path:
    """Where its files lie here. Of the system's Python the prefix, so that what lies elsewhere is not taken for it."""
    if place.path != "/":
        return root.place(place.path)
    own = any(root.exists(f"usr/local/lib/{name}/os.py") for name in root.names("usr/local/lib"))
    return root.place("usr/local" if own else "usr")


def choose_target(machine: MachineFacts) -> tuple[Target | None, str]:
    """The target that this machine is, or None, and in words how that is known."""
    targets = [load_target(name) for name in list_targets()]
    for gpu in machine.gpu.gpus:
        for target in targets:
            if _is_target(gpu, target, machine.system.architecture):
                return target, f"its GPU is {gpu.name}"
    if not machine.gpu.gpus and PRODUCT.search(machine.system.product or ""):
        return load_target("gb10"), f"it calls itself {machine.system.product}"
    if machine.gpu.gpus:
        return None, f"its GPU, {machine.gpu.gpus[0].name or 'which has no name'}, is of no target"
    return None, "no GPU is seen here"


def _is_target(gpu: GpuState, target: Target, architecture: str | None) -> bool:
    """By the name of the GPU, which must be the very one, and where both have none of their own, by the memory."""
    if architecture not in (None, target.machine) or gpu.compute_capability not in (None, target.compute_capability):
        return False
    words = re.findall(r"[a-z]+|\d+", target.name)
    if re.search(rf"\b{'[ -]?'.join(words)}\b", gpu.name or "", re.IGNORECASE):
        return True
    return gpu.compute_capability is not None and target.unified_memory and gpu.unified_memory is True


def _read_record(root: Root, project: str | None) -> tuple[EnvironmentRecord | None, list[str]]:
    if not project or not root.exists(f"{project}/{RECORD}"):
        return None, []
    if root.text(f"{project}/{RECORD}") is None:  # no file, perhaps a pipe that would never end
        return None, [f"{RECORD} cannot be used: {root.why(f'{project}/{RECORD}')}"]
    try:
        return read_record(root.place(f"{project}/{RECORD}")), []
    except (SparksmithError, OSError) as error:
        said = error.message if isinstance(error, SparksmithError) else error.strerror
        return None, [f"{RECORD} cannot be used: {said}"]


def _check_given(root: Root, given: str) -> str:
    """The path of ENV on the examined machine: in a copy, one of that machine, or of this one below the copy's root."""
    if not given.strip():
        raise SparksmithError("ENV is empty", GIVE)
    path, said = Path(given).absolute(), printable(given[:200])
    if root.live:
        folder, shown = path, str(path)
    else:
        below = path.is_relative_to(root.path) and path != root.path
        shown = f"/{path.relative_to(root.path)}" if below else str(PurePosixPath("/", given))
        folder = root.place(shown)
    try:
        if not folder.exists():
            raise SparksmithError(f"{said} does not exist{'' if root.live else f' below {root.path}'}", GIVE)
        if not folder.is_dir():
            inside = next((each for each in folder.parents[:3] if (each / "pyvenv.cfg").is_file()), None)
            raise SparksmithError(f"{said} is a file", f"sparksmith doctor {inside}" if inside else GIVE)
        known = is_environment(folder) or folder == root.path
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SparksmithError(f"{said} cannot be read: {reason}", GIVE) from None
    if not known:
        inside = next((each for each in (folder / ".venv", folder / "venv") if is_environment(each)), None)
        hint = f"sparksmith doctor {inside}" if inside else GIVE
        raise SparksmithError(f"{said} is no Python environment: nothing is installed there", hint)
    return shown.rstrip("/") or "/"


def _same(root: Root, one: str, other: str) -> bool:
    try:
        return root.place(one).samefile(root.place(other))
    except OSError:
        return False
