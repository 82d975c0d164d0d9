"""Facts of the packages in an environment, and what is kept of them."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from packages.made_environments import install, make_venv
from packages.make_elf import cubin, make_elf, make_ptxas, ptx
from sparksmith.machine.python_env import read_python_environment
from sparksmith.packages import installed as reading
from sparksmith.packages.facts import Compiled, DeviceCode
from sparksmith.packages.facts_cache import cache_file, read_kept
from sparksmith.packages.installed import read_environment_facts

SITE = "lib/python3.12/site-packages"
TORCH_CUDA = make_elf(
    soname="libtorch_cuda.so", runpath="$ORIGIN", fatbin=[cubin(90, "a"), cubin(120), cubin(120), ptx(120)]
)


def by_name(root: Path) -> dict:
    return {one.name: one for one in read_environment_facts(root).packages}


def test_a_package_with_libraries_and_a_compiler(tmp_path):
    site = make_venv(tmp_path)
    files = {
        "torch/lib/libtorch_cuda.so": TORCH_CUDA,
        "torch/bin/ptxas": make_ptxas(("sm_120", "sm_121"), "13.0"),
        "torch/version.py": b"__version__ = '2.13.0'\ncuda = '13.0'\n",
        "torch/__init__.py": b"raise SystemExit('imported')",
        "torch/LICENSE": b"x" * 500,
    }
    install(site, "torch", "2.13.0", files=files, requires=["sympy"])
    install(site, "pure", files={"pure.py": b""}, tags=["py3-none-any"])
    seen = by_name(tmp_path)
    torch = seen["torch"]
    assert (torch.version, torch.file, torch.sha256, torch.declared_cuda) == ("2.13.0", "", None, "13.0")
    assert torch.bytes == sum(map(len, files.values()))
    assert (torch.tags, torch.requires) == (("cp312-cp312-manylinux_2_28_aarch64",), ("sympy",))
    (library,) = torch.libraries
    assert (library.path, library.machine, library.rpath) == (
        f"{SITE}/torch/lib/libtorch_cuda.so",
        "aarch64",
        ("$ORIGIN",),
    )
    assert library.device_code == (
        DeviceCode("cubin", 90, "a", None, 1, 64),
        DeviceCode("cubin", 120, "", None, 2, 128),
        DeviceCode("ptx", 120, "", (9, 0), 1, 64),
    )
    (tool,) = torch.tools
    assert (tool.path, tool.release, tool.architectures) == (f"{SITE}/torch/bin/ptxas", (13, 0), ("sm_120", "sm_121"))
    assert torch.problems == ()
    assert (seen["pure"].libraries, seen["pure"].problems) == ((), ())


def test_only_what_python_finds_is_read(tmp_path):
    site = make_venv(tmp_path)
    other = tmp_path / "more"
    other.mkdir()
    (site / "more.pth").write_text(f"{other}\n")
    install(site, "a", "2", files={"a.abi3.so": make_elf()})
    install(other, "a", "1", files={"a.abi3.so": make_elf()})
    assert [(one.name, one.version) for one in read_environment_facts(tmp_path).packages] == [("a", "2")]


def test_a_package_without_a_record(tmp_path):
    site = make_venv(tmp_path)
    information = install(site, "mine", files={"core/deep/x.abi3.so": make_elf()}, record="", installer="pip")
    (information / "top_level.txt").write_text("core\n../../..\n/etc\n")
    (site / "core.cpython-312-aarch64-linux-gnu.so").write_bytes(make_elf())
    mine = by_name(tmp_path)["mine"]
    assert [one.path for one in mine.libraries] == [
        f"{SITE}/core/deep/x.abi3.so",
        f"{SITE}/core.cpython-312-aarch64-linux-gnu.so",
    ]
    assert mine.problems == ("has no RECORD: which files are its own is told from their folders' names",)


def test_an_editable_install_is_read_where_its_sources_are(tmp_path):
    site = make_venv(tmp_path / "venv")
    source = tmp_path / "source"
    (source / "vllm").mkdir(parents=True)
    (source / "vllm/_C.abi3.so").write_bytes(TORCH_CUDA)
    (source / "vllm/up").symlink_to("..")
    install(site, "vllm", direct_url={"url": f"file://{source}", "dir_info": {"editable": True}})
    for _ in range(2):
        assert [one.path for one in by_name(tmp_path / "venv")["vllm"].libraries] == [f"{source}/vllm/_C.abi3.so"]
        (source / "vllm/_D.py").touch()
    (source / "vllm/_D.abi3.so").write_bytes(make_elf())  # what is built later is seen, whatever is kept
    assert len(by_name(tmp_path / "venv")["vllm"].libraries) == 2


def test_conda_packages_are_read_from_their_records(tmp_path):
    install(tmp_path / SITE, "torch", "2.13.0", files={"torch/_C.abi3.so": make_elf()})
    (tmp_path / "lib/libcublas.so.13").write_bytes(make_elf(soname="libcublas.so.13"))
    (tmp_path / "lib/libcublas.so").symlink_to("libcublas.so.13")
    meta = tmp_path / "conda-meta"
    meta.mkdir()
    for record, files in (
        ("libcublas-13.0.2.14-h0_0", ["lib/libcublas.so", "lib/libcublas.so.13", "../../etc/x.so"]),
        ("pytorch-2.13.0-py312_0", [f"{SITE}/torch/_C.abi3.so"]),
        ("broken-1.0-0", 5),
    ):
        (meta / f"{record}.json").write_text(json.dumps({"files": files}))
    seen = by_name(tmp_path)
    assert [one.path for one in seen["libcublas"].libraries] == ["lib/libcublas.so.13"]
    assert seen["libcublas"].problems == ("conda's record of it names 1 file outside the environment, not read here",)
    assert "pytorch" not in seen  # torch's libraries are torch's
    assert seen["broken"].problems == ("conda's record of it does not list its files",)
    (meta / "broken-1.0-0.json").write_text("[")
    assert by_name(tmp_path)["broken"].problems[0].startswith("conda's record of it cannot be read: JSONDecodeError")


# What is kept


def test_cuda_source_without_a_library(tmp_path):
    site = make_venv(tmp_path)
    source = {"gsplat/cuda/a.cu": b"xx", "gsplat/__init__.py": b""}
    install(site, "gsplat", files=source, tags=["py3-none-any"])
    install(site, "built", files={"built/a.cu": b"", "built/_C.so": make_elf()})
    seen = by_name(tmp_path)
    assert seen["gsplat"].compiles == (Compiled("CUDA", "gsplat/cuda/a.cu", "a source file", 2),)
    assert seen["built"].compiles is None
    assert by_name(tmp_path) == seen  # as it was kept


@pytest.fixture
def kept(tmp_path):
    """An environment whose facts are kept."""
    site = make_venv(tmp_path)
    install(site, "torch", files={"torch/lib/libtorch_cuda.so": TORCH_CUDA})
    install(site, "other", files={"other.abi3.so": make_elf()})
    return tmp_path


@pytest.fixture
def examined(monkeypatch):
    """The files that were looked into."""
    seen = []
    real = reading._examine

    def examine(path, shown, budget):
        seen.append(Path(path).name)
        return real(path, shown, budget)

    monkeypatch.setattr(reading, "_examine", examine)
    return seen


def test_kept_facts_are_the_same(kept, examined):
    before = read_environment_facts(kept)
    assert set(examined) == {"libtorch_cuda.so", "other.abi3.so"}
    examined.clear()
    assert read_environment_facts(kept) == before
    assert examined == []
    assert read_environment_facts(kept, use_cache=False) == before
    assert examined != []


def test_a_changed_file_is_read_again(kept, examined):
    read_environment_facts(kept)
    examined.clear()
    file = kept / SITE / "torch/lib/libtorch_cuda.so"
    file.write_bytes(make_elf(soname="another"))
    (torch,) = [one for one in read_environment_facts(kept).packages if one.name == "torch"]
    assert torch.libraries[0].soname == "another"
    assert examined == ["libtorch_cuda.so"]


def test_a_changed_file_of_the_same_size_and_time(kept):
    """An image's files often have one time for all."""
    file = kept / SITE / "torch/lib/libtorch_cuda.so"
    os.utime(file, (0, 0))
    read_environment_facts(kept)
    file.write_bytes(TORCH_CUDA.replace(b"libtorch_cuda.so", b"libtorch_cudb.so"))
    os.utime(file, (0, 0))
    (torch,) = [one for one in read_environment_facts(kept).packages if one.name == "torch"]
    assert torch.libraries[0].soname == "libtorch_cudb.so"


