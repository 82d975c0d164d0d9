"""The environment itself: what replaced its torch, what uv would do to it, compilers and variables that builds read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

from packaging.utils import canonicalize_name

from sparksmith.base.units import GIB, format_bytes
from sparksmith.doctor.finding import Check, Examined, Seen
from sparksmith.doctor.hardware import has_gpu, release_of
from sparksmith.doctor.marks import Ask
from sparksmith.doctor.observed import also, build_nvcc, lacks_nvcc, toolkit_at, torch_cuda, version_of
from sparksmith.machine.disk import Disk
from sparksmith.packages.environment import Fingerprint, InstalledVersion, compare
from sparksmith.policy.targets import show_version

README = re.compile(r"/README[^/]*$", re.IGNORECASE)
NOT_SET = ("", "0", "false", "no", "off")
ENVIRON = "environment variables"
# NVIDIA's image lists "8.0 8.6 9.0 10.0 11.0 12.0+PTX", and an owner of a Spark reports that xformers fails to parse
# it there, and is built with this (riomus/dgx-spark-unsloth). Some releases read one digit before the point only.
OF_XFORMERS = "12.0"
OVERLAID = ("torch", "torchvision", "triton")
# torch.utils.cpp_extension: `f` is not known to every torch, so that it is neither taken nor refused here
ARCHITECTURE = re.compile(r"(\d{1,2})\.(\d)([af]?)(\+PTX)?")
NAMED = re.compile(r"(Kepler|Maxwell|Pascal|Volta|Turing|Ampere|Ada|Hopper|Blackwell)(\+(?:Tegra|Tesla))?")
LEAST_BYTES = {"checkpoints": 10 * GIB, "model cache": 10 * GIB, "temporary files": GIB}
SMALL_SHARE = 10  # of a small file system a tenth is enough


def check_replaced(examined: Examined) -> Iterator[Seen]:
    """What lies there against what was recorded when it was provisioned."""
    recorded, now = examined.recorded, examined.now
    if recorded is None or now is None:
        return
    base = _changed_base(recorded, now) if _is_overlay(examined) else []
    differences = compare(recorded, now)
    if base:
        yield Seen("overlay-base-changed", "; ".join(base), (".sparksmith/environment.json",), _anew(examined))
        return  # with the image its torch is another too
    was, is_now = (_torch(each) for each in (recorded, now))
    if was is None or was == is_now:
        return
    here = next((each for each in differences if each.startswith("torch ")), "torch is not the recorded one")
    others = len(differences) - 1
    more = f"; {others} more differences" if others > 1 else "; 1 more difference" if others else ""
    yield Seen(
        "torch-replaced", f"{here}{more}", (".sparksmith/environment.json", *_path(examined)),
        f"uv pip install --reinstall 'torch=={was.version}' && export UV_NO_SYNC=1",
    )  # fmt: skip


def _torch(fingerprint: Fingerprint) -> InstalledVersion | None:
    return next((each for each in fingerprint.distributions if each.name == "torch"), None)


def _is_overlay(examined: Examined) -> bool:
    return examined.python is not None and examined.python.sees_system_packages is True and examined.python.path != "/"


def _changed_base(recorded: Fingerprint, now: Fingerprint) -> list[str]:
    """What changed below an overlay. An update of DGX OS itself is none, as long as Python and CUDA stay."""
    changed = []
    minor = [release_of(each.python) for each in (recorded, now)]
    if None not in minor and minor[0] != minor[1]:
        changed.append(f"Python was {recorded.python} and is {now.python}")
    was, is_now = recorded.base_image, now.base_image
    if was and is_now and was != is_now:
        same_system = was.name == is_now.name == "DGX OS" and release_of(was.cuda) == release_of(is_now.cuda)
        if not same_system:
            changed.append(f"the base was {was.sentence()} and is {is_now.sentence()}")
    return changed


def _anew(examined: Examined) -> str | None:
    path = shlex.quote(examined.python.path) if examined.python else ".venv"
    return f"rm -rf {path} && uv venv --system-site-packages {path} && uv sync"


def _path(examined: Examined) -> tuple[str, ...]:
    return (examined.python.path,) if examined.python else ()


def check_shadowed(examined: Examined) -> Iterator[Seen]:
    """A torch in front of the one that NVIDIA built into its image."""
    python, machine = examined.python, examined.machine
    system = next((each for each in machine.pythons if each.role == "system"), None)
    if python is None or system is None or not _is_overlay(examined) or ".nv" not in system.packages.get("torch", ""):
        return
    below = {name: version for name in OVERLAID if (version := _version_below(system.packages, name))}
    hidden = {
        name: python.packages[name] for name, version in below.items()
        if python.packages.get(name) not in (None, version)
    }  # fmt: skip
    if hidden:
        here = "; ".join(f"{name} {version} hides {below[name]}" for name, version in hidden.items())
        command = f"uv pip uninstall --python {shlex.quote(python.path)} {' '.join(hidden)}"
        yield Seen("overlay-torch-shadowed", here, (python.path,), command)


def _version_below(packages: Mapping[str, str], name: str) -> str | None:
    """NVIDIA's images have triton under the name pytorch-triton."""
    return packages.get(name) or (packages.get("pytorch-triton") if name == "triton" else None)


