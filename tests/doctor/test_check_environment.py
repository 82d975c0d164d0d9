"""Checks of the environment: a tree for each fault, trees that look like it, and environments against their record."""

from __future__ import annotations

import pytest
from check_cases import cases, compare, unseen

from machines.load import build
from packages.made_environments import install, make_venv
from packages.make_elf import cubin, make_elf
from sparksmith.doctor.examine import examine
from sparksmith.doctor.gather import gather
from sparksmith.machine.python_env import read_python_environment
from sparksmith.packages.environment import EnvironmentRecord, read_fingerprint, write_record


def look(tree):
    """What the doctor itself gathers of a tree, its packages judged."""
    return gather(tree).examined


@pytest.mark.parametrize("said", cases("environment"))
def test_a_tree_has_what_it_has_and_nothing_else(said, tmp_path):
    compare(said, tmp_path, look)


# An environment against its record


VENV = "home/user/project/.venv"


def recorded(tree, folder=VENV, shown="/home/user/project/.venv", project="home/user/project"):
    """Write down what the environment is now."""
    environment = read_python_environment(tree / folder)
    record = EnvironmentRecord(shown, "2026-11-21T10:00:00Z", "0.1.0", read_fingerprint(environment, "train"))
    write_record(tree / project / ".sparksmith/environment.json", record)


def overlay(tree):
    """An environment over the packages of NVIDIA's image, and its record."""
    site = make_venv(tree / "workspace/.venv", system_packages=True)
    install(site, "trl", "1.16.0")
    recorded(tree, "workspace/.venv", "/workspace/.venv", "workspace")
    return site


def told(tree):
    return [(finding.fault.id, finding.here, finding.command) for finding in examine(look(tree))]


def test_a_torch_that_is_as_it_was_recorded(tmp_path):
    tree = build("spark", tmp_path / "m")
    recorded(tree)
    assert told(tree) == []


def test_a_torch_of_another_version(tmp_path):
    tree = build("spark", tmp_path / "m")
    recorded(tree)
    site = tree / VENV / "lib/python3.12/site-packages"
    (site / "torch-2.13.0.dist-info").rename(site / "torch-2.14.1.dist-info")
    (site / "trl-1.16.0.dist-info").rmdir()
    assert told(tree) == [
        ("torch-replaced", "torch was 2.13.0 and is 2.14.1; 1 more difference",
         "uv pip install --reinstall 'torch==2.13.0' && export UV_NO_SYNC=1"),
    ]  # fmt: skip


def test_a_torch_that_was_removed(tmp_path):
    tree = build("spark", tmp_path / "m")
    recorded(tree)
    (tree / VENV / "lib/python3.12/site-packages/torch-2.13.0.dist-info").rmdir()
    assert [each[:2] for each in told(tree)] == [("torch-replaced", "torch 2.13.0 was removed")]


def test_a_torch_of_the_same_version_and_other_files(tmp_path):
    tree = build("spark", tmp_path / "m")
    site = tree / VENV / "lib/python3.12/site-packages"
    (site / "torch-2.13.0.dist-info").rmdir()
    library = make_elf(fatbin=[cubin(120)], needed=["libcudart.so.13"])
    versions = {"torch/version.py": b"cuda = '13.0'\n", "torch/lib/libtorch_cuda.so": library}
    information = install(site, "torch", "2.13.0", files=versions)
    recorded(tree)
    assert told(tree) == []
    with (information / "RECORD").open("a") as record:
        record.write("torch/other.py,,\n")
    assert [each[:2] for each in told(tree)] == [
        ("torch-replaced", "torch is 2.13.0 as before, but has other files"),
    ]  # fmt: skip


def test_other_packages_may_change(tmp_path):
    tree = build("spark", tmp_path / "m")
    recorded(tree)
    (tree / VENV / "lib/python3.12/site-packages/regex-2026.1.1.dist-info").mkdir()
    assert told(tree) == []


def test_an_overlay_whose_image_changed(tmp_path):
    tree = build("spark-container", tmp_path / "m")
    overlay(tree)
    assert [each[0] for each in told(tree)] == ["container-cache-lost"]
    site = tree / "usr/local/lib/python3.12/dist-packages"
    (site / "torch-2.9.0a0+145a3a7bda.nv25.10.dist-info").rename(
        site / "torch-2.13.0a0+1.nv26.09.dist-info"
    )  # fmt: skip
    found = told(tree)
    assert [each[0] for each in found] == ["overlay-base-changed", "container-cache-lost"]
    assert found[0][1].startswith("the base was NVIDIA PyTorch 25.10 (ubuntu 24.04")
    assert " and is NVIDIA PyTorch 26.09 (ubuntu 24.04" in found[0][1]
    assert found[0][2] == "rm -rf /workspace/.venv && uv venv --system-site-packages /workspace/.venv && uv sync"


def test_an_overlay_whose_python_changed(tmp_path):
    tree = build("spark-container", tmp_path / "m")
    overlay(tree)
    config = tree / "workspace/.venv/pyvenv.cfg"
    config.write_text(config.read_text().replace("3.12.3", "3.13.1"))
    (tree / "workspace/.venv/lib/python3.12").rename(tree / "workspace/.venv/lib/python3.13")
    found = told(tree)
    assert found[0][:2] == ("overlay-base-changed", "Python was 3.12.3 and is 3.13.1")


def test_an_update_of_dgx_os_is_no_other_base(tmp_path):
    tree = build("spark", tmp_path / "m")
    config = tree / VENV / "pyvenv.cfg"
    config.write_text(config.read_text().replace("include-system-site-packages = false",
                                                 "include-system-site-packages = true"))  # fmt: skip
    recorded(tree)
    release = tree / "etc/dgx-release"
    release.write_text(release.read_text().replace("7.4.0", "7.5.0"))
    assert told(tree) == []


def test_every_fault_is_shown():
    assert unseen("environment") == {"torch-replaced", "overlay-base-changed"}  # above
