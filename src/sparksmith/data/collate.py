"""Encoded examples become the tensors of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

IGNORED = -100  # the label that torch's cross entropy leaves out


class Collator:
    """Pads on the right to the longest of the batch. No attention mask is made: under causal attention no token sees
    what stands to its right, so padding changes nothing for the tokens that count, and SDPA may use its causal kernel.

    Returns input_ids and labels, int64 of shape (batch, length), and logits_to_keep: how many positions from the end
    need logits, which is where the first counted token of the batch stands.
    """

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        length = max(len(row["input_ids"]) for row in rows)
        input_ids = torch.full((len(rows), length), self.pad_id)
        labels = torch.full((len(rows), length), IGNORED)
        first = length
        for at, row in enumerate(rows):
            size = len(row["input_ids"])
            input_ids[at, :size] = torch.tensor(row["input_ids"])
            labels[at, :size] = torch.tensor(row["labels"])
            first = min(first, next((i for i, label in enumerate(row["labels"]) if label != IGNORED), length))
        keep = length - max(0, min(first, length - 1) - 1)  # the token before a counted one predicts it
        return {"input_ids": input_ids, "labels": labels, "logits_to_keep": keep}


def labels_of(input_ids: Sequence[int], counted: Sequence[bool]) -> list[int]:
    """The labels: the token itself where the loss counts it, IGNORED elsewhere."""
    return [token if count else IGNORED for token, count in zip(input_ids, counted, strict=True)]
