"""Train the same small runs on the GPU and on the CPU, and compare their losses step by step: `make gpu-check`.

usage: gpu_check.py --data FOLDER [--quick]

In full, with LoRA, and with 8-bit AdamW (on the GPU only; compared with AdamW), in fp32 and bf16. With a folder
sigmorphon2021 in the data also trains `g2p-word` on Hungarian and reports its word error rate. Exits 1 where a
difference is over its bound.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from small_models import save_small_gemma

STEPS = 40
# (name, model, more flags, bound of the relative difference of any step's loss to the CPU's fp32 run)
# fp32 differs by the order of sums only; bf16 has 8 bits of mantissa; 8-bit states round each update.
CASES = (
    ("full fp32", "tiny", ["--precision", "fp32"], 2e-3),
    ("full bf16", "tiny", ["--precision", "bf16"], 3e-2),
    ("LoRA fp32", "gemma", ["--precision", "fp32", "--optim", "adamw_torch"], 2e-3),
    ("LoRA bf16", "gemma", ["--precision", "bf16", "--optim", "adamw_torch"], 3e-2),
    ("LoRA bf16, recomputed", "gemma", ["--precision=bf16", "--optim=adamw_torch", "--gradient_checkpointing"], 3e-2),
    ("LoRA bf16, 8-bit AdamW", "gemma", ["--precision", "bf16", "--optim", "adamw_8bit"], 3e-2),
    ("full fp32, 8-bit AdamW", "gemma", ["--precision", "fp32", "--optim", "adamw_8bit", "--full_finetuning"], 3e-2),
)  # fmt: skip


def train(folder: Path, data: Path, model: str, flags: list[str]) -> list[float]:
    """The loss of every step of one run."""
    command = [
        sys.executable, "-m", "sparksmith", "train", "sft", "--data_file", str(data), "--model", model, "--output_dir",
        str(folder), "--max_steps", str(STEPS), "--batch_size", "8", "--logging_steps", "1", "--save_steps", "1000",
        "--learning_rate", "1e-3", "--max_length", "256", "--lora_r", "16", "--lora_alpha", "16", *flags,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\nexit {done.returncode}\n{done.stderr[-3000:]}")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def compare(scratch: Path, data: Path) -> bool:
    """Every case on the GPU beside its CPU run; prints a table. True where all are within their bounds."""
    gemma = str(save_small_gemma(scratch / "gemma"))
    models = {"tiny": ("tiny", ["--full_finetuning"]), "gemma": (gemma, [])}
    references = {
        "tiny": ["--full_finetuning"], "gemma": ["--optim", "adamw_torch"],
        "gemma in full": ["--optim", "adamw_torch", "--full_finetuning"],
    }  # fmt: skip

    def reference(name: str) -> list[float]:
        model = models[name.split()[0]][0]
        flags = ["--device", "cpu", "--precision", "fp32", *references[name]]
        return train(scratch / f"cpu {name}", data, model, flags)

    with ThreadPoolExecutor(3) as pool:
        expected = dict(zip(references, pool.map(reference, references), strict=True))
    print(f"{'case':<26}{'first loss':>11}{'last loss':>11}{'largest difference':>20}{'bound':>9}")
    good = True
    for name, model, flags, bound in CASES:
        path, more = models[model]
        losses = train(scratch / name, data, path, ["--device", "cuda", *more, *flags])
        wanted = expected["gemma in full" if "--full_finetuning" in flags else model]
        worst = max(abs(a - b) / b for a, b in zip(losses, wanted, strict=True))
        fine = len(losses) == STEPS and worst <= bound and math.isfinite(losses[-1]) and losses[-1] < losses[0]
        good &= fine
        verdict = "" if fine else "   FAILED"
        print(f"{name:<26}{losses[0]:>11.4f}{losses[-1]:>11.4f}{worst:>19.2%} {bound:>8.1%}{verdict}", flush=True)
    return good


def train_hungarian(scratch: Path, data: Path) -> None:
    """`g2p-word` as shipped, on the GPU: training time and dev scores."""
    began = time.monotonic()
    command = [
        sys.executable, "-m", "sparksmith", "train", "g2p-word", "--data_file", str(data / "hun_train.tsv"),
        "--eval_file", str(data / "hun_dev.tsv"), "--output_dir", str(scratch / "hun"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    events = [json.loads(line) for line in (scratch / "hun/events.jsonl").read_text().splitlines()]
    seconds = next(event["seconds"] for event in events if event["kind"] == "training_finished")
    wer = json.loads((scratch / "hun/evaluation.json").read_text())["scores"]["wer"]
    print(
        f"g2p-word on Hungarian, this GPU: dev WER {wer['rate']:.1%} ({wer['errors']} of {wer['total']}), "
        f"{seconds:.0f} s of training, {time.monotonic() - began:.0f} s in all"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the data")
    parser.add_argument("--quick", action="store_true", help="leave the Hungarian run out")
    arguments = parser.parse_args()
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    print(f"{name}, torch {torch.__version__}, Python {sys.version.split()[0]}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        sample = Path(__import__("sparksmith").__file__).parent / "data/samples/g2p-hebrew/train.tsv"
        good = compare(scratch, sample)
        hungarian = arguments.data / "sigmorphon2021"
        if hungarian.is_dir() and not arguments.quick:
            train_hungarian(scratch, hungarian)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
