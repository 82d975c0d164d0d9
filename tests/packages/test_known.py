"""Facts by sha256: the shipped rows, what they leave out, and the user's own."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sparksmith.base.errors import SparksmithError
from sparksmith.packages import known
from sparksmith.packages.facts import Compiled, DeviceCode, LibraryFacts, PackageFacts, ToolFacts
from sparksmith.packages.gather import gather
from sparksmith.packages.known import KnownWheels, format_row, merge_rows, parse_row, reduce_facts, shipped_rows
from sparksmith.packages.platform import Platform
from sparksmith.packages.resolution import Chosen, Resolution, WheelFile

SPARK = Platform("aarch64", (2, 39), (3, 12))
A, B, C = "a" * 64, "b" * 64, "c" * 64
CODE = (DeviceCode("cubin", 120, "f", None, 3, 4567), DeviceCode("ptx", 90, "", (8, 4), 1, 99))
GPU = LibraryFacts(
    "torch/lib/libtorch_cuda.so", 500, "aarch64", "libtorch_cuda.so",
    ("libcudart.so.13", "libc10.so", "libcue_ops.so", "libother.so.4", "b.so", "libc.so.6", "libcuda.so.1"),
    ("$ORIGIN",), (2, 28), CODE, (".nv_fatbin", ".data"),
)  # fmt: skip
NEWEST_GLIBC = LibraryFacts("torch/a.so", 10, "aarch64", "a.so", ("libc.so.6",), (), (2, 30))
LARGEST = LibraryFacts("torch/b.so", 90, "aarch64", "b.so", ("libc.so.6", "libtorch_cpu.so"), (), (2, 17))
SMALL = LibraryFacts("torch/c.so", 20, "aarch64", "c.so", ("libc.so.6",), (), (2, 27))
FOREIGN = LibraryFacts("torch/d.so", 5, "x86_64")
PTXAS = ToolFacts("torch/bin/ptxas", 7, "aarch64", (13, 0), ("sm_90a", "sm_121"))
TORCH = PackageFacts(
    "torch", "2.13.0", "torch-2.13.0-cp312-cp312-manylinux_2_28_aarch64.whl", A, 1234,
    ("cp312-cp312-manylinux_2_28_aarch64",), ">=3.10", ("sympy>=1.13.3", "optree; extra == 'optree'"), "13.0",
    (GPU, NEWEST_GLIBC, LARGEST, SMALL, FOREIGN), (PTXAS,), ("something is odd",),
)  # fmt: skip
CUDA = Compiled("CUDA", "csrc/flash.cu", "a source file, and 3 more", 700)
PURE = PackageFacts("PyYAML", "6.0", "pyyaml-6.0-py3-none-any.whl", B, 9, ("py3-none-any",))


def test_a_row_keeps_what_a_verdict_needs():
    kept = reduce_facts(TORCH)
    assert [library.path for library in kept.libraries] == ["torch/a.so", "torch/b.so", "torch/d.so", GPU.path]
    gpu = kept.libraries[-1]
    # what others bring; not the wheel's own, glibc's, or the system's
    assert gpu.needed == ("libcudart.so.13", "libc10.so", "libcue_ops.so", "libother.so.4", "libcuda.so.1")
    assert (gpu.rpath, gpu.device_code) == ((), CODE)
    assert replace(kept, libraries=(), requires=()) == replace(TORCH, libraries=(), requires=())
    assert reduce_facts(kept) == kept


@pytest.mark.parametrize("facts", [TORCH, PURE, replace(PURE, file="odd name.whl", tags=("x-y-z",), sha256=C)])
def test_a_row_comes_back_as_it_was(facts):
    row = format_row(facts)
    assert "\n" not in row
    assert parse_row(row) == reduce_facts(facts)


def test_a_row_keeps_what_an_extra_forbids():
    lines = ("a>=1", "b<3; python_version < '3.13'", "c; extra == 'x'", "d>=2; extra == 'x'", "e>=2,<3; extra == 'x'")
    assert reduce_facts(replace(PURE, requires=lines)).requires == (lines[0], lines[1], lines[4])


def test_a_row_keeps_that_a_library_is_built_against_torch():
    assert [library.needed for library in reduce_facts(TORCH).libraries[:2]] == [(), ("libtorch_cpu.so",)]


def test_a_row_of_a_pure_package_is_short():
    assert json.loads(format_row(PURE)) == {
        "sha256": B, "v": 4, "file": "pyyaml-6.0-py3-none-any.whl", "bytes": 9, "name": "PyYAML",
    }  # fmt: skip


@pytest.mark.parametrize("row", ["{}", "[]", "nonsense", '{"sha256":"x","v":99}', '{"sha256":"x","v":3,"file":3}'])
def test_what_is_no_row_is_said(row):
    with pytest.raises(SparksmithError, match="row of facts"):
        parse_row(row)


def test_rows_are_merged_in_order_and_renewed():
    text = merge_rows("", [TORCH, PURE])
    assert [json.loads(row)["sha256"] for row in text.splitlines()] == [B, A]
    renewed = merge_rows(text, [replace(PURE, bytes=10)])
    assert KnownWheels(renewed).find(B).bytes == 10
    assert renewed.count("\n") == 2
    with pytest.raises(SparksmithError, match="no sha256"):
        merge_rows("", [replace(PURE, sha256=None)])


def test_the_shipped_rows_are_sound_and_small():
    text = shipped_rows()
    assert len(text.encode()) < 600_000
    found = KnownWheels(text)
    for row in text.splitlines():
        facts = parse_row(row)
        assert facts.file and facts.sha256 in found
        assert not any(host in row for host in ("://", "@"))
    assert merge_rows(text, []) == text


def test_what_was_read_once_is_remembered(own_home):
    shipped = format_row(TORCH)
    KnownWheels(shipped).remember(PURE)
    KnownWheels(shipped).remember(TORCH)  # is shipped, and needs no file
    KnownWheels(shipped).remember(replace(PURE, sha256=None))
    later = KnownWheels(shipped)
    assert later.find(B) == PURE and B in later
    assert later.find(A) == reduce_facts(TORCH)
    assert later.find(C) is None and C not in later
    assert len(list((own_home / ".cache/sparksmith/wheel-facts").iterdir())) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version_of_facts": 99}', "null"])
def test_a_damaged_file_of_the_cache_is_passed_over(tmp_path, content):
    KnownWheels("", tmp_path).remember(PURE)
    (file,) = tmp_path.iterdir()
    file.write_text(content, encoding="utf-8")
    assert KnownWheels("", tmp_path).find(B) is None


def test_facts_of_another_wheel_are_not_taken(tmp_path):
    KnownWheels("", tmp_path).remember(PURE)
    (file,) = tmp_path.iterdir()
    file.rename(tmp_path / file.name.replace(B, C))
    assert KnownWheels("", tmp_path).find(C) is None


def test_a_hash_is_not_a_path(tmp_path):
    (tmp_path / "facts").mkdir()
    (tmp_path / f"{known.FACTS_VERSION}-x.json").write_text(json.dumps(PURE.to_json()), encoding="utf-8")
    shelf = KnownWheels("", tmp_path / "facts")
    assert shelf.find("/../../x") is None and "/../../x" not in shelf


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    KnownWheels("", tmp_path / "file/facts").remember(PURE)
    assert KnownWheels("", tmp_path / "file/facts").find(B) is None


def test_the_rows_are_read_when_they_are_needed(monkeypatch):
    monkeypatch.setattr(known, "shipped_rows", lambda: pytest.fail("read too early"))
    assert KnownWheels().folder.name == "wheel-facts"


def resolution(*packages: Chosen) -> Resolution:
    return Resolution(SPARK, packages, "uv")


def test_only_unknown_wheels_are_fetched_and_then_remembered(tmp_path):
    fetched = []

    def fetch(wheel, progress):
        fetched.append(wheel.file)
        path = tmp_path / wheel.file
        path.write_bytes(b"wheel")
        return path

    packages = resolution(
        Chosen("torch", "2.13.0", WheelFile(TORCH.file, A)),
        Chosen("pyyaml", "6.0", WheelFile(PURE.file, B)),
        Chosen("flash-attn", "2.8.3", None, "flash-attn", "it has no wheels", WheelFile("flash_attn-2.8.3.tar.gz", C)),
    )
    shelf = KnownWheels(format_row(TORCH), tmp_path / "facts")
    source = PackageFacts("flash_attn", "2.8.3", "flash_attn-2.8.3.tar.gz", None, 9, compiles=(CUDA,))

    def read(path):
        return source if path.name == source.file else replace(PURE, sha256=None)

    torch, pyyaml, flash = gather(packages, shelf, fetch=fetch, read=read)
    assert sorted(fetched) == sorted([PURE.file, source.file])
    assert (torch.facts, torch.problem) == (reduce_facts(TORCH), "")
    assert (pyyaml.facts, pyyaml.chosen.name) == (PURE, "pyyaml")
    assert (flash.facts, flash.problem) == (replace(source, sha256=C, why_source="it has no wheels"), "")
    assert shelf.find(C) == replace(source, sha256=C)  # what keeps a wheel away is not the file's
    assert not (tmp_path / PURE.file).exists()
    gather(packages, KnownWheels(format_row(TORCH), tmp_path / "facts"), fetch=lambda *_: pytest.fail("fetched again"))


def test_a_wheel_that_cannot_be_had_is_a_problem_of_its_own(tmp_path):
    def fetch(wheel, progress):
        raise SparksmithError("index.example has no such file")

    packages = resolution(
        Chosen("x", "1", WheelFile("x-1-py3-none-any.whl", C)), Chosen("y", "1", WheelFile(PURE.file, B))
    )
    x, y = gather(packages, KnownWheels(format_row(PURE), tmp_path), fetch=fetch)
    assert (x.facts, x.problem) == (None, "index.example has no such file")
    assert y.facts == PURE
