"""Fat binaries: what is counted, and sizes that lie."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packages.make_elf import CONTAINER_MAGIC, cubin, entry, fat_binary, ptx
from sparksmith.packages.facts import DeviceCode
from sparksmith.packages.wheel.fatbin import ZEROS_AT_MOST, Budget, parse_fat_binaries


def parse(content: bytes, *, before: bytes = b"", after: bytes = b"", headers: int = 1000, size: int | None = None):
    whole = before + content + after
    return parse_fat_binaries(
        lambda offset, length: whole[offset : offset + length],
        len(before),
        len(content) if size is None else size,
        Budget(headers),
    )


def test_every_kind_and_variant_is_counted_apart():
    content = fat_binary(cubin(90), cubin(90, "a"), cubin(100, "f"), cubin(120, size=10), cubin(120, size=5))
    content += fat_binary(ptx(120, (9, 0), size=7), ptx(120, (8, 8), size=8))
    code, problems = parse(content)
    assert problems == []
    assert code == (
        DeviceCode("cubin", 90, "", None, 1, 64),
        DeviceCode("cubin", 90, "a", None, 1, 64),
        DeviceCode("cubin", 100, "f", None, 1, 64),
        DeviceCode("cubin", 120, "", None, 2, 15),
        DeviceCode("ptx", 120, "", (8, 8), 1, 8),
        DeviceCode("ptx", 120, "", (9, 0), 1, 7),
    )


def test_containers_with_zeros_between_them_and_something_before_the_section():
    content = fat_binary(cubin(80)) + bytes(248) + fat_binary(cubin(80)) + bytes(3) + fat_binary() + bytes(70_000)
    code, problems = parse(content, before=b"before the section", after=fat_binary(cubin(75)))
    assert (code, problems) == ((DeviceCode("cubin", 80, "", None, 2, 128),), [])


def test_an_empty_section_and_one_of_zeros():
    assert parse(b"") == ((), [])
    assert parse(bytes(5000)) == ((), [])


def test_code_for_linking_is_not_counted():
    assert parse(fat_binary(entry(8, 75, (1, 61), 0, b"intermediate"), cubin(75))) == (
        (DeviceCode("cubin", 75, "", None, 1, 64),),
        [],
    )


def test_a_longer_header_as_newer_compilers_write_it():
    longer = bytearray(cubin(120, "a", size=0)) + bytes(40)
    struct.pack_into("<I", longer, 4, 104)
    assert parse(fat_binary(bytes(longer), cubin(80)))[0] == (
        DeviceCode("cubin", 80, "", None, 1, 64),
        DeviceCode("cubin", 120, "a", None, 1, 0),
    )


@pytest.mark.parametrize(
    ("content", "found", "problem"),
    [
        (b"\x01" * 64, 0, "no fat binary at byte 0 (magic 0x01010101); the rest is not read"),
        (fat_binary(cubin(80)) + b"rubbish that is long", 1, "no fat binary at byte 144 (magic 0x62627572)"),
        (fat_binary(cubin(80)) + b"short", 1, "a fat binary cut off after 5 bytes"),
        (struct.pack("<IHHQ", CONTAINER_MAGIC, 2, 16, 0), 0, "a fat binary of version 2, header of 16 bytes"),
        (struct.pack("<IHHQ", CONTAINER_MAGIC, 1, 0, 0), 0, "a fat binary of version 1, header of 0 bytes"),
        (struct.pack("<IHHQ", CONTAINER_MAGIC, 1, 16, 2**64 - 1) + cubin(80), 1, "says 18,446,744,073,709,551,615"),
        (fat_binary(cubin(80), cubin(90)[:40]), 1, "an entry of a fat binary cut off after 40 bytes"),
        (fat_binary(cubin(80), cubin(90)[:100]), 1, "an entry of a fat binary says 64 bytes, 28 more than there are"),
        (fat_binary(cubin(80), b"\x02\0\0\0" + bytes(60)), 1, "says its header has 0 bytes"),
    ],
)
def test_damage_is_said_and_what_came_before_is_kept(content, found, problem):
    code, problems = parse(content)
    assert sum(one.count for one in code) == found
    assert len(problems) == 1
    assert problem in problems[0]


def test_a_damaged_container_does_not_hide_the_next_one():
    broken = fat_binary(cubin(90)[:100])
    code, problems = parse(broken + fat_binary(cubin(120)))
    assert [one.architecture for one in code] == [120]
    assert len(problems) == 1


def test_a_section_that_says_more_than_the_file_has():
    content = fat_binary(cubin(80))
    code, problems = parse(content, size=10_000)
    assert (len(code), problems) == (1, ["ends 9,856 bytes before its size says"])


def test_zeros_without_end_are_not_read_to_the_end():
    asked = []

    def read_at(offset: int, length: int) -> bytes:
        asked.append(length)
        return bytes(length)

    code, problems = parse_fat_binaries(read_at, 0, 10 * 1024**3, Budget())
    assert code == ()
    assert "zeros where a fat binary should be" in problems[0]
    assert sum(asked) < 2 * ZEROS_AT_MOST


def test_headers_are_counted_over_all_sections_of_a_package():
    budget = Budget(5)
    content = fat_binary(cubin(80), cubin(90))
    for _ in range(2):
        code, problems = parse_fat_binaries(lambda at, size: content[at : at + size], 0, len(content), budget)
    assert sum(one.count for one in code) == 1
    assert problems == ["more fat binary headers than any real library has; the rest is not read"]


def test_more_architectures_than_there_can_be():
    code, problems = parse(fat_binary(*(cubin(number, size=0) for number in range(700))))
    assert len(code) == 501
    assert "more than 500 architectures" in problems[0]


@given(st.binary(max_size=400), st.integers(0, 300))
def test_whatever_follows_ends(tail, cut):
    content = fat_binary(cubin(80), ptx(90))[:cut] + tail
    code, problems = parse(content)
    assert sum(one.bytes for one in code) <= len(content)
    assert all(isinstance(problem, str) for problem in problems)
