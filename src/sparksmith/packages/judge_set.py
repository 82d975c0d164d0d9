"""Do packages go together: one CUDA major, a torch where one is needed, each other's bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from sparksmith.packages.facts import PackageFacts
from sparksmith.packages.finding import Evidence, Finding, Kind, Setting, Verdict, own_libraries, some
from sparksmith.packages.judge_cuda import (
    OF_TORCH,
    names_of,
    needs_of_cuda,
    provided,
    torch_cuda,
)
from sparksmith.packages.judge_libraries import check_cuda_libraries
from sparksmith.packages.judge_source import is_source
from sparksmith.packages.platform import Platform
from sparksmith.packages.resolution import Fallback
from sparksmith.policy.targets import Target

NAMED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")  # a requirement's name, as its line begins


def setting_of(
    packages: Sequence[PackageFacts], target: Target, kind: Kind, python: tuple[int, int] | None = None
) -> Setting:
    """What the packages are judged against: a set's own torch gives the CUDA, the target does where there is none."""
    python = python or target.python
    of_target = Setting(
        target, python, target.cuda, f"{target.name}'s, with driver {target.driver}", of_torch=False, kind=kind
    )
    if kind == "wheel":
        return of_target
    brought: set[str] = set()
    wanted: set[str] = set()
    for package in packages:
        own = provided(package)
        brought |= {name for each in own_libraries(package, target) for name in names_of(each)}
        wanted |= {name for each in own_libraries(package, target) for name in each.needed if name not in own}
    unseen = tuple(
        package.name for package in packages
        if (is_source(package) and package.compiles != ()) or (package.problems and not package.libraries)
    )  # fmt: skip
    names = frozenset(canonicalize_name(package.name) for package in packages)
    of_set = replace(of_target, brought=frozenset(brought), wanted=frozenset(wanted), unseen=unseen, names=names)
    for package in packages:
        if canonicalize_name(package.name) == "torch" and (cuda := torch_cuda(package)):
            return replace(of_set, cuda=cuda, cuda_of=f"as torch {package.version} is", of_torch=True)
    return of_set


def check_set(packages: Sequence[PackageFacts], setting: Setting, kind: Kind) -> Iterator[Finding]:
    """Findings of the rules cuda-majors, torch-missing, library-missing and bounds."""
    yield from _check_majors(packages, setting)
    yield from _check_torch(packages, setting, kind)
    if kind == "list":  # of what is installed, the loader's own search says more (loading.py)
        yield from check_cuda_libraries(packages, setting)
    yield from _check_bounds(packages, setting, kind)


def _check_majors(packages: Sequence[PackageFacts], setting: Setting) -> Iterator[Finding]:
    users: dict[int, list[tuple[PackageFacts, str]]] = {}
    for package in packages:
        majors = {major: name for _, name, major in sorted(needs_of_cuda(package, setting), key=lambda need: need[1])}
        if setting.cuda[0] not in majors:  # with libraries for several it takes its own
            for major, name in majors.items():
                users.setdefault(major, []).append((package, name))
        else:
            users.setdefault(setting.cuda[0], []).append((package, majors[setting.cuda[0]]))
    if len(users) > 1:
        groups = (f"CUDA {major}: {some(package.name for package, _ in users[major])}" for major in sorted(users))
        others = {package.name for major in users.keys() - {setting.cuda[0]} for package, _ in users[major]}
        yield Finding(
            Verdict.FAILS, "cuda-majors", f"packages for different CUDA majors: {'; '.join(groups)}",
            f"one: CUDA {setting.cuda[0]} ({setting.cuda_of})",
            f"builds for CUDA {setting.cuda[0]} of {some(sorted(others))}",
            tuple(Evidence(all_of[0][0].name, f"NEEDED {all_of[0][1]}") for _, all_of in sorted(users.items())),
        )  # fmt: skip


