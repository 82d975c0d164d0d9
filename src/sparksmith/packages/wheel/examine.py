"""One file of a wheel or of an environment: a library, a compiler, or neither."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sparksmith.packages.facts import LibraryFacts, ToolFacts
from sparksmith.packages.wheel.elf import Source, loadable, plain, read_header, read_library
from sparksmith.packages.wheel.fatbin import Budget
from sparksmith.packages.wheel.tools import is_tool, read_tool

SHARED_LIBRARY = re.compile(r"\.so(\.\d+)*$")
# Names that no build gives to a library or a program. What bears another name is judged by its magic.
TEXT_OR_DATA = """
a asm bat bc c cc cfg cmake conf cpp cs css csv ctl cu cubin cuh cxx def dll dylib exe fatbin gif gz h hip hpp
html hxx ico in inc inl ini ipp ipynb j2 jar java jinja jpg js json jsonl lark ld lock lua m4 map md mjs mo npy
npz o obj onnx parquet patch pc pdf pem pkl png po pot proto ps1 ptx pxd pxi py pyc pyd pyi pyx r rs rst
safetensors scss sh sql svg tcl tcss template thrift toml ts tsv ttf txt typed tzdata ui wasm whl woff woff2 xml
xsd yaml yml zip
"""
TEXT_OR_DATA_SUFFIXES = frozenset(TEXT_OR_DATA.split())
MACH_O = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
SMALLEST = 120  # bytes of an ELF file with a program header; nothing loads a smaller one


@dataclass(frozen=True, slots=True)
class Examined:
    """What a file is. Problems begin with its path."""

    library: LibraryFacts | None = None
    tool: ToolFacts | None = None
    problems: tuple[str, ...] = ()


def worth_opening(path: str, size: int) -> bool:
    """Whether a file of this name and size may be a library or a program; its magic decides."""
    name = path.rpartition("/")[2].lower()  # by hand: a wheel has ten thousand names, and pathlib takes 0.15 s
    if SHARED_LIBRARY.search(name):
        return True
    stem, dot, suffix = name.rpartition(".")
    return size >= SMALLEST and not (stem and dot and suffix in TEXT_OR_DATA_SUFFIXES) and ".dist-info/" not in path


def examine(source: Source, path: str, budget: Budget | None = None) -> Examined:
    """The facts of an open file. `path` is what they call it: relative to the wheel's or environment's root.

    `budget` is shared by the files of one package. Nothing is raised for whatever the file holds.
    """
    shown = plain(path, 200)
    header = read_header(source)
    if header is None:
        said = _instead_of_a_library(source) if SHARED_LIBRARY.search(path) else None
        return Examined(problems=(f"{shown}: {said}",) if said else ())
    if isinstance(header, str):
        return Examined(problems=(f"{shown}: {header}",))
    if not loadable(header[0]):
        return Examined()
    if is_tool(path):
        tool, problems = read_tool(source, path, header[0])
        return Examined(tool=tool, problems=tuple(f"{shown}: {problem}" for problem in problems))
    library, problems = read_library(source, path, *header, budget or Budget())
    return Examined(library=library, problems=tuple(f"{shown}: {problem}" for problem in problems))


def _instead_of_a_library(source: Source) -> str | None:
    """What a file is that is named as a library and is no ELF file; None for a linker script, which may be there."""
    head = source.at(0, 200)
    if not head:
        return "named as a library, but empty"
    if head[:4] in MACH_O:
        return "a library for macOS"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer in place of a library"
    if re.match(rb"\s*(/\*|INPUT|GROUP|OUTPUT_FORMAT)", head):
        return None
    return "named as a library, but no ELF file"
