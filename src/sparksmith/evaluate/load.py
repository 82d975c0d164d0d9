"""A run or a model, ready to answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import read_json
from sparksmith.data.encode import Encoder
from sparksmith.evaluate.dataset import Precision
from sparksmith.evaluate.find import Found
from sparksmith.model import tiny
from sparksmith.model.device import check_cuda
from sparksmith.model.load import load_checkpoint, load_model, load_tokenizer
from sparksmith.score.phones import Separated

MAX_NEW_TOKENS, BATCH_SIZE = 256, 32  # of a MODEL; a run's plan knows its own


@dataclass(frozen=True)
class Ready:
    """A model with its way of asking. `name` is what the output calls it."""

    name: str
    model: Any
    encoder: Encoder
    separated: Separated | None
    max_new_tokens: int
    batch_size: int
    precision: Precision


def load_ready(
    found: Found,
    *,
    separated: Separated | None = None,
    system_prompt: str | None = None,
    separator: str | None = None,
    max_new_tokens: int | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> Ready:
    """Load what was found. What is not given comes from the run's plan. Raises `SparksmithError`."""
    import torch

    plan = found.plan
    device, chosen = choose_device(device, precision)
    folder = Path(found.source).expanduser()
    adapter = (folder / "adapter_config.json").is_file()
    # As in training: what trains in fp32, what is frozen in bf16 where the GPU has it.
    frozen = adapter if plan is None else not plan.full_finetuning
    dtype = torch.bfloat16 if chosen == "bf16" and (frozen or plan is None) else torch.float32
    if adapter:
        model = load_checkpoint(folder, dtype=dtype, base=found.folder.base if found.folder else None)
    else:
        model = load_model(found.source, dtype=dtype)
    own_tokenizer = not adapter or (folder / "tokenizer_config.json").is_file()
    tokenizer = load_tokenizer(
        found.source if own_tokenizer else str(read_json(folder / "adapter_config.json")["base_model_name_or_path"])
    )
    encoder = Encoder(
        tokenizer,
        system_prompt=plan.system_prompt if system_prompt is None and plan else system_prompt,
        separator=separator if separator is not None else plan.separator if plan else "\n",
    )
    return Ready(
        found.name, _on_device(model, device).eval(), encoder,
        separated or (plan.spaces_separate if plan else None),
        max_new_tokens or (plan.max_new_tokens if plan else MAX_NEW_TOKENS),
        batch_size or (plan.eval_batch_size if plan else BATCH_SIZE), chosen,
    )  # fmt: skip


def load_base(found: Found, ready: Ready, device: str = "auto") -> Ready:
    """The model that a run began with, asked as the run is: `tiny` is made again from the plan's seed."""
    import torch

    plan = found.plan
    assert plan is not None
    device, _ = choose_device(device, ready.precision)
    if plan.tiny:
        model = tiny.make_model(plan, ready.encoder.tokenizer)
        encoder = ready.encoder
    else:
        frozen = ready.precision == "bf16" and not plan.full_finetuning
        model = load_model(plan.model, dtype=torch.bfloat16 if frozen else torch.float32)
        encoder = Encoder(
            load_tokenizer(plan.model), system_prompt=ready.encoder.system_prompt, separator=ready.encoder.separator
        )
    return Ready(
        plan.model, _on_device(model, device).eval(), encoder, ready.separated, ready.max_new_tokens,
        ready.batch_size, ready.precision,
    )  # fmt: skip


def choose_device(device: str, precision: str) -> tuple[str, Precision]:
    """What `auto` means here. Raises `SparksmithError` where torch sees no GPU, or it has no bfloat16."""
    import torch

    if device == "cuda":
        check_cuda()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    able = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16" and device == "cuda" and not able:
        raise SparksmithError("precision bf16 was asked for and this GPU has no bfloat16", "--precision fp32")
    return device, "bf16" if precision == "bf16" or (precision == "auto" and able) else "fp32"


def _on_device(model: Any, device: str) -> Any:
    """Raises `SparksmithError` where the GPU's memory does not suffice for the weights."""
    import torch

    try:
        return model.to(device)
    except torch.OutOfMemoryError as error:
        raise SparksmithError(
            "the GPU's memory does not suffice for the model's weights",
            "--device cpu, or end what else uses the GPU (nvidia-smi)",
        ) from error
