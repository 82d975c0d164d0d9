"""Recomputing activations in the backward pass (gradient checkpointing), by Transformers."""

from __future__ import annotations

from typing import Any


def add_recompute(model: Any) -> None:
    """Each decoder layer keeps its input only. With an adapter the embeddings' output must ask for a gradient, or the
    first layer would have none to pass on (huggingface/transformers#42489)."""
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if hasattr(model, "peft_config"):
        model.enable_input_require_grads()
