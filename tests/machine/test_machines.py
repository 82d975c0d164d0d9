"""The machines of tests/machines, real and constructed: what is seen of each, and that nothing is guessed."""

from __future__ import annotations

import json
import os
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from machines.load import HERE, NAMES, build, describe
from sparksmith.base.command import Answer
from sparksmith.machine.commands import ASKED, KEPT, NVIDIA_SMI_Q, file_of
from sparksmith.machine.facts import Asked, read_machine
from sparksmith.machine.gpu import QUERY
from sparksmith.machine.root import Root
from sparksmith.machine.subject import UNLIMITED, Subject

GIB, MIB, KIB = 2**30, 2**20, 2**10
GB10 = [name for name in NAMES if name.startswith("spark")]


@pytest.fixture(scope="module")
def see(tmp_path_factory):
    """The facts of a machine by name, read once."""
    known = {}

    def read(name):
        if name not in known:
            known[name] = read_machine(build(name, tmp_path_factory.mktemp(name) / "m"))
        return known[name]

    return read


def subjects_in(value, path=""):
    """Every subject inside a value, with the path to it."""
    if isinstance(value, Subject):
        yield path, value
    if is_dataclass(value):
        for one in fields(value):
            yield from subjects_in(getattr(value, one.name), f"{path}.{one.name}")
    if isinstance(value, tuple):
        for number, inner in enumerate(value):
            yield from subjects_in(inner, f"{path}[{number}]")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_known_has_a_reason_and_nothing_else_has(see, name):
    found = list(subjects_in(see(name)))
    assert len(found) >= 15
    for path, subject in found:
        missing = {one.name for one in fields(subject) if getattr(subject, one.name) is None}
        assert missing == set(subject.unknown), path
        assert all(reason.strip() and reason.isprintable() for reason in subject.unknown.values()), path


@pytest.mark.parametrize("name", NAMES)
def test_facts_are_json_and_tell_nothing_private(see, name):
    text = json.dumps(see(name).to_json())
    hosts = ("spark-7f3a", "node17", "thinkpad", "DESKTOP-7Q2", "macbook", "4f1d2c3b4a59")
    for private in ("/home/", "/Users/", "/root", "://", "0000000000000", *hosts):
        assert private not in text, private


@pytest.mark.parametrize("name", GB10)
def test_a_spark_is_known_for_one_whatever_answers(see, name):
    facts = see(name)
    assert (facts.system.architecture, facts.system.product, facts.system.cores) == ("aarch64", "NVIDIA_DGX_Spark", 20)
    assert facts.gpu.pci_devices == 1
    for gpu in facts.gpu.gpus:
        assert (gpu.name, gpu.unified_memory, gpu.memory_bytes) == ("NVIDIA GB10", True, None)
        assert gpu.compute_capability == (12, 1)
        assert gpu.why("memory_bytes") == "the driver reports none (N/A)"


def test_a_healthy_spark(see):
    facts = see("spark")
    assert (facts.system.kernel, facts.system.distribution, facts.system.version) == (
        "6.17.0-1008-nvidia",
        "ubuntu",
        "24.04",
    )
    assert (facts.system.dgx_os, facts.system.dgx_installed, facts.system.is_wsl) == ("7.4.0", "7.2.3", False)
    assert (facts.system.kernel_words) == ("init_on_alloc=0",)
    assert (facts.gpu.driver, facts.gpu.tools_driver, facts.gpu.cuda, facts.gpu.open_module) == (
        "580.126.09",
        "580.126.09",
        "13.0",
        True,
    )
    (gpu,) = facts.gpu.gpus
    assert (gpu.clock_mhz, gpu.max_clock_mhz, gpu.is_idle, gpu.limited_by, gpu.power_watts) == (
        208,
        3003,
        True,
        (),
        3.92,
    )
    assert gpu.why("power_limit_watts")
    assert (facts.gpu.processes, facts.gpu.device_nodes) == (
        (),
        ("nvidia-modeset", "nvidia-uvm", "nvidia0", "nvidiactl"),
    )
    assert facts.memory.total_bytes == 128501256192
    assert (facts.memory.swap_total_bytes, facts.memory.swap_devices, facts.memory.swappiness) == (0, (), 60)
    assert facts.memory.free_large_blocks == 9 + 310 + 204 + 22410
    assert (facts.pressure.some_percent, facts.pressure.full_microseconds) == (0.0, 0)
    assert (facts.cgroup.version, facts.cgroup.memory_limit, facts.cgroup.delegated) == (2, UNLIMITED, True)
    assert (facts.process.oom_score_adj, facts.process.open_files, facts.process.is_root) == (0, 1048576, False)
    assert (facts.process.locked_memory, facts.process.stack) == (15712866304, 8 * MIB)
    assert (facts.container.is_container, facts.container.shm_bytes) == (False, 62744752 * KIB)
    assert (facts.ssh.service_score, facts.ssh.unit_setting) == (0, None)
    assert (facts.logins.hub, facts.logins.wandb, facts.silent) == ("", "", ())