def test_a_library_that_goes_and_comes_back(kept):
    read_environment_facts(kept)
    file = kept / SITE / "torch/lib/libtorch_cuda.so"
    file.rename(tmp := file.with_suffix(".away"))
    (torch,) = [one for one in read_environment_facts(kept).packages if one.name == "torch"]
    assert torch.libraries == ()
    assert torch.problems == (f"one of its libraries is not there: {SITE}/torch/lib/libtorch_cuda.so",)
    tmp.rename(file)
    assert all(one.problems == () for one in read_environment_facts(kept).packages)


def test_packages_that_are_removed_are_forgotten(kept):
    read_environment_facts(kept)
    assert len(read_kept(cache_file(kept))) == 2
    (kept / SITE / "other-1.0.dist-info/METADATA").unlink()
    for name in ("WHEEL", "RECORD", "INSTALLER"):
        (kept / SITE / "other-1.0.dist-info" / name).unlink()
    (kept / SITE / "other-1.0.dist-info").rmdir()
    assert [one.name for one in read_environment_facts(kept).packages] == ["torch"]
    assert len(read_kept(cache_file(kept))) == 1


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "null", '{"written_by": null}', '{"written_by": [1], "packages": 5}', "[" * 100_000]
)
def test_a_damaged_file_of_facts_is_as_good_as_none(kept, damage):
    before = read_environment_facts(kept)
    cache_file(kept).write_text(damage)
    assert read_environment_facts(kept) == before
    assert len(read_kept(cache_file(kept))) == 2


