"""Runs that survive, on a GPU: what a save costs at 0.6B, and whether a killed run ends as the others do.

usage: PYTHONPATH=gpu-kit/site:gpu-kit python3 benchmarks/gpu_runs.py save | resume      (on the CUDA machine)

`save` compares Sparksmith's save with writing the same tensors by safetensors and torch.save and fsync, each in a
process of its own, in turn; `resume` kills a run in the middle, resumes it, and holds its curve against two
uninterrupted ones.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPEATS = 3


def make_state(kind: str):
    """(model, optimizer) of Qwen3-0.6B's shape with AdamW's states filled: in full in fp32, or LoRA r 16 over bf16."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen3Config

    config = Qwen3Config(
        hidden_size=1024, num_hidden_layers=28, num_attention_heads=16, num_key_value_heads=8, head_dim=128,
        intermediate_size=3072, vocab_size=151936, tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32 if kind == "full" else torch.bfloat16)
    if kind == "lora":
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(r=16, target_modules="all-linear", task_type="CAUSAL_LM"))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-6)
    for parameter in trained:
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return model, optimizer


def write_plainly(model, optimizer, kind: str, folder: Path) -> None:
    """The same tensors, by the libraries, flushed to the disk."""
    import safetensors.torch
    import torch

    folder.mkdir(parents=True)
    state = {
        name: parameter.detach().contiguous()
        for name, parameter in model.named_parameters()
        if kind == "full" or parameter.requires_grad
    }
    safetensors.torch.save_file(state, folder / "model.safetensors")
    torch.save(optimizer.state_dict(), folder / "optimizer.pt")
    for path in folder.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def measure_save(way: str, kind: str) -> None:
    """Print seconds of each save and the process's peak resident memory over what it was before, as JSON."""
    import torch
    from transformers.utils import logging

    from sparksmith.machine.memory import read_memory
    from sparksmith.runs.layout import RunFolder
    from sparksmith.runs.records import Recorder
    from sparksmith.train.saving import Saver

    logging.disable_progress_bar()
    model, optimizer = make_state(kind)
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("SAVE_TO")))
    saver = Saver(folder, REPEATS + 1, Recorder(RunFolder(folder)), lambda: read_memory().available_bytes)

    def write(staging: Path, step: int) -> None:
        target = staging / f"checkpoint-{step}"
        model.save_pretrained(target)
        torch.save(optimizer.state_dict(), target / "optimizer.pt")

    def status(field: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

    torch.cuda.synchronize()
    before = status("VmRSS")
    seconds = []
    size = 0
    for step in range(1, REPEATS + 2):
        os.sync()
        began = time.perf_counter()
        if way == "ours":
            done = saver.save(step, lambda staging, step=step: write(staging, step), disk=0, memory=0)
            assert done, saver.trouble
            target = folder / f"checkpoint-{step}"
        else:
            target = folder / f"plain-{step}"
            write_plainly(model, optimizer, kind, target)
        seconds.append(time.perf_counter() - began)
        size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
        if way != "ours":
            shutil.rmtree(target)
    shutil.rmtree(folder)
    peak = status("VmHWM") - before
    print("SAVE " + json.dumps({"way": way, "kind": kind, "seconds": seconds[1:], "bytes": size, "peak": peak}))


def compare_saves() -> None:
    """A table of both ways, full and LoRA, each way twice and in turn."""
    print(f"{'case':<6}{'GB':>7}{'plain s':>10}{'ours s':>10}{'ratio':>8}{'plain peak GB':>15}{'ours peak GB':>14}")
    for kind in ("full", "lora"):
        results: dict[str, list[dict]] = {"plain": [], "ours": []}
        for way in ("plain", "ours", "ours", "plain"):
            done = subprocess.run(
                [sys.executable, __file__, "one-save", way, kind], capture_output=True, text=True, check=False
            )  # fmt: skip
            line = next((line for line in done.stdout.splitlines() if line.startswith("SAVE ")), None)
            if line is None:
                raise SystemExit(done.stderr[-3000:])
            results[way].append(json.loads(line[5:]))
        seconds = {way: statistics.median(s for one in rows for s in one["seconds"]) for way, rows in results.items()}
        peaks = {way: max(one["peak"] for one in rows) / 1e9 for way, rows in results.items()}
        gigabytes = results["ours"][0]["bytes"] / 1e9
        print(
            f"{kind:<6}{gigabytes:>7.2f}{seconds['plain']:>10.2f}{seconds['ours']:>10.2f}"
            f"{seconds['ours'] / seconds['plain']:>8.2f}{peaks['plain']:>15.2f}{peaks['ours']:>14.2f}",
            flush=True,
        )


def curve(folder: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if "loss" in line]
    assert len(steps) == len(set(steps)), "a step stands twice"
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def check_resume() -> None:
    """Two uninterrupted runs, and one that is killed twice and resumed: the largest differences of their curves."""
    import sparksmith

    data = Path(sparksmith.__file__).parent / "data/samples/g2p-hebrew/train.tsv"
    scratch = Path(tempfile.mkdtemp())

    def command(name: str, *more: str) -> list[str]:
        return [
            sys.executable, "-m", "sparksmith", "train", "g2p-hebrew", "--data_file", str(data), "--max_steps", "400",
            "--save_steps", "70", "--logging_steps", "20", "--output_dir", str(scratch / name), *more,
        ]  # fmt: skip

    for name in ("first", "second"):
        subprocess.run(command(name), check=True, capture_output=True)
    for attempt, limit in enumerate((150, 300, None)):
        more = ["--resume_from_checkpoint"] if attempt else []
        process = subprocess.Popen(
            command("killed", *more), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )  # fmt: skip
        while limit is not None and process.poll() is None:
            path = scratch / "killed/metrics.jsonl"
            if path.exists() and any(step >= limit for step in curve(scratch / "killed")):
                os.killpg(process.pid, signal.SIGKILL)
                break
            time.sleep(0.02)
        process.wait()
    curves = {name: curve(scratch / name) for name in ("first", "second", "killed")}
    for name in ("second", "killed"):
        assert curves[name].keys() == curves["first"].keys(), (name, sorted(curves[name]))
        worst = max(abs(curves[name][step] - loss) / loss for step, loss in curves["first"].items())
        print(f"{name:<8} against first: largest difference of {len(curves[name])} points {worst:.3%}")
    events = [json.loads(line) for line in (scratch / "killed/events.jsonl").read_text().splitlines()]
    print("resumed from steps", [event["step"] for event in events if event["kind"] == "resumed"])
    shutil.rmtree(scratch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["save", "resume", "one-save"])
    parser.add_argument("more", nargs="*")
    arguments = parser.parse_args()
    if arguments.what == "one-save":
        measure_save(*arguments.more)
    elif arguments.what == "save":
        compare_saves()
    else:
        check_resume()


if __name__ == "__main__":
    main()
