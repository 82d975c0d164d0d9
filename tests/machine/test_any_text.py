"""Every parser of the machine, given texts from nowhere: it neither raises nor takes long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparksmith.machine.cgroup import parse_limit, parse_own_groups
from sparksmith.machine.container import parse_container_of_groups
from sparksmith.machine.disk import (
    parse_df,
    parse_mounts,
    parse_size_option,
)
from sparksmith.machine.docker import FAILED, parse_docker_info
from sparksmith.machine.facts import parse_environ
from sparksmith.machine.gpu_state import parse_module_version
from sparksmith.machine.memory import parse_meminfo_fields
from sparksmith.machine.memory_state import parse_buddyinfo, parse_pressure, parse_swaps
from sparksmith.machine.nvidia_smi import parse_nvidia_smi, parse_nvidia_smi_table
from sparksmith.machine.own import parse_limits
from sparksmith.machine.private import Private
from sparksmith.machine.root import Root
from sparksmith.machine.ssh import parse_score_setting
from sparksmith.machine.system import parse_cpu_list, parse_kernel_words, parse_pairs, parse_status
from sparksmith.machine.toolkit import parse_nvcc_version, parse_version_json
from sparksmith.machine.uv import parse_uv_settings

KIB, GIB = 1024, 2**30
PRIVATE = Private(frozenset({"gx10-f443"}), frozenset({"ann.lee"}), ("/home/ann.lee",))


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Root(root)


PARSERS = [
    parse_meminfo_fields, parse_buddyinfo, parse_swaps, parse_pressure, parse_limits, parse_own_groups, parse_limit,
    parse_pairs, parse_cpu_list, parse_kernel_words, parse_status, parse_module_version, parse_df, parse_mounts,
    parse_size_option, parse_container_of_groups, parse_docker_info, parse_nvcc_version, parse_version_json,
    parse_score_setting, parse_environ,
]  # fmt: skip
PIECES = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from([
            "MemTotal:", " 9999999999999999999999999 kB\n", "Node 0, zone Normal ", "9" * 400, "some avg10=", "²",
            "total=", "Max open files  ", "0::/", "../", "\\777", "size=", "release 1.1, V1.1.1", "Uid:\t", "\0", "\n",
            "=", ":", "٣",
        ]),
    ),
    max_size=12,
).map("".join)  # fmt: skip


@pytest.mark.parametrize("parse", PARSERS)
@given(text=PIECES)
def test_no_text_stops_a_parser(parse, text):
    parse(text)  # any answer will do: it must not raise


@given(text=PIECES)
def test_no_settings_stop_uvs_parser(text):
    try:
        settings, indexes = parse_uv_settings(text)
    except ValueError:
        return
    assert all(isinstance(value, str) for value in settings.values()) and indexes >= 0


# Seen to take minutes before the expressions were bounded.
LONG = (
    "A",
    " ",
    "\n",
    " \n",
    "a.",
    "1.",
    "ab:",
    "Max a ",
    "NVRM version: NVIDIA UNIX ",
    "/home/",
    "token",
    "| ",
    "key : value\n",
)


@pytest.mark.parametrize("piece", LONG)
def test_long_texts_take_no_time_that_grows_with_their_square(piece):
    text = piece * (200_000 // len(piece))
    started = time.process_time()
    for parse in (*PARSERS, parse_nvidia_smi, parse_nvidia_smi_table, PRIVATE.hide, FAILED.search):
        parse(text)
    assert time.process_time() - started < 8
