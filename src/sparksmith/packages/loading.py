"""Libraries that a Python module needs, itself or through others, and that no loader would find.

A NEEDED name is found beside the library (RPATH or RUNPATH with $ORIGIN), in its own package, in a package that it
requires, among the CUDA libraries that `import torch` loads before (torch/__init__.py, `_preload_cuda_deps`), in the
system, or with the driver. Not seen: LD_LIBRARY_PATH. Only modules and what they load are looked at: packages ship
libraries for other versions of CUDA, other vendors and other fabrics (bitsandbytes, nvshmem) and load one by its name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from sparksmith.machine.python_env import PythonEnvironment, inside, is_folder, normalize_name, printable, read_start
from sparksmith.packages.facts import LibraryFacts, PackageFacts

# _C.cpython-312-aarch64-linux-gnu.so, _C.abi3.so, _C.so; a name with a further dot (mpi4py's MPI.openmpi.*) is a choice
MODULE = re.compile(r"(?:^|/)(?!lib)[A-Za-z_]\w*(?:\.cpython-(?P<abi>\d+t?)(?:-[\w-]+)?|\.pypy[\w-]+|\.abi3)?\.so$")
# glibc's own, the loader, and what the interpreter itself brings.
PLATFORM = re.compile(
    r"^(?:ld-linux[\w-]*|ld64|linux-vdso|lib(?:c|m|dl|pthread|rt|util|resolv|nsl|crypt|anl|mvec|thread_db|BrokenLocale))"
    r"\.so\.\d+$|^libpython3[\w.]*\.so[\d.]*$"
)
# Comes with the driver, or from it into a container: nvidia-container-toolkit's list; on a Jetson, nvidia-l4t-*.
DRIVER = re.compile(
    r"^lib(?:cuda|cudadebugger|nvcuvid|nvoptix|nvidia-[\w-]+|nvcudla|nvdla\w*|nvsci\w+|nvbufsurface\w*|nvbuf_\w+|tegra\w*"
    r"|EGL_nvidia|GLX_nvidia)\.so(?:\.[\d.]+)?$"
)
# What manylinux lets a wheel expect of a system (auditwheel's manylinux_2_28 policy), what that needs (libX11 needs
# libxcb), and gcc's; believed where the system's own folders cannot be looked into.
EXPECTED = re.compile(
    r"^lib(?:stdc\+\+|gcc_s|gomp|atomic|gfortran|quadmath|z|expat|X11|xcb|Xext|Xrender|ICE|SM|GL|EGL|OpenGL|gobject-2\.0"
    r"|gthread-2\.0|glib-2\.0|numa|ssl|crypto|ffi|bz2|lzma|sqlite3|uuid|ncursesw?|tinfo|readline)\.so\.[\d.]+$"
)
# What `import torch` loads from nvidia-* packages before anything else asks for it, and its own libraries.
PRELOADED = re.compile(
    r"^lib(?:cublas|cublasLt|cudnn|nvrtc|nvrtc-builtins|cudart|cupti|cufft|curand|nvJitLink|cusparse|cusparseLt|cusolver"
    r"|nccl|nvshmem_host|cufile|nvToolsExt)\.so\.|^lib(?:torch\w*|c10\w*|shm)\.so"
)
SYSTEM_FOLDERS = ("lib", "usr/lib", "lib64", "usr/lib64", "usr/local/lib", "usr/local/cuda/lib64", "usr/lib/wsl/lib")
REQUIRED = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class MissingLibrary:
    """`library` (its path) of `package` needs `needed`. `elsewhere` is the package that has it, though nothing tells
    the loader to look there."""

    package: str
    library: str
    needed: str
    elsewhere: str | None = None

    def sentence(self) -> str:
        """In words, without a verdict."""
        if self.elsewhere:
            return (
                f"{self.library} needs {self.needed}, which {self.elsewhere} has, "
                "where no loader looks unless a program loads it before"
            )
        return f"{self.library} needs {self.needed}, which is neither in this environment nor in the system"


def find_missing(environment: PythonEnvironment, packages: list[PackageFacts]) -> list[MissingLibrary]:
    """What is missing; libraries of another machine than the environment's are left alone."""
    return _Search(environment, packages).missing()


