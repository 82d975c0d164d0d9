"""Compare what `doctor --deep` measures with torch's own benchmark of the same work, on the same GPU.

usage: deep_check.py [--rounds 2] [--target h200]

Runs the probe in a child and then torch.utils.benchmark here, in turns, with this interpreter; prints each figure of
both and their difference. Exits 1 where the medians over the rounds differ by more than 5%, or the probe finds a fault.
Takes well below 30 s a round. On a CPU the figures are printed and not judged: the pieces of work are small there.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from torch.utils.benchmark import Timer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
from sparksmith.doctor.deep import DeepResult, describe_result, findings_of, run_probe, shares_of
from sparksmith.policy.targets import load_target

BOUND = 0.05
SECONDS = 1.0  # that torch's benchmark takes for each figure
PRODUCTS = {"bf16": (torch.bfloat16, False), "fp32": (torch.float32, False), "tf32": (torch.float32, True)}
COPIES = {"within": "copy within the memory", "from_host": "copy from the host, pinned"}


def time_plainly(statement: str, names: dict[str, object]) -> float:
    """Median seconds, by torch.utils.benchmark."""
    timer = Timer(statement, globals=names, num_threads=torch.get_num_threads())
    timer.timeit(20)
    return timer.blocked_autorange(min_run_time=SECONDS).median


def measure_plainly(probed: DeepResult, device: str) -> dict[str, float]:
    """The same figures, for work of the probe's sizes: FLOP/s and bytes/s."""
    figures = {}
    multiply, copy = probed.step("multiply"), probed.step("copy")
    for kind, (dtype, tf32) in PRODUCTS.items():
        if multiply is None or kind not in multiply.facts:
            continue
        torch.backends.cuda.matmul.allow_tf32 = tf32
        size = multiply.facts[kind]["size"]
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        figures[kind] = 2 * size**3 / time_plainly("a @ b", {"a": a, "b": b})
    for kind in COPIES:
        if copy is None or kind not in copy.facts:
            continue
        size = copy.facts[kind]["bytes"]
        target = torch.empty(size // 4, device=device)
        if kind == "within":
            source, moved = torch.ones(size // 4, device=device), 2 * size
        else:
            source, moved = torch.ones(size // 4).pin_memory(), size
        figures[kind] = moved / time_plainly(
            "target.copy_(source, non_blocking=True)", {"target": target, "source": source}
        )
    if device == "cuda":
        torch.cuda.empty_cache()
    return figures


def read_figures(probed: DeepResult) -> dict[str, float]:
    """What the probe measured."""
    multiply, copy = probed.step("multiply"), probed.step("copy")
    figures = {kind: multiply.facts[kind]["flops"] for kind in PRODUCTS if multiply and kind in multiply.facts}
    return figures | {kind: copy.facts[kind]["bytes_per_second"] for kind in COPIES if copy and kind in copy.facts}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--target", default="h200")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    target = load_target(options.target)
    rounds: list[tuple[dict[str, float], dict[str, float]]] = []
    good = True
    for number in range(options.rounds):
        began = time.monotonic()
        probed = run_probe(Path(sys.executable))
        took = time.monotonic() - began
        print(f"\nround {number + 1}: the probe took {took:.1f} s")
        print("\n".join(f"  {line}" for line in describe_result(probed)), flush=True)
        for seen in findings_of(probed, target):
            good = False
            print(f"  FOUND {seen.fault}: {seen.here}", *seen.evidence, sep="\n    ")
        for key, (rate, expected) in shares_of(probed, target).items():
            print(f"  {key}: {rate / expected:.0%} of the target's")
        rounds.append((read_figures(probed), measure_plainly(probed, device)))
    print(f"\n{'median of the rounds':<36}{'probe':>9}{'plain':>9}{'difference':>12}")
    for kind in (*PRODUCTS, *COPIES):
        pairs = [(ours[kind], plain[kind]) for ours, plain in rounds if kind in ours and kind in plain]
        if not pairs:
            continue
        ours, plain = (statistics.median(column) for column in zip(*pairs, strict=True))
        scale, unit = (1e12, "TFLOP/s") if kind in PRODUCTS else (1e9, "GB/s")
        fine = abs(ours / plain - 1) <= BOUND or device == "cpu"
        good &= fine
        name = f"{COPIES.get(kind, f'{kind} product')}, {unit}"
        over = "" if fine else "  OVER"
        print(f"{name:<36}{ours / scale:>9.4g}{plain / scale:>9.4g}{ours / plain - 1:>+12.1%}{over}")
    if device == "cpu":
        print("on a CPU: not judged")
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
