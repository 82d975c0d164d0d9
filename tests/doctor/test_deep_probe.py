"""The probe itself: what it may use, and its steps on a GPU that is this machine's CPU under another name."""

from __future__ import annotations

import ast
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from sparksmith.doctor import probe
from sparksmith.doctor.deep import PROBE

torch = pytest.importorskip("torch")
GIB = 2**30


def test_it_is_one_file_of_the_standard_library_for_python_3_9():
    tree = ast.parse(PROBE.read_text(encoding="utf-8"), feature_version=(3, 9))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names


class Event:
    """Each is a millisecond after the one before."""

    now = 0.0

    def __init__(self, **_: Any) -> None:
        self.at = 0.0

    def record(self) -> None:
        Event.now += 1.0
        self.at = Event.now

    def elapsed_time(self, other: Event) -> float:
        return other.at - self.at


class Gpu:
    """torch, with a device "cuda" that is the CPU; `spoil` is done to every product."""

    def __init__(self, *, integrated: bool, free: int, spoil: float = 0.0) -> None:
        self.spoil = spoil
        properties = SimpleNamespace(
            name="NVIDIA GB10", major=12, minor=1, multi_processor_count=48, is_integrated=integrated,
            L2_cache_size=2**20, total_memory=128 * GIB,
        )  # fmt: skip
        self.cuda = SimpleNamespace(
            is_available=lambda: True, get_device_properties=lambda _: properties, get_arch_list=lambda: ["sm_120"],
            device_count=lambda: 1, mem_get_info=lambda: (free, 128 * GIB), synchronize=lambda: None,
            empty_cache=lambda: None, Event=Event,
        )  # fmt: skip

    def mm(self, left: Any, right: Any, out: Any) -> None:
        torch.mm(left, right, out=out)
        out[0, 0] += self.spoil

    def __getattr__(self, name: str) -> Any:
        found = getattr(torch, name)
        if name not in ("Generator", "full", "zeros", "empty", "randn", "linspace"):
            return found

        def on_cpu(*arguments: Any, **options: Any) -> Any:
            options.pop("pin_memory", None)
            return found(*arguments, **{**options, **({"device": "cpu"} if "device" in options else {})})

        return on_cpu


@pytest.fixture
def quick(monkeypatch):
    """Less of everything."""
    monkeypatch.setattr(probe, "WARM_SECONDS", 0.0)
    monkeypatch.setattr(probe, "TIMED_SECONDS", 0.0)
    monkeypatch.setattr(probe, "BATCH_SECONDS", 0.0015)
    monkeypatch.setattr(probe, "LEAST_BYTES", 2**20)
    monkeypatch.setattr(probe, "_available_bytes", lambda: 16 * 2**20)


def lines_of(gpu: Gpu) -> dict[str, dict[str, Any]]:
    state = probe.State()
    state.torch = gpu
    return {name: probe.run_step(name, state) for name in ("cuda", "device", "allocate", "multiply", "copy")}


def test_the_steps_on_a_gpu(quick):
    lines = lines_of(Gpu(integrated=True, free=64 * GIB))
    assert [line["status"] for line in lines.values()] == ["ok"] * 5, lines
    assert lines["device"]["unified_memory"] is True
    assert lines["allocate"]["bytes"] == 4 * 2**20  # a quarter of MemAvailable, on unified memory
    # 3 * 512^2 elements of 4 bytes are 3 MiB; 1024 would take 12; bf16 takes 3 * 512^2 * 2, and 1024 would take 6
    assert [lines["multiply"][kind]["size"] for kind in ("bf16", "fp32", "tf32")] == [512, 512, 512]
    assert lines["multiply"]["bf16"]["full_size"] is False
    assert lines["multiply"]["bf16"]["flops"] == pytest.approx(2 * 512**3 / 0.0005)  # two products in a millisecond
    within, from_host = lines["copy"]["within"], lines["copy"]["from_host"]
    assert (within["bytes"], within["full_size"]) == (2 * 2**20, False)
    assert within["bytes_per_second"] == pytest.approx(2 * 2 * 2**20 / 0.0005)
    assert from_host["bytes_per_second"] == pytest.approx(2 * 2**20 / 0.0005)
    assert from_host["one_memory"] is True


def test_a_gpu_with_memory_of_its_own(quick):
    lines = lines_of(Gpu(integrated=False, free=32 * 2**20))
    assert lines["allocate"]["bytes"] == 8 * 2**20
    assert lines["multiply"]["bf16"]["size"] == 1024
    assert lines["copy"]["within"]["full_size"] is True  # 4 MiB are four times the cache
    assert lines["copy"]["from_host"]["one_memory"] is False


def test_a_gpu_that_is_full(quick):
    lines = lines_of(Gpu(integrated=True, free=2 * 2**20))
    assert [line["status"] for line in lines.values()] == ["ok", "ok", "skipped", "skipped", "skipped"]
    assert lines["allocate"]["why"] == "a quarter of the free memory is 0 MiB, and 1 are needed"


@pytest.mark.parametrize("spoil", [50.0, float("nan"), float("inf")])
def test_a_gpu_that_computes_something_wrong(quick, spoil):
    line = lines_of(Gpu(integrated=True, free=GIB, spoil=spoil))["multiply"]
    assert line["status"] == "failed"
    assert line["wrong"] == ["bf16", "fp32", "tf32"]
    assert "products differ from fp64 on the CPU" in line["error"]


@pytest.mark.effects  # ptxas is a process
@pytest.mark.parametrize("architecture", [90, 121])
def test_the_kernel_compiles_without_a_gpu(architecture, tmp_path, monkeypatch):
    triton = pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(probe, "tl", triton.language)
    types = {"left": "*fp32", "right": "*fp32", "total": "*fp32", "count": "i32", "BLOCK": "constexpr"}
    source = ASTSource(fn=triton.jit(probe.add_kernel), signature=types, constexprs={(4,): 1024})
    compiled = triton.compile(source, target=GPUTarget("cuda", architecture, 32))
    assert compiled.asm["cubin"].startswith(b"\x7fELF")