def check_uv(examined: Examined) -> Iterator[Seen]:
    """Variables of uv's by which an environment is emptied, or is thought to be safe and is not."""
    variables, project = examined.machine.uv.variables, examined.project
    if "UV_SYNC" in variables:
        here = f"UV_SYNC={variables['UV_SYNC']} is set, which uv does not read"
        yield Seen("uv-sync-misspelt", here, (ENVIRON,), "unset UV_SYNC; export UV_NO_SYNC=1")
    asks = project.of("UV_SYNC") if project else []
    if asks:
        places = [ask.place for ask in asks]
        told = "tells to type" if README.search(asks[0].file) else "sets"
        yield Seen(
            "uv-sync-misspelt", f"{places[0]} {told} {asks[0].text}{also(places[1:])}", tuple(places),
            f"sed -i.bak '{asks[0].line}s/\\bUV_SYNC=0\\b/UV_NO_SYNC=1/' {shlex.quote(asks[0].file)}",
        )  # fmt: skip
    if variables.get("UV_NO_SYNC", "").lower() in NOT_SET and (what := _what_uv_would_do(examined)):
        yield Seen("uv-no-sync-unset", f"{what}, and UV_NO_SYNC is not set", _path(examined))
    yield from _check_exported(examined)


def _what_uv_would_do(examined: Examined) -> str | None:
    """What uv would do to the torch of the project's own environment, in words; None for nothing."""
    own, project, python = examined.machine.uv.project_environment, examined.project, examined.python
    if project is None or python is None or not project.listed.is_project or python.path != own:
        return None
    torch, listed = python.packages.get("torch"), project.listed
    if torch is None or any(each.settings.get("managed") == "false" for each in examined.machine.uv.files):
        return None
    if listed.locked and torch not in listed.locked:
        locked = " and ".join(sorted(listed.locked)[:3])
        return f"torch {torch} is in {own}, `uv run` puts back what uv.lock names, torch {locked}"
    if listed.torch is False or (examined.recorded is not None and listed.torch is None):
        return f"torch {torch} in {own} is not in the project's list of packages, so that `uv sync` removes it"
    return None


def _check_exported(examined: Examined) -> Iterator[Seen]:
    """An environment that is named for all uv commands: of every project."""
    named = examined.machine.uv.variables.get("UV_PROJECT_ENVIRONMENT")
    project = examined.project
    here = next((each for each in examined.machine.pythons if named and each.path == named.rstrip("/")), None)
    if named and here and "torch" in here.packages and not (project and project.listed.torch):
        what = f"UV_PROJECT_ENVIRONMENT={named}, where torch {here.packages['torch']} lies"
        yield Seen("uv-project-environment", what, (ENVIRON,))
    for ask in project.of("UV_PROJECT_ENVIRONMENT") if project else ():
        if not named or here is None:
            command = f"sed -i.bak '/UV_PROJECT_ENVIRONMENT=/d' {shlex.quote(ask.file)}"
            yield Seen("uv-project-environment", f"{ask.place} exports it as {ask.text}", (ask.place,), command)


