"""Batched greedy generation gives what one by one gives, in the prompts' order, and stops at the stop token."""

from __future__ import annotations

import pytest
import torch

from plans import PAIRS, make_plan
from sparksmith.data.encode import Encoder
from sparksmith.data.examples import Message
from sparksmith.model import make
from sparksmith.model.generate import generate_greedy


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generate")
    plan = make_plan(folder)
    tokenizer = make.make_tokenizer(plan, [p for p, _ in PAIRS], [r for _, r in PAIRS], None)
    model = make.make_model(plan, tokenizer, folder)
    encoder = Encoder(tokenizer, system_prompt=None, separator="\n")
    prompts = [encoder.encode_prompt([Message("user", prompt)]) for prompt, _ in PAIRS]
    with torch.no_grad():  # spread the logits, or a random model's ties would decide
        model.model.embed_tokens.weight *= 8
    return model, encoder, prompts


def generate(ready, **options):
    model, encoder, prompts = ready
    options = {"max_new_tokens": 12, "batch_size": 64, "stop_ids": encoder.stop_ids(), **options}
    return generate_greedy(model, prompts, pad_id=encoder.tokenizer.pad_token_id, **options)


def test_batched_equals_one_by_one(ready):
    assert generate(ready, batch_size=7) == generate(ready, batch_size=1)


def test_stops_before_the_stop_token(ready):
    free = generate(ready, stop_ids=[10**6])
    stop = free[0][3]
    cut = generate(ready, stop_ids=[stop])
    for whole, part in zip(free, cut, strict=True):
        assert part == (whole[: whole.index(stop)] if stop in whole else whole)
        assert stop not in part


def test_leaves_the_model_as_it_was(ready):
    model = ready[0]
    before = model.generation_config
    model.train()
    seen = []
    generate(ready, on_batch=seen.append, batch_size=10)
    assert model.training and model.generation_config is before
    assert seen == [10, 20, len(PAIRS)]
