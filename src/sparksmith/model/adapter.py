"""LoRA, by PEFT."""

from __future__ import annotations

from typing import Any

from sparksmith.base.errors import SparksmithError
from sparksmith.recipe.plan import Plan


def add_adapter(model: Any, plan: Plan, base: str) -> Any:
    """The model with fresh LoRA matrices (fp32) on its frozen weights. `base` is what the adapter's config will name.

    Raises `SparksmithError` where no layer has one of the names asked for.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    targets: Any = plan.lora_target_modules
    if targets != "all-linear":
        targets = [name.strip() for name in targets.split(",") if name.strip()]
    config = LoraConfig(
        r=plan.lora_r, lora_alpha=plan.lora_alpha, lora_dropout=plan.lora_dropout, target_modules=targets,
        task_type="CAUSAL_LM",
    )  # fmt: skip
    model.name_or_path = base  # PEFT copies it into the adapter's config
    torch.manual_seed(plan.seed)
    try:
        adapted = get_peft_model(model, config)
    except ValueError as error:
        linear = sorted(
            {name.rsplit(".", 1)[-1] for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)}
        )
        raise SparksmithError(
            f"LoRA cannot be put on {plan.lora_target_modules}: {error}", f"the linear layers are {', '.join(linear)}"
        ) from error
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return adapted