def check_architectures(examined: Examined) -> Iterator[Seen]:
    """TORCH_CUDA_ARCH_LIST, as torch's build tools read it."""
    value = examined.machine.variables.values.get("TORCH_CUDA_ARCH_LIST", "")
    if not value or value == "native" or not has_gpu(examined.machine):
        return
    parts = value.replace(" ", ";").split(";")
    wrong = [part for part in parts if not _is_architecture(part)]
    if wrong:
        shown = ", ".join(repr(each) for each in wrong[:4])
        yield Seen(
            "arch-list-unparsable", f"TORCH_CUDA_ARCH_LIST={value}: {shown} {'is' if len(wrong) == 1 else 'are'} no "
            "architecture", (ENVIRON,), f"export TORCH_CUDA_ARCH_LIST={_own_architecture(examined) or '12.1'}",
        )  # fmt: skip
        return
    own = _own_architecture(examined)
    xformers = next((ask for ask in _to_build(examined) if ask.text == "xformers"), None)
    if xformers and len(parts) > 1:
        yield Seen(
            "arch-list-unparsable", f"TORCH_CUDA_ARCH_LIST={value}, and xformers in {xformers.place} is to be built, "
            "whose build is reported not to read such a list", (ENVIRON, xformers.place),
            f"export TORCH_CUDA_ARCH_LIST={OF_XFORMERS}",
        )  # fmt: skip
    if own and not any(_runs_on(part, own) for part in parts):
        yield Seen("arch-list-without-12", f"TORCH_CUDA_ARCH_LIST={value}, and this GPU is {own}", (ENVIRON,))


def _is_architecture(part: str) -> bool:
    return ARCHITECTURE.fullmatch(part) is not None or NAMED.fullmatch(part) is not None


def _own_architecture(examined: Examined) -> str | None:
    known = {gpu.compute_capability for gpu in examined.machine.gpu.gpus}
    found = known.pop() if len(known) == 1 else None
    return show_version(found) if found else None


def _runs_on(part: str, own: str) -> bool:
    """Whether code that is built for `part` runs on a GPU of compute capability `own`."""
    if NAMED.fullmatch(part):  # each means PTX too, but for those of single machines
        return "+" not in part
    found = ARCHITECTURE.fullmatch(part)
    here = release_of(own)
    if found is None or here is None:
        return True
    asked = int(found[1]), int(found[2])
    if found[3] == "a":
        return asked == here
    return (asked[0] == here[0] and asked[1] <= here[1]) or (found[4] is not None and asked <= here)


def check_toolkit(examined: Examined) -> Iterator[Seen]:
    """The nvcc that a build would take. Where nothing is built it does not matter."""
    facts, machine = examined.machine.toolkits, examined.machine
    wrong_home = facts.cuda_home and _has_no_toolkit(examined)
    if wrong_home:
        default = next((each for each in facts.toolkits if not lacks_nvcc(each)), None)
        yield Seen(
            "cuda-home-wrong", f"CUDA_HOME={facts.cuda_home}, and {facts.cuda_home}/bin/nvcc is not there", (ENVIRON,),
            f"export CUDA_HOME={default.path}" if default else "unset CUDA_HOME",
        )  # fmt: skip
    builds, asked = _what_builds(examined)
    if not builds or not has_gpu(machine):
        return
    nvcc = build_nvcc(machine)
    if nvcc is None:
        if not wrong_home:
            here = f"{builds} wants nvcc: CUDA_HOME is not set, none is in PATH, and /usr/local/cuda has none"
            yield Seen("cuda-home-missing", here, (*asked, "PATH", "/usr/local/cuda"))
        return
    torch, release = torch_cuda(examined), release_of(nvcc[0])
    if torch and release and release[0] != torch[0]:
        fitting = next((each for each in facts.toolkits if (release_of(each.nvcc) or (0,))[0] == torch[0]), None)
        where = fitting.path if fitting else f"/usr/local/cuda-{torch[0]}.{torch[1] or 0}"
        install = "" if fitting else f"sudo apt install cuda-toolkit-{torch[0]}-{torch[1] or 0} && "
        yield Seen(
            "cuda-build-mismatch", f"{builds} wants nvcc: it is of CUDA {show_version(release)}, and torch of "
            f"CUDA {torch[0]}" + (f".{torch[1]}" if torch[1] is not None else ""), (*asked, nvcc[1]),
            f"{install}export CUDA_HOME={where} PATH={where}/bin:$PATH",
        )  # fmt: skip


def _has_no_toolkit(examined: Examined) -> bool:
    facts = examined.machine.toolkits
    if facts.cuda_home_exists is False:
        return True
    toolkit = toolkit_at(examined.machine, (facts.cuda_home or "").rstrip("/"))
    return toolkit is not None and lacks_nvcc(toolkit)


def _what_builds(examined: Examined) -> tuple[str | None, tuple[str, ...]]:
    """What is to be compiled with nvcc here, in words, and where that is asked for; None where nothing is."""
    missing = _to_build(examined)
    if missing:
        return f"{missing[0].text} in {missing[0].place}", (missing[0].place,)
    return ("TORCH_CUDA_ARCH_LIST" if examined.machine.variables.values.get("TORCH_CUDA_ARCH_LIST") else None), ()


