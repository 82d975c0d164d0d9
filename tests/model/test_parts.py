"""Adapter, dropout, optimizer groups, recompute: each does what the plan says and nothing else."""

from __future__ import annotations

import json

import pytest
import torch

from plans import PAIRS, make_plan
from small_models import save_small_gemma, save_small_qwen
from sparksmith.base.errors import SparksmithError
from sparksmith.data.collate import Collator, labels_of
from sparksmith.data.encode import Encoder
from sparksmith.data.examples import pair
from sparksmith.model import make
from sparksmith.model.dropout import add_attention_dropout, add_dropout
from sparksmith.model.load import load_checkpoint, load_model
from sparksmith.model.loss import response_loss
from sparksmith.model.optimizer import make_optimizer


def build(plan, folder):
    tokenizer = make.make_tokenizer(plan, [p for p, _ in PAIRS], [r for _, r in PAIRS], None)
    return make.make_model(plan, tokenizer, folder / "base"), tokenizer


def batch_of(tokenizer):
    encoder = Encoder(tokenizer, system_prompt=None, separator="\n")
    examples = [pair(1, *cells) for cells in PAIRS[:6]]
    rows = [{"input_ids": e.input_ids, "labels": labels_of(e.input_ids, e.counted)} for e in encoder.encode(examples)]
    return Collator(tokenizer.pad_token_id)(rows)


