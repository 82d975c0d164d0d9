"""The order in which examples are seen: a function of the lengths, the seed, the epoch and the effective batch only.

How a batch is divided into micro-batches changes nothing here, so 8x1, 4x2 and 2x4 see the same examples in the same
steps; and a resumed run finds its place by counting.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

POOL_BATCHES = 50  # batches whose examples are sorted together; Transformers' LengthGroupedSampler uses the same figure


def epoch_order(lengths: Sequence[int], batch_size: int, seed: int, epoch: int, *, group_by_length: bool) -> list[int]:
    """The indices of one epoch. Every index appears once.

    With `group_by_length` the shuffled indices are sorted by length inside pools of 50 batches, and the batches are
    then shuffled, so that an epoch does not run from long to short. The batch that is not full comes last.
    """
    chance = random.Random(f"{seed} {epoch}")
    order = list(range(len(lengths)))
    chance.shuffle(order)
    if not group_by_length:
        return order
    pool = batch_size * POOL_BATCHES
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        members = sorted(order[start : start + pool], key=lambda index: lengths[index])
        batches += [members[at : at + batch_size] for at in range(0, len(members), batch_size)]
    last = [batch for batch in batches if len(batch) < batch_size]
    full = [batch for batch in batches if len(batch) == batch_size]
    chance.shuffle(full)
    return [index for batch in [*full, *last] for index in batch]
