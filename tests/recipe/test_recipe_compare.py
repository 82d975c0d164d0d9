"""What may differ when a run goes on, and what becomes of the schedule."""

from __future__ import annotations

import math

import pytest

from plans import make_plan
from sparksmith.recipe.compare import compare_settings, learning_rate_at
from sparksmith.recipe.schema import Recipe

# another value of every key, and whether a run may go on under it
KEYS = {
    "name": ("other", True),
    "description": ("other", True),
    "method": ("dpo", False),
    "data_format": ("tsv", False),
    "header": ("no", False),
    "prompt_column": ("word", False),
    "response_column": ("ipa", False),
    "system_prompt": ("other", False),
    "system_prompt_file": ("other", True),
    "separator": (" ", False),
    "train_on": ("all", False),
    "max_length": (64, False),
    "too_long": ("error", False),
    "group_by_length": (False, False),
    "model": ("other", False),
    "device": ("cuda", True),
    "precision": ("bf16", True),
    "gradient_checkpointing": (True, True),
    "dropout": (0.5, False),
    "attention_dropout": (0.5, False),
    "tiny_hidden_size": (64, False),
    "tiny_layers": (2, False),
    "tiny_heads": (2, False),
    "full_finetuning": (False, False),
    "lora_r": (8, False),
    "lora_alpha": (8, False),
    "lora_dropout": (0.5, False),
    "lora_target_modules": ("q_proj", False),
    "max_steps": (99, True),
    "num_train_epochs": (9.0, True),
    "batch_size": (4, False),
    "micro_batch_size": (2, True),
    "gradient_accumulation_steps": (4, True),
    "learning_rate": (1.0, False),
    "lr_scheduler_type": ("cosine", False),
    "warmup_ratio": (0.5, False),
    "weight_decay": (0.5, False),
    "adam_beta2": (0.5, False),
    "max_grad_norm": (0.5, False),
    "label_smoothing": (0.5, False),
    "response_noise": (0.5, False),
    "ema_window": (0.5, False),
    "optim": ("adamw_8bit", False),
    "seed": (1, False),
    "eval_steps": (7, True),
    "evaluate_untrained": (True, True),
    "eval_batch_size": (7, True),
    "max_new_tokens": (7, True),
    "metric_for_best_model": ("cer", True),
    "spaces_separate": ("phones", True),
    "logging_steps": (7, True),
    "save_steps": (7, True),
    "save_total_limit": (7, True),
    "report_to": ("wandb", True),
}
PLACES = {"data_file", "eval_file", "output_dir", "resume_from_checkpoint"}  # where things lie does not matter


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return make_plan(tmp_path_factory.mktemp("plan"), max_steps=20)


def test_the_table_has_every_key():
    assert set(KEYS) | PLACES == set(Recipe.model_fields)


@pytest.mark.parametrize("name", KEYS)
def test_every_key(plan, name):
    value, free = KEYS[name]
    assert getattr(plan, name) != value
    found = compare_settings(plan, plan.model_copy(update={name: value}), 10)
    (difference,) = found.changed if free else found.refused
    assert (found.refused if free else found.changed) == ()
    assert str(difference) == f"{name}: {getattr(plan, name)} in the run, {value} now".replace("\n", "\n")


@pytest.mark.parametrize("name", sorted(PLACES))
def test_places_do_not_matter(plan, name):
    found = compare_settings(plan, plan.model_copy(update={name: "/elsewhere"}), 10)
    assert (found.refused, found.changed, found.notes) == ((), (), ())


def test_data(plan):
    data = plan.train_data
    for update in ({"sha256": "f" * 64}, {"format": "csv"}):
        other = plan.model_copy(update={"train_data": data.model_copy(update=update)})
        (difference,) = compare_settings(plan, other, 10).refused
        assert difference.name == "data_file"
        assert "22 rows" in str(difference)
    moved = plan.model_copy(update={"train_data": data.model_copy(update={"path": "/elsewhere.tsv"})})
    assert compare_settings(plan, moved, 10).refused == ()
    (held_out,) = compare_settings(plan, plan.model_copy(update={"eval_data": data}), 10).changed
    assert str(held_out).startswith("eval_file: none in the run, ")


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("linear", "falls to zero at step 40 instead of 20: at step 10"),
        ("cosine", "falls to zero at step 40 instead of 20"),
        ("constant_with_warmup", "the warm-up is a share of max_steps: at step 10"),
        ("constant", None),
    ],
)
def test_more_steps_say_what_becomes_of_the_schedule(plan, schedule, words):
    before = plan.model_copy(update={"lr_scheduler_type": schedule, "warmup_ratio": 0.5})
    found = compare_settings(before, before.model_copy(update={"max_steps": 40}), 10)
    assert found.refused == ()
    assert [one.name for one in found.changed] == ["max_steps"]
    assert len(found.notes) == (1 if words else 0)
    assert words is None or words in found.notes[0]


def test_fewer_steps_than_were_made(plan):
    notes = compare_settings(plan, plan.model_copy(update={"max_steps": 10}), 10).notes
    assert "nothing is left to train" in notes[-1]


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant", "constant_with_warmup"])
@pytest.mark.parametrize(("steps", "ratio"), [(1, 0.0), (7, 0.03), (100, 0.03), (1000, 0.25), (50, 0.99)])
def test_the_learning_rate_is_transformers(plan, schedule, steps, ratio):
    import torch
    from transformers import get_scheduler

    update = {"lr_scheduler_type": schedule, "max_steps": steps, "warmup_ratio": ratio, "learning_rate": 2e-3}
    ours = plan.model_copy(update=update)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-3)
    theirs = get_scheduler(
        schedule, optimizer, num_warmup_steps=math.ceil(steps * ratio), num_training_steps=steps
    ).lr_lambdas[0]  # fmt: skip
    for step in range(0, steps + 1, max(1, steps // 50)):
        assert learning_rate_at(ours, step) == pytest.approx(2e-3 * theirs(step), abs=1e-12)
