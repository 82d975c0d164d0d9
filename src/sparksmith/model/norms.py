"""One kernel for a norm in place of six: a small model's step takes as long as its kernels take to be launched."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import rms_norm
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm


class FusedNorm(Qwen3RMSNorm):  # type: ignore[misc]
    """The same function of the same weights, by torch's `rms_norm`, which is one kernel on a GPU.

    On a CPU torch takes it apart into the operations that Transformers writes out, and nothing changes there.
    """

    def forward(self, hidden_states: Any) -> Any:
        """hidden_states: (..., size), normed over the last axis; the weight is (size,)."""
        if hidden_states.dtype == self.weight.dtype:
            return rms_norm(hidden_states, self.weight.shape, self.weight, self.variance_epsilon)
        return self.weight * rms_norm(hidden_states, self.weight.shape, eps=self.variance_epsilon)  # autocast's bf16


def fuse_norms(model: torch.nn.Module) -> None:
    """Make each of Qwen3's norms in a model a `FusedNorm`; the weights and their names stay."""
    for module in model.modules():
        if type(module) is Qwen3RMSNorm:
            module.__class__ = FusedNorm
