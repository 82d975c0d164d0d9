"""What a training step of a small model costs on a GPU: norms by one kernel or by six, in fp32 or in bf16.

usage: small_steps.py [--widths 128 256 512] [--batch 64] [--length 20] [--steps 150] [--at-once 1 6]

Steps of `tiny` as `g2p-word` shapes it (six layers, dropout, AdamW, clipping) over random tokens, in as many processes
at once as asked; prints the median over the processes of each one's milliseconds a step.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.multiprocessing as processes
from transformers import AutoModelForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
from sparksmith.model import dropout, loss, tiny
from sparksmith.model.norms import fuse_norms

VOCABULARY = 100
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Tokens:
    """What a configuration asks of a tokenizer."""

    pad_token_id, eos_token_id = 0, 2

    def __len__(self) -> int:
        return VOCABULARY


def time_steps(width: int, batch: int, length: int, steps: int, fused: bool, bf16: bool, ready) -> float:
    """Milliseconds a step; all processes begin together."""
    torch.manual_seed(1)
    plan = SimpleNamespace(tiny_hidden_size=width, tiny_layers=6, tiny_heads=4, max_length=256, max_new_tokens=58)
    config = tiny.make_config(plan, Tokens())
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="sdpa").to(DEVICE)
    if fused:
        fuse_norms(model)
    dropout.add_dropout(model, 0.1)
    dropout.add_attention_dropout(model, 0.1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=DEVICE == "cuda")
    ids = torch.randint(3, VOCABULARY, (batch, length), device=DEVICE)
    inputs = {"input_ids": ids, "labels": ids.clone()}

    def step() -> None:
        with torch.autocast(DEVICE, torch.bfloat16) if bf16 else contextlib.nullcontext():
            value, _ = loss.response_loss(model, inputs, counted_tokens=batch * length)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    def wait() -> None:
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    for _ in range(10):
        step()
    wait()
    ready.wait()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    wait()
    return (time.perf_counter() - began) / steps * 1e3


def time_all(asked: argparse.Namespace, ready, times) -> None:
    """In a process of its own: every case in turn, each put into `times`."""
    for case in cases(asked):
        times.put((case, time_steps(case[0], asked.batch, asked.length, asked.steps, *case[1:], ready)))


def cases(asked: argparse.Namespace) -> list[tuple[int, bool, bool]]:
    """(width, norms by one kernel, bf16)"""
    return list(itertools.product(asked.widths, (False, True), (True, False)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", nargs="+", type=int, default=[128, 256, 512])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--length", type=int, default=20)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--at-once", nargs="+", type=int, default=[1])
    asked = parser.parse_args()
    context = processes.get_context("spawn")
    print(f"{DEVICE}, batch {asked.batch} x {asked.length}, milliseconds a step")
    print(f"{'at once':>7}{'width':>7}{'norms':>7}{'bf16':>8}{'fp32':>8}")
    for count in asked.at_once:
        times, ready = context.Queue(), context.Barrier(count)
        children = [context.Process(target=time_all, args=(asked, ready, times)) for _ in range(count)]
        for child in children:
            child.start()
        found: dict[tuple[int, bool, bool], list[float]] = {}
        for _ in range(count * len(cases(asked))):
            case, milliseconds = times.get()
            found.setdefault(case, []).append(milliseconds)
        for child in children:
            child.join()
        for width, fused in itertools.product(asked.widths, (False, True)):
            bf16, fp32 = (statistics.median(found[width, fused, rounded]) for rounded in (True, False))
            print(f"{count:>7}{width:>7}{'one' if fused else 'six':>7}{bf16:>8.1f}{fp32:>8.1f}")


if __name__ == "__main__":
    main()
