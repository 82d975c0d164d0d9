"""What nvidia-smi writes, from real machines, from old ones, cut off, and from nowhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machines.load import HERE
from sparksmith.machine.nvidia_smi import (
    SmiAnswer,
    SmiGpu,
    SmiProcess,
    mebibytes,
    parse_nvidia_smi,
    parse_nvidia_smi_table,
    version_of,
)

MIB = 2**20


def said(machine: str, command: str) -> str:
    return (HERE / machine / "tree/commands" / f"{command}.txt").read_text(encoding="utf-8")


def test_a_gb10_as_its_owner_posted_it():
    answer = parse_nvidia_smi(said("spark-throttled", "nvidia-smi -q"))
    assert (answer.driver, answer.cuda) == ("580.95.05", "13.0")
    assert answer.gpus == (
        SmiGpu(
            bus="0000000F:01:00.0",
            performance_state="P0",
            limited_by=(),
            limited_microseconds={
                "SW Power Capping": 0, "Sync Boost": 0, "SW Thermal Slowdown": 173453251,
                "HW Thermal Slowdown": 403805, "HW Power Braking": 0,
            },
        ),
    )  # fmt: skip


def test_a_temperature_that_is_the_last_thing_posted():
    (gpu,) = parse_nvidia_smi(said("spark-warm", "nvidia-smi -q")).gpus
    assert (gpu.temperature, gpu.clock, gpu.limited_microseconds["SW Power Capping"]) == (81, None, 165687)


def test_an_h200():
    answer = parse_nvidia_smi(said("h200", "nvidia-smi -q"))
    (gpu,) = answer.gpus
    assert (answer.driver, answer.cuda, gpu.name, gpu.bus) == ("580.159.04", "13.0", "NVIDIA H200", "00000000:00:06.0")
    assert gpu.memory_total_bytes == 143771 * MIB
    assert (gpu.clock, gpu.max_clock, gpu.power, gpu.power_limit) == (360, 1980, 78.29, 700.0)
    assert (gpu.temperature, gpu.utilization, gpu.performance_state) == (30, 0, "P0")
    assert (gpu.limited_by, gpu.processes, gpu.addressing) == (("Idle",), (), None)


def test_what_a_gb10_does_not_report_is_none():
    (gpu,) = parse_nvidia_smi(said("spark-low-clock", "nvidia-smi -q")).gpus
    assert (gpu.memory_total_bytes, gpu.power_limit) == (None, None)
    assert (gpu.clock, gpu.max_clock, gpu.utilization, gpu.limited_by, gpu.addressing) == (695, 3003, 96, (), "ATS")
    assert gpu.processes == (SmiProcess(41077, "C", "/home/user/project/.venv/bin/python3", 21504 * MIB),)


def test_two_gpus_of_an_older_driver_and_who_uses_them():
    first, second = parse_nvidia_smi(said("old-node", "nvidia-smi -q")).gpus
    assert (first.limited_by, first.power, first.power_limit) == (("SW Power Cap",), 399.12, 400.0)
    assert first.processes == (SmiProcess(271828, "C", "/home/other/env/bin/python", 21040 * MIB),)
    assert (second.bus, second.clock, second.limited_by, second.processes) == ("00000000:44:00.0", 210, None, ())


def test_the_table_of_a_gb10_as_its_owner_posted_it():
    assert parse_nvidia_smi_table(said("spark", "nvidia-smi")) == SmiAnswer(
        "580.126.09", "13.0",
        (SmiGpu("0000000F:01:00.0", "NVIDIA GB10", performance_state="P8", temperature=36, power=3.0, utilization=0),),
    )  # fmt: skip


def test_the_table_and_the_long_answer_of_an_h200_agree():
    table, long = parse_nvidia_smi_table(said("h200", "nvidia-smi")), parse_nvidia_smi(said("h200", "nvidia-smi -q"))
    assert (table.driver, table.cuda) == (long.driver, long.cuda)
    ours, theirs = table.gpus[0], long.gpus[0]
    for name in ("bus", "name", "performance_state", "memory_total_bytes", "temperature", "power_limit", "utilization"):
        assert getattr(ours, name) == getattr(theirs, name), name


def test_tables_from_wsl():
    (gpu,) = parse_nvidia_smi_table(said("wsl", "nvidia-smi")).gpus
    assert (gpu.name, gpu.memory_total_bytes, gpu.power_limit) == ("NVIDIA GeForce GTX 1650 ...", 4096 * MIB, 30.0)
    answer = parse_nvidia_smi_table(said("wsl-cuda-error", "nvidia-smi"))
    assert (answer.driver, answer.cuda) == ("546.80", None)


@pytest.mark.parametrize(
    ("row", "process"),
    [
        (
            "|    0   N/A  N/A            3196      G   /usr/lib/xorg/Xorg                      117MiB |",
            SmiProcess(3196, "G", "/usr/lib/xorg/Xorg", 117 * MIB),
        ),
        (
            "|    0   N/A  N/A          924921      C   /usr/lib/ollama/llama-server          43090MiB |",
            SmiProcess(924921, "C", "/usr/lib/ollama/llama-server", 43090 * MIB),
        ),
        (
            "|    0   N/A  N/A      1752    C+G   Insufficient Permissions        N/A      |",
            SmiProcess(1752, "C+G", "Insufficient Permissions", None),
        ),
        (
            "|    0     12345      C   python with spaces    100MiB |",
            SmiProcess(12345, "C", "python with spaces", 100 * MIB),
        ),
    ],
)
def test_rows_of_processes(row, process):
    (gpu,) = parse_nvidia_smi_table(f"{said('spark', 'nvidia-smi')}{row}\n").gpus
    assert gpu.processes == (process,)


@pytest.mark.parametrize(
    "text", ["", "No devices were found\n", "NVIDIA-SMI has failed because it couldn't communicate"]
)
def test_nothing(text):
    assert parse_nvidia_smi(text) == parse_nvidia_smi_table(text) == SmiAnswer(None, None, ())


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("580.126.09", "580.126.09"),
        (" 595.84 ", "595.84"),
        ("N/A", None),
        ("ERR!", None),
        ("Not Found", None),
        ("", None),
    ],
)
def test_versions(text, version):
    assert version_of(text) == version


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("117MiB", 117 * MIB),
        ("143771 MiB", 143771 * MIB),
        ("N/A", None),
        ("[N/A]", None),
        ("Not Supported", None),
        ("-1 MiB", None),
        ("5 W", None),
        (None, None),
    ],
)
def test_memory(text, count):
    assert mebibytes(text) == count


@pytest.mark.parametrize("machine", ["h200", "spark", "old-node", "spark-throttled"])
def test_cut_off_anywhere(machine):
    whole = said(machine, "nvidia-smi -q")
    names = {gpu.bus for gpu in parse_nvidia_smi(whole).gpus}
    for length in range(0, len(whole), 97):
        assert {gpu.bus for gpu in parse_nvidia_smi(whole[:length]).gpus} <= names | {bus[:-1] for bus in names}


LINES = st.lists(
    st.sampled_from([
        "GPU 0", "GPU 1", "    Clocks", "        SM : 5 MHz", "    Processes", "        Process ID : 7", "  :  : ",
        "            Used GPU Memory : 99999999999999999999 MiB", "    Clocks Event Reasons", "        Idle : Active",
        "    Clocks Event Reasons Counters", "        x : 1 us", "Driver Version : 580.1", "\x00\x1b[31m : \ud7ff",
        "|   0  NVIDIA GB10   On  |  0000000F:01:00.0 Off |", "| N/A  36C  P8  3W / N/A | Not Supported | 0% |",
    ]),
    max_size=40,
)  # fmt: skip


@given(LINES)
def test_lines_in_any_order(lines):
    for parse in (parse_nvidia_smi, parse_nvidia_smi_table):
        answer = parse("\n".join(lines))
        assert len(answer.gpus) <= 2
        assert all(gpu.clock in (5, None) for gpu in answer.gpus)


@given(st.text(max_size=300))
def test_any_text(text):
    assert isinstance(parse_nvidia_smi(text).gpus, tuple)
    assert isinstance(parse_nvidia_smi_table(text).gpus, tuple)


def test_a_huge_answer_is_read_to_a_limit():
    many = "".join(f"GPU {number}\n    Product Name : x\n" for number in range(1000))
    assert len(parse_nvidia_smi(many).gpus) == 64
    deep = "GPU 0\n" + "".join(f"{' ' * depth}a\n" for depth in range(1, 3000))
    assert parse_nvidia_smi(deep).gpus == ()