def test_the_disks_of_a_spark(see):
    disks = {disk.purpose: disk for disk in see("spark").disks}
    assert set(disks) == {"model cache", "checkpoints", "temporary files", "shared memory"}
    cache = disks["model cache"]
    assert (cache.path, cache.exists, cache.mount, cache.filesystem) == (
        "/home/user/.cache/huggingface/hub",
        True,
        "/",
        "ext4",
    )
    assert (cache.total_bytes, cache.free_bytes) == (3840741096 * KIB, 3233232320 * KIB)
    assert disks["checkpoints"].path == "/home/user/project"


def test_the_environments_of_a_spark(see):
    active, system = see("spark").pythons
    assert (active.role, active.kind, active.python, active.sees_system_packages) == ("active", "venv", "3.12.3", False)
    assert (active.packages["torch"], active.packages["triton"], active.count) == ("2.13.0", "3.7.1", 14)
    assert sorted(active.ptxas.values()) == ["12.8.93", "13.1.80"]
    assert active.has_headers is True
    assert (system.role, system.path, system.python, system.packages) == ("system", "/", "3.12", {})


def test_the_tools_of_a_spark(see):
    facts = see("spark")
    (toolkit,) = facts.toolkits.toolkits
    assert (toolkit.path, toolkit.version, toolkit.ptxas, toolkit.is_default) == (
        "/usr/local/cuda-13.0",
        "13.0.2",
        "13.0.88",
        True,
    )
    assert facts.toolkits.nvcc_on_path == "13.0.88"
    assert facts.toolkits.programs["nvcc"] == "/usr/local/cuda/bin/nvcc"
    assert "cmake" not in facts.toolkits.programs
    assert (facts.uv.program, facts.uv.variables, facts.uv.has_lock) == ("/usr/local/bin/uv", {"UV_NO_SYNC": "1"}, True)
    assert [dict(file.settings) for file in facts.uv.files] == [{"compile-bytecode": "true", "link-mode": "copy"}]
    assert facts.variables.values["TRITON_PTXAS_PATH"] == "/usr/local/cuda/bin/ptxas"
    docker = facts.docker
    assert (docker.docker, docker.reachable, docker.version, docker.in_group) == (
        "/usr/bin/docker",
        True,
        "29.2.1",
        True,
    )
    assert (docker.nvidia_runtime, docker.default_runtime, docker.cgroup_version) == (True, "runc", 2)
    assert (docker.nvidia_ctk, docker.cdi, docker.podman) == ("/usr/bin/nvidia-ctk", ("nvidia.yaml",), None)


def test_the_table_that_its_owner_posted_and_our_long_answer_agree(see, tmp_path):
    tree = build("spark", tmp_path / "m")
    (tree / file_of(NVIDIA_SMI_Q)).unlink()
    table, long = read_machine(tree).gpu, see("spark").gpu
    assert (table.driver, table.cuda, table.gpus[0].temperature) == (long.driver, long.cuda, long.gpus[0].temperature)
    assert table.gpus[0].performance_state == long.gpus[0].performance_state == "P8"
    assert table.gpus[0].clock_mhz is None
    assert "the table of nvidia-smi does not say" in table.gpus[0].why("clock_mhz")


def test_clocks_that_are_held_down(see):
    throttled = see("spark-throttled").gpu.gpus[0]
    assert throttled.limited_microseconds["SW Thermal Slowdown"] == 173453251
    assert (throttled.limited_by, throttled.is_idle, throttled.clock_mhz) == ((), False, None)
    assert see("spark-warm").gpu.gpus[0].temperature == 81
    now = see("spark-thermal-now").gpu.gpus[0]
    assert (now.limited_by, now.temperature, now.utilization_percent) == (("SW Thermal Slowdown",), 91, 96)
    low = see("spark-low-clock").gpu.gpus[0]
    assert (low.clock_mhz, low.max_clock_mhz, low.performance_state, low.limited_by) == (695, 3003, "P0", ())


def test_memory_that_is_kept_back(see):
    cma = see("spark-kernel7-cma")
    assert cma.system.kernel == "7.0.0-1019-nvidia"
    assert (cma.memory.cma_total_bytes, cma.memory.cma_free_bytes) == (0, 940604 * KIB)
    swap = see("spark-swap").memory
    assert (swap.swap_devices, swap.swap_total_bytes, swap.swap_free_bytes) == (
        ("file",),
        16777212 * KIB,
        16777212 * KIB,
    )
    fragments = see("spark-fragmented").memory
    assert (fragments.free_large_blocks, fragments.free_large_bytes) == (0, 0)
    assert fragments.available_bytes == 118 * GIB


