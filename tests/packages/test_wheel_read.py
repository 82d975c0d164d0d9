"""Wheels: what is read of a sound one, and what is said of a hostile one."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import struct
import time
import zipfile
from pathlib import Path

import pytest

from packages.made_wheels import AARCH64, PURE, X86_64, make_wheel
from packages.make_elf import cubin, make_elf, make_ptxas, ptx
from sparksmith.base.errors import SparksmithError
from sparksmith.packages.facts import Compiled, DeviceCode, PackageFacts
from sparksmith.packages.known import format_row, parse_row
from sparksmith.packages.wheel import archive, read
from sparksmith.packages.wheel.archive import PROBLEMS_AT_MOST, Problems
from sparksmith.packages.wheel.declared import may_declare_cuda, parse_declared_cuda
from sparksmith.packages.wheel.read import parse_metadata, read_wheel

LIBRARY = make_elf(soname="libx.so", needed=("libcudart.so.13",), fatbin=[cubin(120)])


def member(name: str, mode: int = 0o100644, method: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    header = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
    header.compress_type = method
    header.external_attr = mode << 16
    return header


def test_a_whole_wheel(tmp_path):
    path = make_wheel(
        tmp_path / "a folder",
        "flash-attention.kernels",
        "2.0+cu130",
        files={
            "kernels/lib/libx.so.2": LIBRARY,
            "kernels/a.so": make_elf(machine="aarch64", fatbin=[ptx(90, (8, 0), size=9)]),
            "kernels/bin/ptxas": make_ptxas(("sm_120", "sm_121"), "13.1"),
            "kernels/bin/run": "#!/bin/sh\n" + "true\n" * 100,
            "kernels/tool": make_elf(needed=("libc.so.6",)),
            "kernels/picture.png": LIBRARY,
            "kernels/core.o": make_elf(kind=1),
        },
        requires=("torch>=2.11", 'numpy<3; python_version < "3.13"'),
        cuda="13.0",
    )
    facts = read_wheel(path)
    assert (facts.name, facts.version) == ("flash-attention.kernels", "2.0+cu130")
    assert facts.file == "flash_attention_kernels-2.0+cu130-cp312-cp312-manylinux_2_28_aarch64.whl"
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts.bytes == path.stat().st_size
    assert facts.tags == (AARCH64,)
    assert (facts.requires_python, facts.declared_cuda, facts.problems) == (">=3.10", "13.0", ())
    assert facts.requires == ("torch>=2.11", 'numpy<3; python_version < "3.13"')
    assert [one.path for one in facts.libraries] == ["kernels/a.so", "kernels/lib/libx.so.2", "kernels/tool"]
    assert facts.libraries[0].device_code == (DeviceCode("ptx", 90, "", (8, 0), 1, 9),)
    assert facts.libraries[1].needed == ("libcudart.so.13",)
    assert [(one.path, one.release) for one in facts.tools] == [("kernels/bin/ptxas", (13, 1))]
    assert PackageFacts.from_json(facts.to_json()) == facts


def test_a_pure_one_without_its_hash(tmp_path):
    facts = read_wheel(make_wheel(tmp_path, tag=PURE, requires_python=None), hash_it=False)
    assert (facts.sha256, facts.tags, facts.requires_python) == (None, (PURE,), None)
    assert (facts.libraries, facts.tools, facts.declared_cuda, facts.problems) == ((), (), None, ())


def test_cuda_source_without_a_library(tmp_path):
    """gsplat brings what nvcc makes of it at first use; transformers 4.56 has some for three of its many models."""
    sources = {"gsplat/cuda/csrc/Adam.cu": "x", "gsplat/cuda/csrc/Tile.cu": "xxx", "gsplat/cuda/third/test/a.cu": ""}
    made = make_wheel(tmp_path, "gsplat", tag=PURE, files={**sources, "gsplat/__init__.py": ""})
    facts = read_wheel(made)
    assert facts.compiles == (Compiled("CUDA", "gsplat/cuda/csrc/Tile.cu", "a source file, and 1 more", 3),)
    assert parse_row(format_row(facts)) == facts
    modules = {f"t/{number}.py": "" for number in range(101)}
    assert read_wheel(make_wheel(tmp_path, "t", tag=PURE, files={**sources, **modules})).compiles is None
    assert read_wheel(make_wheel(tmp_path, "u", files={**sources, "u/_C.so": make_elf()})).compiles is None
    assert read_wheel(make_wheel(tmp_path, "v", tag=PURE, files={"v/tests/a.cu": "", "v/b.cuh": ""})).compiles is None


def test_several_platforms_in_one_name(tmp_path):
    path = make_wheel(tmp_path, tag="cp312-abi3-manylinux_2_27_aarch64.manylinux_2_28_aarch64")
    assert read_wheel(path).tags == ("cp312-abi3-manylinux_2_27_aarch64", "cp312-abi3-manylinux_2_28_aarch64")


@pytest.mark.parametrize(("said", "declared"), [("13.2", "13.2"), ("", ""), (None, None)])
def test_what_it_says_of_cuda(tmp_path, said, declared):
    assert read_wheel(make_wheel(tmp_path, cuda=said)).declared_cuda == declared


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("__version__ = '2.13.0'\ncuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n", "13.0"),
        ("cuda: Optional[str] = None\n", ""),
        ("cuda = ''\n", ""),
        ('  cuda_version = "12.8"\n', "12.8"),
        ("_cuda_version = 13000\n", None),
        ("CUDA_VERSION = 'V13.0.88'", "13.0"),
        ('{"version": {"cuda": 1208, "torch": "2.8"}}', "12.8"),
        ('{"packaging": "pip", "cuda": "13.x", "packages": []}', "13.x"),
        ("build_info = {'cuda_version': '12.5.1', 'is_cuda_build': True}", "12.5"),
        ("cuda = get('13.0')\n# cuda = '12.0'\nnot_cuda = '11.0'\n", None),
        ("__version__ = '1.0'", None),
        ("cuda = 'a word'", None),
        ("cuda_version     = 'False'\ncudnn_version    = 'False'\n", ""),
    ],
)
def test_version_files(text, said):
    assert parse_declared_cuda(text) == said


@pytest.mark.parametrize(
    ("path", "may"),
    [
        ("torch/version.py", True),
        ("x/_cuda_version.py", True),
        ("paddle/version/__init__.py", True),
        ("tensorflow/python/platform/build_info.py", True),
        ("cupy/.data/_wheel.json", True),
        ("torch/cuda/conversion.py", False),
        ("version.py", False),
        ("torch/version.pyi", False),
    ],
)
def test_which_files_may_say_it(path, may):
    assert may_declare_cuda(path) is may


def test_version_files_are_not_run_and_end_soon(tmp_path):
    started = time.perf_counter()
    for text in ("cuda" + " " * 65_000 + "= x", "cuda :" * 10_000, '"cuda"' * 10_000, "cuda: " + "[" * 60_000):
        assert parse_declared_cuda(text) is None
    assert time.perf_counter() - started < 2
    files = {"sample/version.py": f"open({str(tmp_path / 'ran')!r}, 'w')\ncuda = '13.0'\n"}
    assert read_wheel(make_wheel(tmp_path, files=files)).declared_cuda == "13.0"
    assert not (tmp_path / "ran").exists()


def test_metadata_of_bad_bytes_and_folded_lines():
    found = parse_metadata(
        b"Name: x\xff\nVersion: 1\nRequires-Dist: numpy\n ; extra == 'a'\nRequires-Dist: b\n\nName: y\n"
    )
    assert (found.name[0], found.version, found.requires) == ("x", "1", ("numpy ; extra == 'a'", "b"))
    assert parse_metadata(b"") == read.Metadata()
    assert parse_metadata(b"Name: a\r\n b\x1b[31m").name == "a b\\x1b[31m"


def test_a_name_that_the_metadata_contradicts(tmp_path):
    path = make_wheel(tmp_path, "sample", "1.0")
    path = path.rename(tmp_path / "other-1.1-py3-none-any.whl")
    assert read_wheel(path).problems == (
        "its file is named other, its METADATA says sample",
        "its file is named version 1.1, its METADATA says 1.0",
    )


def test_a_file_that_is_not_named_as_a_wheel(tmp_path):
    path = make_wheel(tmp_path, tag=X86_64).rename(tmp_path / "download.whl")
    facts = read_wheel(path)
    assert (facts.name, facts.version, facts.tags) == ("sample", "1.0", (X86_64,))
    assert facts.problems == ("its file is not named as a wheel is; name and tags are taken from what lies inside",)


def test_nothing_says_what_it_is(tmp_path):
    path = tmp_path / "some.whl"
    with zipfile.ZipFile(path, "w") as empty:
        empty.writestr("a.txt", "a")
    with pytest.raises(SparksmithError, match=r"some\.whl is not named as a wheel, and no METADATA"):
        read_wheel(path)


def test_without_metadata(tmp_path):
    path = tmp_path / "sample-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as empty:
        empty.writestr("a.txt", "a")
    facts = read_wheel(path)
    assert (facts.name, facts.version) == ("sample", "1.0")
    assert facts.problems == ("has no METADATA: what it requires is not known",)


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip" * 100, b"PK\x05\x06" + b"\xff" * 18])
def test_no_zip_file(tmp_path, content):
    path = tmp_path / "sample-1.0-py3-none-any.whl"
    path.write_bytes(content)
    with pytest.raises(SparksmithError, match="is no whole zip file"):
        read_wheel(path)


def test_missing_and_no_file(tmp_path):
    with pytest.raises(SparksmithError, match="No such file"):
        read_wheel(tmp_path / "missing.whl")
    with pytest.raises(SparksmithError, match="is no file"):
        read_wheel(tmp_path)
    os.mkfifo(tmp_path / "pipe.whl")
    with pytest.raises(SparksmithError, match="is no file"):
        read_wheel(tmp_path / "pipe.whl")


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (member("../../evil.so"), "../../evil.so: its name points outside the wheel"),
        (member("a/../../evil.so"), "its name points outside the wheel"),
        (member("/etc/evil.so"), "/etc/evil.so: its name is an absolute path"),
        (member("C:/evil.so"), "its name is an absolute path"),
        (member("a\\..\\evil.so"), "its name points outside the wheel"),
        (member("evil\nverdict: runs.so"), "evil\\nverdict: runs.so: its name holds control characters"),
        (member("link.so", stat.S_IFLNK | 0o777), "link.so: is a symbolic link"),
        (member("x.so", method=zipfile.ZIP_LZMA), "x.so: is compressed in a way (number 14)"),
        (member("x.so", method=zipfile.ZIP_BZIP2), "x.so: is compressed in a way (number 12)"),
    ],
)
def test_members_that_should_not_be_there(tmp_path, header, problem):
    facts = read_wheel(make_wheel(tmp_path, entries=[(header, LIBRARY)]))
    assert len(facts.problems) == 1
    assert problem in facts.problems[0]
    assert facts.libraries == ()
    assert {path.name for path in tmp_path.iterdir()} == {facts.file}


def test_the_same_name_twice(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = make_wheel(tmp_path, files={"x.so": make_elf()}, entries=[(member("x.so"), LIBRARY)])
    facts = read_wheel(path)
    assert facts.problems == ("x.so: is in the wheel more than once; the last is taken",)
    assert facts.libraries[0].needed == ("libcudart.so.13",)


def test_a_member_without_a_name(tmp_path):
    """Found by benchmarks/fuzz_readers.py: zipfile's own `is_dir` fails on it."""
    path = make_wheel(tmp_path, entries=[(member("x.so"), LIBRARY)])
    content = path.read_bytes()
    at = content.rindex(b"PK\x01\x02")
    forged = bytearray(content)
    struct.pack_into("<HHH", forged, at + 28, 0, 0, 4)  # the name becomes a comment
    path.write_bytes(forged)
    assert any("without a name" in problem for problem in read_wheel(path).problems)


