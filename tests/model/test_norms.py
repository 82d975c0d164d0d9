"""A norm by one kernel is the norm that Transformers writes out."""

from __future__ import annotations

import pytest
import torch
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from plans import PAIRS, make_plan
from sparksmith.model import tiny
from sparksmith.model.norms import FusedNorm, fuse_norms


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])  # the second is what autocast gives a norm of heads
def test_value_dtype_and_gradients_are_those_of_transformers(dtype):
    torch.manual_seed(1)
    ours, theirs = Qwen3RMSNorm(32, eps=1e-5), Qwen3RMSNorm(32, eps=1e-5)
    with torch.no_grad():
        ours.weight.normal_()
        theirs.weight.copy_(ours.weight)
    fuse_norms(ours)
    assert type(ours) is FusedNorm
    given = torch.randn(3, 5, 32).to(dtype)
    results = []
    for norm in (ours, theirs):
        read = given.clone().requires_grad_()
        value = norm(read)
        value.float().square().sum().backward()
        results.append((value, read.grad, norm.weight.grad))
    for mine, expected in zip(*results, strict=True):
        assert mine.dtype == expected.dtype
        exact = {"rtol": 0, "atol": 0} if dtype == torch.float32 else {}
        torch.testing.assert_close(mine, expected, **exact)


def test_every_norm_of_tiny_is_fused_and_its_weights_keep_their_names(tmp_path):
    from transformers import AutoModelForCausalLM

    tokenizer = tiny.make_tokenizer([p for p, _ in PAIRS], [r for _, r in PAIRS], phones=False)
    model = tiny.make_model(make_plan(tmp_path), tokenizer).eval()
    assert not [module for module in model.modules() if type(module) is Qwen3RMSNorm]
    model.save_pretrained(tmp_path)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert any(type(module) is Qwen3RMSNorm for module in plain.modules())
    ids = torch.arange(2, 12)[None] % len(tokenizer)
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, plain(ids).logits, rtol=0, atol=1e-5)
