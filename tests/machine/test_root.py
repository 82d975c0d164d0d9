"""The one door to files: a copy is never left, nothing hostile stops it, and it says why it knows nothing."""

from __future__ import annotations

import os

import pytest

from sparksmith.machine import root as reading
from sparksmith.machine.root import Root, whole_number


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "machine/proc").mkdir(parents=True)
    (tmp_path / "machine/proc/meminfo").write_text("MemTotal: 1 kB\nMemFree: 2 kB\n")
    (tmp_path / "outside").write_text("secret")
    return tmp_path / "machine"


def test_what_is_there_and_what_is_not(tree):
    root = Root(tree)
    assert not root.live
    assert root.line("proc/meminfo") == root.line("/proc/meminfo") == "MemTotal: 1 kB"
    assert root.names("proc") == ("meminfo",)
    assert root.text("proc/swaps") is None
    assert root.why("proc/swaps") == root.why("/proc/swaps") == "/proc/swaps: not there"
    assert (root.names("sys/class"), root.why("sys/class")) == ((), "/sys/class: not there")
    assert (root.names("proc/meminfo"), root.why("proc/meminfo")) == ((), "/proc/meminfo: not there")


def test_it_keeps_what_was_read(tree):
    root = Root(tree)
    root.text("proc/meminfo")
    root.text("proc/absent")
    root.names("proc")
    assert root.exists("proc") and not root.exists("absent")
    assert (list(root.texts), root.listings, root.found) == (["proc/meminfo"], {"proc": ("meminfo",)}, {"proc"})


def test_a_file_is_read_once(tree, monkeypatch):
    root = Root(tree)
    assert root.number("proc/meminfo") is None
    (tree / "proc/meminfo").write_text("changed")
    assert root.line("proc/meminfo") == "MemTotal: 1 kB"


@pytest.mark.parametrize("target", ["/outside", "../outside", "../../outside", "/../../outside"])
def test_links_do_not_lead_out(tree, target):
    (tree / "link").symlink_to(target)
    root = Root(tree)
    assert root.text("link") is None
    assert root.text("../outside") is None
    (tree / "outside").write_text("inside")
    assert Root(tree).text("link") == "inside"


def test_a_circle_of_links(tree):
    (tree / "a").symlink_to("b")
    (tree / "b").symlink_to("/a")
    (tree / "self").symlink_to("self/self")
    root = Root(tree)
    for name in ("a", "self", "self/x/y"):
        assert root.text(name) is None and not root.exists(name)
        assert root.names(name) == ()
    assert "/a: " in root.why("a")


def test_a_link_is_followed_and_kept(tree):
    (tree / "usr/local/cuda-13.0").mkdir(parents=True)
    (tree / "etc").mkdir()
    (tree / "usr/local/cuda").symlink_to("/etc/cuda")
    (tree / "etc/cuda").symlink_to("../usr/local/cuda-13.0")
    root = Root(tree)
    assert root.resolve("usr/local/cuda") == "usr/local/cuda-13.0"
    assert root.resolve("usr/local/cuda-13.0") == "usr/local/cuda-13.0"
    assert root.links == {"usr/local/cuda": "/usr/local/cuda-13.0"}


def test_pipes_folders_and_names_that_none_can_have(tree):
    os.mkfifo(tree / "pipe")
    (tree / "folder").mkdir()
    root = Root(tree)
    for name in ("pipe", "folder", "x" * 5000, "a\0b", "proc/meminfo/below"):
        assert root.text(name) is None
        assert root.why(name).startswith("/")
    assert not root.exists("a\0b") and not root.exists("x" * 5000)
    assert root.names("a\0b") == ()


def test_huge_and_binary(tree):
    (tree / "huge").write_bytes(b"\xff\x00" * 2**20)
    text = Root(tree).text("huge", 100)
    assert text == "\ufffd\0" * 50


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (PermissionError(13, "Permission denied"), "/proc/x: Permission denied"),
        (ProcessLookupError(3, "No such process"), "/proc/x: No such process"),
        (OSError(5, "Input/output error"), "/proc/x: Input/output error"),
        (ValueError("embedded null byte"), "/proc/x: ValueError"),
    ],
)
def test_unreadable_and_vanished_while_read(tree, monkeypatch, error, why):
    def fail(*_):
        raise error

    monkeypatch.setattr(reading, "read_start", fail)
    root = Root(tree)
    assert root.text("proc/x") is None
    assert root.why("proc/x") == why


def test_many_names_are_listed_to_a_limit(tree, monkeypatch):
    monkeypatch.setattr(reading, "MOST_NAMES", 3)
    for number in range(9):
        (tree / f"file{number}").touch()
    assert len(Root(tree).names("")) == 3


def test_programs_on_a_path(tree):
    for name in ("usr/bin/docker", "opt/bin/docker", "opt/bin/tool"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    root = Root(tree)
    assert root.program("docker", {}) == "/usr/bin/docker"
    assert root.program("docker", {"PATH": "relative::/opt/bin/:/usr/bin"}) == "/opt/bin/docker"
    assert root.program("tool", {"PATH": "/usr/bin"}) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-1000", -1000),
        ("9" * 20, int("9" * 20)),
        ("9" * 21, None),
        ("²", None),
        ("٣", None),
        ("", None),
        ("1.5", None),
    ],
)
def test_whole_numbers(text, number):
    assert whole_number(text) == number


def test_the_running_machine():
    root = Root()
    assert root.live
    assert root.number("proc/self/oom_score_adj") is not None
    assert root.resolve("proc/self").startswith("proc/")
