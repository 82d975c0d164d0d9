"""Can the GPU run it: the device code in each library, and whether its compilers know the GPU's architecture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from packaging.utils import canonicalize_name

from sparksmith.packages.facts import DeviceCode, LibraryFacts, PackageFacts
from sparksmith.packages.finding import Evidence, Finding, Setting, Verdict, capability, some
from sparksmith.packages.judge_cuda import OF_CUDA, OF_TORCH, from_elsewhere, provided, used_libraries
from sparksmith.policy.kernels import load_kernels
from sparksmith.policy.targets import Target, show_version


class State(StrEnum):
    """What the target makes of a library."""

    RUNS = "runs"  # finished code for it
    COMPILED = "compiled at first use"  # only PTX for it
    DEAD = "no code for this GPU"
    PLAIN = "no GPU code"
    STUB = "next to no GPU code"  # an empty entry in a large package
    UNUSED = "not used"  # for another machine or another CUDA


# libcufftw.so.12 of CUDA 13.0 (which calls libcufft and holds no kernels) and two of NPP's libraries have an entry of
# 1,896 bytes for sm_75 alone; so has libcufft.so.12 (592 bytes), beside its kernels for every GPU in .data
STUB_BYTES = 4096
# PTX of so few bytes (as stored) is compiled in a moment, and nobody needs to know: libcufile.so.0's 3.5 KiB are 10 KB
# of text, which ptxas compiles for sm_121 in 0.06 s
SMALL_PTX_BYTES = 32 * 1024
STUB_SHARE = 1000


@dataclass(frozen=True, slots=True)
class LibraryVerdict:
    """A library, its state and its code in words (sm_80, sm_120f, compute_120 of PTX 9.0)."""

    path: str
    bytes: int
    machine: str
    state: State
    code: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "state": self.state.value, "code": list(self.code)}


def runs_on(code: DeviceCode, target: Target) -> bool:
    """Whether the architecture fits; for PTX its ISA is another question.

    Finished code runs on its own major with the same or a later minor; `f` code likewise (its family); `a` code on that
    architecture only. PTX runs on everything later, unless it is `f` or `a`.
    """
    if code.variant == "a":
        return code.architecture == target.architecture
    if code.kind == "ptx" and not code.variant:
        return code.architecture <= target.architecture
    major, minor = divmod(code.architecture, 10)
    return major == target.compute_capability[0] and minor <= target.compute_capability[1]


def is_readable(code: DeviceCode, target: Target) -> bool:
    """Whether the driver can compile it: the PTX is no newer than the driver knows."""
    return code.isa is None or code.isa <= target.ptx_isa


def spell(code: DeviceCode) -> str:
    """sm_120f, or compute_120 (PTX 9.0)."""
    if code.kind == "cubin":
        return f"sm_{code.architecture}{code.variant}"
    isa = f" (PTX {show_version(code.isa)})" if code.isa else ""
    return f"compute_{code.architecture}{code.variant}{isa}"


def judge_library(library: LibraryFacts, target: Target) -> State:
    """The state of a library of the target's machine."""
    if not library.device_code:
        return State.PLAIN
    fitting = [code for code in library.device_code if runs_on(code, target)]
    if any(code.kind == "cubin" for code in fitting):
        return State.RUNS
    if any(is_readable(code, target) for code in fitting):
        return State.COMPILED
    return State.DEAD


def judge_libraries(package: PackageFacts, setting: Setting) -> dict[LibraryFacts, State]:
    """The state of each library that the setting uses; next to no code counts for nothing in a large package."""
    libraries = used_libraries(package, setting)
    largest = max((library.bytes for library in libraries), default=0)
    states = {library: judge_library(library, setting.target) for library in libraries}
    for library, state in states.items():
        if state is State.DEAD and _stored(library) < STUB_BYTES and _stored(library) * STUB_SHARE < largest:
            states[library] = State.STUB
    return states


def _largest_ptx(library: LibraryFacts, target: Target) -> int:
    """The bytes of PTX, as stored, that the driver may have to compile."""
    return max(code.bytes for code in library.device_code if code.kind == "ptx" and runs_on(code, target))


def _stored(library: LibraryFacts) -> int:
    return sum(code.bytes for code in library.device_code)


def list_libraries(package: PackageFacts, setting: Setting) -> tuple[LibraryVerdict, ...]:
    """Every library of a package with its state."""
    states = judge_libraries(package, setting)
    return tuple(
        LibraryVerdict(
            library.path, library.bytes, library.machine,
            states.get(library, State.UNUSED),
            tuple(dict.fromkeys(spell(code) for code in _in_order(library))),
        )
        for library in package.libraries
    )  # fmt: skip


def _in_order(library: LibraryFacts) -> list[DeviceCode]:
    return sorted(
        library.device_code, key=lambda code: (code.kind, code.architecture, code.variant, code.isa or (0, 0))
    )