class _Search:
    def __init__(self, environment: PythonEnvironment, packages: list[PackageFacts]) -> None:
        self.environment = environment
        self.libraries = [
            (package, library)
            for package in packages
            for library in package.libraries
            if environment.machine in (None, library.machine)
        ]
        self.providers: dict[str, list[tuple[PackageFacts, LibraryFacts]]] = {}
        self.folders: dict[str, set[str]] = {}  # absolute folder: names of libraries known to lie there
        for package, library in self.libraries:
            where, name = os.path.split(self._absolute(library))
            self.folders.setdefault(where, set()).add(name)
            for provided in {name, library.soname or name}:
                self.providers.setdefault(provided, []).append((package, library))
        self.packages = {normalize_name(package.name): package for package in packages}
        self.has_torch = "torch" in self.packages
        self.reach: dict[str, set[str]] = {}
        self.system_folders = _read_system_folders(environment)
        self.trusts_system = any(os.path.lexists(f"{folder}/libc.so.6") for folder in self.system_folders)
        self.in_system: dict[str, bool] = {}

    def missing(self) -> list[MissingLibrary]:
        loaded = self._loaded_by_modules()
        found = [
            MissingLibrary(package.name, library.path, printable(name), elsewhere)
            for package, library in self.libraries
            if library.path in loaded
            for name, elsewhere in self._unresolved(package, library)
        ]
        return sorted(found, key=lambda one: (one.elsewhere is not None, one.library, one.needed))

    def _absolute(self, library: LibraryFacts) -> str:
        return os.path.normpath(f"{self.environment.root}/{library.path}" if library.path[0] != "/" else library.path)

    def _loaded_by_modules(self) -> set[str]:
        """Paths of the modules that this Python imports, and of all that they load."""
        waiting = [library for _, library in self.libraries if self._is_module(library.path)]
        seen = {library.path for library in waiting}
        while waiting:
            for name in waiting.pop().needed:
                for _, provider in self.providers.get(name, []):
                    if provider.path not in seen:
                        seen.add(provider.path)
                        waiting.append(provider)
        return seen

    def _is_module(self, path: str) -> bool:
        found = MODULE.search(path)
        return found is not None and (
            not found["abi"] or self.environment.abi is None or self.environment.abi == f"cp{found['abi']}"
        )

    def _unresolved(self, package: PackageFacts, library: LibraryFacts) -> Iterator[tuple[str, str | None]]:
        """(name, the package that has it where nothing looks) for each NEEDED that is not found."""
        for name in library.needed:
            if PLATFORM.match(name) or DRIVER.match(name) or self._is_beside(library, name) or self._is_in_system(name):
                continue
            providers = self.providers.get(name, [])
            if any(self._is_loaded_before(package, other, name) for other, _ in providers):
                continue
            yield name, providers[0][0].name if providers else None

    def _is_beside(self, library: LibraryFacts, name: str) -> bool:
        if "/" in name:
            return True  # a path: nothing to look for
        origin = str(PurePosixPath(self._absolute(library)).parent)
        for entry in library.rpath:
            folder = entry.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
            if entry.startswith("/"):
                if self.environment.system is None:
                    continue
                folder = str(inside(self.environment.system, entry))
            folder = os.path.normpath(folder)
            if name in self.folders.get(folder, ()) or os.path.lexists(f"{folder}/{name}"):
                return True
        return False

    def _is_in_system(self, name: str) -> bool:
        if not self.trusts_system:
            return EXPECTED.match(name) is not None
        if name not in self.in_system:
            self.in_system[name] = any(os.path.lexists(f"{folder}/{name}") for folder in self.system_folders)
        return self.in_system[name]

    def _is_loaded_before(self, package: PackageFacts, other: PackageFacts, name: str) -> bool:
        """Whether `other`'s library of that name is there by the time that `package` asks for it."""
        if other is package or (self.has_torch and PRELOADED.match(name)):
            return True
        key = normalize_name(package.name)
        if key not in self.reach:
            self.reach[key] = self._required_by(key)
        return normalize_name(other.name) in self.reach[key]

    def _required_by(self, key: str) -> set[str]:
        seen, waiting = {key}, [key]
        while waiting:
            package = self.packages.get(waiting.pop())
            for line in package.requires if package else ():
                if (found := REQUIRED.match(line)) and (name := normalize_name(found[0])) not in seen:
                    seen.add(name)
                    waiting.append(name)
        return seen


def _read_system_folders(environment: PythonEnvironment) -> list[str]:
    """Where the system's loader looks, as far as its files say; empty for a foreign environment."""
    system = environment.system
    if system is None:
        return []
    machine = environment.machine or os.uname().machine
    folders = [*SYSTEM_FOLDERS, f"lib/{machine}-linux-gnu", f"usr/lib/{machine}-linux-gnu"]
    try:
        configured = sorted((system / "etc/ld.so.conf.d").glob("*.conf"))
    except OSError:
        configured = []
    for file in configured[:100]:
        try:
            lines = read_start(file, 2**16).decode("utf-8", "replace").splitlines()
        except OSError:
            continue
        folders += [line.strip().lstrip("/") for line in lines[:100] if line.strip().startswith("/")]
    whole = [inside(system, folder) for folder in dict.fromkeys(folders) if "\0" not in folder]
    return [str(folder) for folder in whole if is_folder(folder)]
