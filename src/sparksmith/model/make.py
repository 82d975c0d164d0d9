"""From a plan to a model that can train: weights, tokenizer, adapter, dropout, recompute."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sparksmith.model import adapter, dropout, load, recompute, tiny
from sparksmith.recipe.plan import Plan


def make_tokenizer(plan: Plan, prompts: Sequence[str], responses: Sequence[str], saved: Path | None) -> Any:
    """The plan's tokenizer: `tiny` learns one from the texts, unless one was saved for this run before."""
    if not plan.tiny:
        return load.load_tokenizer(plan.model)
    if saved is not None:
        return load.load_tokenizer(str(saved))
    return tiny.make_tokenizer(prompts, responses, phones=plan.spaces_separate == "phones")


def make_model(plan: Plan, tokenizer: Any, base: Path, seal: Callable[[Path], object] | None = None) -> Any:
    """The plan's model, on the plan's device, with what trains in fp32.

    `base` is the folder where `tiny` is saved once when an adapter is to stand on it, so that the adapter's config can
    name it; `seal` is given the folder before it is seen there. Raises `SparksmithError` where the model cannot be
    loaded or changed as asked.
    """
    import torch

    frozen = torch.bfloat16 if plan.precision == "bf16" else torch.float32
    if plan.tiny:
        model = tiny.make_model(plan, tokenizer)
    else:
        model = load.load_model(plan.model, dtype=torch.float32 if plan.full_finetuning else frozen)
    model.config.use_cache = True
    model = model.to(plan.device)
    dropout.add_dropout(model, plan.dropout)
    dropout.add_attention_dropout(model, plan.attention_dropout)
    if not plan.full_finetuning:
        source = plan.model
        if plan.tiny:
            if not (base / "config.json").is_file():
                beside = base.with_name(f".saving-{base.name}")  # seen whole or not at all
                shutil.rmtree(beside, ignore_errors=True)
                model.save_pretrained(beside)
                tokenizer.save_pretrained(beside)
                if seal is not None:
                    seal(beside)
                beside.rename(base)
            source = str(base)
        elif Path(plan.model).expanduser().is_dir():
            source = str(Path(plan.model).expanduser().resolve())
        model = adapter.add_adapter(model, plan, source)
    if plan.gradient_checkpointing:
        recompute.add_recompute(model)
    return model


def count_parameters(model: Any) -> tuple[int, int]:
    """(all, those that train); tied weights count once."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, _ in sizes), sum(size for size, trains in sizes if trains)