def check_code(package: PackageFacts, setting: Setting) -> Iterator[Finding]:
    """Findings of the rules device-code, ptx-isa and ptx-only.

    A package fails when all its libraries with GPU code are dead: several ship one for another GPU on purpose. Where
    these call a library of another package, that may hold what counts (cuEquivariance), and nobody can tell. Kernels
    that a package of the set brings along for some work only are a note: that one runs without them.
    """
    target = setting.target
    states = judge_libraries(package, setting)
    dead = _largest_first(states, State.DEAD)
    compiled = _largest_first(states, State.COMPILED)
    alive = any(state is State.RUNS for state in states.values())
    if dead and not alive and not compiled:
        newer = [library for library in dead if any(runs_on(code, target) for code in library.device_code)]
        if newer:
            yield Finding(
                Verdict.FAILS, "ptx-isa",
                f"the only code for {capability(target)} is PTX that driver {target.driver} cannot compile: "
                + _codes(newer[0], target),
                f"PTX ISA {show_version(target.ptx_isa)} or older, or finished code ({_wanted(target)})",
                f"a build with {_wanted(target)}, or for CUDA {show_version(target.cuda)}",
                _evidence(newer, target),
            )  # fmt: skip
            return
        kernels = load_kernels().get(canonicalize_name(package.name))
        if kernels and kernels.brought_by in setting.names:
            yield Finding(
                Verdict.NOTE, "device-code",
                f"none of its GPU code runs on {capability(target)}: {_codes(dead[0])}; {kernels.brought_by} uses it "
                f"for {kernels.work} only, and runs without",
                f"{_wanted(target)}, where {kernels.work} is wanted",
                evidence=_evidence(dead),
            )  # fmt: skip
            return
        called = _libraries_of_others(package, dead)
        calls = f"; it calls {some(called)}, of another package, where more may be" if called else ""
        yield Finding(
            Verdict.UNKNOWN if called else Verdict.FAILS, "device-code",
            f"none of its GPU code runs on {capability(target)}: {_codes(dead[0])}{calls}",
            f"{_wanted(target)}, or PTX for compute_{target.architecture} or older",
            f"a build with code for {_wanted(target)}",
            _evidence(dead),
        )  # fmt: skip
    elif dead:
        have = "has" if len(dead) == 1 else "have"
        total = sum(state in (State.RUNS, State.COMPILED, State.DEAD) for state in states.values())
        yield Finding(
            Verdict.NOTE, "device-code",
            f"{len(dead)} of its {total} libraries with GPU code {have} none for {capability(target)}: "
            + some(dict.fromkeys(library.path.rpartition("/")[2] for library in dead)),
            f"{_wanted(target)} in each; some are for other GPUs on purpose, and what only they do is missing here",
            evidence=_evidence(dead),
        )  # fmt: skip
    if compiled and not alive:
        small = all(_largest_ptx(library, target) <= SMALL_PTX_BYTES for library in compiled)
        yield Finding(
            Verdict.RUNS if small and not dead else Verdict.NOTE, "ptx-only",
            f"its only code for {capability(target)} is PTX: {_codes(compiled[0], target)}",
            f"finished code ({_wanted(target)}); the driver compiles PTX at first use, and keeps the result",
            evidence=_evidence(compiled, target),
        )  # fmt: skip


def check_tools(package: PackageFacts, setting: Setting) -> Iterator[Finding]:
    """Findings of the rule ptxas: one compiler of the package must know the architecture."""
    target = setting.target
    tools = [
        tool for tool in package.tools if tool.machine == target.machine and "ptxas" in tool.path.rpartition("/")[2]
    ]
    wanted = re.compile(rf"sm_{target.architecture}[af]?")
    if not tools or any(wanted.fullmatch(name) for tool in tools for name in tool.architectures):
        return
    newest = max(tools, key=lambda tool: tool.release or (0, 0))
    evidence = tuple(
        Evidence(tool.path, f"architectures {some(tool.architectures[-4:], 4)}", tool.bytes) for tool in tools
    )
    release = f" of CUDA {show_version(newest.release)}" if newest.release else ""
    if not any(tool.architectures for tool in tools):
        yield Finding(
            Verdict.UNKNOWN, "ptxas", f"its compiler ptxas{release} does not say which GPUs it knows",
            f"one that knows sm_{target.architecture}", evidence=evidence,
        )  # fmt: skip
        return
    yield Finding(
        Verdict.FAILS, "ptxas", f"its compiler ptxas{release} does not know sm_{target.architecture}",
        f"one that knows sm_{target.architecture}",
        f"a newer {package.name}",
        evidence,
    )  # fmt: skip


def _largest_first(states: dict[LibraryFacts, State], state: State) -> list[LibraryFacts]:
    return sorted((library for library, each in states.items() if each is state), key=lambda library: -library.bytes)


def _codes(library: LibraryFacts, target: Target | None = None) -> str:
    """The code of a library in words; with a target only what fits it."""
    codes = [code for code in _in_order(library) if target is None or runs_on(code, target)]
    return some(dict.fromkeys(map(spell, codes)), 8)


def _evidence(libraries: list[LibraryFacts], target: Target | None = None) -> tuple[Evidence, ...]:
    """The code of the largest; with a target what fits it first, which decides and must not be cut off."""
    found = []
    for library in libraries[:3]:
        codes = sorted(_in_order(library), key=lambda code: target is not None and not runs_on(code, target))
        told = some(dict.fromkeys(map(spell, codes)), 8)
        found.append(Evidence(library.path, f"{_sections(library)}: {told}", _stored(library)))
    return tuple(found)


def _libraries_of_others(package: PackageFacts, libraries: list[LibraryFacts]) -> list[str]:
    """What they need that is neither the package's own nor the system's, torch's or CUDA's."""
    own = provided(package)
    return sorted(
        {name for library in libraries for name in library.needed
         if from_elsewhere(name, own) and not OF_TORCH.fullmatch(name) and not OF_CUDA.fullmatch(name)}
    )  # fmt: skip


def _sections(library: LibraryFacts) -> str:
    return " and ".join(library.code_sections or (".nv_fatbin",))


def _wanted(target: Target) -> str:
    """The architectures whose finished code the target runs: sm_120 to sm_121."""
    major, minor = target.compute_capability
    return f"sm_{10 * major} to sm_{target.architecture}" if minor else f"sm_{target.architecture}"
