"""A run or a model, ready to answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import read_json
from sparksmith.data.encode import Encoder
from sparksmith.model.load import load_checkpoint, load_model, load_tokenizer
from sparksmith.recipe.plan import Plan
from sparksmith.runs.layout import CHECKPOINT, RunFolder
from sparksmith.score.phones import Separated


@dataclass(frozen=True)
class Ready:
    """A model with its way of asking. `name` is what the output calls it."""

    name: str
    model: Any
    encoder: Encoder
    separated: Separated | None
    max_new_tokens: int
    batch_size: int
    bf16: bool


def load_ready(
    name: str,
    *,
    separated: Separated | None = None,
    system_prompt: str | None = None,
    max_new_tokens: int | None = None,
    batch_size: int | None = None,
    device: str = "auto",
) -> Ready:
    """A run's newest checkpoint, a named checkpoint of it, or any model of a folder or the hub.

    What is not given comes from the run's plan. Raises `SparksmithError`.
    """
    import torch

    path = Path(name).expanduser()
    folder = next((RunFolder(p) for p in (path, path.parent) if p.is_dir() and RunFolder(p).plan.is_file()), None)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    bf16 = device == "cuda" and torch.cuda.is_bf16_supported()
    if folder is None:
        tokenizer = load_tokenizer(name)
        model = load_model(name, dtype=torch.bfloat16 if bf16 else torch.float32)
        encoder = Encoder(tokenizer, system_prompt=system_prompt, separator="\n")
        return Ready(name, model.to(device).eval(), encoder, separated, max_new_tokens or 256, batch_size or 32, bf16)
    plan = Plan.model_validate(read_json(folder.plan))
    checkpoint = path.absolute() if CHECKPOINT.match(path.absolute().name) else _newest(folder)
    tokenizer = load_tokenizer(str(checkpoint))
    model = load_checkpoint(checkpoint, dtype=torch.float32, base=folder.base)
    encoder = Encoder(
        tokenizer,
        system_prompt=plan.system_prompt if system_prompt is None else system_prompt,
        separator=plan.separator,
    )
    return Ready(
        f"{folder.path.name}/{checkpoint.name}", model.to(device).eval(), encoder, separated or plan.spaces_separate,
        max_new_tokens or plan.max_new_tokens, batch_size or plan.eval_batch_size, bf16,
    )  # fmt: skip


def _newest(folder: RunFolder) -> Path:
    whole = [path for path in folder.checkpoints() if (path / "trainer_state.json").is_file()]
    if not whole:
        raise SparksmithError(
            f"the run {folder.path} has no checkpoint yet",
            f"sparksmith train --output_dir {folder.path} --resume_from_checkpoint",
        )
    return whole[-1]
