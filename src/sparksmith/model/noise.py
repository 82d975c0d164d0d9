"""Noise on what the model reads of a response, so that it looks at the prompt and not only at what it has just said."""

from __future__ import annotations

import torch


def replace_read(input_ids: torch.Tensor, labels: torch.Tensor, share: float) -> torch.Tensor:
    """The input with a share of its counted tokens replaced by other counted tokens of the batch, drawn at random.

    input_ids and labels: int64 (batch, length); labels are -100 where nothing is counted. What is learned stays as it
    is: the labels are not changed. This is the unigram noising of Xie et al. (https://arxiv.org/abs/1703.02573, read
    2026-11-21), with the batch's own tokens as the unigram distribution.
    """
    counted = labels != -100
    tokens = input_ids.flatten()
    # Whole numbers, so that a GPU draws the same ones each time: its sums of floats, as in multinomial, may differ.
    numbers = counted.flatten().cumsum(0)  # 1 to the count, where a token is counted
    wanted = torch.randint(2**62, tokens.shape, device=tokens.device) % numbers[-1].clamp(min=1) + 1
    places = torch.searchsorted(numbers, wanted)
    drawn = tokens[places.clamp(max=tokens.numel() - 1)]  # past the end in a batch that counts nothing
    chosen = counted & (torch.rand(input_ids.shape, device=input_ids.device) < share)
    return torch.where(chosen, drawn.view_as(input_ids), input_ids)
