"""What the probe's lines are taken for: faults, shares of a target's rates, and text. The lines are made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sparksmith.doctor import probe
from sparksmith.doctor.deep import (
    DeepResult,
    Step,
    describe_result,
    describe_step,
    findings_of,
    parse_step,
    row_of,
    shares_of,
)
from sparksmith.doctor.deep_child import Ending
from sparksmith.policy.faults import load_faults
from sparksmith.policy.targets import load_target

GB10, H200 = load_target("gb10"), load_target("h200")
FAULTS = {fault.id: fault for fault in load_faults()}


def make_result(name: str = "NVIDIA GB10", capability: tuple[int, int] = (12, 1), **changes: Any) -> DeepResult:
    """A healthy GB10 with what a step's keyword changes: facts, or an error's text."""
    facts: dict[str, dict[str, Any]] = {
        "torch": {"version": "2.13.0+cu130", "cuda": "13.0"},
        "cuda": {"available": True, "driver_loaded": True},
        "device": {"name": name, "capability": list(capability), "memory_bytes": 128_501_256_192},
        "multiply": {"bf16": {"flops": 92e12, "full_size": True}, "fp32": {"flops": 20e12, "full_size": True}},
        "copy": {"within": {"bytes_per_second": 218e9, "full_size": True}, "from_host": {"bytes_per_second": 50e9}},
    }
    steps = []
    for step in probe.STEPS:
        change = changes.get(step, {})
        failed = isinstance(change, str)
        said = {"error": change} if failed else {**facts.get(step, {}), **change}
        steps.append(Step(step, "failed" if failed or "wrong" in said else "ok", 0.5, said))
    return DeepResult(Path("/env/bin/python"), tuple(steps), Ending(0, 9.0, ""))


def ids(result: DeepResult, target: Any = GB10) -> list[str]:
    return [seen.fault for seen in findings_of(result, target)]


def test_a_healthy_machine():
    assert ids(make_result()) == []
    assert shares_of(make_result(), GB10) == {"bf16_flops": (92e12, 104e12), "bandwidth": (218e9, 273e9)}


@pytest.mark.parametrize(
    ("flops", "bandwidth", "here"),
    [
        (51.9e12, 218e9, "51.9 of 104 TFLOP/s in bf16 (50%)"),
        (52e12, 136.5e9, None),  # half is not below half
        (92e12, 70e9, "70 of 273 GB/s in a copy (26%)"),
        (32.2e12, 136e9, "32.2 of 104 TFLOP/s in bf16 (31%) and 136 of 273 GB/s in a copy (50%)"),
    ],
)
def test_slow(flops, bandwidth, here):
    result = make_result(
        multiply={"bf16": {"flops": flops, "full_size": True}},
        copy={"within": {"bytes_per_second": bandwidth, "full_size": True}},
    )
    assert [(seen.fault, seen.here) for seen in findings_of(result, GB10)] == ([("slow-gpu", here)] if here else [])


def test_what_was_measured_on_too_little_is_not_judged():
    small = {"flops": 1e12, "full_size": False}
    assert ids(make_result(multiply={"bf16": small})) == []
    assert "bf16_flops" not in shares_of(make_result(multiply={"bf16": small}), GB10)


@pytest.mark.parametrize(
    ("name", "capability", "row"),
    [
        ("NVIDIA GB10", (12, 1), "gb10"),
        ("NVIDIA H200", (9, 0), "h200"),
        ("NVIDIA H100 80GB HBM3", (9, 0), "h100"),
        ("NVIDIA B200", (10, 0), "b200"),
        ("NVIDIA GeForce RTX 5090", (12, 0), "rtx5090"),
        ("NVIDIA Thor", (11, 0), "jetson-thor"),
        ("NVIDIA H100 PCIe", (9, 0), None),
        ("NVIDIA H200 NVL", (9, 0), None),
        ("NVIDIA H200 MIG 1g.18gb", (9, 0), None),
        ("NVIDIA GeForce RTX 5090 Laptop GPU", (12, 0), None),
        ("NVIDIA GeForce RTX 5080", (12, 0), None),
        ("NVIDIA L4", (8, 9), None),
        ("NVIDIA GB10", (12, 0), None),
        ("NVIDIA", (9, 0), None),
        ("", (9, 0), None),
    ],
)
def test_a_gpu_is_measured_by_its_own_kind(name, capability, row):
    found = row_of(make_result(name, capability), GB10)
    assert (found.name if found else None) == row


def test_a_gpu_of_another_kind_than_the_target_is_not_measured_by_it():
    rates = {"multiply": {"bf16": {"flops": 10e12, "full_size": True}}}
    assert ids(make_result("NVIDIA L4", (8, 9), **rates)) == []
    assert ids(make_result("NVIDIA H200", (9, 0), **rates)) == ["slow-gpu"]


@pytest.mark.parametrize(
    ("cuda", "torch", "fault"),
    [
        ({"available": False, "driver_loaded": False, "why": "Found no NVIDIA driver on your system."}, {}, None),
        ({"available": False, "driver_loaded": True, "why": "this torch is built without CUDA"}, {"cuda": None},
         "torch-cpu-build"),
        ({"available": False, "driver_loaded": False, "why": "this torch is built without CUDA"}, {"cuda": None}, None),
        ({"available": False, "driver_loaded": True, "why": "No CUDA GPUs are available", "visible_devices": ""}, {},
         "cuda-devices-hidden"),
        ({"available": False, "driver_loaded": True,
          "why": "The NVIDIA driver on your system is too old (found version 12040)."}, {}, "driver-too-old"),
        ({"available": False, "driver_loaded": True, "why": "torch does not say",
          "warnings": ["CUDA initialization: CUDA driver version is insufficient for CUDA runtime version"]}, {},
         "driver-too-old"),
        ({"available": False, "driver_loaded": True, "why": "CUDA unknown error"}, {}, "cuda-does-not-start"),
        ({"available": False, "driver_loaded": True, "why": "No CUDA GPUs are available"}, {}, "cuda-does-not-start"),
        ({"available": False, "driver_loaded": True, "why": "CUDA unknown error - this may be due to an incorrectly",
          "visible_devices": "7"}, {}, "cuda-devices-hidden"),
    ],
)  # fmt: skip
def test_a_torch_that_does_not_use_the_gpu(cuda, torch, fault):
    assert ids(make_result(cuda=cuda, torch=torch)) == ([fault] if fault else [])


@pytest.mark.parametrize(
    ("step", "error", "fault"),
    [
        ("torch", "OSError: libnothing.so: cannot open shared object file", "torch-import-fails"),
        ("torch", "ImportError: libcudart.so.12: cannot open shared object file", "cuda-major-mixed"),
        ("multiply", "RuntimeError: CUDA error: no kernel image is available for execution on the device",
         "no-kernel-image"),
        ("copy", "RuntimeError: CUDA error: an illegal memory access was encountered", "torch-work-fails"),
        ("triton", "ptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'", "triton-ptxas-sm121"),
        ("triton", "RuntimeError: Failed to find C compiler. Please specify via CC environment variable or set",
         "no-c-compiler"),
        ("triton", "IndexError: map::at", "triton-compile-fails"),
        ("bitsandbytes", "AttributeError: nothing", "extension-import-fails"),
        ("flash_attn", "ModuleNotFoundError: No module named 'einops'", "extension-import-fails"),
        ("multiply", {"wrong": ["bf16"], "error": "ValueError: products differ"}, "gpu-wrong-results"),
    ],
)  # fmt: skip
def test_a_step_that_fails(step, error, fault):
    (seen,) = findings_of(make_result(**{step: error}), GB10)
    assert seen.fault == fault
    last = error if isinstance(error, str) else error["error"]
    assert " ".join(last.split())[:60] in " ".join(seen.here.split())


def test_after_one_failure_on_the_gpu_the_next_ones_tell_nothing_new():
    lost = "RuntimeError: CUDA error: no kernel image is available for execution on the device"
    later = "RuntimeError: CUDA error: unspecified launch failure"
    assert ids(make_result(allocate=lost, multiply=later, copy=later)) == ["no-kernel-image"]


def test_a_command_for_this_environment():
    (seen,) = findings_of(make_result(torch="OSError: nothing"), GB10)
    assert seen.command == "uv pip install --python /env --reinstall 'torch>=2.11'"


def test_every_fault_that_is_seen_here_and_by_no_check_is_known():
    deep = {fault.id: fault.seen_in for fault in FAULTS.values() if "deep" in fault.seen_in}
    assert set(deep) == {
        "cuda-does-not-start", "gpu-wrong-results", "slow-gpu", "python-does-not-start", "torch-import-fails",
        "torch-import-hangs", "torch-work-fails", "triton-compile-fails", "extension-import-fails",
    }  # fmt: skip
    assert not any({"machine", "asked"} & set(places) for places in deep.values())


@pytest.mark.parametrize(
    "line",
    [
        b"", b"noise", b"{}", b"[1]", b'{"step": ', b'{"step": "torch"}', b'{"step": "torch", "status": "ok"}',
        b'{"step": "tea", "status": "ok", "seconds": 1}', b'{"step": "torch", "status": "fine", "seconds": 1}',
        b'{"step": "torch", "status": "ok", "seconds": "1"}', b'{"step": "torch", "status": "ok", "seconds": -1}',
        b'{"step": "torch", "status": "ok", "seconds": NaN}', b'{"step": "torch", "status": "ok", "seconds": true}',
        b'{"step": ["torch"], "status": "ok", "seconds": 1}', b'{"step": "torch", "status": {}, "seconds": 1}',
        b'{"step": "torch", "status": "ok", "seconds": 1} and more', b'{"step": "\xff", "status": "ok", "seconds": 1}',
        b'{"step": ' + b"[" * 100_000, b'{"step": "torch", "status": "ok", "seconds": 1' + b"0" * 5000 + b"}",
    ],
)  # fmt: skip
def test_a_line_that_is_none(line):
    assert parse_step(line) is None


@pytest.mark.parametrize("facts", [
    {"bf16": 3}, {"bf16": {"flops": "fast", "full_size": True}}, {"bf16": {"flops": 1e400, "full_size": True}},
    {"warnings": 3}, {"warnings": [[1]], "error": {"a": 1}, "version": ["\x1b[31m"], "capability": [None, {}]},
])  # fmt: skip
def test_lines_with_anything_in_them_break_nothing(facts):
    for name in probe.STEPS:
        for status in ("ok", "failed", "skipped"):
            result = DeepResult(Path("/env/bin/python"), (Step(name, status, 0.0, facts),), Ending(1, 1.0, ""), "copy")
            assert all(seen.fault in FAULTS for seen in findings_of(result, GB10))
            assert all(line.isprintable() for line in describe_result(result))


def test_text_and_json_hide_secrets():
    error = "OSError: https://user:hunter2@example.org/simple\n  HF_TOKEN=hf_abcdefghijklmnop"
    result = make_result(torch=error)
    assert "hunter2" not in json.dumps(result.to_json()) and "hf_abc" not in json.dumps(result.to_json())
    (seen,) = findings_of(result, GB10)
    assert not any("hf_abc" in text or "hunter2" in text for text in (seen.here, *seen.evidence))


def test_what_is_shown_of_a_step():
    result = make_result(copy={"from_host": {"bytes_per_second": 50e9, "one_memory": True}})
    assert describe_step(result.step("multiply")) == "multiply: bf16 92 TFLOP/s, fp32 20 TFLOP/s (0.5 s)"
    assert describe_step(result.step("copy")) == (
        "copy: within the memory 218 GB/s, from the host (one memory) 50 GB/s (0.5 s)"
    )
    assert describe_step(result.step("device")) == "device: NVIDIA GB10, compute capability 12.1 (0.5 s)"
    assert describe_step(Step("torch", "failed", 1.0, {"error": "a\nb\n"})) == "torch: FAILED: b (1.0 s)"
