"""The packages of the environment: what the audit found of them, and what it cannot see."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import parse_tag
from packaging.utils import canonicalize_name

from sparksmith.doctor.finding import Check, Examined, Seen
from sparksmith.doctor.hardware import has_gpu, release_of
from sparksmith.doctor.observed import build_nvcc, is_version, toolkit_at, torch_cuda, version_of
from sparksmith.packages.finding import Evidence, Finding, Verdict, some
from sparksmith.packages.verdict import PackageVerdict, SetVerdict
from sparksmith.policy.faults import Fault, load_faults
from sparksmith.policy.targets import show_version

# What holds on a machine without a GPU too; everything else that the audit says is about CUDA.
FOR_ALL_MACHINES = {"tag", "python", "machine", "glibc", "torch-missing", "bounds", "source"}
KNOWN_FOR_ALL = {"unsloth-fallback"}
APART = {"trl-1-15-cpu"}  # of a machine without a GPU, for which nothing is judged: check_trl
# The audit judges against the target's system; these are not newer than DGX OS' (glibc 2.39).
NOT_NEWER = {"ubuntu": (24, 4), "debian": (12, 99)}
LIBRARIES_GONE = re.compile(r"of its libraries (?:is|are) not there|^has no RECORD")
KNOWS_SM121 = (12, 9)  # the first CUDA release whose ptxas does: 12.8's does not (measured), 13.1's does
NEITHER = "which is neither in this environment nor in the system"


def check_audit(examined: Examined) -> Iterator[Seen]:
    """What the audit found, each as the fault that it is; what will not run and is none, by its package."""
    audit = examined.audit
    if audit is None:
        return
    unexplained: dict[str, list[Finding]] = {}
    for package in (*audit.packages, None):
        name = canonicalize_name(package.name) if package else ""
        findings = [
            finding for finding in (package or audit).findings
            if _counts(examined, finding) and finding.rule not in ("ptxas", "cuda-majors")  # told below, and apart
        ]  # fmt: skip
        # a version that is known to fail says it all
        findings = [each for each in findings if each.rule == "known" and each.verdict is Verdict.FAILS] or findings
        told: dict[str, list[Finding]] = {}
        for finding in findings:
            fault = _fault_of(name, finding)
            if fault and _is_told(finding, fault):
                told.setdefault(fault, []).append(finding)
            elif finding.verdict is Verdict.FAILS:
                unexplained.setdefault(name, []).append(finding)
        for fault, same in told.items():
            yield Seen(fault, _here(package, same[0]), _evidence(*same), _command(fault, package))
    yield from _tell_unexplained(examined, audit, unexplained)


def _counts(examined: Examined, finding: Finding) -> bool:
    """Whether what was judged for the target holds for this very machine."""
    machine, target = examined.machine, examined.target
    gpu = has_gpu(machine)
    if not gpu and finding.rule not in FOR_ALL_MACHINES and finding.fault not in KNOWN_FOR_ALL:
        return False
    if finding.fault in APART:
        return False
    if finding.rule == "glibc":
        newest = NOT_NEWER.get(machine.system.distribution or "")
        here = release_of(machine.system.version)
        return newest is not None and here is not None and here <= newest
    if finding.rule in ("ptx-isa", "cuda-newer"):  # a driver newer than the target's compiles and runs more
        return (release_of(machine.gpu.cuda) or target.cuda) <= target.cuda
    return True


def _fault_of(name: str, finding: Finding) -> str | None:
    """The fault that a finding is, where packages that rows speak of have one of their own."""
    if name == "flash-attn" and finding.verdict is Verdict.FAILS and finding.rule in ("cuda-major", "device-code"):
        return "flash-attn-present"
    if name == "xformers" and finding.rule in ("cuda-major", "device-code", "cpu-build"):
        return "xformers-no-cuda" if finding.rule == "cpu-build" or finding.verdict is Verdict.FAILS else None
    return finding.fault


def _is_told(finding: Finding, fault: str) -> bool:
    """A row explains findings of its rule; what the audit only notes, or cannot tell, is not the fault itself."""
    row = _row(fault)
    if not row.verdict or finding.verdict is Verdict.FAILS or finding.rule == "bounds":
        return True
    return finding.verdict.value == row.verdict


def _tell_unexplained(examined: Examined, audit: SetVerdict, found: dict[str, list[Finding]]) -> Iterator[Seen]:
    """Packages for another CUDA major as one fault, that of the set; others one by one."""
    others = {name: each for name, all_of in found.items() for each in all_of if each.rule == "cuda-major" and name}
    if others:
        torch = f"torch is for CUDA {audit.setting.cuda_text}; " if audit.setting.of_torch else ""
        needs = "; ".join(f"{name}: {finding.seen}" for name, finding in sorted(others.items())[:3])
        more = f"; and {len(others) - 3} more" if len(others) > 3 else ""
        command = f"uv pip uninstall {' '.join(sorted(others)[:20])}"
        yield Seen("cuda-major-mixed", f"{torch}{needs}{more}", _evidence(*others.values()), command)
    for name, findings in found.items():
        if name not in others:
            said = "; ".join(each.seen for each in findings)
            path = shlex.quote(examined.python.path) if examined.python else ".venv"
            here = f"{name}: {said}" if name else said
            yield Seen("package-will-not-run", here, _evidence(*findings), f"sparksmith audit {path}")


def _here(package: PackageVerdict | None, finding: Finding) -> str:
    """What was seen, with the package's name and version in front unless it begins with them."""
    if package is None or finding.seen.startswith(package.name):
        return finding.seen
    return f"{package.name} {package.version}: {finding.seen}"


