"""Is it for the right CUDA: the majors of the libraries that it needs, CPU-only builds, one library for each CUDA.

Only the sonames of libcudart, libcublas, libcublasLt, libnvrtc and libnvJitLink carry CUDA's major: CUDA 13 has
libcusparse.so.12, libcusolver.so.12 and libcufft.so.12.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.utils import canonicalize_name

from sparksmith.packages.facts import LibraryFacts, PackageFacts
from sparksmith.packages.finding import Evidence, Finding, Setting, Verdict, own_libraries, some
from sparksmith.packages.loading import DRIVER, EXPECTED, PLATFORM

TELLING = re.compile(r"lib(?:cudart|cublas|cublasLt|nvrtc|nvJitLink)(?:-[0-9a-f]{8})?\.so\.(\d+)(?:\.\d+)*")
# what a name or a version's label says of CUDA: nvidia-nccl-cu12, cupy-cuda13x, 2.9.0+cu128
NAMED = re.compile(r"(?:^|[-+.])(?:cu|cuda-?)(\d\d)\d?(?!\d)")
OF_TORCH = re.compile(r"lib(torch(_\w+)?|c10(_cuda)?)\.so")
OF_CUDA = re.compile(
    r"lib(cudart|cublas|cublasLt|cudnn\w*|cufft|cufftw|curand|cusolver|cusolverMg|cusparse|cusparseLt|nccl|nvrtc"
    r"|nvJitLink|cufile|cupti|nvshmem_host)\.so\.\d+(\.\d+)*"
)
# libraries of CUDA's own packages: that one of them needs another says nothing of who uses both
PART_OF_CUDA = re.compile(
    r"lib(?:cudart|cublas|cublasLt|nvblas|cudnn\w*|cufftw?|curand|cusolver(?:Mg)?|cusparse|nvrtc(?:-builtins)?|nvJitLink"
    r"|npp\w+|nvjpeg|cupti|nvperf_\w+|checkpoint|pcsamplingutil)[-.]"
)
# packages that bring a library for each CUDA release and load the one of torch's
FOR_ONE_CUDA = {"bitsandbytes": re.compile(r"(?:.*/)?libbitsandbytes_cuda(\d+)(\d)(?:_\w+)?\.so")}


def major_of(soname: str) -> int | None:
    """The CUDA major that a library's name tells, if it is one of those that tell."""
    found = TELLING.fullmatch(soname)
    return int(found[1]) if found else None


def used_libraries(package: PackageFacts, setting: Setting) -> list[LibraryFacts]:
    """The target's libraries, without those for a CUDA release that is not the setting's (bitsandbytes)."""
    libraries = own_libraries(package, setting.target)
    pattern = FOR_ONE_CUDA.get(canonicalize_name(package.name))
    if pattern is None:
        return libraries
    chosen = _chosen(_releases(libraries, pattern), setting)
    return [each for each in libraries if not pattern.fullmatch(each.path) or each is chosen]


def torch_cuda(package: PackageFacts) -> tuple[int, int | None] | None:
    """The CUDA that a torch was built for: what it declares, else the major of what it needs. None for a CPU build."""
    if found := re.match(r"(\d+)\.(\d+)", package.declared_cuda or ""):
        return int(found[1]), int(found[2])
    majors = {major for library in package.libraries for name in library.needed if (major := major_of(name))}
    return (max(majors), None) if majors else None


def names_of(library: LibraryFacts) -> set[str]:
    """The names under which it can be found."""
    return {name for name in (library.soname, library.path.rpartition("/")[2]) if name}


def provided(package: PackageFacts) -> set[str]:
    """The names under which its libraries can be found."""
    return {name for each in package.libraries for name in names_of(each)}


def from_elsewhere(name: str, own: set[str]) -> bool:
    """Whether a NEEDED name is neither the package's own (`own`) nor the system's or the driver's."""
    return name not in own and not any(pattern.match(name) for pattern in (PLATFORM, DRIVER, EXPECTED))


def comes_along(name: str, setting: Setting) -> bool:
    """Whether a set without a torch brings this library, for a CUDA that the target's driver runs: then the right one
    is there, whatever the target's own CUDA is. A torch has loaded its own before, and two CUDAs in a process are none.
    """
    major = major_of(name)
    return not setting.of_torch and name in setting.brought and major is not None and major <= setting.target.cuda[0]


def is_at_home(major: int, setting: Setting) -> bool:
    """Whether a set without a torch brings libraries of this CUDA that another of its packages needs."""
    return any(major_of(name) == major and comes_along(name, setting) for name in setting.wanted)


