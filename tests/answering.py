"""Runs that can answer, made without training: a `tiny` model on the pairs of plans.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plans import PAIRS, make_plan
from sparksmith.base.files import write_json
from sparksmith.runs.checkpoints import seal_checkpoint
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import write_manifest


def make_run(folder: Path, **flags: Any) -> RunFolder:
    """folder/run with checkpoint-1: random weights, its layers enlarged so that answers differ."""
    import torch

    from sparksmith.model import make

    folder.mkdir(parents=True, exist_ok=True)
    plan = make_plan(folder, **flags)
    run = RunFolder(Path(plan.output_dir))
    run.path.mkdir()
    write_manifest(run, run="20261121-031500-1a2b", created=1.5, sparksmith="0.1.0", state="finished")
    write_json(run.plan, plan.model_dump(mode="json"))
    tokenizer = make.make_tokenizer(plan, [p for p, _ in PAIRS], [r for _, r in PAIRS], None)
    model = make.make_model(plan, tokenizer, run.base)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and parameter.requires_grad and "embed" not in name:
                parameter.normal_(std=0.3) if "lora" in name else parameter.mul_(8)
    checkpoint = run.path / "checkpoint-1"
    model.save_pretrained(checkpoint)
    tokenizer.save_pretrained(checkpoint)
    write_json(checkpoint / "trainer_state.json", {"global_step": 1})
    seal_checkpoint(checkpoint, 1)
    return run