def _evidence(*findings: Finding) -> tuple[str, ...]:
    return tuple(_place(each) for finding in findings for each in finding.evidence)[:6]


def _place(evidence: Evidence) -> str:
    return f"{evidence.file}: {evidence.what}"


def _row(fault: str) -> Fault:
    return next(row for row in load_faults() if row.id == fault)


def _command(fault: str, package: PackageVerdict | None) -> str | None:
    """The fault's command with the package that it is about."""
    command = _row(fault).command
    return command.replace("PACKAGE", canonicalize_name(package.name)) if package and command else None


def check_incomplete(examined: Examined) -> Iterator[Seen]:
    """Packages whose files are not all there, so that they cannot be imported, or not for long."""
    torch = examined.incomplete
    if torch is not None:
        yield Seen(
            "package-incomplete", f"{torch.name} {torch.version}: {torch.seen}", (torch.record,),
            f"uv pip install --reinstall '{torch.name}=={torch.version}'",
        )  # fmt: skip
    if examined.audit is None:
        return
    for package in examined.audit.packages:
        if torch is not None and canonicalize_name(package.name) == torch.name:
            continue  # told at once, whatever the audit sees of it
        gone = [
            finding for finding in package.findings
            if finding.rule == "problem" and LIBRARIES_GONE.search(finding.seen)
            # without a RECORD only the torch that has no library at all is known to be broken
            and (not finding.seen.startswith("has no RECORD") or _is_empty_torch(package))
        ]  # fmt: skip
        if gone:
            name = canonicalize_name(package.name)
            yield Seen(
                "package-incomplete", f"{package.name} {package.version}: {gone[0].seen}",
                (f"RECORD of {name} {package.version}",), f"uv pip install --reinstall '{name}=={package.version}'",
            )  # fmt: skip
    if torch is not None or "LD_LIBRARY_PATH" in examined.machine.variables.values:
        return  # told; or a place where the loader looks besides, and the audit does not
    for finding in examined.audit.findings:
        places = [each for each in finding.evidence if "/torch/" in each.file]
        if finding.rule == "library-missing" and places and NEITHER in finding.seen and _is_wheel(examined):
            version = version_of(examined, "torch")
            yield Seen(
                "package-incomplete", f"torch {version}: {finding.seen}", tuple(_place(each) for each in places),
                f"uv pip install --reinstall 'torch=={version}'",
            )  # fmt: skip


def _is_empty_torch(package: PackageVerdict) -> bool:
    return canonicalize_name(package.name) == "torch" and not package.libraries


def _is_wheel(examined: Examined) -> bool:
    """Whether torch came from the package index: NVIDIA's images and conda build their own, over the system's CUDA."""
    torch = version_of(examined, "torch")
    return torch is not None and ".nv" not in torch and examined.python is not None and examined.python.kind == "venv"


