"""What the machine is seen to be."""

from __future__ import annotations

import os
import platform

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparksmith.base.command import Answer
from sparksmith.base.errors import SparksmithError
from sparksmith.machine import collect as collecting
from sparksmith.machine.gpu import QUERY, Gpu, parse_gpus, read_gpus
from sparksmith.machine.memory import Memory, parse_meminfo, read_memory
from sparksmith.machine.python_env import has_module, read_versions

# The shape of a DGX Spark's; the figures are constructed.
MEMINFO = """\
MemTotal:       125513388 kB
MemFree:         4514204 kB
MemAvailable:   118000000 kB
Buffers:           71412 kB
Cached:         90000000 kB
SwapTotal:      16777212 kB
SwapFree:       16777212 kB
HugePages_Total:       0
Hugepagesize:       2048 kB
"""


def test_meminfo():
    assert parse_meminfo(MEMINFO) == Memory(125513388 * 1024, 118000000 * 1024, 16777212 * 1024)


def test_a_machine_without_swap():
    assert parse_meminfo("MemTotal: 10 kB\nMemAvailable: 5 kB\n").swap_total_bytes == 0


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("", "MemAvailable and no MemTotal"),
        ("MemTotal: 10 kB\n", "no MemAvailable"),
        ("MemTotal: 10 kB\nMemAvailable: unknown\n", "no MemAvailable"),
        ("MemAvailable: 10 kB\nMemTotal:\n", "no MemTotal"),
    ],
)
def test_a_meminfo_without_the_figures_that_count(text, missing):
    with pytest.raises(ValueError, match=missing):
        parse_meminfo(text)


@given(st.text(max_size=100))
def test_any_text_is_parsed_or_refused(text):
    with pytest.raises(ValueError, match="/proc/meminfo has no"):
        parse_meminfo(text)


def test_memory_is_read_under_a_root(tmp_path):
    (tmp_path / "proc").mkdir()
    with pytest.raises(SparksmithError, match="cannot be read") as caught:
        read_memory(tmp_path)
    assert "/proc/meminfo" in str(caught.value.hint)
    (tmp_path / "proc/meminfo").write_text("nonsense")
    with pytest.raises(SparksmithError, match="has no MemAvailable"):
        read_memory(tmp_path)
    (tmp_path / "proc/meminfo").write_text(MEMINFO)
    assert read_memory(tmp_path).total_bytes == 125513388 * 1024


def test_this_machines_memory():
    memory = read_memory()
    assert 0 < memory.available_bytes <= memory.total_bytes


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("", []),
        ("NVIDIA GB10, 12.1, 580.95.05, [N/A]\n", [Gpu("NVIDIA GB10", (12, 1), "580.95.05", None)]),
        ("NVIDIA GB10, 12.1, 580.95.05, [Not Supported]\n", [Gpu("NVIDIA GB10", (12, 1), "580.95.05", None)]),
        ("NVIDIA H200, 9.0, 580.95.05, 143771\n", [Gpu("NVIDIA H200", (9, 0), "580.95.05", 143771 * 1024**2)]),
        (
            "NVIDIA H200, 9.0, 1, 143771\r\n\nTesla T4, 7.5, 1, 15360\n",
            [Gpu("NVIDIA H200", (9, 0), "1", 143771 * 1024**2), Gpu("Tesla T4", (7, 5), "1", 15360 * 1024**2)],
        ),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", []),
        ("No devices were found\n", []),
        ("old, [N/A], 470.1, 4000\n", []),
        ("one, two, three\n", []),
        ("a, 9.x, 1, 5\n", []),
    ],
)
def test_gpus(text, gpus):
    assert parse_gpus(text) == gpus


@pytest.mark.parametrize(
    ("capability", "able"), [((7, 0), False), ((7, 5), False), ((8, 0), True), ((9, 0), True), ((12, 1), True)]
)
def test_bfloat16_came_with_8_0(capability, able):
    assert Gpu("x", capability, "1", None).has_bf16 is able


def test_gpus_are_asked_of_nvidia_smi_by_one_command():
    asked = []

    def ask(argv, timeout_seconds):
        asked.append((argv, timeout_seconds))
        return Answer(0, "NVIDIA GB10, 12.1, 580.95.05, [N/A]\n", "")

    assert [gpu.name for gpu in read_gpus(ask)] == ["NVIDIA GB10"]
    assert asked == [(QUERY, 10.0)]
    assert QUERY[0] == "nvidia-smi"


@pytest.mark.parametrize(
    "answer", [Answer(None, "", "nvidia-smi: not found"), Answer(9, "NVIDIA GB10, 12.1, 1, 5", "failed")]
)
def test_no_gpu_where_the_driver_does_not_answer(answer):
    assert read_gpus(lambda *_, **__: answer) == []


def test_collect(tmp_path, monkeypatch):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(MEMINFO)
    gpu = Gpu("NVIDIA GB10", (12, 1), "580.95.05", None)
    monkeypatch.setattr(collecting, "read_gpus", lambda: [gpu])
    seen = collecting.collect(tmp_path)
    assert seen.gpus == (gpu,)
    assert seen.architecture == platform.machine()
    assert seen.cores == len(os.sched_getaffinity(0))
    assert seen.memory.swap_total_bytes == 16777212 * 1024


def test_distributions():
    versions = read_versions(["pytest", "no-such-distribution", "click"])
    assert set(versions) == {"pytest", "click"}
    assert versions["pytest"] == pytest.__version__


def test_modules():
    assert has_module("json")
    assert has_module("pytest")
    assert not has_module("no_such_module")
