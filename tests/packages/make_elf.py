"""ELF files of a few hundred bytes with the structure of real ones: what a reader looks at, and nothing to run.

Header, program headers (PT_LOAD over the whole file, PT_DYNAMIC), .dynamic, .dynstr, .gnu.version_r, .nv_fatbin,
__nv_relfatbin and .data as asked for, section names, section headers. Addresses equal file offsets plus `BASE`, so
that a reader that takes one for the other is found out.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

BASE = 0x400000
MACHINES = {"aarch64": 183, "x86_64": 62, "ppc64le": 21, "riscv64": 243, "cuda": 190}
CONTAINER_MAGIC = 0xBA55ED50
FLAGS = {"": 0, "a": 0x100000, "f": 0x200000}
DT_NEEDED, DT_STRTAB, DT_STRSZ, DT_SONAME, DT_RPATH, DT_RUNPATH = 1, 5, 10, 14, 15, 29
DT_VERNEED, DT_VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF
PROGBITS, STRTAB, DYNAMIC, VERNEED = 1, 3, 6, 0x6FFFFFFE
SHARED = 3  # ET_DYN


def entry(kind: int, architecture: int, version: tuple[int, int], flags: int, payload: bytes) -> bytes:
    """One entry of a fat binary: a header of 64 bytes and its payload."""
    minor, major = version[1], version[0]
    header = struct.pack("<HHIQQHHIQQ", kind, 0x101, 64, len(payload), 0, minor, major, architecture, 0, flags)
    return header.ljust(64, b"\0") + payload


def cubin(architecture: int, variant: str = "", size: int = 64) -> bytes:
    """An entry of machine code: cubin(120), cubin(90, "a"), cubin(100, "f")."""
    return entry(2, architecture, (1, 1), FLAGS[variant], b"\x7f" * size)


def ptx(architecture: int, isa: tuple[int, int] = (9, 0), variant: str = "", size: int = 64) -> bytes:
    """An entry of PTX whose ISA is `isa`."""
    return entry(1, architecture, isa, FLAGS[variant], b"\x50" * size)


def fat_binary(*entries: bytes) -> bytes:
    """One container of entries. A section holds several, one after another."""
    inner = b"".join(entries)
    return struct.pack("<IHHQ", CONTAINER_MAGIC, 1, 16, len(inner)) + inner


def make_elf(
    *,
    machine: str = "aarch64",
    kind: int = SHARED,
    soname: str | None = None,
    needed: Sequence[str] = (),
    runpath: str | None = None,
    rpath: str | None = None,
    glibc: Sequence[str] = (),
    fatbin: bytes | Sequence[bytes] | None = None,
    relfatbin: bytes | None = None,
    data: bytes | None = None,
    data_name: str = ".data",
    text: bytes = b"",
) -> bytes:
    """A 64-bit little-endian shared library.

    `glibc` are versions of GLIBC_ that it asks for ("2.17", "2.34"); `fatbin` is the content of .nv_fatbin, or entries
    (`cubin`, `ptx`) for one container; `relfatbin` that of __nv_relfatbin; `data` that of .data, whose segment is
    writable then; `text` bytes for a section .rodata.
    """
    strings = bytearray(b"\0")

    def word(value: str) -> int:
        strings.extend(value.encode() + b"\0")
        return len(strings) - len(value.encode()) - 1

    dynamic = [(DT_NEEDED, word(name)) for name in needed]
    dynamic += [
        (tag, word(value))
        for tag, value in ((DT_SONAME, soname), (DT_RPATH, rpath), (DT_RUNPATH, runpath))
        if value is not None
    ]
    versions = b""
    if glibc:
        names = [word(f"GLIBC_{version}") for version in glibc]
        versions = struct.pack("<HHIII", 1, len(names), word("libc.so.6"), 16, 0)
        for place, name in enumerate(names):
            versions += struct.pack("<IHHII", 0, 0, place + 2, name, 16 if place + 1 < len(names) else 0)
    if fatbin is not None and not isinstance(fatbin, bytes):
        fatbin = fat_binary(*fatbin)

    offset = 64 + 2 * 56
    sections: list[tuple[str, int, bytes, int]] = []  # name, type, content, offset
    places: dict[str, int] = {}

    def place(name: str, kind: int, content: bytes) -> None:
        nonlocal offset
        offset = -(-offset // 16) * 16
        sections.append((name, kind, content, offset))
        places[name] = offset
        offset += len(content)

    place(".dynstr", STRTAB, bytes(strings))
    if versions:
        place(".gnu.version_r", VERNEED, versions)
    if text:
        place(".rodata", PROGBITS, text)
    if fatbin is not None:
        place(".nv_fatbin", PROGBITS, fatbin)
    if relfatbin is not None:
        place("__nv_relfatbin", PROGBITS, relfatbin)
    if data is not None:
        place(data_name, PROGBITS, data)
    dynamic += [(DT_STRTAB, BASE + places[".dynstr"]), (DT_STRSZ, len(strings))]
    if versions:
        dynamic += [(DT_VERNEED, BASE + places[".gnu.version_r"]), (DT_VERNEEDNUM, 1)]
    table = b"".join(struct.pack("<qQ", tag, value) for tag, value in [*dynamic, (0, 0)])
    place(".dynamic", DYNAMIC, table)

    names = bytearray(b"\0")
    name_at = {}
    for name in [*places, ".shstrtab"]:
        name_at[name] = len(names)
        names += name.encode() + b"\0"
    place(".shstrtab", STRTAB, bytes(names))
    headers_at = -(-offset // 16) * 16
    headers = bytes(64)
    for name, section_kind, content, at in sections:
        link = 1 if section_kind in (DYNAMIC, VERNEED) else 0
        headers += struct.pack(
            "<IIQQQQIIQQ", name_at[name], section_kind, 2, BASE + at, at, len(content), link, 0, 16, 0
        )

    program = struct.pack("<IIQQQQQQ", 1, 5 if data is None else 7, 0, BASE, BASE, headers_at, headers_at, 4096)
    program += struct.pack(
        "<IIQQQQQQ", 2, 6, places[".dynamic"], BASE + places[".dynamic"], 0, len(table), len(table), 8
    )
    ident = b"\x7fELF" + bytes((2, 1, 1, 0)) + bytes(8)
    header = ident + struct.pack(
        "<HHIQQQIHHHHHH",
        kind, MACHINES[machine], 1, 0, 64, headers_at, 0, 64, 56, 2, 64, len(sections) + 1, len(sections),
    )  # fmt: skip
    whole = bytearray(header + program)
    for _, _, content, at in sections:
        whole += bytes(at - len(whole)) + content
    return bytes(whole + bytes(headers_at - len(whole)) + headers)


def make_ptxas(
    architectures: Sequence[str] = ("sm_90", "sm_90a", "sm_120"),
    release: str | None = "12.8",
    *,
    machine: str = "aarch64",
) -> bytes:
    """A compiler as far as a reader of its strings can tell: make_ptxas(("sm_120", "sm_121"), "13.1")."""
    text = b"\0".join([b".target", *(name.encode() for name in architectures), b""])
    if release is not None:
        text += f"Cuda compilation tools, release {release}, V{release}.93\0".encode()
    return make_elf(machine=machine, text=b"\0" + text)