def check_triton_ptxas(examined: Examined) -> Iterator[Seen]:
    """Triton's compiler, unless a variable names another that knows the GPU."""
    python = examined.python
    if python is None or not has_gpu(examined.machine) or examined.target.compute_capability != (12, 1):
        return
    own: dict[str, tuple[str, tuple[int, int] | None]] = {
        path.rpartition("/")[2]: (path, release_of(release)) for path, release in python.ptxas.items()
    }
    blackwell = "ptxas-blackwell" in own
    path, release = own.get("ptxas-blackwell" if blackwell else "ptxas", ("", None))
    packages = examined.audit.packages if examined.audit else ()
    judged = next((each for package in packages for each in package.findings if each.rule == "ptxas"), None)
    if judged is not None and judged.verdict is not Verdict.FAILS:
        return
    variable = "TRITON_PTXAS_BLACKWELL_PATH" if blackwell else "TRITON_PTXAS_PATH"
    named = examined.machine.variables.values.get(variable)
    if named:
        toolkit = toolkit_at(examined.machine, named)
        other = release_of(toolkit.ptxas) if toolkit else None
        if other is None and (toolkit is None or toolkit.ptxas or "is not there" not in (toolkit.why("ptxas") or "")):
            return  # of what lies elsewhere nothing is known
        if other is not None:  # else nothing is there, and Triton takes its own
            path, release, judged = f"{variable}={named}", other, None
    if judged is None and (release is None or release >= KNOWS_SM121):
        return
    triton = version_of(examined, "triton") or version_of(examined, "pytorch-triton") or ""
    of_cuda = f" is of CUDA {show_version(release)} and" if release else ""
    capable = next(
        (each for each in examined.machine.toolkits.toolkits if (release_of(each.ptxas) or (0, 0)) >= KNOWS_SM121), None
    )
    yield Seen(
        "triton-ptxas-sm121", f"the ptxas of triton {triton}{of_cuda} does not know sm_121; {variable} "
        + ("names it" if named and path.startswith(variable) else "names no other"),
        _evidence(judged) if judged else (path,),
        f"export {variable}={capable.path}/bin/ptxas" if capable else "uv pip install 'triton>=3.7.1'",
    )  # fmt: skip


def check_other_torch(examined: Examined) -> Iterator[Seen]:
    """Compiled packages that were built for one release of torch, beside another."""
    if examined.audit is None:
        return
    packages: dict[str, PackageVerdict] = {canonicalize_name(each.name): each for each in examined.audit.packages}
    torch = packages.get("torch")
    for finding in examined.audit.findings:
        for evidence in finding.evidence if finding.rule == "bounds" and torch else ():
            package = packages.get(canonicalize_name(evidence.file))
            pinned = _pinned_torch(evidence.what.rpartition("Requires-Dist: ")[2])
            if package is None or torch is None or pinned is None or not package.libraries:
                continue
            if release_of(torch.version) == pinned:
                continue  # of the same minor release the libraries fit
            name = canonicalize_name(package.name)
            fault = "xformers-no-cuda" if name == "xformers" else "extension-other-torch"
            yield Seen(
                fault, f"{package.name} {package.version} is built for torch {show_version(pinned)}, and here is "
                f"{torch.version}", (_place(evidence),),
                "uv pip uninstall xformers" if name == "xformers" else f"uv pip install --upgrade {name} torch",
            )  # fmt: skip


def _pinned_torch(requirement: str) -> tuple[int, int] | None:
    """The release of torch that a requirement holds fast."""
    try:
        asked = Requirement(requirement)
        pins = [one.version for one in asked.specifier if one.operator == "=="]
    except InvalidRequirement:
        return None
    return release_of(pins[0]) if asked.name == "torch" and pins else None


def check_deepspeed(examined: Examined) -> Iterator[Seen]:
    """DeepSpeed compiles its operators where it runs, with a nvcc of torch's CUDA major."""
    version = version_of(examined, "deepspeed")
    if version is None or not has_gpu(examined.machine):
        return
    nvcc, torch = build_nvcc(examined.machine), torch_cuda(examined)
    if nvcc is None:
        yield Seen("deepspeed-no-ops", f"deepspeed {version} is installed, and there is no nvcc", ("PATH, CUDA_HOME",))
    elif (release := release_of(nvcc[0])) and torch and release[0] != torch[0]:
        yield Seen(
            "deepspeed-no-ops", f"deepspeed {version} is installed, nvcc is of CUDA {show_version(release)}, and torch "
            f"of CUDA {torch[0]}", (nvcc[1],),
        )  # fmt: skip


