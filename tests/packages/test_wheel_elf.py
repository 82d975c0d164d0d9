"""ELF files as a loader sees them, and forged ones."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import pytest

from packages.make_elf import CONTAINER_MAGIC, cubin, fat_binary, make_elf, make_ptxas, ptx
from sparksmith.packages.facts import DeviceCode, LibraryFacts, ToolFacts
from sparksmith.packages.wheel.elf import RUN_PATH_AT_MOST, STRING_AT_MOST, Source, plain
from sparksmith.packages.wheel.examine import Examined, examine, worth_opening
from sparksmith.packages.wheel.fatbin import Budget

SECTION_OFFSET, SECTION_SIZE = 24, 32  # in a section header of 64 bytes


@pytest.fixture
def look(tmp_path):
    """What `examine` makes of these bytes; `length` makes a sparse file of them."""

    def look_at(
        content: bytes, path: str = "sample/libx.so", length: int | None = None, budget: Budget | None = None
    ) -> Examined:
        place = tmp_path / "binary"
        place.write_bytes(content)
        if length is not None:
            os.truncate(place, length)
        descriptor = os.open(place, os.O_RDONLY)
        try:
            return examine(Source(descriptor, place.stat().st_size), path, budget)
        finally:
            os.close(descriptor)

    return look_at


def changed(content: bytes, offset: int, layout: str, value: int) -> bytes:
    data = bytearray(content)
    struct.pack_into(layout, data, offset, value)
    return bytes(data)


def section_header(content: bytes, name: bytes) -> int:
    """Where the header of the section of this name stands."""
    table, count, names = *struct.unpack_from("<Q", content, 40), *struct.unpack_from("<HH", content, 60)
    (strings,) = struct.unpack_from("<Q", content, table + 64 * names + SECTION_OFFSET)
    for place in range(table, table + 64 * count, 64):
        (at,) = struct.unpack_from("<I", content, place)
        if content[strings + at :].startswith(name + b"\0"):
            return place
    raise AssertionError(f"no section {name!r}")


def test_a_whole_library(look):
    content = make_elf(
        soname="libx.so.1",
        needed=("libcudart.so.13", "libc.so.6"),
        runpath="$ORIGIN:$ORIGIN/../lib",
        rpath="/ignored",
        glibc=("2.17", "2.34", "2.4"),
        fatbin=[cubin(120), cubin(120)],
        relfatbin=fat_binary(cubin(75)),
    )
    assert look(content) == Examined(
        library=LibraryFacts(
            path="sample/libx.so",
            bytes=len(content),
            machine="aarch64",
            soname="libx.so.1",
            needed=("libcudart.so.13", "libc.so.6"),
            rpath=("$ORIGIN", "$ORIGIN/../lib"),
            glibc=(2, 34),
            device_code=(DeviceCode("cubin", 120, "", None, 2, 128),),
        )
    )


def test_rpath_where_there_is_no_runpath(look):
    found = look(make_elf(machine="x86_64", rpath="/opt/lib"))
    assert (found.library.rpath, found.library.machine, found.problems) == (("/opt/lib",), "x86_64", ())
    assert (found.library.soname, found.library.glibc, found.library.device_code) == (None, None, ())


def test_a_long_run_path_is_read_and_one_without_end_is_cut(look):
    """TensorFlow's and JAX's are longer than any name of a library."""
    folders = tuple(f"$ORIGIN/../../nvidia/package_{number}/lib" for number in range(300))
    assert len(":".join(folders)) > 2 * STRING_AT_MOST
    found = look(make_elf(needed=["libc.so.6"], runpath=":".join(folders), glibc=["2.28"]))
    assert (found.library.rpath, found.library.glibc, found.problems) == (folders, (2, 28), ())
    endless = look(make_elf(needed=["libc.so.6"], runpath=":".join(folders * 10), glibc=["2.28"]))
    assert endless.library.rpath[:300] == folders
    assert len(":".join(endless.library.rpath)) < RUN_PATH_AT_MOST
    assert set(endless.library.rpath) == set(folders)  # none is cut in two
    assert (endless.library.needed, endless.problems) == (("libc.so.6",), ())
    assert look(make_elf(runpath="x" * 100_000)).library.rpath == ()


@pytest.mark.parametrize("machine", ["aarch64", "x86_64", "ppc64le", "riscv64"])
def test_the_machine(look, machine):
    assert look(make_elf(machine=machine)).library.machine == machine


def test_other_byte_orders_and_machines_are_named(look):
    plain_elf = make_elf()
    assert look(changed(plain_elf, 18, "<H", 8)).library.machine == "mips"
    assert look(changed(plain_elf, 18, "<H", 60_000)).library.machine == "60000"
    big = bytearray(plain_elf[:64])
    big[5] = 2
    struct.pack_into(">HHIQQQIHHHHHH", big, 16, 3, 22, 1, 0, 0, 0, 0, 64, 56, 0, 64, 0, 0)
    assert look(bytes(big)).library.machine == "s390x"


def test_what_no_loader_takes(look):
    """An object file, a core and a cubin are no libraries; a file without the magic is none either."""
    assert look(make_elf(kind=1)) == look(make_elf(kind=4)) == look(make_elf(machine="cuda")) == Examined()
    assert look(b"#!/bin/sh\necho\n" * 20, "bin/tool") == Examined()


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (b"", ("libx.so: named as a library, but empty",)),
        (b"nothing of the kind", ("libx.so: named as a library, but no ELF file",)),
        (b"\xcf\xfa\xed\xfe" + bytes(200), ("libx.so: a library for macOS",)),
        (b"version https://git-lfs.github.com/spec/v1\n", ("libx.so: a Git LFS pointer in place of a library",)),
        (b"/* GNU ld script */\nGROUP ( /lib/libc.so.6 )\n", ()),
        (b"\x7fELF", ("libx.so: begins as an ELF file, but its header cannot be read",)),
        (b"\x7fELF" + b"\xff" * 100, ("libx.so: begins as an ELF file, but its header cannot be read",)),
    ],
)
def test_what_is_no_library_though_it_is_named_as_one(look, content, problems):
    found = look(content, "libx.so")
    assert (found.library, len(found.problems)) == (None, len(problems))
    assert all(said.startswith(expected) for said, expected in zip(found.problems, problems, strict=True))


def test_a_compiler_and_what_it_knows(look):
    content = make_ptxas(("sm_121a", "sm_120", "sm_90", "sm_9", "asm_75", "sm_86x", "sm_121f"), "13.1")
    assert look(content, "triton/backends/nvidia/bin/ptxas-blackwell") == Examined(
        tool=ToolFacts(
            "triton/backends/nvidia/bin/ptxas-blackwell", len(content), "aarch64", (13, 1),
            ("sm_90", "sm_120", "sm_121a", "sm_121f"),
        )
    )  # fmt: skip


def test_a_compiler_whose_names_lie_across_the_pieces_it_is_read_in(look):
    start = make_elf().__len__()
    content = make_elf(text=b"\0" * ((1 << 20) - 300) + b"\0sm_120a\0" * 100)
    assert start < 1 << 20
    assert look(content, "bin/ptxas").tool.architectures == ("sm_120a",)


def test_a_compiler_that_names_nothing(look):
    found = look(make_ptxas((), None), "bin/ptxas")
    assert (found.tool.architectures, found.tool.release) == ((), None)
    assert found.problems == ("bin/ptxas: names no architecture that it compiles for",)


FULL = make_elf(soname="libx.so", needed=("libc.so.6",), glibc=("2.17",), fatbin=[cubin(120)])
FATBIN = section_header(FULL, b".nv_fatbin")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (changed(FULL, 32, "<Q", 2**63), "its program headers end at byte"),
        (changed(FULL, 32, "<Q", len(FULL) - 10), "its program headers end at byte"),
        (changed(FULL, 54, "<H", 1), "program headers of 1 bytes where 56 are usual"),
        (changed(FULL, 56, "<H", 65_535), "says it has 65,535 program headers; the first 512 are read"),
        (changed(FULL, 40, "<Q", 2**64 - 1), "device code is not looked for"),
        (changed(FULL, 58, "<H", 0), "section headers of 0 bytes where 64 are usual"),
        (changed(FULL, 60, "<H", 0), "more than an ELF header can count"),
        (changed(FULL, 60, "<H", 65_535), "says it has 65,535 section headers; the first 4,096 are read"),
        (changed(FULL, 62, "<H", 65_000), "device code is not looked for"),
        (changed(FULL, FATBIN + SECTION_OFFSET, "<Q", 2**64 - 1), ".nv_fatbin ends at byte"),
        (changed(FULL, FATBIN + SECTION_SIZE, "<Q", 2**64 - 1), ".nv_fatbin ends at byte"),
        (changed(FULL, FATBIN + 4, "<I", 8), ".nv_fatbin is empty in the file or compressed"),
        (changed(FULL, FATBIN + 8, "<Q", 0x800), ".nv_fatbin is empty in the file or compressed"),
        (FULL[: len(FULL) - 100], "its section headers end at byte"),
        (FULL[:200], "truncated or damaged: a segment ends at byte"),
        (changed(FULL, 64 + 56 + 32, "<Q", 16), "its dynamic section has no end"),
        (changed(FULL, 64 + 32, "<Q", 0), "its dynamic strings lie outside the file"),
    ],
)
def test_forged_numbers(look, content, problem):
    found = look(content)
    assert found.library.machine == "aarch64"
    assert any(problem in said for said in found.problems), found.problems
    assert all(said.startswith("sample/libx.so: ") for said in found.problems)


def test_versions_that_go_round_in_circles(look):
    content = make_elf(needed=("libc.so.6",), glibc=("2.17", "2.34"))
    (place,) = struct.unpack_from("<Q", content, section_header(content, b".gnu.version_r") + SECTION_OFFSET)
    forged = changed(content, place + 2, "<H", 65_535)  # so many versions
    forged = changed(forged, place + 16 + 12, "<I", 2**32 - 1)  # and the next of them far away
    found = look(forged)
    assert any("cannot be read further" in said for said in found.problems)
    assert found.library.needed == ()
    many = changed(changed(content, place + 16 + 12, "<I", 1), place + 2, "<H", 65_535)
    started = time.perf_counter()
    look(many)
    assert time.perf_counter() - started < 5


def test_two_sections_over_the_same_bytes_count_once(look):
    content = make_elf(fatbin=[cubin(120)], relfatbin=fat_binary(cubin(75)))
    first, second = section_header(content, b".nv_fatbin"), section_header(content, b"__nv_relfatbin")
    forged = bytearray(content)
    forged[second : second + 64] = content[first : first + 64]
    found = look(bytes(forged))
    assert sum(one.count for one in found.library.device_code) == 1
    assert found.problems == ("sample/libx.so: two .nv_fatbin sections share bytes; the second is not read",)


def test_two_sections_of_that_name_are_added(look):
    content = make_elf(fatbin=[cubin(120)], relfatbin=fat_binary(cubin(120), cubin(90)))
    first, second = section_header(content, b".nv_fatbin"), section_header(content, b"__nv_relfatbin")
    forged = bytearray(content)
    forged[second : second + 4] = content[first : first + 4]
    assert [(one.architecture, one.count) for one in look(bytes(forged)).library.device_code] == [(90, 1), (120, 2)]


def test_a_sparse_file_of_ten_gigabytes(look):
    content = make_elf(soname="libx.so", fatbin=fat_binary(cubin(120)) + bytes(1000))
    at = section_header(content, b".nv_fatbin")
    forged = changed(content, at + SECTION_OFFSET, "<Q", len(content) + 4096)
    forged = changed(forged, at + SECTION_SIZE, "<Q", 9 * 1024**3)
    started = time.perf_counter()
    found = look(forged, length=10 * 1024**3)
    assert time.perf_counter() - started < 5
    assert (found.library.bytes, found.library.soname) == (10 * 1024**3, "libx.so")
    assert "zeros where a fat binary should be" in found.problems[0]


MEGABYTE = 1 << 20


@pytest.mark.parametrize("name", [".data", ".ldata"])
def test_kernels_among_the_variables(look, name):
    """As cuFFT keeps them: containers one after another, 8 or 0 bytes between them, other data before and after."""
    kernels = b"".join(fat_binary(cubin(120, size=24), ptx(75, (7, 0))) + bytes(8 * (n % 2)) for n in range(3000))
    content = make_elf(data=b"variables" + bytes(991) + kernels + b"\x01" * MEGABYTE, data_name=name)
    found = look(content)
    assert found.problems == ()
    assert found.library.device_code == (
        DeviceCode("ptx", 75, "", (7, 0), 3000, 3000 * 64),
        DeviceCode("cubin", 120, "", None, 3000, 3000 * 24),
    )
    assert found.library.code_sections == (name,)


def test_kernels_in_both_places_are_added(look):
    found = look(make_elf(fatbin=[cubin(75), cubin(120)], data=bytes(MEGABYTE) + fat_binary(cubin(120))))
    assert [(one.architecture, one.count) for one in found.library.device_code] == [(75, 1), (120, 2)]
    assert found.library.code_sections == (".nv_fatbin", ".data")


def test_few_variables_hold_no_kernels(look):
    """Every library has some; looking into all would cost time."""
    found = look(make_elf(data=fat_binary(cubin(120))))
    assert (found.library.device_code, found.library.code_sections, found.problems) == ((), (), ())


def test_what_only_looks_like_a_fat_binary_is_passed_over(look):
    lookalike = struct.pack("<IHHQ", CONTAINER_MAGIC, 1, 16, 2**63)
    found = look(make_elf(data=lookalike + bytes(MEGABYTE) + fat_binary(cubin(90)) + lookalike[:12]))
    assert found.problems == ()
    assert [(one.architecture, one.count) for one in found.library.device_code] == [(90, 1)]


def test_lookalikes_without_end_are_given_up(look):
    lookalikes = struct.pack("<IHHQ", CONTAINER_MAGIC, 1, 16, 2**63) * 700_000
    started = time.perf_counter()
    found = look(make_elf(data=lookalikes))
    assert time.perf_counter() - started < 5
    assert "more fat binary headers than any real library has" in found.problems[0]


def test_variables_that_share_bytes_with_fat_binaries_count_once(look):
    content = make_elf(fatbin=bytes(MEGABYTE) + fat_binary(cubin(120)), data=bytes(MEGABYTE))
    first, second = section_header(content, b".nv_fatbin"), section_header(content, b".data")
    forged = bytearray(content)
    forged[second + 16 : second + 40] = content[first + 16 : first + 40]
    found = look(bytes(forged))
    assert sum(one.count for one in found.library.device_code) == 1
    assert found.problems == ("sample/libx.so: .nv_fatbin and .data share bytes; the second is not read",)


def test_ten_gigabytes_of_variables(look):
    content = make_elf(data=bytes(MEGABYTE))
    at = section_header(content, b".data")
    forged = changed(changed(content, at + SECTION_OFFSET, "<Q", 4096), at + SECTION_SIZE, "<Q", 9 * 1024**3)
    started = time.perf_counter()
    found = look(forged, length=10 * 1024**3, budget=Budget(searched=64 * MEGABYTE))
    assert time.perf_counter() - started < 5
    assert "more data to search for fat binaries" in found.problems[0]


def test_names_cannot_forge_a_line(look):
    found = look(make_elf(soname="libx.so\nverdict: runs", needed=("\x1b[31mlibc.so.6",)))
    assert found.library.soname == "libx.so\\nverdict: runs"
    assert found.library.needed == ("\\x1b[31mlibc.so.6",)
    assert look(b"", "a\nb.so").problems == ("a\\nb.so: named as a library, but empty",)
    assert plain("ʃalˈom") == "ʃalˈom"


@pytest.mark.parametrize("cut", range(0, len(FULL), 7))
def test_cut_anywhere(look, cut):
    found = look(FULL[:cut])
    assert found.problems


@pytest.mark.parametrize(
    ("path", "size", "worth"),
    [
        ("torch/lib/libtorch.so", 10, True),
        ("nvidia/nccl/lib/libnccl.so.2", 10, True),
        ("x/libOpenBLAS.SO.0.3", 10, True),
        ("torch/bin/protoc", 5000, True),
        ("torch/bin/protoc-3.21.12.0", 5000, True),
        ("x/weights.bin", 5000, True),
        ("x/.hidden", 5000, True),
        ("x/small", 50, False),
        ("x/module.py", 5000, False),
        ("include/vector.hpp", 5000, False),
        ("x-1.0.dist-info/licenses/LICENSE", 5000, False),
    ],
)
def test_what_is_opened(path, size, worth):
    assert worth_opening(path, size) is worth


def test_a_real_library_of_this_machine():
    """The interpreter's own process has one mapped: whatever machine this is, it can be read."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("no /proc on this system")
    place = next((line.split()[-1] for line in maps.read_text().splitlines() if "libc.so.6" in line), None)
    if place is None:
        pytest.skip("this interpreter does not use glibc")
    descriptor = os.open(place, os.O_RDONLY)
    try:
        found = examine(Source(descriptor, os.fstat(descriptor).st_size), place)
    finally:
        os.close(descriptor)
    assert (found.library.machine, found.library.soname, found.problems) == (os.uname().machine, "libc.so.6", ())
