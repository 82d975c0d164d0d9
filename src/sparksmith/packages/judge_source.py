"""What an installer makes of a source distribution, and first use of the CUDA source that a package brings."""

from __future__ import annotations

from collections.abc import Iterator

from sparksmith.packages.facts import Needs, PackageFacts
from sparksmith.packages.finding import Evidence, Finding, Setting, Verdict, capability, some
from sparksmith.packages.wheel.refusal import named_instead
from sparksmith.packages.wheel.source import SOURCE_ENDINGS
from sparksmith.policy.targets import show_version

# what each kind of source asks of the machine, the one that decides most first; {python} is the setting's
TOOLS: dict[Needs, str] = {
    "CUDA": "nvcc (of a CUDA toolkit that knows {architecture})",
    "C": "a C or C++ compiler and Python's headers (build-essential and python{python}-dev)",
    "Fortran": "a Fortran compiler (gfortran)",
    "Rust": "a Rust compiler (cargo)",
    "Go": "a Go compiler",
}
EVIDENCE_AT_MOST = 3


def is_source(package: PackageFacts) -> bool:
    """Whether there is no wheel of it: a source distribution, or what was chosen without any file."""
    return bool(package.why_source) or package.file.endswith(SOURCE_ENDINGS)


def wanted_tag(setting: Setting) -> str:
    """The most that a wheel's tag may ask for: cp312-cp312-manylinux_2_39_aarch64."""
    python = "cp" + "".join(map(str, setting.python))
    glibc = "_".join(map(str, setting.target.glibc))
    return f"{python}-{python}-manylinux_{glibc}_{setting.target.machine}"


def check_source(package: PackageFacts, setting: Setting) -> Finding:
    """The finding of the rule source."""
    why = package.why_source or f"{package.file} is source"
    expected = f"a wheel ({wanted_tag(setting)} or any)"
    if not package.file:
        return Finding(
            Verdict.UNKNOWN, "source", f"{why}: what an installer would make of it cannot be seen before", expected,
            "ask for a version that has a wheel, or build it on the machine and audit what was built",
        )  # fmt: skip
    if package.compiles is None or package.problems:
        reason = f" ({some(package.problems, 1)})" if package.problems else ""
        return Finding(
            Verdict.UNKNOWN, "source", f"{why}: what its source compiles is not known{reason}", expected,
            "ask for a version that has a wheel, or build it on the machine and audit what was built",
            (Evidence(package.file, "source distribution", package.bytes or None),),
        )  # fmt: skip
    refusal = next((each for each in package.compiles if each.needs == "refusal"), None)
    if refusal:
        said = f": {refusal.what}" if refusal.what else ""
        return Finding(
            Verdict.FAILS, "source", f"{why}, and its source refuses to be installed{said}", expected,
            f"ask for {other}, as it says, and audit that" if (other := named_instead(package.name, refusal.what))
            else "ask for the package that is meant, by the name that it has now",
            (Evidence(f"{package.file}: {refusal.path}", "raises an exception where an installer builds it"),),
        )  # fmt: skip
    if not package.compiles:
        return Finding(
            Verdict.NOTE, "source", f"{why}: it is built where it is installed; it holds nothing to compile",
            "a wheel, which needs no building",
            evidence=(Evidence(package.file, "no source to compile, none named in its build files", package.bytes),),
        )  # fmt: skip
    needs = {each.needs for each in package.compiles}
    architecture = f"sm_{setting.target.architecture}"
    tools = [
        text.format(python=show_version(setting.python), architecture=architecture)
        for kind, text in TOOLS.items()
        if kind in needs
    ]
    if tools:
        seen = f"it is compiled where it is installed, with {', '.join(tools)}"
    elif "script" in needs:
        seen = "building it runs a script of its own, and what that compiles or fetches cannot be seen before"
    else:
        seen = "its source holds finished libraries, which were built for one machine"
    first = {each.needs: each for each in reversed(package.compiles)}
    order = (*TOOLS, "script", "binary")
    return Finding(
        Verdict.UNKNOWN, "source", f"{why}: {seen}", expected,
        "ask for a version that has a wheel, or build it on the machine and audit what was built",
        tuple(Evidence(f"{package.file}: {each.path}", each.what, each.bytes)
              for _, each in sorted(first.items(), key=lambda one: order.index(one[0])))[:EVIDENCE_AT_MOST],
    )  # fmt: skip


def check_cuda_source(package: PackageFacts, setting: Setting) -> Iterator[Finding]:
    """Findings of the rule at-use: CUDA source, and no library that was compiled from it."""
    if not package.compiles or is_source(package):
        return
    nvcc = f"nvcc of CUDA {setting.cuda_text} ({setting.cuda_of}), which has to know sm_{setting.target.architecture}"
    yield Finding(
        Verdict.NOTE, "at-use",
        "it brings CUDA source and no library: nvcc compiles what is used of it, on the machine and at first use",
        f"{nvcc}, and a C++ compiler",
        f"have {nvcc}, on PATH, with a C++ compiler and ninja; TORCH_CUDA_ARCH_LIST={capability(setting.target)} makes "
        "torch compile for this GPU alone",
        tuple(Evidence(each.path, each.what, each.bytes) for each in package.compiles),
    )  # fmt: skip
