"""Folders of runs as Sparksmith records them, made up for the tests of the page; every figure is invented."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from records import write_checkpoint
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import write_manifest

BEGAN = 1_795_239_840.0  # 2026-11-21 05:44 UTC


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def rate(errors: int, total: int, low: float, high: float) -> dict[str, Any]:
    share = errors / total
    return {"rate": share, "errors": errors, "total": total, "low": low, "high": high, "mean_of_rows": share + 0.01}


def metrics(steps: int, every: int = 10, evaluate_every: int = 100, begin: float = BEGAN) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for step in range(every, steps + 1, every):
        loss = 0.55 + 2.6 * math.exp(-step / (steps / 6)) + 0.06 * math.sin(step * 1.7)
        rows.append(
            {
                "version": 1, "time": begin + step * 0.1, "step": step, "loss": loss, "epoch": step / 35,
                "learning_rate": 3e-3 * 0.5 * (1 + math.cos(math.pi * step / steps)),
                "grad_norm": 0.8 + 0.3 * math.sin(step), "tokens_per_second": 8000 + 300 * math.cos(step),
                "tokens_seen": step * 530, "memory_available_bytes": 24_000_000_000 - step * 100_000,
            }
        )  # fmt: skip
        if step % evaluate_every == 0:
            left = math.exp(-step / (steps / 4))
            rows.append(
                {
                    "version": 1, "time": begin + step * 0.1 + 0.05, "step": step, "eval_loss": 0.7 + 2 * left,
                    "eval_per": 0.06 + 0.7 * left, "eval_wer": 0.2 + 0.8 * left,
                    "eval_wer_with_stress": 0.24 + 0.76 * left,
                    "eval_stress_error": 0.05 + 0.3 * left, "eval_cer": 0.07 + 0.6 * left,
                    "eval_exact_match": 0.75 * (1 - left), "eval_seconds": 0.4,
                }
            )  # fmt: skip
    return rows


def events(steps: int, run: Path, save_every: int = 100, stopped_at: int | None = 300) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []

    def add(after: float, kind: str, **facts: Any) -> None:
        rows.append({"version": 1, "time": BEGAN + after, "kind": kind, **facts})

    add(-9, "job_started", pid=4711)
    add(-1, "data_read", train_rows=1096, eval_rows=336)
    add(0, "training_started", step=0, max_steps=steps)
    for step in range(save_every, steps + 1, save_every):
        add(step * 0.1 + 0.06, "checkpoint_saved", step=step, path=str(run / f"checkpoint-{step}"))
        if step == stopped_at:
            add(step * 0.1 + 0.07, "job_finished", exit_code=75, step=step, message="sparksmith stop: asked for")
            add(step * 0.1 + 0.08, "job_started", pid=4712)
            add(step * 0.1 + 0.08, "resumed", step=step, path=str(run / f"checkpoint-{step}"), metrics_made_again=0)
    add(steps * 0.05, "warning", message="wandb has no key here", step=steps // 2)
    rows.sort(key=lambda row: row["time"])
    add(steps * 0.1 + 1, "training_finished", step=steps, seconds=steps * 0.1)
    add(steps * 0.1 + 2, "evaluation", scores={})
    add(steps * 0.1 + 3, "job_finished", exit_code=0, step=steps, message="finished")
    return rows


def evaluation() -> dict[str, Any]:
    scores = {
        "per": rate(161, 2685, 0.051, 0.069), "wer": rate(97, 466, 0.172, 0.247),
        "wer_with_stress": rate(113, 466, 0.205, 0.281), "stress_error": rate(25, 466, 0.036, 0.073),
        "cer": rate(240, 3400, 0.06, 0.081), "exact_match": rate(251, 336, 0.699, 0.792),
    }  # fmt: skip
    before = {name: rate(98, 100, 0.95, 1.0) for name in scores} | {"per": rate(126, 100, 1.2, 1.31)}
    before["exact_match"] = rate(0, 336, 0.0, 0.0)
    counts = [
        ("e", "a", 21, 410), ("a", "e", 17, 520), ("o", "u", 14, 301), ("e", None, 12, 410), ("i", "e", 9, 377),
        ("χ", "k", 8, 122), ("v", "b", 8, 98), ("b", "v", 7, 110), (None, "e", 6, 2685), ("ʔ", None, 6, 61),
        ("u", "o", 5, 180), ("ts", "s", 4, 44), ("s", "ʃ", 4, 120), ("ʃ", "s", 3, 133), ("f", "p", 3, 58),
        ("p", "f", 2, 90), ("a", "o", 2, 520), ("tʃ", "ts", 1, 4), (None, "a", 1, 2685),
    ]  # fmt: skip
    worst = [
        {
            "line": 17 + number, "prompt": "מכתב הגיע", "reference": "miχtˈav higˈia", "prediction": "meχtˈev iɡˈia",
            "errors": 4, "total": 11,
            "edits": [
                {"expected": left, "predicted": right}
                for left, right in zip(
                    ["m", "i", "χ", "t", "a", "v", " ", "h", "i", "g", "i", "a"],
                    ["m", "e", "χ", "t", "e", "v", " ", None, "i", "ɡ", "i", "a"], strict=True,
                )
            ],
        }
        for number in range(3)
    ]  # fmt: skip
    return {
        "version": 1, "model": "tiny", "data": "held_out.tsv", "rows": 336, "seconds": 0.9,
        "decoding": {"method": "greedy", "batch_size": 64, "max_new_tokens": 40, "precision": "fp32"},
        "too_long": [], "cut_off": 2, "scores": scores, "untrained": before, "worst": worst,
        "confusions": [
            {"expected": left, "predicted": right, "count": count, "of": of} for left, right, count, of in counts
        ],
    }  # fmt: skip


def data() -> dict[str, Any]:
    def one(role: str, rows: int, **found: Any) -> dict[str, Any]:
        bins = [rows * weight // 100 for weight in (1, 4, 9, 14, 17, 16, 13, 10, 7, 4, 2, 1, 1, 0, 1)]
        histogram = [{"from": 4 + 4 * at, "to": 8 + 4 * at, "count": count} for at, count in enumerate(bins)]
        lengths = {
            "unit": "tokens", "max_length": 48, "over": 9, "shortest": 5, "median": 22, "p95": 40, "longest": 63,
            "histogram": histogram,
        }  # fmt: skip
        nothing = {"rows": 0, "lines": []}
        facts = {"duplicates": nothing, "conflicts": {"prompts": 0, "lines": []}, "not_nfc": nothing}
        path = f"/srv/{'held_out' if role == 'eval' else 'train'}.tsv"
        return {
            "role": role, "path": path, "sha256": "ab" * 32, "rows": rows, "format": "tsv", "kind": "pair",
            "lengths": lengths, **facts, **found,
        }  # fmt: skip

    return {
        "version": 1,
        "files": [
            one(
                "train", 1096, duplicates={"rows": 3, "lines": [12, 40, 77]}, conflicts={"prompts": 2, "lines": [5, 9]}
            ),
            one("eval", 336, not_nfc={"rows": 1, "lines": [3]}),
        ],
        "overlap": {"rows": 4, "prompts": 6, "lines": [2, 8, 11, 30]},
        "unseen_characters": [{"character": "ץ", "name": "HEBREW LETTER FINAL TSADI", "rows": 1, "line": 44}],
    }


def plan(run: Path, steps: int, **changed: Any) -> dict[str, Any]:
    return {
        "name": "g2p-hebrew", "description": "Hebrew to phones", "model": "tiny", "method": "sft", "seed": 3407,
        "spaces_separate": "words", "system_prompt": None, "batch_size": 32, "micro_batch_size": 32,
        "learning_rate": 0.003, "max_steps": steps, "max_length": 256, "device": "cpu", "precision": "fp32",
        "full_finetuning": True, "output_dir": str(run), "version": 1,
        "train_data": {"path": "/srv/train.tsv", "sha256": "ab" * 32, "rows": 1096, "format": "tsv"},
        "eval_data": {"path": "/srv/held_out.tsv", "sha256": "cd" * 32, "rows": 336, "format": "tsv"},
        "choices": [
            {"name": "device", "value": "cpu", "why": "nvidia-smi shows no GPU"},
            {"name": "micro_batch_size", "value": 32, "why": "the whole batch; memory is not predicted yet"},
        ],
        **changed,
    }  # fmt: skip


def settings(run: Path, steps: int) -> dict[str, Any]:
    origins = {
        "max_steps": {"source": "flag", "why": ""}, "model": {"source": "recipe", "why": "the recipe g2p-hebrew"},
        "seed": {"source": "default", "why": "the usual one"}, "output_dir": {"source": "flag", "why": ""},
        "full_finetuning": {"source": "derived", "why": "`tiny` starts from random weights"},
    }  # fmt: skip
    values = {"max_steps": steps, "model": "tiny", "seed": 3407, "output_dir": str(run)}
    return {"version": 1, "values": values, "origins": origins}


PREDICTIONS = [
    ("שלום", "ʃalˈom", "ʃalˈom", "aaaa"), ("מכתב", "miχtˈav", "meχtˈav", "aˈa"), ("ילדה", "jaldˈa", "jaldˈa", "uuˈu"),
    ("חדר", "χˈedeʁ", "χˈedʁ", "tʃtʃ"), ("אני הולך", "anˈi holˈeχ", "anˈi holˈeχ", ""), ("צבע", "tsˈeva", "sˈeva", "ʒ"),
]  # fmt: skip


def write_made_run(path: Path, steps: int = 600, every: int = 10, **changed: Any) -> RunFolder:
    """A run that was stopped at step 300, resumed, and finished; with every record that a page shows."""
    path.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(path)
    write_manifest(
        folder, run="20261121-054401-70bb", created=BEGAN - 9, name="g2p-hebrew", sparksmith="0.1.0", state="finished",
        command=["sparksmith", "train", "g2p-hebrew", "--max_steps", str(steps), "--output_dir", str(path)],
        exit_code=0, process=None, message=None, python="3.11.7", packages={"torch": "2.13.0", "trl": "1.16.0"},
        machine={
            "architecture": "aarch64", "cores": 20, "memory_bytes": 128 * 2**30,
            "gpus": [{"name": "NVIDIA GB10", "driver": "580.95.05"}],
        },
        parameters=861_440, trainable_parameters=861_440,
    )  # fmt: skip
    folder.plan.write_text(json.dumps(plan(path, steps, **changed)))
    folder.settings.write_text(json.dumps(settings(path, steps)))
    folder.recipe.write_text("name: g2p-hebrew\nmodel: tiny\n")
    write_lines(folder.events, events(steps, path))
    write_lines(folder.metrics, metrics(steps, every))
    folder.evaluation.write_text(json.dumps(evaluation(), ensure_ascii=False), encoding="utf-8")
    folder.data.write_text(json.dumps(data(), ensure_ascii=False), encoding="utf-8")
    write_lines(
        folder.predictions,
        [
            {"line": at, "prompt": prompt, "reference": reference, "prediction": prediction, "untrained": before}
            for at, (prompt, reference, prediction, before) in enumerate(PREDICTIONS, start=1)
        ],
    )
    for step in (steps - 100, steps):
        write_checkpoint(path, step, eval_loss=0.7 + 1 / step)
    return folder