def needs_of_cuda(package: PackageFacts, setting: Setting) -> list[tuple[LibraryFacts, str, int]]:
    """(library, name, major) for what its libraries need of CUDA, the largest library's first; of a CUDA that is not
    the setting's only what is nowhere. What CUDA's own libraries need of each other is no use of it."""
    inside = provided(package)
    needs = [
        (library, name, major)
        for library in used_libraries(package, setting)
        for name in library.needed
        if (major := major_of(name)) and not PART_OF_CUDA.match(_name(library))
        and (major == setting.cuda[0] or not (name in inside or comes_along(name, setting)))
    ]  # fmt: skip
    return sorted(needs, key=lambda need: -need[0].bytes)


def misses_major(package: PackageFacts, setting: Setting) -> set[int]:
    """The CUDA majors that it needs where that fails it, by the rule cuda-major: none of them is the setting's."""
    majors = {major for _, _, major in needs_of_cuda(package, setting)}
    return set() if setting.cuda[0] in majors else majors


def check_cuda(package: PackageFacts, setting: Setting) -> Iterator[Finding]:
    """Findings of the rules cpu-build, cuda-newer, cuda-library-*, cuda-major, cuda-unused and cuda-name."""
    yield from _check_cpu_build(package)
    if setting.of_torch and canonicalize_name(package.name) == "torch":
        if setting.cuda[0] > setting.target.cuda[0]:
            yield Finding(
                Verdict.FAILS, "cuda-newer", f"it is built for CUDA {setting.cuda_text}",
                f"CUDA {setting.target.cuda[0]} or older, which driver {setting.target.driver} has",
                f"a build for CUDA {setting.target.cuda[0]}, or a newer driver",
            )  # fmt: skip
        return
    yield from _check_one_library(package, setting)
    found = list(_check_majors(package, setting))
    yield from found or _check_name(package, setting)


def _check_cpu_build(package: PackageFacts) -> Iterator[Finding]:
    """A build without CUDA under the plain name."""
    is_torch = canonicalize_name(package.name) == "torch"
    if package.declared_cuda or not package.libraries or (package.declared_cuda is None and not is_torch):
        return
    if any(each.device_code or any(name.startswith("libcuda") or major_of(name) for name in each.needed)
           for each in package.libraries):  # fmt: skip
        return
    largest = max(package.libraries, key=lambda each: each.bytes)
    yield Finding(
        Verdict.FAILS if is_torch else Verdict.NOTE, "cpu-build",
        f"{package.name} {package.version} is a CPU-only build: it holds no GPU code and needs no CUDA library",
        "a build for CUDA",
        f"a build for CUDA: a newer {package.name}, or one with +cu in its version",
        (Evidence(_version_file(package), "cuda = None") if is_torch
         else Evidence(package.file or package.name, "its version file names no CUDA"),
         Evidence(largest.path, "neither NEEDED of CUDA nor .nv_fatbin", largest.bytes)),
    )  # fmt: skip


def _check_name(package: PackageFacts, setting: Setting) -> Iterator[Finding]:
    """A name that speaks of another CUDA, where the libraries do not tell: they may be loaded by name."""
    told = NAMED.search(canonicalize_name(package.name)) or NAMED.search(f"+{package.version.partition('+')[2]}")
    used = used_libraries(package, setting)
    if not told or int(told[1]) == setting.cuda[0]:
        return
    if any(major_of(name) for each in used if not PART_OF_CUDA.match(_name(each)) for name in each.needed):
        return
    if package.libraries and not used:
        return  # all are for another machine, and that is said
    major = int(told[1])
    if not is_at_home(major, setting):
        of_cuda = bool(used) and all(PART_OF_CUDA.match(_name(each)) for each in used)
        yield Finding(
            Verdict.NOTE, "cuda-name",
            f"its name says CUDA {major}"
            + (", whose own libraries it brings" if of_cuda else "; its libraries do not tell what they load"),
            f"CUDA {setting.cuda[0]} ({setting.cuda_of})",
            f"a build for CUDA {setting.cuda[0]}, unless the rest of CUDA {major} is there too",
            (Evidence(package.file or package.name, f"{package.name} {package.version}"),),
        )  # fmt: skip


def _version_file(package: PackageFacts) -> str:
    """Where a package of torch's family says which CUDA it was built for."""
    return f"{canonicalize_name(package.name).replace('-', '_')}/version.py"


def _name(library: LibraryFacts) -> str:
    return library.soname or library.path.rpartition("/")[2]


def _releases(libraries: list[LibraryFacts], pattern: re.Pattern[str]) -> dict[tuple[int, int], LibraryFacts]:
    return {
        (int(found[1]), int(found[2])): library for library in libraries if (found := pattern.fullmatch(library.path))
    }