def test_facts_of_another_version_are_not_used(kept, monkeypatch, examined):
    read_environment_facts(kept)
    monkeypatch.setattr("sparksmith.packages.facts_cache.__version__", "0.0.0")
    examined.clear()
    read_environment_facts(kept)
    assert len(examined) == 2


def test_a_kept_entry_of_another_shape(kept):
    before = read_environment_facts(kept)
    value = json.loads(cache_file(kept).read_text())
    for one in value["packages"].values():
        one["facts"]["libraries"] = [{"path": 5}]
    cache_file(kept).write_text(json.dumps(value))
    assert read_environment_facts(kept) == before


def test_a_cache_folder_that_cannot_be_written(kept, monkeypatch, tmp_path_factory):
    blocked = tmp_path_factory.mktemp("x") / "file"
    blocked.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert len(read_environment_facts(kept).packages) == 2


def test_readers_side_by_side(kept):
    expected = read_environment_facts(kept, use_cache=False)
    seen, errors = [], []

    def read():
        try:
            for _ in range(5):
                cache_file(kept).unlink(missing_ok=True)
                seen.append(read_environment_facts(kept))
        except Exception as error:  # shown below
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert seen == [expected] * 20


def test_this_environment(capsys):
    """The facts of what runs this test; and nothing is missing in an environment that works."""
    import sys

    root = Path(sys.prefix)
    seen = read_environment_facts(root)
    assert {one.name for one in seen.packages} == {one.name for one in read_python_environment(root).active()}
    assert seen.missing == ()
    assert [problem for one in seen.packages for problem in one.problems] == []
    assert read_environment_facts(root) == seen
