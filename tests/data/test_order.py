"""The order of the data depends on the lengths, the seed, the epoch and the effective batch, and on nothing else."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sparksmith.data.order import POOL_BATCHES, epoch_order

lengths = st.lists(st.integers(1, 200), max_size=300)
batches = st.integers(1, 32)
seeds = st.integers(0, 2**32 - 1)
epochs = st.integers(0, 50)


def batched(order: list[int], size: int) -> list[list[int]]:
    return [order[at : at + size] for at in range(0, len(order), size)]


def padding(lengths: list[int], order: list[int], size: int) -> int:
    """Tokens of padding, each batch being as long as its longest example."""
    return sum(max(lengths[i] for i in batch) - lengths[j] for batch in batched(order, size) for j in batch)


@given(lengths, batches, seeds, epochs, st.booleans())
def test_every_example_is_seen_once(lengths, batch, seed, epoch, group):
    order = epoch_order(lengths, batch, seed, epoch, group_by_length=group)
    assert sorted(order) == list(range(len(lengths)))


@given(lengths, batches, seeds, epochs, st.booleans(), st.integers())
def test_the_same_question_has_the_same_answer_whatever_else_was_drawn(lengths, batch, seed, epoch, group, disturbance):
    first = epoch_order(lengths, batch, seed, epoch, group_by_length=group)
    random.seed(disturbance)
    state = random.getstate()
    assert epoch_order(tuple(lengths), batch, seed, epoch, group_by_length=group) == first
    assert random.getstate() == state  # and the global generator is left alone


@given(lengths, batches, batches, seeds, epochs)
def test_without_grouping_the_batch_changes_nothing(lengths, batch, other, seed, epoch):
    assert epoch_order(lengths, batch, seed, epoch, group_by_length=False) == epoch_order(
        [0] * len(lengths), other, seed, epoch, group_by_length=False
    )


@given(seeds, epochs, st.booleans())
def test_another_epoch_and_another_seed_are_another_order(seed, epoch, group):
    chance = random.Random(0)
    lengths = [chance.randint(1, 100) for _ in range(200)]
    order = epoch_order(lengths, 8, seed, epoch, group_by_length=group)
    assert order != epoch_order(lengths, 8, seed, epoch + 1, group_by_length=group)
    assert order != epoch_order(lengths, 8, seed + 1, epoch, group_by_length=group)


def test_seed_and_epoch_are_not_added_up():
    lengths = list(range(100))
    assert epoch_order(lengths, 8, 1, 2, group_by_length=True) != epoch_order(lengths, 8, 2, 1, group_by_length=True)
    assert epoch_order(lengths, 8, 1, 11, group_by_length=True) != epoch_order(lengths, 8, 11, 1, group_by_length=True)


@given(lengths, batches, seeds, epochs)
def test_the_batch_that_is_not_full_comes_last(lengths, batch, seed, epoch):
    order = [lengths[index] for index in epoch_order(lengths, batch, seed, epoch, group_by_length=True)]
    rest = len(lengths) % batch
    assert all(members == sorted(members) for members in batched(order, batch))
    if rest and len(lengths) <= batch * POOL_BATCHES:  # one pool: what is left over is its longest
        assert order[-rest:] == sorted(lengths)[-rest:]


@given(st.lists(st.integers(1, 200), min_size=40, max_size=400), st.integers(2, 16), seeds)
def test_grouped_batches_have_no_more_padding(lengths, batch, seed):
    lengths = lengths[: min(len(lengths) // batch, POOL_BATCHES) * batch]  # one pool of full batches
    grouped = epoch_order(lengths, batch, seed, 0, group_by_length=True)
    shuffled = epoch_order(lengths, batch, seed, 0, group_by_length=False)
    assert padding(lengths, grouped, batch) <= padding(lengths, shuffled, batch)


def test_grouped_batches_have_far_less_padding_on_real_lengths():
    chance = random.Random(1)
    lengths = [chance.randint(5, 200) for _ in range(5000)]
    grouped = padding(lengths, epoch_order(lengths, 8, 42, 0, group_by_length=True), 8)
    shuffled = padding(lengths, epoch_order(lengths, 8, 42, 0, group_by_length=False), 8)
    assert grouped < 0.05 * shuffled


def test_grouping_does_not_run_from_long_to_short():
    lengths = list(range(1, 801))
    order = epoch_order(lengths, 8, 42, 0, group_by_length=True)
    means = [sum(lengths[index] for index in batch) / 8 for batch in batched(order, 8)]
    rising = sum(later > earlier for earlier, later in pairwise(means))
    assert 0.3 * len(means) < rising < 0.7 * len(means)
    half = len(means) // 2
    assert abs(sum(means[:half]) / half - sum(means[half:]) / half) < 100


def test_known_orders():
    """The order is part of what a run is: a resumed run finds its place by it, so a change here breaks old runs."""
    assert epoch_order([1] * 10, 4, 42, 0, group_by_length=False) == [0, 3, 4, 8, 5, 9, 2, 6, 1, 7]
    assert epoch_order([5, 1, 4, 2, 3, 9, 8, 7, 6, 10], 4, 42, 1, group_by_length=True) == [
        0,
        8,
        7,
        6,
        1,
        3,
        4,
        2,
        5,
        9,
    ]
