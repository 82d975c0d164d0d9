"""A machine tree made to break its reader: facts or plain reasons come back, never an exception, in bounded time."""

from __future__ import annotations

import json
import os
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from machines.load import build
from sparksmith.machine import root as reading
from sparksmith.machine.capture import collect_tree
from sparksmith.machine.commands import KEPT, file_of
from sparksmith.machine.facts import Asked, read_machine
from sparksmith.machine.root import Root

SITE = "home/user/project/.venv/lib/python3.12/site-packages"


@pytest.fixture
def read_by_us(tmp_path):
    """The files that are read of a Spark."""
    root = Root(build("spark", tmp_path / "seen"))
    read_machine(root)
    return sorted(root.texts)


def attack(tree, name, kind):
    """Put something of a kind in a file's place."""
    file = tree / name
    file.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "loop":
        file.symlink_to(file.name)
    elif kind == "outside":
        file.symlink_to(os.path.relpath(tree.parent / "outside", file.parent))
    elif kind == "empty":
        file.touch()
    elif kind == "binary":
        file.write_bytes(bytes(random.Random(name).randrange(256) for _ in range(3000)))
    elif kind == "one long line":
        file.write_text("A" * 2_000_000)
    elif kind == "many lines":
        file.write_text("Node 0, zone Normal 1 1\nkey : value\n|  0 | x\n1:memory:/a\n" * 2_000)
    elif kind == "nested":
        file.write_text("[" * 50_000)
    elif kind == "escapes":
        file.write_text("\x1b[2J\x1b]0;owned\x07 = \x00\u202e\r\n: \x9b31m kB\n")


KINDS = ("pipe", "folder", "loop", "outside", "empty", "binary", "one long line", "many lines", "nested", "escapes")


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_something_else(kind, tmp_path, read_by_us):
    tree = build("spark", tmp_path / "m")
    (tmp_path / "outside").write_text("NOT-OURS 1 kB\nMemTotal: 77 kB\n")
    assert len(read_by_us) > 60
    for name in read_by_us:
        attack(tree, name, kind)
    facts = read_machine(tree)
    shown = json.dumps(facts.to_json())
    assert "NOT-OURS" not in shown
    assert "\\u001b" not in shown and "\\u0000" not in shown and "\\u202e" not in shown
    if kind != "escapes":
        assert facts.memory.total_bytes is None or kind == "many lines"


@pytest.mark.parametrize("kind", ["folder", "loop", "binary", "escapes"])
def test_a_copy_of_it(kind, tmp_path, read_by_us):
    tree = build("spark", tmp_path / "m")
    for name in read_by_us:
        attack(tree, name, kind)
    collect_tree(tmp_path / "copy", tree)
    read_machine(tmp_path / "copy")
    assert (tmp_path / "copy").is_dir()


def test_names_with_escapes_and_many_of_them(tmp_path):
    tree = build("spark", tmp_path / "m")
    for folder in ("sys/class/net", "sys/bus/pci/devices", "usr/local", "dev", "etc/cdi", SITE, "proc"):
        for number in range(300):
            (tree / folder / f"nvidia\x1b[31m{number}").mkdir()
        (tree / folder / ("x" * 250)).mkdir()
    (tree / SITE / "torch-2\x1b[31m.dist-info").mkdir()
    (tree / "usr/local/cuda-13.0\n").mkdir()
    facts = read_machine(tree)
    assert "\\u001b" not in json.dumps(facts.to_json())
    assert len(facts.toolkits.toolkits) == 1


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop"])
def test_compilers_that_are_none(kind, tmp_path):
    """A pipe where Triton's ptxas should be made the doctor wait for ever (found by benchmarks/fuzz_doctor.py)."""
    tree = build("spark", tmp_path / "m")
    for name in (f"{SITE}/triton/backends/nvidia/bin/ptxas", "usr/local/cuda-13.0/bin/ptxas"):
        attack(tree, name, kind)
    (project,) = (one for one in read_machine(tree).pythons if one.path.endswith(".venv"))
    assert list(project.ptxas) == [f"/{SITE}/triton/backends/nvidia/bin/ptxas-blackwell"]


def test_folders_that_are_files_and_circles(tmp_path):
    tree = build("spark", tmp_path / "m")
    for name in ("sys/class/net/circle", "sys/bus/pci/devices/circle", "usr/local/cuda-14", f"{SITE}/circle.dist-info"):
        (tree / name).symlink_to("..")
    for name in ("sys/class/net/file", "usr/local/cuda-15", "home/user/project/.venv/lib/python3.13"):
        (tree / name).touch()
    facts = read_machine(tree, asked=Asked(environment="/usr/local/cuda-15"))
    assert facts.pythons[0].problem
    assert facts.toolkits.toolkits[0].path == "/usr"  # what a link calls a toolkit is one
    assert {one.name for one in facts.network.interfaces} >= {"file", "enp1s0f0np0"}


def test_files_that_vanish_and_are_refused_while_read(tmp_path, monkeypatch):
    tree = build("spark", tmp_path / "m")
    read, count = reading.read_start, 0

    def sometimes(path, limit):
        nonlocal count
        count += 1
        if count % 3 == 0:
            raise OSError(3, "No such process")
        if count % 3 == 1:
            raise PermissionError(13, "Permission denied")
        return read(path, limit)

    monkeypatch.setattr(reading, "read_start", sometimes)
    facts = read_machine(tree)
    assert count > 60
    assert any("Permission denied" in why for why in facts.memory.unknown.values()) or facts.memory.total_bytes


def test_variables_that_name_strange_places(tmp_path):
    tree = build("spark", tmp_path / "m")
    environ = {
        "HOME": "relative", "PATH": "::/:\0:/usr/bin/docker", "HF_HOME": "/" + "../" * 50 + "etc", "VIRTUAL_ENV": "/\0",
        "CONDA_PREFIX": "/" + "a/" * 3000, "CUDA_HOME": "\x1b[31m", "TMPDIR": "", "UV_CONFIG_FILE": "/proc", "PWD": "/",
        "UV_PROJECT_ENVIRONMENT": "relative",
    }  # fmt: skip
    facts = read_machine(tree, environ=environ)
    assert [one.role for one in facts.pythons] == ["system"]
    assert facts.toolkits.cuda_home == "\\x1b[31m"
    assert facts.uv.files == ()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_texts_cut_and_damaged(tmp_path_factory, data):
    tree = build("spark", tmp_path_factory.mktemp("m") / "m")
    names = [file_of(argv) for argv in KEPT if (tree / file_of(argv)).exists()] + [
        "proc/meminfo", "proc/buddyinfo", "proc/self/limits", "proc/self/status", "proc/mounts", "etc/dgx-release",
        "proc/driver/nvidia/version", "proc/self/cgroup", "home/user/.config/uv/uv.toml", "proc/pressure/memory",
    ]  # fmt: skip
    for name in data.draw(st.lists(st.sampled_from(names), max_size=6)):
        text = bytearray((tree / name).read_bytes())
        for _ in range(data.draw(st.integers(0, 8))):
            text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
        (tree / name).write_bytes(bytes(text[: data.draw(st.integers(1, len(text)))]))
    facts = read_machine(tree)
    json.dumps(facts.to_json())
    assert facts.system.cores is None or facts.system.cores >= 1