def test_who_holds_the_gpu(see):
    python, screen = see("spark-in-use").gpu.processes
    assert (python.pid, python.kind, python.name, python.memory_bytes) == (
        114687,
        "C",
        "/usr/local/bin/python",
        19135 * MIB,
    )
    assert (screen.kind, screen.name) == ("G", "/usr/lib/xorg/Xorg")


def test_nvidias_container(see):
    full, plain, none = (see(f"spark-container{name}") for name in ("", "-plain", "-no-gpu"))
    for facts in (full, plain, none):
        assert (facts.container.kind, facts.container.image, facts.container.image_release) == (
            "docker",
            "pytorch",
            "25.10",
        )
        (system,) = facts.pythons
        assert system.packages["torch"] == "2.9.0a0+145a3a7bda.nv25.10"
        assert (facts.process.is_root, facts.docker.docker, facts.system.dgx_os) == (True, None, None)
    assert (full.container.shm_bytes, full.process.locked_memory) == (62744752 * KIB, UNLIMITED)
    assert (plain.container.shm_bytes, plain.process.locked_memory) == (64 * MIB, 64 * KIB)
    assert full.gpu.device_nodes and not none.gpu.device_nodes
    assert (none.gpu.driver, none.gpu.tools_driver, none.gpu.gpus) == ("580.126.09", None, ())
    assert none.gpu.why("cuda") == "nvidia-smi: not found"
    assert none.variables.values["NVIDIA_VISIBLE_DEVICES"] == "void"


def test_the_cable_between_two_sparks(see):
    network = see("spark-pair").network
    up = [one for one in network.joining() if one.state == "up"]
    assert [(one.name, one.rdma, one.slot, one.speed_megabits) for one in up] == [
        ("enP2p1s0f0np0", ("roceP2p1s0f0",), "0002:01:00.0", 200000),
        ("enp1s0f0np0", ("rocep1s0f0",), "0000:01:00.0", 200000),
    ]
    down = see("spark").network.joining()
    assert len(down) == 4 and {one.state for one in down} == {"down"}
    assert {one.name for one in network.interfaces} - {one.name for one in network.joining()} == {"enP7s7"}


def test_drivers_that_do_not_answer(see):
    dead, hangs = see("spark-driver-dead"), see("spark-smi-hangs")
    assert (dead.gpu.driver, dead.gpu.open_module, dead.gpu.gpus, dead.gpu.pci_devices) == ("580.173.02", False, (), 1)
    assert dead.gpu.why("cuda") == "nvidia-smi -q: exit 6: No devices were found"
    assert hangs.silent == ("nvidia-smi --query-gpu", "nvidia-smi -q")
    assert hangs.gpu.why("processes") == "nvidia-smi: no answer within 1 s"
    assert see("spark-nvml-none").gpu.why("cuda") == "nvidia-smi -q was not asked when this machine was captured"
    assert see("spark-nvml-none").gpu.driver == "580.173.02"


def test_docker_that_refuses(see):
    docker = see("spark-docker-denied").docker
    assert (docker.reachable, docker.denied, docker.in_group, docker.listed_in_group) == (False, True, False, True)
    assert "permission denied" in docker.why("version")


def test_a_protection_that_is_inherited(see):
    facts = see("spark-oom-protected")
    assert (facts.process.oom_score_adj, facts.ssh.unit_setting, facts.ssh.service_score) == (-1000, -1000, -1000)
    assert facts.ssh.unit_file == "/etc/systemd/system/ssh.service.d/oom.conf"


def test_the_first_sparks(see):
    facts = see("spark-launch")
    assert (facts.system.kernel, facts.system.dgx_os) == ("6.11.0-1014-nvidia", "7.2.3")
    active = facts.pythons[0]
    assert (active.packages["torch"], active.packages["nvidia-cuda-runtime-cu12"]) == ("2.9.0+cu129", "12.9.79")
    assert list(active.ptxas.values()) == ["12.8.93"]


def test_a_workstation_with_memory_of_its_own(see):
    facts = see("h200")
    (gpu,) = facts.gpu.gpus
    assert (gpu.unified_memory, gpu.memory_bytes, gpu.compute_capability) == (False, 143771 * MIB, (9, 0))
    assert (facts.system.architecture, facts.gpu.cuda, facts.cgroup.version) == ("x86_64", "13.0", 2)
    assert facts.memory.free_large_blocks == 1 + 3 + 0 + 753 + 7 + 31


