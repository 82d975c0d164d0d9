"""Noise on the response: what is read changes, in its share, and nothing else."""

from __future__ import annotations

import pytest
import torch

from sparksmith.model.noise import replace_read

PROMPT, PAD = 7, 0


def batch(rows: int = 64, length: int = 32):
    """Rows of a prompt (7), a response (tokens 10 to 19) and padding (0)."""
    torch.manual_seed(3)
    input_ids = torch.randint(10, 20, (rows, length))
    input_ids[:, :8] = PROMPT
    input_ids[:, -4:] = PAD
    labels = input_ids.clone()
    labels[(input_ids == PROMPT) | (input_ids == PAD)] = -100
    return input_ids, labels


def test_no_share_changes_nothing():
    input_ids, labels = batch()
    assert torch.equal(replace_read(input_ids, labels, 0.0), input_ids)


@pytest.mark.parametrize("share", [0.2, 0.7, 1 - 1e-7])
def test_the_share_of_counted_tokens_is_replaced_by_counted_tokens(share):
    input_ids, labels = batch()
    before = input_ids.clone(), labels.clone()
    read = replace_read(input_ids, labels, share)
    counted = labels != -100
    assert torch.equal(read[~counted], input_ids[~counted])
    assert set(read[counted].tolist()) == set(range(10, 20))
    # one in ten of the drawn tokens is the one that was there; 1,280 tokens: 0.035 is over two and a half deviations
    changed = (read != input_ids)[counted].float().mean().item()
    assert changed == pytest.approx(0.9 * share, abs=0.035)
    assert torch.equal(input_ids, before[0]) and torch.equal(labels, before[1])


def test_tokens_are_drawn_as_often_as_the_batch_counts_them():
    input_ids = torch.tensor([[1, 5, 5, 5, 6]]).repeat(1000, 1)
    labels = torch.tensor([[-100, 5, 5, 5, 6]]).repeat(1000, 1)
    torch.manual_seed(1)
    read = replace_read(input_ids, labels, 1 - 1e-7)
    assert (read == 5)[:, 1:].float().mean().item() == pytest.approx(0.75, abs=0.02)
    assert (read[:, 0] == 1).all()


def test_one_counted_token_is_replaced_by_itself():
    input_ids = torch.tensor([[1, 2, 3, 4]])
    labels = torch.tensor([[-100, -100, 3, -100]])
    assert torch.equal(replace_read(input_ids, labels, 1 - 1e-7), input_ids)


def test_a_batch_that_counts_nothing_is_read_as_it_is():
    input_ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    assert torch.equal(replace_read(input_ids, torch.full_like(input_ids, -100), 0.9), input_ids)


def test_the_seed_decides():
    input_ids, labels = batch()
    read = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        read.append(replace_read(input_ids, labels, 0.5))
    assert torch.equal(read[0], read[1]) and not torch.equal(read[0], read[2])
