"""Greedy generation, batched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch


def generate_greedy(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    pad_id: int,
    stop_ids: Sequence[int],
    max_new_tokens: int,
    batch_size: int,
    on_batch: Callable[[int], None] | None = None,
) -> list[list[int]]:
    """The most likely continuation of each prompt, without the stop token, in the prompts' order.

    Prompts of like length share a batch, padded on the left. `on_batch` is told how many prompts are done.
    """
    from transformers import GenerationConfig

    config = GenerationConfig(
        do_sample=False, num_beams=1, max_new_tokens=max_new_tokens, pad_token_id=pad_id, eos_token_id=list(stop_ids)
    )
    device = next(model.parameters()).device
    stops = set(stop_ids)
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    answers: list[list[int]] = [[] for _ in prompts]
    was_training = model.training
    model.eval()
    # What a hub model's own configuration says of sampling has no place here.
    before, model.generation_config = model.generation_config, config
    try:
        for start in range(0, len(order), batch_size):
            members = order[start : start + batch_size]
            longest = max(len(prompts[index]) for index in members)
            input_ids = torch.full((len(members), longest), pad_id)
            mask = torch.zeros((len(members), longest), dtype=torch.int64)
            for row, index in enumerate(members):
                size = len(prompts[index])
                input_ids[row, longest - size :] = torch.tensor(list(prompts[index]))
                mask[row, longest - size :] = 1
            with torch.inference_mode():
                output = model.generate(
                    input_ids=input_ids.to(device), attention_mask=mask.to(device), generation_config=config
                )  # fmt: skip
            for row, index in enumerate(members):
                tokens = output[row, longest:].tolist()
                end = next((at for at, token in enumerate(tokens) if token in stops), len(tokens))
                answers[index] = tokens[:end]
            if on_batch:
                on_batch(start + len(members))
    finally:
        model.generation_config = before
        model.train(was_training)
    return answers