def check_unsloth_vllm(examined: Examined) -> Iterator[Seen]:
    """Unsloth of the winter of 2025 imports vLLM whether it is there or not."""
    unsloth = version_of(examined, "unsloth")
    if is_version(unsloth, ">=2025.9,<2026.2") and version_of(examined, "vllm") is None:
        yield Seen("unsloth-wants-vllm", f"unsloth {unsloth} is installed, and vllm is not", _site(examined))


def _site(examined: Examined) -> tuple[str, ...]:
    return (examined.python.path,) if examined.python else ()


def check_trl(examined: Examined) -> Iterator[Seen]:
    """TRL 1.15 where only a CPU is."""
    trl = version_of(examined, "trl")
    if examined.machine.gpu.pci_devices == 0 and not has_gpu(examined.machine) and is_version(trl, "==1.15.*"):
        yield Seen("trl-1-15-cpu", f"trl {trl} is installed, and this machine has no NVIDIA GPU", _site(examined))


def check_requirements(examined: Examined) -> Iterator[Seen]:
    """What the project's requirements ask for that no installer can give, or only after hours."""
    project = examined.project
    if project is None:
        return
    for ask in project.of("trl[vllm]"):
        yield Seen("trl-vllm-extra", f"{ask.text} is asked for", (ask.place,))
    for ask in project.of("wheel"):
        if why := _misfit(ask.text, examined):
            yield Seen("wheel-other-platform", f"{ask.text}: {why}", (ask.place,))
    for ask in project.of("CPU by default"):
        name = canonicalize_name(ask.text)
        if has_gpu(examined.machine) and examined.is_own and version_of(examined, name) is None:
            yield Seen("llama-cpp-cpu-build", f"{name} is asked for and not installed", (ask.place,))
    if examined.machine.system.architecture == "aarch64":
        platforms = _row("naive-platform").detect["platforms"]
        for ask in project.of("resolved for"):
            if ask.text in platforms:
                here = f"resolved for {ask.text}, whose glibc is older than this machine's"
                yield Seen("naive-platform", here, (ask.place,))
        asked = {
            name: ask for ask in project.of("source")
            if version_of(examined, name := canonicalize_name(ask.text)) is None
        }  # fmt: skip
        if asked and examined.python is not None and examined.is_own:
            places = tuple(ask.place for ask in asked.values())
            here = f"{some(asked, 5)} {'is' if len(asked) == 1 else 'are'} asked for and not installed"
            command = f"uv pip install --no-build-isolation {' '.join(asked)}"
            yield Seen("source-build", here, places, command)


def _misfit(wheel: str, examined: Examined) -> str | None:
    """Why this machine's Python does not take a wheel of that name; None where it does or it cannot be told."""
    architecture, python = examined.machine.system.architecture, examined.python
    try:
        tags = parse_tag("-".join(wheel.removesuffix(".whl").split("-")[-3:]))
    except ValueError:
        return None
    platforms = {tag.platform for tag in tags}
    if architecture and platforms != {"any"} and not any(each.endswith(f"_{architecture}") for each in platforms):
        return f"it is for {some(sorted(platforms))}, and this machine is {architecture}"
    here = release_of(python.python) if python and examined.is_own else None
    wanted = {tag.interpreter for tag in tags if tag.interpreter.startswith("cp") and tag.abi == tag.interpreter}
    if here and wanted and not any(tag.interpreter.startswith("py") or tag.abi == "abi3" for tag in tags):
        own = f"cp{here[0]}{here[1]}"
        if own not in wanted:
            return f"it is for {some(sorted(wanted))}, and the environment's Python is {show_version(here)}"
    return None


CHECKS: tuple[Check, ...] = (
    check_audit,
    check_incomplete,
    check_triton_ptxas,
    check_other_torch,
    check_deepspeed,
    check_unsloth_vllm,
    check_trl,
    check_requirements,
)
