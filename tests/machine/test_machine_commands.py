"""Commands are asked side by side, one that is silent is given up and named, and a copy answers from its files."""

from __future__ import annotations

import threading
import time

import pytest

from sparksmith.base.command import Answer, ask
from sparksmith.machine.commands import (
    ASKED,
    DISK_FREE,
    DOCKER_INFO,
    KEPT,
    NVIDIA_SMI_Q,
    ask_side_by_side,
    file_of,
    is_silent,
    start_asking,
    why_silent,
)
from sparksmith.machine.root import Root


def test_all_are_asked_at_once():
    together = threading.Barrier(len(ASKED), timeout=10)

    def ask(argv, timeout_seconds):
        together.wait()  # passes only when every command is being asked
        return Answer(0, " ".join(argv), "")

    assert ask_side_by_side(ASKED, ask)() == {argv: Answer(0, " ".join(argv), "") for argv in ASKED}


def test_one_that_hangs_is_given_up_and_the_others_answer():
    never = threading.Event()

    def ask(argv, timeout_seconds):
        assert timeout_seconds == 0.05
        if argv == NVIDIA_SMI_Q:
            never.wait()
        return Answer(0, "said", "")

    started = time.monotonic()
    answers = ask_side_by_side((NVIDIA_SMI_Q, DISK_FREE), ask, 0.05)()
    never.set()
    assert answers[DISK_FREE].ok
    assert answers[NVIDIA_SMI_Q] == Answer(None, "", "nvidia-smi: no answer within 0.05 s")
    assert is_silent(answers[NVIDIA_SMI_Q]) and not is_silent(answers[DISK_FREE])
    assert time.monotonic() - started < 5


def test_a_copy_is_never_asked(tmp_path):
    (tmp_path / "commands").mkdir()
    (tmp_path / "commands/df -kPT.txt").write_text("rows")
    (tmp_path / "commands/docker info.failed.txt").write_text("exit 1\nCannot connect\n")
    (tmp_path / "commands/nvidia-smi -q.failed.txt").write_text("no answer within 1 s\n")

    def ask(*_, **__):
        raise AssertionError("a command was asked")

    answers = start_asking(Root(tmp_path), ask)()
    assert answers[DISK_FREE] == Answer(0, "rows", "")
    assert answers[DOCKER_INFO] == Answer(1, "Cannot connect\n", "")
    assert answers[NVIDIA_SMI_Q] == Answer(None, "", "nvidia-smi: no answer within 1 s")
    assert is_silent(answers[NVIDIA_SMI_Q])
    assert answers[("nvcc", "--version")].stderr == "nvcc --version was not asked when this machine was captured"
    assert set(answers) == set(KEPT)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(0, "x", ""), "docker info does not say"),
        (Answer(None, "", "docker: not found"), "docker: not found"),
        (Answer(1, "", "warning\npermission denied\n"), "docker info: exit 1: permission denied"),
        (Answer(6, "No devices were found\n", ""), "docker info: exit 6: No devices were found"),
        (Answer(-9, "", ""), "docker info: exit -9"),
    ],
)
def test_why_nothing_is_known(answer, why):
    assert why_silent(DOCKER_INFO, answer) == why


def test_the_files_of_a_copy():
    assert file_of(DOCKER_INFO) == "commands/docker info.txt"
    assert file_of(DOCKER_INFO, failed=True) == "commands/docker info.failed.txt"
    assert all("/" not in file_of(argv).removeprefix("commands/") for argv in KEPT)


@pytest.mark.effects
def test_real_commands_side_by_side():
    started = time.monotonic()
    hanging, quick, absent = ("sh", "-c", "sleep 30 & sleep 30"), ("sh", "-c", "echo said"), ("no-such-tool-here",)
    answers = ask_side_by_side((hanging, quick, absent), ask, 0.4)()
    assert time.monotonic() - started < 10
    assert is_silent(answers[hanging])
    assert answers[quick] == Answer(0, "said\n", "")
    assert answers[absent] == Answer(None, "", "no-such-tool-here: not found")