def test_an_encrypted_member(tmp_path):
    path = make_wheel(tmp_path, entries=[(member("x.so"), LIBRARY)])
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert read_wheel(path).problems == ("x.so: is encrypted",)


def test_a_member_that_is_damaged(tmp_path):
    path = make_wheel(tmp_path, files={"x.so": LIBRARY, "y.so": LIBRARY})
    content = bytearray(path.read_bytes())
    at = content.index(b"x.so") + 40
    content[at : at + 8] = b"damaged!"
    path.write_bytes(content)
    facts = read_wheel(path)
    assert [one.path for one in facts.libraries] == ["y.so"]
    assert len(facts.problems) == 1
    assert facts.problems[0].startswith("x.so: cannot be read from the wheel (")


def test_a_member_that_says_it_is_elsewhere(tmp_path):
    path = make_wheel(tmp_path, entries=[(member("x.so"), LIBRARY)])
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.rindex(b"PK\x01\x02") + 42, 2**32 - 2)
    path.write_bytes(content)
    assert "x.so: cannot be read from the wheel" in read_wheel(path).problems[0]


def test_a_bomb_ends_soon(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MEMBER_FREE", 1 << 20)
    bomb = make_elf() + bytes(40 << 20)
    facts = read_wheel(make_wheel(tmp_path, files={"x.so": bomb, "y.so": LIBRARY}))
    assert facts.problems == (
        "x.so: inflates to more than 200 times its size in the wheel, as no library does; not read",
    )
    assert [one.path for one in facts.libraries] == ["y.so"]


def test_many_small_bombs_end_soon(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "WHEEL_FREE", 2 << 20)
    written = []
    write = archive._write
    monkeypatch.setattr(archive, "_write", lambda *given: (written.append(len(given[1])), write(*given)))
    part = make_elf() + bytes(1 << 20)
    facts = read_wheel(make_wheel(tmp_path, files={f"x{number}.so": part for number in range(20)}))
    assert any("the wheel inflates to more than any real one" in problem for problem in facts.problems)
    assert sum(written) < 4 << 20


def test_a_member_of_another_kind_is_not_inflated(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(archive, "_write", lambda *given: written.append(given))
    read_wheel(make_wheel(tmp_path, files={"x/notes": "words " * 500_000}))
    assert written == []


def test_a_list_of_members_too_long_to_be_one(tmp_path):
    path = tmp_path / "sample-1.0-py3-none-any.whl"
    with path.open("wb") as file:
        file.truncate(64 << 20)
        file.seek(0, os.SEEK_END)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 60 << 20, 0, 0))
    with pytest.raises(SparksmithError, match="its list of members has 62,914,560 bytes"):
        read_wheel(path)