def _chosen(releases: dict[tuple[int, int], LibraryFacts], setting: Setting) -> LibraryFacts | None:
    """The library of the setting's CUDA: torch's exactly; without a torch the nearest of the same major."""
    major, minor = setting.cuda
    same = sorted(release for release in releases if release[0] == major)
    if minor is not None and (major, minor) in releases:
        return releases[major, minor]
    if not same or (setting.of_torch and minor is not None):
        return None
    return releases[same[0]]


def _check_one_library(package: PackageFacts, setting: Setting) -> Iterator[Finding]:
    pattern = FOR_ONE_CUDA.get(canonicalize_name(package.name))
    releases = _releases(own_libraries(package, setting.target), pattern) if pattern else {}
    if not releases or _chosen(releases, setting):
        return
    listed = some((f"{major}.{minor}" for major, minor in sorted(releases)), 12)
    same_major = any(major == setting.cuda[0] for major, _ in releases)
    yield Finding(
        Verdict.FAILS, "cuda-library-minor" if same_major else "cuda-library-major",
        f"it has libraries for CUDA {listed}",
        f"one for CUDA {setting.cuda_text} ({setting.cuda_of})",
        f"a newer {package.name}",
        tuple(Evidence(library.path, "file name", library.bytes) for _, library in sorted(releases.items())[-3:]),
    )  # fmt: skip


def _check_majors(package: PackageFacts, setting: Setting) -> Iterator[Finding]:
    expected = setting.cuda[0]
    libraries = used_libraries(package, setting)
    needs = needs_of_cuda(package, setting)
    wrong = [(library, name) for library, name, major in needs if major != expected]
    right = len(wrong) < len(needs)
    if wrong and not right:
        majors = some(sorted({str(major_of(name)) for _, name in wrong}))
        yield Finding(
            Verdict.FAILS, "cuda-major", f"it needs CUDA {majors}: {some(sorted({name for _, name in wrong}))}",
            f"CUDA {expected} ({setting.cuda_of})",
            f"a build for CUDA {expected}",
            tuple(Evidence(library.path, f"NEEDED {name}", library.bytes) for library, name in wrong[:3]),
        )  # fmt: skip
    elif wrong:
        yield Finding(
            Verdict.NOTE, "cuda-unused",
            f"some of its libraries need {some(sorted({name for _, name in wrong}))}, others CUDA {expected}'s",
            f"CUDA {expected} ({setting.cuda_of}); packages for several CUDAs load those that fit",
            evidence=tuple(Evidence(library.path, f"NEEDED {name}", library.bytes) for library, name in wrong[:3]),
        )  # fmt: skip
    elif other := _unused(libraries, setting):
        # a newer driver runs an older CUDA's own libraries
        asked = any(_name(each) in setting.wanted for each in other)
        yield Finding(
            Verdict.NOTE, "cuda-unused",
            f"it brings {some(_name(each) for each in other)}, CUDA {major_of(_name(other[0]))}'s own",
            f"CUDA {expected}'s ({setting.cuda_of}), which is what the rest uses",
            None if asked else "leave it out, unless something asks for it",
            tuple(Evidence(each.path, f"SONAME {_name(each)}", each.bytes) for each in other[:3]),
        )  # fmt: skip
    elif (
        setting.of_torch and not right and (found := re.match(r"(\d+)\.", package.declared_cuda or ""))
        and int(found[1]) != expected
    ):  # fmt: skip
        # torchvision compares the majors itself when it is imported
        yield Finding(
            Verdict.FAILS, "cuda-major", f"it declares that it was built for CUDA {package.declared_cuda}",
            f"CUDA {expected} ({setting.cuda_of})",
            f"a build for CUDA {expected}",
            (Evidence(_version_file(package), f"cuda = {package.declared_cuda}"),),
        )  # fmt: skip


def _unused(libraries: list[LibraryFacts], setting: Setting) -> list[LibraryFacts]:
    """Another CUDA's own libraries. Not those that the package's other libraries load, as their private copies; nor
    those of a CUDA that a set without a torch uses."""
    own = {name: each for each in libraries for name in names_of(each)}
    loaded = [each for each in libraries if not PART_OF_CUDA.match(_name(each))]
    for each in loaded:  # grows meanwhile
        loaded += [other for name in each.needed if (other := own.get(name)) and other not in loaded]
    return [
        each
        for each in libraries
        if (major := major_of(_name(each))) and major != setting.cuda[0] and each not in loaded
        and not is_at_home(major, setting)
    ]  # fmt: skip
