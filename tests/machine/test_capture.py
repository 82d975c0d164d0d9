"""A copy of a machine says of itself what the machine says, and holds only what was read."""

from __future__ import annotations

import os

import pytest

from machines.load import NAMES, build
from sparksmith.base.command import Answer
from sparksmith.base.errors import SparksmithError
from sparksmith.machine.capture import collect_tree
from sparksmith.machine.facts import read_machine


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_gives_the_same_facts(name, tmp_path):
    tree = build(name, tmp_path / "machine")
    before = collect_tree(tmp_path / "copy", tree)
    after = read_machine(tmp_path / "copy")
    assert after.to_json() == before.to_json() == read_machine(tree).to_json()


def test_a_copy_of_a_copy_is_the_same(tmp_path):
    collect_tree(tmp_path / "one", build("spark", tmp_path / "machine"))
    collect_tree(tmp_path / "two", tmp_path / "one")

    def contents(folder):
        return {
            str(path.relative_to(folder)): path.read_text() if path.is_file() and not path.is_symlink() else None
            for path in folder.rglob("*")
        }

    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_only_what_was_read_is_copied(tmp_path):
    tree = build("spark", tmp_path / "machine")
    for name in ("etc/shadow", "home/user/.ssh/id_ed25519", "home/user/project/train.tsv", "proc/1204/environ"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("private")
    collect_tree(tmp_path / "copy", tree)
    copied = {str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert "proc/meminfo" in copied and "commands/nvidia-smi -q.txt" in copied
    assert not {"etc/shadow", "home/user/.ssh/id_ed25519", "home/user/project/train.tsv", "proc/1204/environ"} & copied
    assert all((tmp_path / "copy" / name).read_text() != "private" for name in copied)


def test_the_running_machine_and_its_copy(tmp_path, own_home):
    def ask(argv, timeout_seconds):
        said = {"df": "Filesystem Type 1024-blocks Used Available Capacity Mounted on\n/dev/a ext4 100 40 60 40% /\n"}
        return Answer(0, said[argv[0]], "") if argv[0] in said else Answer(None, "", f"{argv[0]}: not found")

    environ = {"HOME": str(own_home), "PATH": os.environ["PATH"], "UV_NO_SYNC": "1"}
    before = collect_tree(tmp_path / "copy", commands=ask, environ=environ)
    after = read_machine(tmp_path / "copy")
    assert before.disks[-2].total_bytes == 100 * 1024
    for subject in ("system", "gpu", "memory", "cgroup", "process", "network", "ssh", "variables"):
        assert after.to_json()[subject] == before.to_json()[subject]


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(SparksmithError, match="is not empty"):
        collect_tree(tmp_path, build("mac", tmp_path / "machine"))
    assert (tmp_path / "mine").exists()


def test_nothing_is_written_outside_of_the_folder(tmp_path):
    tree = build("spark", tmp_path / "machine")
    away = tmp_path / "away"  # a path of this machine, and one of the tree's
    (tree / "usr/local/cuda").unlink()
    (tree / "usr/local/cuda").symlink_to(f"{away}/cuda-13.0")
    for name in ("bin/nvcc", "bin/ptxas"):
        (tree / str(away).lstrip("/") / "cuda-13.0" / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / str(away).lstrip("/") / "cuda-13.0" / name).touch()
    environ = {
        "HOME": "/home/user",
        "PATH": "/usr/local/cuda/bin:/../../usr/bin",
        "VIRTUAL_ENV": "/../../../home/user/project/.venv",
    }
    before = collect_tree(tmp_path / "copy", tree, environ=environ)
    assert before.toolkits.programs["nvcc"] == "/usr/local/cuda/bin/nvcc"
    assert {path.name for path in tmp_path.iterdir()} == {"machine", "copy"}
    after = read_machine(tmp_path / "copy")
    assert after.to_json()["toolkits"] == before.to_json()["toolkits"]
    assert after.pythons[0].packages["torch"] == "2.13.0"