def test_more_files_than_any_wheel_has(tmp_path, monkeypatch):
    monkeypatch.setattr(read, "BINARIES_AT_MOST", 3)
    facts = read_wheel(make_wheel(tmp_path, files={f"x{number}.so": LIBRARY for number in range(5)}))
    assert facts.problems == ("has 5 files that may be libraries; the first 3 are read",)
    assert len(facts.libraries) == 3


def test_a_full_disk(tmp_path, monkeypatch):
    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archive.os, "pwrite", full)
    with pytest.raises(SparksmithError, match="no room in") as raised:
        read_wheel(make_wheel(tmp_path, files={"x.so": LIBRARY}))
    assert raised.value.hint == "set TMPDIR to a folder with more room"


def test_problems_are_said_once_and_not_without_end():
    problems = Problems()
    for number in range(PROBLEMS_AT_MOST + 10):
        problems.add(f"problem {number}")
        problems.add("problem 0")
    assert len(problems.all()) == PROBLEMS_AT_MOST + 1
    assert problems.all()[-1] == "and 10 more"


def open_files() -> int | None:
    """How many this process has open, where the system says it."""
    place = Path("/proc/self/fd")
    return len(list(place.iterdir())) if place.is_dir() else None


def test_nothing_is_left_open_or_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    before = open_files()
    read_wheel(make_wheel(tmp_path, files={"x.so": LIBRARY}))
    assert list((tmp_path / "scratch").iterdir()) == []
    assert open_files() == before
    (tmp_path / "damaged-1-py3-none-any.whl").write_bytes(b"no zip file")
    with pytest.raises(SparksmithError):
        read_wheel(tmp_path / "damaged-1-py3-none-any.whl")
    assert open_files() == before