def _to_build(examined: Examined) -> list[Ask]:
    """The project's requirements that have no wheel and are not there."""
    asked = examined.project.of("source") if examined.project and examined.is_own else []
    return [ask for ask in asked if version_of(examined, canonicalize_name(ask.text)) is None]


def check_compilers(examined: Examined) -> Iterator[Seen]:
    """What Triton compiles its launchers with, when a kernel is first called."""
    python, machine = examined.python, examined.machine
    triton = version_of(examined, "triton") or version_of(examined, "pytorch-triton")
    if python is None or triton is None or not has_gpu(machine) or machine.system.kernel is None:
        return
    if "CC" not in machine.variables.values and not {"gcc", "clang"} & set(machine.toolkits.programs):
        here = f"triton {triton} compiles at run time, CC is not set, and neither gcc nor clang is in PATH"
        yield Seen("no-c-compiler", here, ("PATH",))
    if python.has_headers is False:
        minor = ".".join((python.python or "").split(".")[:2])
        here = f"triton {triton} compiles at run time, and Python {minor}'s Python.h is not there"
        yield Seen("python-headers-missing", here, _path(examined), f"sudo apt install python{minor}-dev")


def check_byte_code(examined: Examined) -> Iterator[Seen]:
    """Byte code that is neither there nor will be kept."""
    python = examined.python
    forbidden = examined.machine.variables.values.get("PYTHONDONTWRITEBYTECODE")
    if python is None or not forbidden or python.compiled is not False or "torch" not in python.packages:
        return
    here = f"PYTHONDONTWRITEBYTECODE={forbidden}, and torch {python.packages['torch']} has no byte code beside it"
    path = shlex.quote(python.path.rstrip("/"))
    yield Seen("byte-code-not-kept", here, (python.path,), f"{path}/bin/python -m compileall -q {path}/lib")


def check_library_path(examined: Examined) -> Iterator[Seen]:
    """Another CUDA toolkit's libraries in front of those that torch's wheels bring."""
    torch = torch_cuda(examined)
    folders = examined.machine.variables.values.get("LD_LIBRARY_PATH", "").split(":")
    if torch is None:
        return
    for folder in dict.fromkeys(folders):
        toolkit = toolkit_at(examined.machine, folder.rstrip("/"))
        release = release_of(toolkit.version) if toolkit else None
        if toolkit is None or release is None or folder.endswith(("/compat", "/compat/lib", "/stubs")):
            continue
        # a toolkit of torch's own major that is as new, or newer, serves it as well
        if release[0] != torch[0] or (torch[1] is not None and release[1] < torch[1]):
            wanted = f"{torch[0]}.{torch[1]}" if torch[1] is not None else f"{torch[0]}"
            here = f"LD_LIBRARY_PATH names {folder}, of CUDA {show_version(release)}, and torch is for CUDA {wanted}"
            yield Seen("library-path-shadows", here, (ENVIRON,))


def check_kernels(examined: Examined) -> Iterator[Seen]:
    """Notebook kernels for an environment of this project that is gone."""
    for file, python in examined.project.kernels if examined.project else ():
        path = examined.python.path if examined.python else ".venv"
        command = (
            f"uv pip install --python {shlex.quote(path)} ipykernel && {shlex.quote(path)}/bin/python -m ipykernel"
        )
        yield Seen(
            "jupyter-kernel-elsewhere", f"a notebook's kernel names {python}, which is not there", (file,),
            f"{command} install --user --name venv --display-name 'Python (.venv)'",
        )  # fmt: skip


def check_disks(examined: Examined) -> Iterator[Seen]:
    """File systems that the next checkpoint or model will not fit on."""
    full: dict[str, list[Disk]] = {}
    for disk in examined.machine.disks:
        least = LEAST_BYTES.get(disk.purpose)
        if least is None or disk.free_bytes is None or not disk.total_bytes or disk.mount is None:
            continue
        if disk.free_bytes < min(least, disk.total_bytes // SMALL_SHARE):
            full.setdefault(disk.mount, []).append(disk)
    for mount, disks in full.items():
        free, total = disks[0].free_bytes or 0, disks[0].total_bytes or 0
        purposes = " and ".join(disk.purpose for disk in disks)
        here = f"{format_bytes(free)} of {format_bytes(total)} is free on {mount}, for {purposes}"
        yield Seen("disk-nearly-full", here, tuple(disk.path for disk in disks))


CHECKS: tuple[Check, ...] = (
    check_replaced,
    check_shadowed,
    check_uv,
    check_architectures,
    check_toolkit,
    check_compilers,
    check_byte_code,
    check_library_path,
    check_kernels,
    check_disks,
)
