"""The optimizer: AdamW, by torch, or in 8 bits by bitsandbytes."""

from __future__ import annotations

from typing import Any

from sparksmith.base.errors import SparksmithError
from sparksmith.recipe.plan import Plan

BETA1 = 0.9
EPSILON = 1e-8


def parameter_groups(model: Any, weight_decay: float) -> list[dict[str, Any]]:
    """What trains, in two groups: matrices, which decay, and vectors (biases, norms), which do not."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in trained if parameter.ndim >= 2], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim < 2], "weight_decay": 0.0},
    ]


def make_optimizer(model: Any, plan: Plan) -> Any:
    """AdamW over what trains in the model. Raises `SparksmithError` where bitsandbytes cannot serve this GPU."""
    import torch

    groups = parameter_groups(model, plan.weight_decay)
    betas = (BETA1, plan.adam_beta2)
    if plan.optim == "adamw_torch":
        fused = plan.device == "cuda"
        return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=betas, eps=EPSILON, fused=fused)
    try:
        import bitsandbytes
    except Exception as error:
        raise SparksmithError(f"bitsandbytes cannot be loaded: {error}", "--optim adamw_torch") from error
    manager = bitsandbytes.optim.GlobalOptimManager.get_instance()
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding) and module.weight.requires_grad:
            # embeddings are unstable in 8 bits (Dettmers et al., arxiv.org/abs/2110.02861, section 2.3)
            manager.register_module_override(module, "weight", {"optim_bits": 32})
    return bitsandbytes.optim.AdamW8bit(groups, lr=plan.learning_rate, betas=betas, eps=EPSILON)