def test_machines_that_are_no_sparks(see):
    laptop, wsl, error, mac, node = (see(name) for name in ("laptop", "wsl", "wsl-cuda-error", "mac", "old-node"))
    assert (laptop.gpu.pci_devices, laptop.gpu.gpus, laptop.memory.swap_devices) == (0, (), ("zram", "file"))
    assert (laptop.docker.podman, laptop.disks[0].filesystem, laptop.process.oom_score_adj) == (
        "/usr/bin/podman",
        "btrfs",
        200,
    )
    assert laptop.cgroup.delegated is True
    assert (wsl.system.is_wsl, wsl.gpu.driver, wsl.gpu.cuda, wsl.cgroup.version) == (True, "537.13", "12.2", 1)
    assert (wsl.cgroup.memory_limit, wsl.gpu.device_nodes) == (UNLIMITED, ("dxg",))
    assert (error.gpu.driver, error.gpu.cuda) == ("546.80", None)
    assert (mac.system.kernel, mac.memory.total_bytes, mac.cgroup.version, mac.process.is_root) == (
        None,
        None,
        None,
        None,
    )
    assert mac.memory.why("total_bytes") == "/proc/meminfo: not there"
    assert mac.uv.program == "/usr/local/bin/uv"
    assert (node.cgroup.version, node.cgroup.memory_limit, node.system.cores) == (1, 64 * GIB, 8)
    assert (node.gpu.open_module, len(node.gpu.gpus), node.silent) == (False, 2, ("df -kPT",))
    assert node.gpu.gpus[0].why("compute_capability").endswith('"compute_cap" is not a valid field to query.')
    cache = node.disks[0]
    assert (cache.path, cache.filesystem, cache.free_bytes) == ("/scratch/user/hf/hub", "nfs4", None)
    assert cache.why("free_bytes") == "df: no answer within 1 s"


def test_what_is_asked_for_is_looked_at(tmp_path):
    tree = build("spark", tmp_path / "m")
    facts = read_machine(tree, asked=Asked("/home/user/project", "/home/user/project/.venv", "/boot/efi/runs"))
    assert [one.role for one in facts.pythons] == ["given", "system"]
    disk = next(disk for disk in facts.disks if disk.purpose == "checkpoints")
    assert (disk.mount, disk.filesystem, disk.exists) == ("/boot/efi", "vfat", False)
    assert facts.uv.project_environment == "/home/user/project/.venv"


def test_an_environment_that_is_none_is_said_to_be(tmp_path):
    tree = build("spark", tmp_path / "m")
    given = read_machine(tree, asked=Asked(environment="/tmp")).pythons[0]
    assert (given.role, given.problem, given.python) == ("given", "it holds no Python environment", None)


# The running machine


def test_this_machine_is_asked_the_commands_once_and_together():
    asked = []

    def ask(argv, timeout_seconds):
        asked.append((argv, timeout_seconds))
        return Answer(None, "", f"{argv[0]}: not found")

    facts = read_machine(commands=ask, environ={"HOME": os.environ["HOME"], "PATH": os.environ["PATH"]})
    assert sorted(asked) == sorted((argv, 1.0) for argv in ASKED)
    assert facts.memory.total_bytes > facts.memory.available_bytes > 0
    assert facts.process.oom_score_adj is not None
    assert facts.system.architecture == os.uname().machine
    assert facts.system.cores == len(os.sched_getaffinity(0))
    assert (facts.gpu.gpus, facts.gpu.processes) == ((), None)
    assert any(one.path == "/" for one in facts.pythons)
    for path, subject in subjects_in(facts):
        missing = {one.name for one in fields(subject) if getattr(subject, one.name) is None}
        assert missing == set(subject.unknown), path


# What was captured how


def test_every_machine_and_source_is_told_of():
    text = (HERE / "HOW_CAPTURED.md").read_text(encoding="utf-8")
    for name in NAMES:
        assert f"`{name}`" in text
        for source in describe(name).get("sources", []):
            assert f"`{source['file']}`" in text
            assert source["url"] in text and source["what"] in text


def test_there_are_enough_and_enough_are_real(tmp_path):
    copied = {
        name
        for name in GB10
        for source in describe(name).get("sources", [])
        if "copied" in source["what"].lower() and source["url"].startswith("https://")
    }
    assert len(NAMES) >= 15
    assert len(copied) >= 6
    for name in copied:
        tree = build(name, tmp_path / name)
        for source in describe(name)["sources"]:
            assert Root(tree).exists(source["file"]), (name, source["file"])


def test_only_commands_that_are_known_are_kept():
    known = {Path(file_of(argv, failed=failed)).name for argv in KEPT for failed in (True, False)}
    assert QUERY in KEPT
    assert {file.name for file in HERE.glob("*/tree/commands/*")} <= known
