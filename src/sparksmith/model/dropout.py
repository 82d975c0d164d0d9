"""Dropout for models that have none: on what each block adds to the residual stream, and on the attention weights."""

from __future__ import annotations

from typing import Any

from sparksmith.base.errors import SparksmithError

BLOCKS = ("self_attn", "mlp")


def add_dropout(model: Any, share: float) -> None:
    """Hook dropout onto the blocks of every decoder layer. It acts in training mode only and is not saved.

    Raises `SparksmithError` for an architecture whose layers do not have these blocks.
    """
    if share == 0:
        return
    import torch

    def drop(module: Any, _inputs: Any, output: Any) -> Any:
        if not module.training:
            return output
        if isinstance(output, tuple):
            return (torch.nn.functional.dropout(output[0], share), *output[1:])
        return torch.nn.functional.dropout(output, share)

    found = 0
    for name, module in model.named_modules():
        if name.rsplit(".", 1)[-1] in BLOCKS and ".layers." in f".{name}":
            module.register_forward_hook(drop)
            found += 1
    if not found:
        raise SparksmithError(
            f"dropout cannot be put into {type(model).__name__}", "--dropout 0; LoRA has --lora_dropout"
        )


def add_attention_dropout(model: Any, share: float) -> None:
    """Set the dropout that Transformers' attention applies to its weights in training mode. It is not saved.

    Raises `SparksmithError` for an architecture whose attention has no such setting.
    """
    if share == 0:
        return
    found = [
        module for module in model.modules() if isinstance(getattr(module, "attention_dropout", None), (int, float))
    ]
    if not found:
        raise SparksmithError(
            f"{type(model).__name__} has no dropout on its attention weights",
            "--attention_dropout 0; there is --dropout",
        )
    for module in found:
        module.attention_dropout = share
