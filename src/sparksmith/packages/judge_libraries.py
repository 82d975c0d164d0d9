"""Libraries that a package needs and that nothing brings: CUDA's, which a toolkit may, and all others.

Of an environment the loader's own search says more (loading.py); of a list there are names only: what the packages of
the set bring, what a system and a driver have, what torch loads. Looked at are the modules that a Python imports, the
one library of a package that has no module, what other packages load, and all that these load in their own package.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sparksmith.packages.facts import LibraryFacts, PackageFacts
from sparksmith.packages.finding import Evidence, Finding, Setting, Verdict, some
from sparksmith.packages.judge_amd import OF_AMD
from sparksmith.packages.judge_cuda import (
    OF_CUDA,
    OF_TORCH,
    PART_OF_CUDA,
    from_elsewhere,
    major_of,
    misses_major,
    names_of,
    provided,
    used_libraries,
)
from sparksmith.packages.loading import MODULE, MissingLibrary
from sparksmith.packages.wheel.examine import SHARED_LIBRARY


def check_libraries(package: PackageFacts, setting: Setting) -> Iterator[Finding]:
    """Findings of the rule library-missing about one package, for libraries other than CUDA's and torch's.

    In a list nobody can tell whether a module at the top of its package can be imported then. What lies deeper may be
    an option that nobody asks for (numba's thread pool of TBB): a note, if it is half of the deeper modules or more.
    All else, and whatever a lone wheel lacks, is a detail.
    """
    if setting.kind == "environment":
        return
    libraries = used_libraries(package, setting)
    modules = _modules(libraries, setting)
    top = [each for each in modules if _is_top(each)] or _main_library(libraries)
    deep = [each for each in modules if each not in top]
    wanted = [each for each in libraries if names_of(each) & setting.wanted]
    lacking = {each: names for each in libraries if (names := _missing(each, package, setting))}
    crippled = [each for each in deep if any(one in lacking for one in _loaded(libraries, [each]))]
    if 2 * len(crippled) >= len(deep):
        wanted += deep
    rest = [each for each in lacking if each not in top]
    needed = set(_loaded(libraries, top + wanted))
    for verdict, found in (
        (Verdict.UNKNOWN, [each for each in lacking if each in top]),
        (Verdict.NOTE, [each for each in rest if each in needed]),
        (Verdict.RUNS, [each for each in rest if each not in needed and each in _loaded(libraries, deep)]),
    ):
        if found:
            verdict = verdict if setting.kind == "list" else Verdict.RUNS
            yield _finding(package, {each: lacking[each] for each in found}, verdict, setting)


def _finding(
    package: PackageFacts, lacking: dict[LibraryFacts, list[str]], verdict: Verdict, setting: Setting
) -> Finding:
    names = some(sorted({name for names in lacking.values() for name in names}))
    where = some((library.path for library in lacking), 1)
    extras = " (perhaps one that its extras name)" if any("extra" in line for line in package.requires) else ""
    fix: str | None = f"add the package that brings it{extras}, or install it on the machine"
    if verdict is Verdict.RUNS:
        who, fix = "another package or the system has to bring", None
    elif setting.unseen:
        who, fix = f"only {some(setting.unseen)} may bring, whose libraries are not seen", None
    else:
        who = "nothing here brings"
    return Finding(
        verdict, "library-missing", f"{where} {'needs' if len(lacking) == 1 else 'need'} {names}, which {who}",
        "every library that it needs, in the set or in the system", fix,
        tuple(Evidence(each.path, f"NEEDED {some(names)}", each.bytes) for each, names in lacking.items())[:3],
    )  # fmt: skip


def _modules(libraries: list[LibraryFacts], setting: Setting) -> list[LibraryFacts]:
    """Those that the setting's Python can import."""
    ours = "".join(map(str, setting.python))
    return [each for each in libraries if (found := MODULE.search(each.path)) and found["abi"] in (None, ours)]


def _main_library(libraries: list[LibraryFacts]) -> list[LibraryFacts]:
    """Of a package without modules the one library at its top that no other needs: it is loaded by its name (mxnet).
    Where there are several, the package chooses."""
    needed = {name for library in libraries for name in library.needed}
    found = [
        each for each in libraries
        if SHARED_LIBRARY.search(each.path) and _is_top(each) and not names_of(each) & needed
    ]  # fmt: skip
    return found if len(found) == 1 and not any(MODULE.search(each.path) for each in libraries) else []


def _loaded(libraries: list[LibraryFacts], first: list[LibraryFacts]) -> list[LibraryFacts]:
    """These, and what they load in their own package."""
    own = {name: each for each in libraries for name in names_of(each)}
    loaded = list(dict.fromkeys(first))
    for each in loaded:  # grows meanwhile
        loaded += {own[name]: None for name in each.needed if name in own and own[name] not in loaded}
    return loaded


def _missing(library: LibraryFacts, package: PackageFacts, setting: Setting) -> list[str]:
    here = provided(package) | setting.brought
    return [
        name for name in library.needed
        if "/" not in name and from_elsewhere(name, here)
        and not any(pattern.match(name) for pattern in (OF_CUDA, PART_OF_CUDA, OF_TORCH, OF_AMD))
    ]  # fmt: skip


def _is_top(library: LibraryFacts) -> bool:
    """Whether it lies in a package's own folder, or in none: mlx/core.so, _cffi_backend.so."""
    return library.path.count("/") <= 1


def check_cuda_libraries(packages: Sequence[PackageFacts], setting: Setting) -> Iterator[Finding]:
    """CUDA libraries that nothing in the set brings: they have to come from the system's toolkit. What a package asks
    for that fails for its CUDA anyway is left out."""
    missing: dict[int, dict[str, tuple[str, str]]] = {}
    for package in packages:
        if misses_major(package, setting):
            continue
        libraries = used_libraries(package, setting)
        majors = {major for each in libraries for name in each.needed if (major := major_of(name))}
        cuda = setting.cuda[0] if setting.cuda[0] in majors else max(majors, default=setting.cuda[0])
        for library in libraries:
            for name in library.needed:
                if name not in setting.brought and OF_CUDA.fullmatch(name) and major_of(name) in (None, cuda):
                    missing.setdefault(cuda, {}).setdefault(name, (package.name, library.path))
    for cuda, places in sorted(missing.items()):
        askers = sorted({name for name, _ in places.values()})
        yield Finding(
            Verdict.NOTE, "library-missing", f"no package brings {some(sorted(places))}, needed by {some(askers)}",
            "a package in the set that brings it, or a CUDA toolkit on the machine",
            f"install the CUDA {cuda} toolkit, or the nvidia packages that hold them",
            tuple(Evidence(path, f"NEEDED {name}") for name, (_, path) in sorted(places.items())[:3]),
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
