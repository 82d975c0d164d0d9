"""What was read of a package: facts without a verdict, the same for a wheel and for an installed distribution.

They stand as JSON in `policy/wheels/` and in the user's cache; `FACTS_VERSION` changes with their meaning, and with
what is looked for: the cache is read anew then, while a shipped row may be of any of `ROW_VERSIONS`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sparksmith.base.errors import SparksmithError

FACTS_VERSION = 4
ROW_VERSIONS = (3, FACTS_VERSION)  # 3 knew no CUDA source in wheels, and took that of tests for compiled
Kind = Literal["cubin", "ptx"]
Variant = Literal["", "a", "f"]
# what building asks for: a compiler for C or C++ with Python's headers (C), nvcc (CUDA), a program of the package's own
# (script); or a library that was compiled before (binary)
Needs = Literal["C", "CUDA", "Fortran", "Go", "Rust", "binary", "refusal", "script"]


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """GPU code of one kind for one architecture in a library: how many entries, and their size in bytes (as stored).

    `architecture` is the compute capability times ten (120 for 12.0). `variant` is `a` (that architecture only), `f`
    (its family) or empty. `isa` is the version of PTX, for PTX.
    """

    kind: Kind
    architecture: int
    variant: Variant
    isa: tuple[int, int] | None
    count: int
    bytes: int


@dataclass(frozen=True, slots=True)
class LibraryFacts:
    """An ELF file. `path` is relative to the wheel's or the environment's root, with /.

    `machine` is as `uname -m` says it (aarch64, x86_64, or another's). `glibc` is the newest GLIBC_ version that its
    symbols ask for. `rpath` holds RUNPATH, or RPATH where there is none, $ORIGIN unexpanded. `code_sections` are those
    that the device code lies in, where that is not `.nv_fatbin` alone.
    """

    path: str
    bytes: int
    machine: str
    soname: str | None = None
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    glibc: tuple[int, int] | None = None
    device_code: tuple[DeviceCode, ...] = ()
    code_sections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolFacts:
    """A compiler for GPU code that a package brings (ptxas, ptxas-blackwell). `architectures` are those that it knows,
    as it spells them (sm_121, sm_121a); `release` is its CUDA release, where it says it."""

    path: str
    bytes: int
    machine: str
    release: tuple[int, int] | None
    architectures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compiled:
    """Something in a source distribution that is compiled where it is installed, or a word of its build files that says
    so. `path` is relative to its folder, `bytes` the file's size, where it is a source file."""

    needs: Needs
    path: str
    what: str
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """A wheel, a source distribution or an installed distribution.

    `file` is the wheel's file name (empty for an installed one), `sha256` the wheel's hash (or None), `tags` its
    platform tags in full (cp312-cp312-manylinux_2_28_aarch64), `requires` its Requires-Dist lines as they stand,
    `declared_cuda` what its own version file says of CUDA ("13.0"; "" for a file that says none; None without such a
    file). `problems` are what could not be read, or should not be there, in words.

    Of a source distribution `compiles` is what it compiles where it is installed (None: not looked into), of another
    the CUDA source that it brings without a library. `why_source` says why nothing but the source can be installed:
    that is the platform's, and not kept. `foreign` neither: of a package that has wheels for other platforms only, and
    no source; `tags` are those of all of them.
    """

    name: str
    version: str
    file: str
    sha256: str | None
    bytes: int
    tags: tuple[str, ...] = ()
    requires_python: str | None = None
    requires: tuple[str, ...] = ()
    declared_cuda: str | None = None
    libraries: tuple[LibraryFacts, ...] = ()
    tools: tuple[ToolFacts, ...] = ()
    problems: tuple[str, ...] = field(default=())
    compiles: tuple[Compiled, ...] | None = None
    why_source: str = ""
    foreign: bool = False

    def to_json(self) -> dict[str, Any]:
        """For `from_json`; lists instead of tuples."""
        return {"version_of_facts": FACTS_VERSION, **asdict(self)}

    @staticmethod
    def from_json(value: dict[str, Any]) -> PackageFacts:
        """Raises `SparksmithError` for facts of another version or shape."""
        try:
            if value["version_of_facts"] != FACTS_VERSION:
                raise SparksmithError(f"facts of version {value['version_of_facts']}, this is {FACTS_VERSION}")
            fields = {name: inner for name, inner in value.items() if name != "version_of_facts"}
            fields["libraries"] = tuple(map(_library, fields["libraries"]))
            fields["tools"] = tuple(map(_tool, fields["tools"]))
            for name in ("tags", "requires", "problems"):
                fields[name] = tuple(fields[name])
            if fields.get("compiles") is not None:
                fields["compiles"] = tuple(Compiled(**each) for each in fields["compiles"])
            return PackageFacts(**fields)
        except (KeyError, TypeError, ValueError) as error:
            raise SparksmithError(f"not the facts of a package: {type(error).__name__}: {error}") from error


def _library(value: dict[str, Any]) -> LibraryFacts:
    code = tuple(
        DeviceCode(**{**entry, "isa": tuple(entry["isa"]) if entry["isa"] else None}) for entry in value["device_code"]
    )
    glibc = tuple(value["glibc"]) if value["glibc"] else None
    return LibraryFacts(
        **{
            **value,
            "needed": tuple(value["needed"]),
            "rpath": tuple(value["rpath"]),
            "glibc": glibc,
            "device_code": code,
            "code_sections": tuple(value["code_sections"]),
        }
    )


def _tool(value: dict[str, Any]) -> ToolFacts:
    release = tuple(value["release"]) if value["release"] else None
    return ToolFacts(**{**value, "release": release, "architectures": tuple(value["architectures"])})