def _check_torch(packages: Sequence[PackageFacts], setting: Setting, kind: Kind) -> Iterator[Finding]:
    if kind == "wheel" or any(canonicalize_name(package.name) == "torch" for package in packages):
        return
    users = [
        (package, library, name)
        for package in packages
        for library in own_libraries(package, setting.target)
        for name in library.needed
        if OF_TORCH.fullmatch(name)
    ]
    if users:
        _, library, name = users[0]
        complete = kind in ("list", "environment")
        yield Finding(
            Verdict.FAILS if complete else Verdict.NOTE, "torch-missing",
            f"{some(dict.fromkeys(package.name for package, _, _ in users))}: built against torch, and none is here",
            "a torch in the set" if complete else "the torch that it was built against, beside it",
            "add torch, in the version that they require",
            (Evidence(library.path, f"NEEDED {name}", library.bytes),),
        )  # fmt: skip


def check_fallbacks(fallbacks: Sequence[Fallback]) -> Iterator[Finding]:
    """Where a resolver settled for less than the newest without a word: findings of the rule fallback."""
    for fallback in fallbacks:
        meant, bound = "the older one", f"bound it from below ({fallback.name}>={fallback.newest})"
        if fallback.kind == "pre":
            meant, bound = "a pre-release", f"ask for the release ({fallback.name}=={fallback.newest})"
        yield Finding(
            Verdict.NOTE, "fallback", fallback.describe(),
            f"{fallback.name} {fallback.newest}, or a bound that says that {meant} is meant",
            f"{bound}: then what stands against it is told",
            (Evidence(fallback.asked or fallback.name, f"resolved to {fallback.version}"),),
        )  # fmt: skip


def check_unseen(unseen: Sequence[str]) -> Iterator[Finding]:
    """What only source distributions ask for, and nobody looked at: with it nobody can tell."""
    if unseen:
        yield Finding(
            Verdict.UNKNOWN, "source", f"what only source distributions ask for was not looked at: {some(unseen)}",
            "everything that an installer would bring",
            f"audit it by itself, and what its source distributions ask for: sparksmith audit {unseen[0]!r}",
            tuple(Evidence("Requires-Dist of a source distribution", each) for each in unseen[:3]),
        )  # fmt: skip


def _check_bounds(packages: Sequence[PackageFacts], setting: Setting, kind: Kind) -> Iterator[Finding]:
    """Requirements between packages of the set that their versions break; a finding for each package that asks."""
    versions: dict[str, str] = {canonicalize_name(package.name): package.version for package in packages}
    sources = {canonicalize_name(package.name) for package in packages if is_source(package)}
    environment = Platform(setting.target.machine, setting.target.glibc, setting.python).environment()
    for package in packages:
        broken = list(dict.fromkeys(_broken(package, versions, environment)))  # once with each extra's marker
        if broken:
            told = some(f"{asked}, and here is {found}" for asked, found in broken)
            names = some(sorted({Requirement(asked).name for asked, _ in broken}))
            where = package.file or package.name
            # what is installed may run all the same; a list like this no installer takes. Of a source the newest is
            # looked at, where an installer would go back to one that goes with the rest: whichever of the two it is
            settled = any(canonicalize_name(Requirement(asked).name) not in sources for asked, _ in broken)
            yield Finding(
                Verdict.FAILS if kind == "list" and settled and not is_source(package) else Verdict.NOTE, "bounds",
                f"{package.name} {package.version} asks for {told}",
                "versions that go together", f"resolve {package.name} and {names} together",
                tuple(Evidence(where, f"METADATA: Requires-Dist: {asked}") for asked, _ in broken[:3]),
            )  # fmt: skip


def _broken(
    package: PackageFacts, versions: Mapping[str, str], environment: dict[str, str]
) -> Iterator[tuple[str, str]]:
    for line in package.requires:
        named = NAMED.match(line)
        version = versions.get(canonicalize_name(named[1])) if named else None
        if version is None:  # of most, which are extras': parsing them would take longer than all the rest
            continue
        try:
            asked = Requirement(line)
            if asked.marker and not asked.marker.evaluate(environment):
                continue
            if not asked.specifier.contains(Version(version), prereleases=True):
                yield f"{asked.name}{asked.specifier}", version
        except (InvalidRequirement, InvalidVersion):
            continue  # installers of today refuse it; older ones ignored it
