"""The loss: only counted tokens, exactly Transformers' own, whatever the batch an example stands in."""

from __future__ import annotations

import pytest
import torch

from plans import PAIRS, make_plan
from sparksmith.data.collate import IGNORED, Collator, labels_of
from sparksmith.data.encode import Encoder
from sparksmith.data.examples import pair
from sparksmith.model import make
from sparksmith.model.loss import response_loss


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """(model, rows): a tiny model in training mode without dropout, and encoded examples of several lengths."""
    plan = make_plan(tmp_path_factory.mktemp("small"))
    tokenizer = make.make_tokenizer(plan, [p for p, _ in PAIRS], [r for _, r in PAIRS], None)
    model = make.make_model(plan, tokenizer, tmp_path_factory.mktemp("base"))
    encoder = Encoder(tokenizer, system_prompt=None, separator="\n")
    examples = [pair(line, *cells) for line, cells in enumerate(PAIRS, start=1)]
    rows = [{"input_ids": e.input_ids, "labels": labels_of(e.input_ids, e.counted)} for e in encoder.encode(examples)]
    return model.train(), rows, tokenizer.pad_token_id


def test_masked_tokens_get_no_gradient(small):
    """The gradient at the logits of every position: zero unless the next token is counted, and then not zero."""
    model, rows, pad = small
    batch = Collator(pad)(rows[:6])
    kept = {}

    def keep_gradient(module, inputs, output):
        output.logits.retain_grad()
        kept["logits"] = output.logits

    hook = model.register_forward_hook(keep_gradient)
    try:
        loss, _ = response_loss(model, {**batch, "logits_to_keep": batch["labels"].shape[1]})
    finally:
        hook.remove()
    model.zero_grad()
    loss.backward()
    gradient = kept["logits"].grad.abs().amax(dim=-1)
    counted = torch.zeros_like(gradient, dtype=torch.bool)
    counted[:, :-1] = batch["labels"][:, 1:] != IGNORED
    assert counted.any() and not counted.all()
    assert (gradient[counted] > 0).all()
    assert (gradient[~counted] == 0).all()


def test_what_stands_under_the_mask_changes_nothing(small):
    """A prompt token is context, not a target: another label under the mask leaves loss and gradient as they are."""
    model, rows, pad = small
    batch = Collator(pad)(rows[:4])
    first = response_loss(model, batch)[0]
    assert (batch["labels"][:, 0] == IGNORED).all()
    changed = {**batch, "labels": batch["labels"].clone()}
    changed["labels"][0, 1] = 5 if batch["labels"][0, 1] == IGNORED else IGNORED
    # position 1 is a prompt token: counting it does change the loss, so the mask is what kept it out
    assert not torch.equal(first, response_loss(model, {**changed, "logits_to_keep": batch["labels"].shape[1]})[0])


def test_first_counted_token_is_kept_and_nothing_before(small):
    model, rows, pad = small
    batch = Collator(pad)(rows[:5])
    full = response_loss(model, {**batch, "logits_to_keep": batch["labels"].shape[1]})[0]
    kept, logits = response_loss(model, batch)
    assert logits.shape[1] == batch["logits_to_keep"] < batch["labels"].shape[1]
    torch.testing.assert_close(kept, full, rtol=1e-6, atol=1e-6)


def test_equals_transformers_own(small):
    """fp32, the same batch: the model's own loss over the same labels."""
    model, rows, pad = small
    batch = Collator(pad)(rows)
    own = model(
        input_ids=batch["input_ids"], labels=batch["labels"], attention_mask=batch["input_ids"].ne(pad).long()
    ).loss
    torch.testing.assert_close(response_loss(model, batch)[0], own, rtol=1e-6, atol=1e-6)


def test_equals_transformers_label_smoother(small):
    from transformers.trainer_pt_utils import LabelSmoother

    model, rows, pad = small
    batch = Collator(pad)(rows)
    output = model(input_ids=batch["input_ids"])
    own = LabelSmoother(epsilon=0.1)(output, batch["labels"], shift_labels=True)
    torch.testing.assert_close(response_loss(model, batch, label_smoothing=0.1)[0], own, rtol=1e-6, atol=1e-6)


def test_an_example_has_the_same_loss_alone_and_in_any_batch(small):
    """Grouping by length and padding leave the loss of each example as it was (fp32 noise of other shapes aside)."""
    model, rows, pad = small
    collate = Collator(pad)
    alone = torch.stack([response_loss(model, collate([row]), counted_tokens=1)[0] for row in rows])
    by_length = sorted(range(len(rows)), key=lambda at: len(rows[at]["input_ids"]))
    for order in (range(len(rows)), by_length):
        batch = collate([rows[at] for at in order])
        _, logits = response_loss(model, {**batch, "logits_to_keep": batch["labels"].shape[1]})
        each = torch.nn.functional.cross_entropy(
            logits[:, :-1].transpose(1, 2), batch["labels"][:, 1:], reduction="none"
        ).sum(dim=1)
        torch.testing.assert_close(each, alone[list(order)], rtol=1e-5, atol=1e-5)


def test_micro_batches_add_up_to_the_batch(small):
    model, rows, pad = small
    collate = Collator(pad)
    whole = collate(rows[:8])
    counted = (whole["labels"][:, 1:] != IGNORED).sum()
    parts = [collate(rows[at : at + 2]) for at in range(0, 8, 2)]
    summed = sum(response_loss(model, part, counted_tokens=counted)[0] for part in parts)
    torch.testing.assert_close(summed, response_loss(model, whole)[0], rtol=1e-5, atol=1e-6)
