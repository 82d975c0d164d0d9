"""A package that is only half there is told from its RECORD, on any machine."""

from __future__ import annotations

import shutil

import pytest

from packages.made_environments import install, make_venv
from sparksmith.base.errors import SparksmithError
from sparksmith.packages.incomplete import find_incomplete

FILES = {
    "torch/__init__.py": b"", "torch/nn/functional.py": b"", "torch/lib/libtorch_cpu.so": b"",
    "torch/testing/_internal.py": b"", "torch/include/a.h": b"", "torchgen/model.py": b"",
}  # fmt: skip


@pytest.fixture
def site(tmp_path):
    site = make_venv(tmp_path / "venv")
    install(site, "torch", "2.13.0", files=FILES, more_record="../../../bin/torchrun,,\ntorch/__pycache__/a.pyc,,\n")
    return site


@pytest.mark.parametrize(
    ("gone", "seen"),
    [
        ((), ""),
        (("torch/testing/_internal.py", "torch/include/a.h", "torchgen/model.py"), ""),  # images leave these out
        (("torch/lib/libtorch_cpu.so",), "one of its files is not there: torch/lib/libtorch_cpu.so"),
        (
            ("torch/nn/functional.py", "torch/__init__.py"),
            "2 of its files are not there: the first is torch/__init__.py",
        ),
    ],
)
def test_what_is_not_there(tmp_path, site, gone, seen):
    for name in gone:
        (site / name).unlink()
    found = find_incomplete(tmp_path / "venv", "torch")
    assert (found.seen if found else "") == seen
    if found:
        assert (found.name, found.version) == ("torch", "2.13.0")
        assert found.record == "lib/python3.12/site-packages/torch-2.13.0.dist-info/RECORD"


def test_without_a_record_the_module_tells(tmp_path, site):
    (site / "torch-2.13.0.dist-info/RECORD").unlink()
    assert find_incomplete(tmp_path / "venv", "torch") is None  # as Debian and others install
    shutil.rmtree(site / "torch")
    assert find_incomplete(tmp_path / "venv", "torch").seen == "it has neither a RECORD nor torch/__init__.py"


def test_what_cannot_be_told_is_not(tmp_path, site):
    assert find_incomplete(tmp_path / "venv", "trl") is None
    install(site, "mine", direct_url={"url": f"file://{tmp_path}", "dir_info": {"editable": True}}, record="")
    assert find_incomplete(tmp_path / "venv", "mine") is None
    with pytest.raises(SparksmithError):
        find_incomplete(tmp_path / "absent", "torch")
