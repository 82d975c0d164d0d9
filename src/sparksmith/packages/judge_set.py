"""Do packages go together: one CUDA major, a torch where one is needed, each other's bounds, libraries from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from sparksmith.packages.facts import PackageFacts
from sparksmith.packages.finding import Evidence, Finding, Setting, Verdict, own_libraries, some
from sparksmith.packages.judge_cuda import OF_CUDA, OF_TORCH, major_of, provided, torch_cuda, used_libraries
from sparksmith.packages.judge_source import is_source
from sparksmith.packages.loading import MissingLibrary
from sparksmith.packages.platform import Platform
from sparksmith.packages.resolution import Fallback
from sparksmith.policy.targets import Target

# a wheel alone; wheels that happen to lie together; a list that an installer is to take; what is installed
Kind = Literal["wheel", "folder", "list", "environment"]


def setting_of(
    packages: Sequence[PackageFacts], target: Target, kind: Kind, python: tuple[int, int] | None = None
) -> Setting:
    """What the packages are judged against: a set's own torch gives the CUDA, the target does where there is none."""
    python = python or target.python
    if kind != "wheel":
        for package in packages:
            if canonicalize_name(package.name) == "torch" and (cuda := torch_cuda(package)):
                return Setting(target, python, cuda, f"as torch {package.version} is", of_torch=True)
    return Setting(target, python, target.cuda, f"{target.name}'s, with driver {target.driver}", of_torch=False)


def check_set(packages: Sequence[PackageFacts], setting: Setting, kind: Kind) -> Iterator[Finding]:
    """Findings of the rules cuda-majors, torch-missing, library-missing and bounds."""
    yield from _check_majors(packages, setting)
    yield from _check_torch(packages, setting, kind)
    if kind == "list":  # of what is installed, the loader's own search says more (loading.py)
        yield from _check_libraries(packages, setting)
    yield from _check_bounds(packages, setting, kind)


def _check_majors(packages: Sequence[PackageFacts], setting: Setting) -> Iterator[Finding]:
    users: dict[int, list[tuple[PackageFacts, str]]] = {}
    for package in packages:
        inside = provided(package)
        needs = {name for library in used_libraries(package, setting) for name in library.needed if name not in inside}
        majors = {major: name for name in sorted(needs) if (major := major_of(name))}
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


def _check_libraries(packages: Sequence[PackageFacts], setting: Setting) -> Iterator[Finding]:
    """CUDA libraries that nothing in the set brings: they have to come from the system's toolkit."""
    inside = {name for package in packages for name in provided(package)}
    missing: dict[str, tuple[str, str]] = {}
    for package in packages:
        for library in used_libraries(package, setting):
            for name in library.needed:
                if name in inside or not OF_CUDA.fullmatch(name) or major_of(name) not in (None, setting.cuda[0]):
                    continue
                missing.setdefault(name, (package.name, library.path))
    if missing:
        askers = sorted({name for name, _ in missing.values()})
        yield Finding(
            Verdict.NOTE, "library-missing", f"no package brings {some(sorted(missing))}, needed by {some(askers)}",
            "a package in the set that brings it, or a CUDA toolkit on the machine",
            f"install the CUDA {setting.cuda[0]} toolkit, or the nvidia packages that hold them",
            tuple(Evidence(path, f"NEEDED {name}") for name, (_, path) in sorted(missing.items())[:3]),
        )  # fmt: skip


def check_missing(missing: Sequence[MissingLibrary]) -> Iterator[Finding]:
    """What no loader would find in an environment, a finding for each package."""
    for package in dict.fromkeys(each.package for each in missing):
        own = [each for each in missing if each.package == package]
        yield Finding(
            Verdict.NOTE, "library-missing", some((each.sentence() for each in own), 1),
            "every library that it needs, where the loader looks",
            "install what brings them, or name their folder in LD_LIBRARY_PATH",
            tuple(Evidence(each.library, f"NEEDED {each.needed}") for each in own[:3]),
        )  # fmt: skip


def check_fallbacks(fallbacks: Sequence[Fallback]) -> Iterator[Finding]:
    """Where a resolver settled for less than the newest without a word: findings of the rule fallback."""
    for fallback in fallbacks:
        yield Finding(
            Verdict.NOTE, "fallback", fallback.describe(),
            f"{fallback.name} {fallback.newest}, or a bound that says that the older one is meant",
            f"bound it from below ({fallback.name}>={fallback.newest}): then what stands against it is told",
            (Evidence(fallback.asked or fallback.name, f"resolved to {fallback.version}"),),
        )  # fmt: skip


def _check_bounds(packages: Sequence[PackageFacts], setting: Setting, kind: Kind) -> Iterator[Finding]:
    """Requirements between packages of the set that their versions break; a finding for each package that asks."""
    versions: dict[str, str] = {canonicalize_name(package.name): package.version for package in packages}
    sources = {canonicalize_name(package.name) for package in packages if is_source(package)}
    environment = Platform(setting.target.machine, setting.target.glibc, setting.python).environment()
    for package in packages:
        broken = list(_broken(package, versions, environment))
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
        try:
            asked = Requirement(line)
            version = versions.get(canonicalize_name(asked.name))
            if version is None or (asked.marker and not asked.marker.evaluate(environment)):
                continue
            if not asked.specifier.contains(Version(version), prereleases=True):
                yield f"{asked.name}{asked.specifier}", version
        except (InvalidRequirement, InvalidVersion):
            continue  # installers of today refuse it; older ones ignored it
