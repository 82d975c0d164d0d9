"""The loss: cross entropy of the counted tokens, in fp32, over the counted tokens of the whole optimizer step."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy


def response_loss(
    model: Any, batch: dict[str, Any], *, counted_tokens: Any = None, label_smoothing: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """(loss, logits) of one micro-batch.

    batch: input_ids and labels, int64 (batch, length), right-padded; labels are -100 where nothing is counted;
    logits_to_keep, the number of last positions that need logits (all, where it is absent). `counted_tokens` is the
    number of counted tokens in the optimizer step, over all its micro-batches; the loss is the sum over this
    micro-batch divided by it, so that micro-batches add up to the loss of the whole. logits: (batch, kept, vocabulary).
    """
    labels = batch["labels"]
    keep = int(batch.get("logits_to_keep", labels.shape[1]))
    logits = model(input_ids=batch["input_ids"], logits_to_keep=keep, use_cache=False).logits
    targets = labels[:, labels.shape[1] - keep :][:, 1:]
    total = cross_entropy(
        logits[:, :-1].float().flatten(0, 1), targets.flatten(), reduction="sum", label_smoothing=label_smoothing
    )
    if counted_tokens is None:
        counted_tokens = (targets != -100).sum()
    return total / torch.as_tensor(counted_tokens, device=total.device).clamp(min=1), logits
