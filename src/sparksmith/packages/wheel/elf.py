"""What a loader looks at in an ELF file, and its device code.

pyelftools knows the layouts (32 and 64 bits, both byte orders); what is read is bounded here, one `pread` at a time, so
that a forged or a huge file costs no more than a real one. Dynamic entries are found as the loader finds them, through
the program headers; section headers are used for device code only.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile

from sparksmith.packages.facts import DeviceCode, LibraryFacts
from sparksmith.packages.wheel.fatbin import Budget, find_fat_binaries, parse_fat_binaries

ELF_MAGIC = b"\x7fELF"
FAT_BINARIES = b".nv_fatbin"  # __nv_relfatbin is a leftover of device linking, which nothing loads
# pyelftools' names to those of `uname -m`, little-endian and big-endian
MACHINES = {
    ("EM_AARCH64", True): "aarch64",
    ("EM_AARCH64", False): "aarch64_be",
    ("EM_X86_64", True): "x86_64",
    ("EM_386", True): "i686",
    ("EM_ARM", True): "armv7l",
    ("EM_PPC64", True): "ppc64le",
    ("EM_PPC64", False): "ppc64",
    ("EM_S390", False): "s390x",
    ("EM_RISCV", True): "riscv64",
    ("EM_LOONGARCH", True): "loongarch64",
    ("EM_CUDA", True): "cuda",
}
DATA = (b".data", b".ldata")  # variables; where cuFFT and cuRAND keep their kernels
DATA_AT_LEAST = 1 << 20  # 55 MB and more where it holds kernels; looking into every library's would cost time
WRITABLE = 2  # of a segment
COMPRESSED, NOBITS = 0x800, "SHT_NOBITS"
GLIBC = re.compile(r"GLIBC_(\d{1,4})\.(\d{1,4})(?:\.\d+)?")

# Far above what real libraries have, so that a forged count ends soon.
SEGMENTS_AT_MOST = 512
SECTIONS_AT_MOST = 4096
DYNAMIC_AT_MOST = 4096
NEEDED_AT_MOST = 1024
VERSIONS_AT_MOST = 8192
STRING_AT_MOST = 4096
RUN_PATH_AT_MOST = 1 << 16  # TensorFlow 2.21's names the folders of CUDA's packages again and again
SECTION_NAMES_AT_MOST = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes of a file that is open: its descriptor, and how many of its bytes count."""

    descriptor: int
    size: int

    def at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` on; fewer at the end, none past it."""
        if not 0 <= offset < self.size or size <= 0:
            return b""
        return os.pread(self.descriptor, min(size, self.size - offset), offset)


@dataclass(slots=True)
class _Elf:
    """One file while it is read. `loaded` are (address, bytes in the file, offset) of the segments; `writable` is the
    largest writable one's bytes."""

    source: Source
    header: Any
    structs: Any
    problems: list[str] = field(default_factory=list)
    loaded: list[tuple[int, int, int]] = field(default_factory=list)
    dynamic: tuple[int, int] | None = None
    writable: int = 0

    def offset_of(self, address: int) -> int | None:
        """Where an address stands in the file."""
        for start, size, offset in self.loaded:
            if start <= address < start + size:
                return offset + address - start
        return None


def read_header(source: Source) -> tuple[Any, Any] | str | None:
    """The ELF header and pyelftools' layouts; None for a file that is no ELF, words for one that is damaged."""
    head = source.at(0, 64)
    if not head.startswith(ELF_MAGIC):
        return None
    try:
        elf = ELFFile(io.BytesIO(head))
    except (ELFError, ConstructError) as error:
        return f"begins as an ELF file, but its header cannot be read ({error or type(error).__name__})"
    return elf.header, elf.structs


def machine_of(header: Any) -> str:
    """The machine as `uname -m` says it, or its number."""
    machine = header["e_machine"]
    little = header["e_ident"]["EI_DATA"] == "ELFDATA2LSB"
    if machine == "EM_RISCV" and header["e_ident"]["EI_CLASS"] == "ELFCLASS32":
        return "riscv32"
    known = MACHINES.get((machine, little))
    return known if known else str(machine).removeprefix("EM_").lower()


def loadable(header: Any) -> bool:
    """Whether a loader takes the file: not an object file, a core or a cubin."""
    return header["e_type"] in ("ET_DYN", "ET_EXEC") and header["e_machine"] != "EM_CUDA"


def read_library(
    source: Source, path: str, header: Any, structs: Any, budget: Budget
) -> tuple[LibraryFacts, list[str]]:
    """The facts of a library or a program whose header `read_header` returned, and problems in words."""
    elf = _Elf(source, header, structs)
    facts: dict[str, Any] = {}
    device_code: tuple[DeviceCode, ...] = ()
    sections: tuple[str, ...] = ()
    try:
        _read_segments(elf)
        facts = _read_dynamic(elf)
        device_code, sections = _read_device_code(elf, budget)
    except (ELFError, ConstructError, OverflowError, UnicodeError) as error:  # structs over bytes that are short
        elf.problems.append(f"cannot be read further ({error or type(error).__name__})")
    library = LibraryFacts(
        path, source.size, machine_of(header), device_code=device_code, code_sections=sections, **facts
    )
    return library, elf.problems


def _table(elf: _Elf, what: str, offset: int, count: int, step: int, layout: Any, at_most: int) -> Iterator[Any]:
    """The entries of a table of headers; says where it is cut off or absurd."""
    if count == 0:
        return
    if step != layout.sizeof():
        elf.problems.append(f"{what} of {step} bytes where {layout.sizeof()} are usual; they are not read")
        return
    if count > at_most:
        elf.problems.append(f"says it has {count:,} {what}; the first {at_most:,} are read")
        count = at_most
    table = elf.source.at(offset, count * step)
    if len(table) < count * step:
        elf.problems.append(
            f"truncated or damaged: its {what} end at byte {offset + count * step:,}, the file at {elf.source.size:,}"
        )
    for place in range(len(table) // step):
        yield layout.parse(table[place * step : (place + 1) * step])


def _read_segments(elf: _Elf) -> None:
    header = elf.header
    short = 0
    for segment in _table(
        elf,
        "program headers",
        header["e_phoff"],
        header["e_phnum"],
        header["e_phentsize"],
        elf.structs.Elf_Phdr,
        SEGMENTS_AT_MOST,
    ):
        offset, size = segment["p_offset"], segment["p_filesz"]
        if segment["p_type"] == "PT_LOAD":
            elf.loaded.append((segment["p_vaddr"], size, offset))
            short = max(short, offset + size)
            if segment["p_flags"] & WRITABLE:
                elf.writable = max(elf.writable, size)
        elif segment["p_type"] == "PT_DYNAMIC":
            elf.dynamic = (offset, size)
    if short > elf.source.size:
        elf.problems.append(f"truncated or damaged: a segment ends at byte {short:,}, the file at {elf.source.size:,}")


def _read_dynamic(elf: _Elf) -> dict[str, Any]:
    """soname, needed, rpath, glibc."""
    if elf.dynamic is None:
        return {}
    layout = elf.structs.Elf_Dyn
    offset, size = elf.dynamic
    table = elf.source.at(offset, min(size, DYNAMIC_AT_MOST * layout.sizeof()))
    single: dict[str, int] = {}
    needed: list[int] = []
    for place in range(0, len(table) - layout.sizeof() + 1, layout.sizeof()):
        entry = layout.parse(table[place : place + layout.sizeof()])
        tag = entry["d_tag"]
        if tag == "DT_NULL":
            break
        if tag == "DT_NEEDED":
            needed.append(entry["d_val"])
        else:
            single[tag] = entry["d_val"]
    else:
        elf.problems.append("its dynamic section has no end")
    if len(needed) > NEEDED_AT_MOST:
        elf.problems.append(f"needs {len(needed):,} libraries; the first {NEEDED_AT_MOST:,} are read")
    strings = elf.offset_of(single["DT_STRTAB"]) if "DT_STRTAB" in single else None
    if strings is None:
        if needed or "DT_SONAME" in single:
            elf.problems.append("its dynamic strings lie outside the file")
        return {}
    text = _Strings(elf, strings, single.get("DT_STRSZ", 0))
    rpath = single.get("DT_RUNPATH", single.get("DT_RPATH"))
    return {
        "soname": text.at(single["DT_SONAME"]) if "DT_SONAME" in single else None,
        "needed": tuple(filter(None, map(text.at, needed[:NEEDED_AT_MOST]))),
        "rpath": text.folders_at(rpath) if rpath is not None else (),
        "glibc": _read_glibc(elf, text, single),
    }


@dataclass(slots=True)
class _Strings:
    """A table of strings that end with a zero byte."""

    elf: _Elf
    offset: int
    size: int
    damaged: bool = False

    def at(self, place: int) -> str | None:
        """The string at `place`, escaped; None, and one problem for the file, where there is none."""
        raw, end = self.elf.source.at(self.offset + place, min(128, max(0, self.size - place))), -1
        if raw and (end := raw.find(b"\0")) < 0:
            raw = self.elf.source.at(self.offset + place, min(STRING_AT_MOST, self.size - place))
            end = raw.find(b"\0")
        if end < 0:
            if not self.damaged:
                self.elf.problems.append("names of libraries or versions lie outside its strings")
            self.damaged = True
            return None
        return plain(raw[:end].decode("utf-8", "backslashreplace"))

    def folders_at(self, place: int) -> tuple[str, ...]:
        """The folders of a run path, escaped; of one that is absurdly long those that stand first, without a word."""
        raw = self.elf.source.at(self.offset + place, min(RUN_PATH_AT_MOST, max(0, self.size - place)))
        if b"\0" not in raw:
            if len(raw) < RUN_PATH_AT_MOST:
                self.at(place)  # says that it lies outside
                return ()
            raw = raw[: raw.rfind(b":") + 1]
        whole = plain(raw.partition(b"\0")[0].decode("utf-8", "backslashreplace"), RUN_PATH_AT_MOST)
        return tuple(filter(None, whole.split(":")))


def plain(text: str, at_most: int = STRING_AT_MOST) -> str:
    """The text, cut, with whatever is not printable escaped, so that a name cannot forge a line of a report."""
    text = text[:at_most]
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _read_glibc(elf: _Elf, text: _Strings, single: dict[str, int]) -> tuple[int, int] | None:
    """The newest version of GLIBC_ that the symbols ask for."""
    if "DT_VERNEED" not in single:
        return None
    place = elf.offset_of(single["DT_VERNEED"])
    if place is None:
        elf.problems.append("the versions that it needs lie outside the file")
        return None
    files, versions = elf.structs.Elf_Verneed, elf.structs.Elf_Vernaux
    newest: tuple[int, int] | None = None
    left = VERSIONS_AT_MOST
    for _ in range(min(single.get("DT_VERNEEDNUM", 0), VERSIONS_AT_MOST)):
        one = files.parse(elf.source.at(place, files.sizeof()))
        inner = place + one["vn_aux"]
        for _ in range(one["vn_cnt"]):
            if (left := left - 1) < 0:
                elf.problems.append(f"says it needs more than {VERSIONS_AT_MOST:,} versions of symbols")
                return newest
            version = versions.parse(elf.source.at(inner, versions.sizeof()))
            found = GLIBC.fullmatch(text.at(version["vna_name"]) or "")
            if found and (newest is None or (int(found[1]), int(found[2])) > newest):
                newest = int(found[1]), int(found[2])
            if version["vna_next"] == 0:
                break
            inner += version["vna_next"]
        if one["vn_next"] == 0:
            break
        place += one["vn_next"]
    return newest


def _read_device_code(elf: _Elf, budget: Budget) -> tuple[tuple[DeviceCode, ...], tuple[str, ...]]:
    """The fat binaries of all sections together, and the sections that hold any, where not .nv_fatbin alone."""
    code: dict[tuple[Any, ...], DeviceCode] = {}
    sections: dict[str, None] = {}
    for name, offset, size in _code_sections(elf):
        parse = find_fat_binaries if name in DATA else parse_fat_binaries
        found, problems = parse(elf.source.at, offset, size, budget)
        elf.problems += [f"{name.decode()}: {problem}" for problem in problems]
        for one in found:
            sections[name.decode()] = None
            key = (one.architecture, one.kind, one.variant, one.isa or (0, 0))
            before = code.get(key)
            count, stored = (before.count, before.bytes) if before else (0, 0)
            code[key] = DeviceCode(
                one.kind, one.architecture, one.variant, one.isa, one.count + count, one.bytes + stored
            )
    elsewhere = tuple(sections) if sections.keys() != {FAT_BINARIES.decode()} else ()
    return tuple(code[key] for key in sorted(code)), elsewhere


def _code_sections(elf: _Elf) -> list[tuple[bytes, int, int]]:
    """(name, offset, size) of each section that may hold device code, no part of the file twice."""
    header, layout = elf.header, elf.structs.Elf_Shdr
    start, count, step = header["e_shoff"], header["e_shnum"], header["e_shentsize"]
    if start == 0:
        return []
    if count == 0:
        elf.problems.append(
            "has no section headers, or more than an ELF header can count; device code is not looked for"
        )
        return []
    if step != layout.sizeof():
        elf.problems.append(f"section headers of {step} bytes where {layout.sizeof()} are usual; they are not read")
        return []
    named = elf.source.at(start + header["e_shstrndx"] * step, step)
    if len(named) < step:
        elf.problems.append(
            f"truncated or damaged: its section headers end at byte {start + count * step:,}, "
            f"the file at {elf.source.size:,}; device code is not looked for"
        )
        return []
    strings = layout.parse(named)
    names = elf.source.at(strings["sh_offset"], min(strings["sh_size"], SECTION_NAMES_AT_MOST))
    if not names:
        elf.problems.append("the names of its sections lie outside the file; device code is not looked for")
    wanted = [FAT_BINARIES, *(DATA if elf.writable >= DATA_AT_LEAST else ())]
    if not any(name + b"\0" in names for name in wanted):  # most libraries: no need to parse every header
        return []
    found: list[tuple[bytes, int, int]] = []
    for section in _table(elf, "section headers", start, count, step, layout, SECTIONS_AT_MOST):
        at = section["sh_name"]
        name = next((one for one in wanted if names[at : at + len(one) + 1] == one + b"\0"), None)
        offset, size, unreadable = section["sh_offset"], section["sh_size"], _unreadable(section)
        if name is None or (name in DATA and (size < DATA_AT_LEAST or unreadable)):
            continue
        shown = name.decode()
        if unreadable:
            elf.problems.append(f"{shown} is empty in the file or compressed, and is not read")
        elif same := [one for one, other, length in found if offset < other + length and other < offset + size]:
            those = f"two {shown} sections share" if same[0] == name else f"{same[0].decode()} and {shown} share"
            elf.problems.append(f"{those} bytes; the second is not read")
        else:
            if offset + size > elf.source.size:
                elf.problems.append(
                    f"truncated or damaged: {shown} ends at byte {offset + size:,}, the file at {elf.source.size:,}"
                )
                size = max(0, elf.source.size - offset)
            found.append((name, offset, size))
    return found


def _unreadable(section: Any) -> bool:
    return section["sh_type"] == NOBITS or bool(section["sh_flags"] & COMPRESSED)
