"""What has to hold of a run after a kill, at a resume, and at its end. Each check yields what is wrong, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAY_DIFFER = {"time", "tokens_per_second", "memory_available_bytes", "eval_seconds"}  # in a line of metrics.jsonl
SAME_FILES = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "before_averaging.safetensors")


def check_visible(run: Any, newest: int) -> Iterator[str]:
    """After a kill: everything that is seen as a checkpoint is whole, and nothing that was saved is gone."""
    from sparksmith.runs.checkpoints import checkpoint_folders, find_faults

    folders = checkpoint_folders(run.path)
    for folder in folders:
        for fault in find_faults(folder, hashes=True)[:1]:
            yield f"broken checkpoint seen: {folder.name}: {fault}"
    if newest and newest > max((int(folder.name.split("-")[1]) for folder in folders), default=0):
        yield f"saved work lost: checkpoint-{newest} was reported saved"


def check_resume(events: list[dict[str, Any]], whole: list[Path], sealed: list[Path]) -> Iterator[str]:
    """An attempt goes on from the newest whole checkpoint, or from the beginning where there is none.

    `sealed` are those of which only the rename into place was missing; the next attempt may make up for it.
    """
    right = {path.name for path in [*whole[-1:], *sealed]}
    for event in events:
        if event["kind"] == "resumed" and Path(event["path"]).name not in right:
            yield f"resumed from another than the newest whole checkpoint: {Path(event['path']).name}"
    kinds = [event["kind"] for event in events]
    if whole and "training_started" in kinds and "resumed" not in kinds:
        yield "started from the beginning beside a whole checkpoint"


def check_end(run: Any, step: int, wanted: dict[str, Any]) -> Iterator[str]:
    """A finished run, at its last step, is the run that nobody disturbed."""
    import torch

    end = read_end(run, step)
    for name, tensor in wanted["weights"].items():
        if name not in end["weights"] or not torch.equal(end["weights"][name], tensor):
            yield f"weights differ: {name}"
            break
    if end["weights"].keys() != wanted["weights"].keys():
        yield "weights differ: other names"
    yield from (f"{name} differs" for name in SAME_FILES if end["hashes"].get(name) != wanted["hashes"].get(name))
    for kind in ("loss", "eval_loss"):
        steps, right = ([line["step"] for line in side["metrics"] if kind in line] for side in (end, wanted))
        if steps != right:
            yield f"metrics: {kind} at steps {steps} instead of {right}"
    for line, right in zip(end["metrics"], wanted["metrics"], strict=False):
        if line != right:
            yield f"metrics differ: {line} instead of {right}"
            break
    for what in ("predictions", "untrained", "checkpoints", "state"):
        if end[what] != wanted[what]:
            yield f"{what} differ: {str(end[what])[:120]} instead of {str(wanted[what])[:120]}"
    if end["left"]:
        yield f"leftovers: {', '.join(end['left'])}"


def read_end(run: Any, step: int) -> dict[str, Any]:
    """What a run has come to, as far as two runs can be compared by it."""
    from safetensors.torch import load_file

    from sparksmith.runs.checkpoints import checkpoint_folders, read_seal

    last = run.path / f"checkpoint-{step}"
    weights = [last / name for name in ("model.safetensors", "adapter_model.safetensors") if (last / name).exists()]
    seal = read_seal(last)
    return {
        "weights": load_file(weights[0]) if weights else {},
        "hashes": {name: digest for name, (_, digest) in seal.files.items()} if seal else {},
        "metrics": [
            {key: value for key, value in line.items() if key not in MAY_DIFFER} for line in read_records(run.metrics)
        ],
        "predictions": [row["prediction"] for row in read_records(run.predictions)],
        "untrained": [row.get("untrained") for row in read_records(run.predictions)],
        "checkpoints": [path.name for path in checkpoint_folders(run.path)],
        "state": json.loads(run.manifest.read_text(encoding="utf-8"))["state"],
        "left": sorted(path.name for path in run.path.iterdir() if path.name.startswith(".") and path.name != ".lock"),
    }


def read_records(path: Path) -> list[dict[str, Any]]:
    from sparksmith.runs.records import read_lines

    return list(read_lines(path))


def last_words(events: list[dict[str, Any]]) -> str:
    return next((str(event["message"])[:160] for event in reversed(events) if event.get("message")), "nothing said")
