"""What the doctor tells of each machine of tests/machines: all of it, and nothing where nothing is wrong."""

from __future__ import annotations

import pytest

from machines.faulty import look
from machines.load import NAMES, build
from sparksmith.doctor.check_memory import check_killers
from sparksmith.doctor.examine import examine

# Machines that are not here are healthy. A Spark that heat held down for 173 s at some time (spark-throttled), one
# whose GPU a process holds of which nothing else is known (spark-in-use), and one whose nvidia-smi hangs, which is told
# apart from findings, count as such.
FOUND = {
    "laptop": ["disk-nearly-full"],
    "old-node": ["driver-too-old", "cgroup-v1"],
    "spark-container": ["container-cache-lost"],
    "spark-container-no-gpu": [
        "container-without-gpu", "container-shm-small", "container-memlock", "container-cache-lost",
    ],
    "spark-container-plain": ["container-shm-small", "container-memlock", "container-cache-lost"],
    "spark-docker-denied": ["docker-group"],
    "spark-driver-dead": ["driver-closed-module"],
    "spark-fragmented": ["memory-fragmented"],
    "spark-kernel7-cma": ["cma-held"],
    "spark-low-clock": ["low-clocks"],
    "spark-oom-protected": ["oom-score-inherited"],
    "spark-pair": ["nccl-interface-unset"],
    "spark-swap": ["swap-on"],
    "spark-thermal-now": ["thermal-throttle"],
    "wsl": ["driver-too-old", "cgroup-v1"],
    "wsl-cuda-error": ["driver-too-old", "cgroup-v1"],
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_what_is_told_of_a_machine(name, tmp_path):
    found = examine(look(build(name, tmp_path / "m")))
    assert [finding.fault.id for finding in found] == FOUND.get(name, [])


def test_what_windows_renews_is_not_installed_in_linux(tmp_path):
    driver, groups = examine(look(build("wsl", tmp_path / "m")))
    assert "apt" not in driver.command and driver.command.startswith("wsl.exe")
    assert "grub" not in groups.command and ".wslconfig" in groups.command


def test_what_is_harmless_is_not_told_and_can_be_asked_for(tmp_path):
    examined = look(build("spark", tmp_path / "m"))
    assert [(seen.fault, seen.here) for seen in check_killers(examined)] == [
        ("ssh-not-protected", "oom_score_adj of sshd is 0")
    ]
    assert examine(examined) == []