def test_lora_on_tiny_saves_its_base_once_and_the_adapter_names_it(tmp_path):
    model, _ = build(make_plan(tmp_path, lora_r=4), tmp_path)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained and all("lora_" in name for name in trained)
    assert (tmp_path / "base/config.json").is_file() and (tmp_path / "base/tokenizer.json").is_file()
    model.save_pretrained(tmp_path / "checkpoint-1")
    named = json.loads((tmp_path / "checkpoint-1/adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == str(tmp_path / "base")


def test_an_adapter_loads_after_its_run_was_moved(tmp_path):
    folder = tmp_path / "before"
    folder.mkdir()
    model, tokenizer = build(make_plan(tmp_path, lora_r=4), folder)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    model.save_pretrained(folder / "checkpoint-1")
    batch = batch_of(tokenizer)
    expected = response_loss(model.eval(), batch)[0]
    moved = folder.rename(tmp_path / "after that")
    loaded = load_checkpoint(moved / "checkpoint-1", dtype=torch.float32, base=moved / "base")
    torch.testing.assert_close(response_loss(loaded.eval(), batch)[0], expected)


def test_lora_layers_that_do_not_exist_are_refused_with_those_that_do(tmp_path):
    with pytest.raises(SparksmithError) as caught:
        build(make_plan(tmp_path, lora_target_modules="query"), tmp_path)
    assert "q_proj" in str(caught.value.hint)


def test_dropout_acts_in_training_only(tmp_path):
    model, tokenizer = build(make_plan(tmp_path, dropout=0.3), tmp_path)
    batch = batch_of(tokenizer)
    torch.manual_seed(0)
    training = [response_loss(model.train(), batch)[0].item() for _ in range(2)]
    assert training[0] != training[1]
    quiet = [response_loss(model.eval(), batch)[0].item() for _ in range(2)]
    assert quiet[0] == quiet[1]
    plain, _ = build(make_plan(tmp_path), tmp_path)
    assert quiet[0] == response_loss(plain.eval(), batch)[0].item()


def test_dropout_where_there_are_no_blocks_is_refused():
    with pytest.raises(SparksmithError, match="dropout cannot be put"):
        add_dropout(torch.nn.Linear(2, 2), 0.1)


@pytest.mark.parametrize("save", [save_small_qwen, save_small_gemma])
@pytest.mark.parametrize("lora_r", [0, 4])
def test_dropout_on_attention_acts_in_training_only_and_is_not_saved(tmp_path, save, lora_r):
    folder = save(tmp_path / "model")
    method = {"lora_r": lora_r} if lora_r else {"full_finetuning": True}
    plan = make_plan(tmp_path, model=str(folder), attention_dropout=0.4, **method)
    model, tokenizer = build(plan, tmp_path)
    found = [module.attention_dropout for module in model.modules() if hasattr(module, "attention_dropout")]
    assert found == [0.4] * model.config.num_hidden_layers
    batch = batch_of(tokenizer)
    torch.manual_seed(0)
    training = [response_loss(model.train(), batch)[0].item() for _ in range(2)]
    assert training[0] != training[1]
    plain, _ = build(plan.model_copy(update={"attention_dropout": 0.0}), tmp_path)
    assert response_loss(model.eval(), batch)[0].item() == response_loss(plain.eval(), batch)[0].item()
    torch.manual_seed(0)
    assert response_loss(plain.train(), batch)[0].item() == response_loss(plain.eval(), batch)[0].item()
    assert model.config.attention_dropout == 0.0


def test_dropout_on_attention_that_has_none_is_refused():
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(vocab_size=8, n_positions=8, n_embd=8, n_layer=1, n_head=1))
    add_attention_dropout(model, 0.0)
    with pytest.raises(SparksmithError, match="GPT2LMHeadModel has no dropout on its attention weights") as caught:
        add_attention_dropout(model, 0.1)
    assert "--attention_dropout 0" in str(caught.value.hint)


def test_recompute_changes_neither_loss_nor_gradient(tmp_path):
    gemma = save_small_gemma(tmp_path / "gemma")
    results = []
    for recompute in (False, True):
        plan = make_plan(tmp_path, model=str(gemma), gradient_checkpointing=recompute, lora_r=4)
        model, tokenizer = build(plan, tmp_path)
        loss, _ = response_loss(model.train(), batch_of(tokenizer))
        loss.backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
        results.append((loss.item(), gradients))
    assert results[0][0] == results[1][0]
    assert any(gradient.abs().sum() > 0 for gradient in results[1][1].values())
    for name, gradient in results[0][1].items():
        torch.testing.assert_close(results[1][1][name], gradient)


def test_matrices_decay_and_vectors_do_not(tmp_path):
    plan = make_plan(tmp_path, weight_decay=0.25, learning_rate=0.5)
    model, _ = build(plan, tmp_path)
    optimizer = make_optimizer(model, plan)
    decays, rest = optimizer.param_groups
    assert decays["weight_decay"] == 0.25 and rest["weight_decay"] == 0 and decays["lr"] == 0.5
    assert {p.ndim for p in decays["params"]} == {2} and {p.ndim for p in rest["params"]} == {1}
    assert len(decays["params"]) + len(rest["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize("beta2", [0.999, 0.5])
def test_beta2_is_the_weight_of_the_squared_gradients_so_far(tmp_path, beta2):
    plan = make_plan(tmp_path, adam_beta2=beta2, learning_rate=1e-3)
    model = torch.nn.Linear(1, 1, bias=False)
    optimizer = make_optimizer(model, plan)
    for gradient in (2.0, 3.0):
        model.weight.grad = torch.full((1, 1), gradient)
        optimizer.step()
    (state,) = optimizer.state.values()
    # v1 = (1 - b) 4, v2 = b v1 + (1 - b) 9; the other moment keeps to 0.9: 0.9 * 0.1 * 2 + 0.1 * 3
    assert state["exp_avg_sq"].item() == pytest.approx((1 - beta2) * (4 * beta2 + 9), rel=1e-4)
    assert state["exp_avg"].item() == pytest.approx(0.48)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("./no/such/folder", "the folder ./no/such/folder does not exist"),
        ("nobody/no-such-model", "not in the hub's cache, and huggingface.co cannot be reached"),
    ],
)
def test_a_model_that_is_not_there_is_said_plainly(source, expected):
    with pytest.raises(SparksmithError, match=expected) as caught:
        load_model(source, dtype=torch.float32)
    assert "tiny" in str(caught.value.hint)


def test_a_folder_without_a_model_is_said_plainly(tmp_path):
    with pytest.raises(SparksmithError, match=r"no config\.json"):
        load_model(str(tmp_path), dtype=torch.float32)
