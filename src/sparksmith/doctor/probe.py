"""Try an environment's torch out, step by step. Run by that environment's interpreter: `python probe.py [SECONDS]`.

One file of the standard library and torch, for Python 3.9 and torch 2.4 on, because the examined environment has no
Sparksmith. It prints one line of JSON a step, as soon as the step is over, always all of `STEPS` in their order, so
that whoever reads them knows in which step it hung or crashed. What libraries print goes to standard error. After
SECONDS and a little more it kills itself, in case nobody is left to do so.

A line: {"step", "status": "ok" | "failed" | "skipped", "seconds", "warnings"?, ...}; a failed one has `error` (the
traceback's text), a skipped one `why`. Rates are FLOP/s and bytes/s; a copy within a memory counts what is read and
what is written. At most a quarter of the free memory is used, and never more than 2 GiB.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
import json
import math
import os
import platform
import signal
import statistics
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

STEPS = (
    "python", "torch", "cuda", "device", "allocate", "multiply", "copy", "triton", "bitsandbytes", "flash_attn",
)  # fmt: skip
MIB = 1024**2
MOST_BYTES = 2048 * MIB
LEAST_BYTES = 64 * MIB
CPU_BYTES = 64 * MIB
COPIED_BYTES = 512 * MIB
DRIVERS = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")  # the last is WSL's
WARM_SECONDS, TIMED_SECONDS = 0.4, 0.5
CPU_SECONDS = 0.15
BATCH_SECONDS = 0.002  # shorter work is repeated between two events: they resolve half a microsecond
MANY_MULTIPROCESSORS = 100  # from here on only a product of 8192 keeps all of them busy
# Largest difference to the product in fp64, as a share of its largest element. bf16 rounds to 8 bits (0.004), and once
# more where the sum is split; TF32 rounds its inputs to 11 bits (0.0004 seen). Wrong results are wrong by far more.
TOLERANCE = {"bf16": 0.02, "tf32": 0.005, "fp32": 0.005}
TEXT_START, TEXT_END = 1000, 5000  # characters kept of an error's text

Facts = dict[str, Any]
tl: Any = None  # triton.language: Triton looks a kernel's names up among the module's


class Skipped(Exception):
    """A step has nothing to do, for the reason given."""


class State:
    """What earlier steps found out for later ones. `room` is in bytes, for all that a step holds at once."""

    torch: Any = None
    device = "cpu"
    integrated = False
    multiprocessors = 0
    capability = (0, 0)
    cache_bytes = 128 * MIB
    room = 0

    @property
    def on_gpu(self) -> bool:
        return self.device == "cuda"


def describe_python(state: State, facts: Facts) -> None:
    """Which interpreter this is."""
    facts.update(version=platform.python_version(), executable=sys.executable, machine=platform.machine())


def import_torch(state: State, facts: Facts) -> None:
    """Import it; a folder that was left of one that was removed imports, too, and is empty."""
    if importlib.util.find_spec("torch") is None:
        raise Skipped("torch is not installed")
    torch: Any = importlib.import_module("torch")
    facts["version"] = str(torch.__version__)
    facts["cuda"] = torch.version.cuda
    facts["file"] = str(torch.__file__)
    state.torch = torch


def look_for_cuda(state: State, facts: Facts) -> None:
    """Whether torch can use the GPU, and in its own words why not."""
    torch = _need_torch(state)
    facts["driver_loaded"] = any(Path(each).exists() for each in DRIVERS)
    facts["visible_devices"] = os.environ.get("CUDA_VISIBLE_DEVICES")
    facts["available"] = bool(torch.cuda.is_available())
    if facts["available"]:
        state.device = "cuda"
    elif torch.version.cuda is None:
        facts["why"] = "this torch is built without CUDA"
    else:
        try:
            torch.cuda.init()
            facts["why"] = "torch does not say"
        except Exception as error:
            facts["why"] = str(error)[:TEXT_END]


def describe_device(state: State, facts: Facts) -> None:
    """The GPU and what this torch is built for."""
    torch = _need_torch(state)
    if not state.on_gpu:
        raise Skipped("torch sees no GPU")
    properties = torch.cuda.get_device_properties(0)
    state.capability = (properties.major, properties.minor)
    state.multiprocessors = properties.multi_processor_count
    state.integrated = bool(getattr(properties, "is_integrated", False))
    state.cache_bytes = getattr(properties, "L2_cache_size", state.cache_bytes)
    facts.update(
        name=properties.name,
        capability=list(state.capability),
        architectures=torch.cuda.get_arch_list(),
        multiprocessors=state.multiprocessors,
        memory_bytes=properties.total_memory,
        unified_memory=state.integrated,
        count=torch.cuda.device_count(),
    )


def allocate(state: State, facts: Facts) -> None:
    """A block that is written and read again. On unified memory what CUDA calls free leaves the page cache out, and
    what is used is the machine's: the smaller figure counts."""
    torch = _need_torch(state)
    available = _available_bytes()
    facts["available_bytes"] = available
    room = CPU_BYTES
    if state.on_gpu:
        free, total = torch.cuda.mem_get_info()
        facts.update(free_bytes=free, total_bytes=total)
        room = min(MOST_BYTES, free // 4)
    if available is not None and (state.integrated or not state.on_gpu):
        room = min(room, available // 4)
    if room < LEAST_BYTES:
        raise Skipped(f"a quarter of the free memory is {room // MIB} MiB, and {LEAST_BYTES // MIB} are needed")
    block = torch.full((room,), 7, dtype=torch.uint8, device=state.device)
    read = [int(block[place]) for place in (0, room // 2, room - 1)]
    facts.update(bytes=room, read=read)
    state.room = room
    if read != [7, 7, 7]:
        facts["wrong"] = ["allocate"]
        raise ValueError(f"a block of {room} bytes was filled with 7 and holds {read}")


def multiply(state: State, facts: Facts) -> None:
    """Square products in bf16, fp32 and TF32: their rate, and a sample of the result against fp64 on the CPU."""
    torch = _need_room(state)
    wrong = []
    kinds = [("bf16", torch.bfloat16, "highest"), ("fp32", torch.float32, "highest"), ("tf32", torch.float32, "high")]
    for kind, dtype, precision in kinds:
        if state.on_gpu and kind != "fp32" and state.capability < (8, 0):
            continue
        if kind == "tf32" and not state.on_gpu:
            continue
        torch.set_float32_matmul_precision(precision)
        facts[kind] = _multiply(state, dtype)
        if not facts[kind]["difference"] <= TOLERANCE[kind]:
            wrong.append(kind)
    torch.set_float32_matmul_precision("highest")
    if wrong:
        facts["wrong"] = wrong
        shown = ", ".join(f"{kind} by {facts[kind]['difference']:.3g}" for kind in wrong)
        raise ValueError(f"products differ from fp64 on the CPU, as a share of the largest element: {shown}")


def _multiply(state: State, dtype: Any) -> Facts:
    torch, device = state.torch, state.device
    if state.on_gpu:
        torch.cuda.empty_cache()
        wanted = 8192 if state.multiprocessors >= MANY_MULTIPROCESSORS else 4096
    else:
        wanted = 512 if dtype == torch.float32 else 256
    size = wanted
    while 3 * size * size * dtype.itemsize > state.room:
        size //= 2
    generator = torch.Generator(device=device).manual_seed(0)
    left, right = (torch.randn(size, size, dtype=dtype, device=device, generator=generator) for _ in range(2))
    product = torch.empty(size, size, dtype=dtype, device=device)
    seconds, repeats = _measure(state, lambda: torch.mm(left, right, out=product))
    sample = torch.linspace(0, size - 1, 64, device=device).long()
    exact = left[sample].double().cpu() @ right[:, sample].double().cpu()
    difference = (product[sample][:, sample].double().cpu() - exact).abs().max() / exact.abs().max()
    return {
        "flops": 2 * size**3 / seconds, "size": size, "full_size": size == wanted, "seconds": seconds,
        "repeats": repeats, "difference": _finite(float(difference)),
    }  # fmt: skip


def copy(state: State, facts: Facts) -> None:
    """Within the device's memory, and from the host's pinned memory to it; on unified memory that is one memory."""
    torch = _need_room(state)
    count = min(COPIED_BYTES if state.on_gpu else CPU_BYTES // 2, state.room // 2)
    source = torch.full((count,), 5, dtype=torch.uint8, device=state.device)
    target = torch.zeros(count, dtype=torch.uint8, device=state.device)
    facts["within"] = _copy(state, source, target, moved=2 * count)
    if not state.on_gpu:
        return
    facts["within"]["full_size"] = count >= 4 * state.cache_bytes
    del source  # so that what is pinned below does not come on top of it
    torch.cuda.empty_cache()
    available = _available_bytes()
    pinned = count if available is None else max(1, min(count, available // 4))
    host = torch.empty(pinned, dtype=torch.uint8, pin_memory=True).fill_(6)
    facts["from_host"] = _copy(state, host, target[:pinned], moved=pinned)
    facts["from_host"]["one_memory"] = state.integrated


def _copy(state: State, source: Any, target: Any, moved: int) -> Facts:
    seconds, repeats = _measure(state, lambda: target.copy_(source, non_blocking=True))
    expected, last = int(source[-1]), int(target[-1])
    if last != expected:
        raise ValueError(f"a copy of {len(target)} bytes ends with {last} instead of {expected}")
    return {"bytes_per_second": moved / seconds, "bytes": len(target), "seconds": seconds, "repeats": repeats}


def compile_triton(state: State, facts: Facts) -> None:
    """A vector addition, from its source through ptxas to its result."""
    torch = _need_torch(state)
    if importlib.util.find_spec("triton") is None:
        raise Skipped("triton is not installed")
    if not state.on_gpu:
        raise Skipped("there is no GPU to compile for")
    global tl
    triton: Any = importlib.import_module("triton")
    tl = importlib.import_module("triton.language")
    facts["version"] = str(triton.__version__)
    count, block = 98_432, 1024
    left = torch.arange(count, dtype=torch.float32, device=state.device)
    total = torch.empty_like(left)
    began = time.perf_counter()
    triton.jit(add_kernel)[(triton.cdiv(count, block),)](left, left, total, count, BLOCK=block)
    torch.cuda.synchronize()
    facts["compile_seconds"] = time.perf_counter() - began
    if not torch.equal(total, left + left):
        facts["wrong"] = ["triton"]
        raise ValueError("the kernel's sum is wrong")


def add_kernel(left, right, total, count, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = places < count
    added = tl.load(left + places, mask=inside) + tl.load(right + places, mask=inside)
    tl.store(total + places, added, mask=inside)


def import_bitsandbytes(state: State, facts: Facts) -> None:
    """Import it; without its CUDA library it imports all the same, so a few numbers are quantized on the GPU."""
    _import_extension(state, "bitsandbytes", facts)
    if state.on_gpu:
        functional = importlib.import_module("bitsandbytes.functional")
        ones = state.torch.ones(4096, device=state.device)
        back = functional.dequantize_blockwise(*functional.quantize_blockwise(ones))
        facts["difference"] = _finite(float((back - ones).abs().max()))


def import_flash_attn(state: State, facts: Facts) -> None:
    """Import it, with its compiled part."""
    _import_extension(state, "flash_attn", facts)


def _import_extension(state: State, name: str, facts: Facts) -> None:
    _need_torch(state)
    if importlib.util.find_spec(name) is None:
        raise Skipped(f"{name} is not installed")
    module: Any = importlib.import_module(name)
    facts["version"] = str(getattr(module, "__version__", ""))


def _need_torch(state: State) -> Any:
    if state.torch is None:
        raise Skipped("there is no torch to try")
    return state.torch


def _need_room(state: State) -> Any:
    torch = _need_torch(state)
    if not state.room:
        raise Skipped("no memory could be allocated")
    return torch


def _available_bytes() -> int | None:
    """MemAvailable, where the kernel tells it."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _finite(value: float) -> float:
    """JSON has no infinity; whatever is compared with this is over its bound."""
    return value if math.isfinite(value) else 1e9


def _measure(state: State, work: Callable[[], Any]) -> tuple[float, int]:
    """(median seconds of one piece of work, how often it was timed), after a warm-up."""
    return _measure_gpu(state.torch, work) if state.on_gpu else _measure_cpu(work)


def _measure_gpu(torch: Any, work: Callable[[], Any]) -> tuple[float, int]:
    def timed(batch: int, repeats: int) -> list[float]:
        marks = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(repeats)]
        for first, last in marks:
            first.record()
            for _ in range(batch):
                work()
            last.record()
        torch.cuda.synchronize()
        return [first.elapsed_time(last) / 1000 / batch for first, last in marks]

    timed(1, 3)
    once = max(min(timed(1, 3)), 1e-6)
    for _ in range(min(2000, math.ceil(WARM_SECONDS / once))):
        work()
    torch.cuda.synchronize()
    batch = math.ceil(BATCH_SECONDS / once)
    repeats = max(7, min(100, int(TIMED_SECONDS / (batch * once))))
    return statistics.median(timed(batch, repeats)), repeats


def _measure_cpu(work: Callable[[], Any]) -> tuple[float, int]:
    work()
    times: list[float] = []
    end = time.perf_counter() + CPU_SECONDS
    while len(times) < 3 or (time.perf_counter() < end and len(times) < 1000):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return max(statistics.median(times), 1e-9), len(times)


WORK: dict[str, Callable[[State, Facts], None]] = dict(
    zip(  # noqa: B905 (strict came with Python 3.10)
        STEPS,
        (
            describe_python, import_torch, look_for_cuda, describe_device, allocate, multiply, copy, compile_triton,
            import_bitsandbytes, import_flash_attn,
        ),
    )
)  # fmt: skip


def run_step(name: str, state: State) -> Facts:
    """A step's line. Whatever it raises is its result, SystemExit too."""
    facts: Facts = {}
    status = "ok"
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            WORK[name](state, facts)
            if state.on_gpu:
                state.torch.cuda.empty_cache()
        except Skipped as reason:
            status, facts["why"] = "skipped", str(reason)
        except BaseException as error:
            status, facts["error"] = "failed", _text_of(error)
    line: Facts = {"step": name, "status": status, "seconds": time.perf_counter() - began, **facts}
    if warned:
        line["warnings"] = list(dict.fromkeys(str(each.message)[:TEXT_START] for each in warned))[:10]
    return line


def _text_of(error: BaseException) -> str:
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return text if len(text) <= TEXT_START + TEXT_END else f"{text[:TEXT_START]}\n...\n{text[-TEXT_END:]}"


def open_channel() -> TextIO:
    """Standard output for our lines alone: what anybody else prints there goes to standard error from now on."""
    channel = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    return channel


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [each for each in sys.path if each != here]  # the files beside this one are none of the environment's
    channel = open_channel()
    faulthandler.enable(all_threads=False)
    faulthandler.register(signal.SIGUSR1, all_threads=False)  # whoever gives up asks with this where it hangs
    signal.alarm(math.ceil(seconds) + 5)
    state = State()
    for name in STEPS:
        channel.write(json.dumps(run_step(name, state)) + "\n")
        channel.flush()
    os._exit(0)  # how long libraries take to shut down is not asked


if __name__ == "__main__":
    main()
