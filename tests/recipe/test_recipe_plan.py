"""Settings, a machine and data become a Plan with nothing left open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asked import MACHINES, facts, settings_of
from sparksmith.base.errors import SparksmithError, UsageProblem
from sparksmith.recipe.plan import UNTRAINED_ROWS, Plan, plan
from sparksmith.recipe.schema import GROUPS, Recipe
from sparksmith.recipe.show import describe_short, describe_whole

READERS_CHOICE = {"data_format", "header"}  # `auto` there is for who reads the file


def plan_of(*words: str, on: str = "cpu", train=None, held_out=None, **recipe) -> Plan:
    return plan(settings_of(*words, **recipe), MACHINES[on], train or facts(), held_out)


def why(made: Plan, name: str) -> str:
    (choice,) = [choice for choice in made.choices if choice.name == name]
    assert choice.value == getattr(made, name)
    return choice.why


@pytest.mark.parametrize(
    ("on", "model", "expected"),
    [
        # (device, precision, recompute, optimizer)
        ("cpu", "a/chat-model", ("cpu", "fp32", False, "adamw_torch")),
        ("cpu", "tiny", ("cpu", "fp32", False, "adamw_torch")),
        ("h200", "a/chat-model", ("cuda", "bf16", True, "adamw_8bit")),
        ("h200", "tiny", ("cuda", "fp32", False, "adamw_torch")),
        ("gb10", "a/chat-model", ("cuda", "bf16", True, "adamw_8bit")),
        ("gb10", "tiny", ("cuda", "fp32", False, "adamw_torch")),
        ("t4", "a/chat-model", ("cuda", "fp32", True, "adamw_8bit")),
    ],
)
def test_what_the_machine_decides(on, model, expected):
    made = plan_of(on=on, model=model)
    assert (made.device, made.precision, made.gradient_checkpointing, made.optim) == expected


def test_only_a_wide_model_from_scratch_gains_from_bfloat16():
    narrow, wide = (plan_of(on="h200", model="tiny", tiny_hidden_size=width) for width in (512, 1024))
    assert (narrow.precision, wide.precision) == ("fp32", "bf16")
    assert "so small" in why(narrow, "precision")
    assert plan_of("--precision", "bf16", on="h200", model="tiny").precision == "bf16"


@pytest.mark.parametrize(
    ("words", "on", "message", "hint"),
    [
        (["--device", "cuda"], "cpu", "nvidia-smi shows no GPU", "--device cpu"),
        (["--precision", "bf16"], "cpu", "is a CPU run", "--precision fp32"),
        (["--bf16", "--device", "cpu"], "gb10", "is a CPU run", "--precision fp32"),
        (["--precision", "bf16"], "t4", "GPU has no bfloat16", "--precision fp32"),
        (["--optim", "adamw_8bit"], "cpu", "needs a GPU", "--optim adamw_torch"),
        (["--optim", "adamw_8bit", "--device", "cpu"], "h200", "needs a GPU", "--optim adamw_torch"),
        (
            ["--model", "tiny", "--system_prompt", "Spell."],
            "cpu",
            "no use with --model tiny",
            "leave the system prompt out",
        ),
    ],
)
def test_what_is_impossible_on_this_machine(words, on, message, hint):
    with pytest.raises(SparksmithError, match=message) as caught:
        plan_of(*words, on=on)
    assert hint in str(caught.value.hint)


def test_what_was_asked_for_stands():
    words = (
        "--device cuda --precision fp32 --optim adamw_torch --no_gradient_checkpointing --max_steps 5 --eval_steps 3"
    )
    made = plan_of(*words.split(), "--max_new_tokens", "7", "--evaluate_untrained", on="gb10", held_out=facts(5))
    assert (made.device, made.precision, made.optim, made.gradient_checkpointing) == (
        "cuda",
        "fp32",
        "adamw_torch",
        False,
    )
    assert (made.max_steps, made.eval_steps, made.max_new_tokens, made.evaluate_untrained) == (5, 3, 7, True)
    assert why(made, "device") == "asked for"


def test_the_device_says_what_was_seen():
    assert "NVIDIA GB10 (compute capability 12.1, driver 580.95.05)" in why(plan_of(on="gb10"), "device")
    assert why(plan_of(on="cpu"), "device") == "nvidia-smi shows no GPU"


@pytest.mark.parametrize(
    ("rows", "batch", "epochs", "steps", "words"),
    [
        (1000, 8, 3, 375, "3 epochs of 125 steps"),  # 125 a pass
        (1001, 8, 3, 378, "3 epochs of 126 steps"),  # 126 a pass: the last batch is not full
        (1000, 8, 0.5, 63, "0.5 epochs of 125 steps"),  # 62.5 rounded up
        (3, 8, 3, 3, "3 epochs of 1 step"),
        (1, 8, 0.01, 1, "0.01 epochs of 1 step"),  # never none
        (8, 8, 1, 1, "1 epoch of 1 step"),
        (9, 8, 1, 2, "1 epoch of 2 steps"),
    ],
)
def test_steps_from_epochs(rows, batch, epochs, steps, words):
    made = plan_of("--batch_size", str(batch), "--num_train_epochs", str(epochs), train=facts(rows))
    assert made.max_steps == steps
    assert why(made, "max_steps") == words


@pytest.mark.parametrize(
    ("held_out", "untrained", "eval_steps"),
    [(None, False, 0), (1, True, 500), (UNTRAINED_ROWS, True, 500), (UNTRAINED_ROWS + 1, False, 500)],
)
def test_what_the_held_out_part_decides(held_out, untrained, eval_steps):
    made = plan_of(held_out=facts(held_out) if held_out else None)
    assert made.evaluate_untrained is untrained
    assert made.eval_steps == eval_steps
    assert (made.eval_data is None) == (held_out is None)


@pytest.mark.parametrize(
    ("model", "longest", "max_length", "tokens"),
    [("tiny", 20, 512, 36), ("a/model", 20, 512, 56), ("a/model", 1000, 512, 512), ("tiny", 0, 512, 16)],
)
def test_the_longest_answer(model, longest, max_length, tokens):
    made = plan_of(model=model, max_length=max_length, train=facts(longest=longest))
    assert made.max_new_tokens == tokens
    assert (
        plan_of(
            model=model, max_length=max_length, train=facts(longest=0), held_out=facts(longest=longest)
        ).max_new_tokens
        == tokens
    )


def test_the_recipes_prompt_is_left_out_for_tiny():
    made = plan_of(model="tiny", system_prompt="Spell.")
    assert made.system_prompt is None
    assert why(made, "system_prompt")


def test_the_micro_batch_is_the_whole_batch_until_memory_is_predicted():
    made = plan_of(batch_size=24)
    assert (made.batch_size, made.micro_batch_size, made.gradient_accumulation_steps) == (24, 24, 1)
    assert why(made, "micro_batch_size")
    made = plan_of("--micro_batch_size", "4", "--batch_size", "24")
    assert (made.micro_batch_size, made.gradient_accumulation_steps) == (4, 6)


ASKED = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["tiny", "a/chat-model"]),
        "device": st.sampled_from(["auto", "cpu", "cuda"]),
        "precision": st.sampled_from(["auto", "bf16", "fp32"]),
        "optim": st.sampled_from(["auto", "adamw_torch", "adamw_8bit"]),
        "gradient_checkpointing": st.sampled_from(["auto", True, False]),
        "full_finetuning": st.sampled_from(["auto", True, False]),
        "batch_size": st.integers(1, 64),
        "micro_batch_size": st.integers(1, 8) | st.just("auto"),
        "gradient_accumulation_steps": st.integers(1, 8) | st.just("auto"),
        "max_steps": st.integers(1, 10**6),
        "num_train_epochs": st.floats(0.01, 100),
        "evaluate_untrained": st.sampled_from(["auto", True, False]),
        "max_new_tokens": st.just("auto") | st.integers(1, 512),
        "eval_steps": st.just("auto") | st.integers(0, 1000),
        "learning_rate": st.just("auto") | st.floats(1e-8, 1),
        "system_prompt": st.text(max_size=5),
        "data_format": st.sampled_from(["auto", "tsv"]),
    },
)


@given(
    ASKED,
    st.sampled_from(sorted(MACHINES)),
    st.integers(1, 10**6),
    st.none() | st.integers(1, 10**5),
    st.integers(1, 5000),
)
def test_nothing_is_left_open(recipe, on, rows, eval_rows, longest):
    try:
        settings = settings_of(**recipe)
    except UsageProblem:
        return
    try:
        made = plan(settings, MACHINES[on], facts(rows, longest), facts(eval_rows) if eval_rows else None)
    except SparksmithError as error:
        assert error.hint
        return
    open_keys = {name for name in Recipe.model_fields if getattr(made, name) == "auto"} - READERS_CHOICE
    assert open_keys == set()
    assert made.micro_batch_size * made.gradient_accumulation_steps == made.batch_size
    assert made.max_steps >= 1
    assert 1 <= made.max_new_tokens <= 5016
    assert (made.device == "cpu") <= (made.precision == "fp32" and made.optim == "adamw_torch")
    # every decision is told with its reason, once
    names = [choice.name for choice in made.choices]
    assert len(names) == len(set(names))
    for choice in made.choices:
        assert choice.why
        assert getattr(made, choice.name) == choice.value
    # every key that was open has a choice or an origin that says why
    for name in Recipe.model_fields:
        if getattr(settings.values, name) == "auto" and name not in READERS_CHOICE:
            assert name in names
    # what was asked for is kept
    for name, value in recipe.items():
        if value != "auto" and name in {
            "batch_size",
            "max_steps",
            "device",
            "precision",
            "optim",
            "gradient_checkpointing",
        }:
            assert getattr(made, name) == value
    assert Plan.model_validate_json(made.model_dump_json()) == made


def test_a_plan_is_frozen_and_refuses_unknown_keys():
    made = plan_of()
    with pytest.raises(ValueError, match="frozen"):
        made.seed = 1
    with pytest.raises(ValueError, match="nonsense"):
        Plan.model_validate({**made.model_dump(), "nonsense": 1})
    for name in ("micro_batch_size", "learning_rate", "device", "optim", "eval_steps"):
        with pytest.raises(ValueError, match=name):
            Plan.model_validate({**made.model_dump(), name: "auto"})


def test_a_plan_in_words():
    settings = settings_of("--seed", "9", batch_size=24, micro_batch_size=8)
    made = plan(settings, MACHINES["gb10"], facts(1234), facts(56))
    short = dict(describe_short(made, settings))
    assert short["data"] == "1,234 examples from /data/data.tsv"
    assert short["held out"].startswith("56 examples")
    assert "LoRA r 128" in short["model"]
    assert "bf16 on cuda" in short["model"]
    assert "of batch 24 (8 x 3)" in short["steps"]
    groups = describe_whole(made, settings)
    assert [group for group, _ in groups] == list(GROUPS)
    rows = {name: (value, origin) for _, table in groups for name, value, origin in table}
    assert set(rows) == set(Recipe.model_fields)
    assert rows["seed"] == ("9", "flag")
    assert rows["batch_size"] == ("24", "recipe")
    assert rows["precision"] == ("bf16", "this machine and data: the GPU has bfloat16")
    assert rows["separator"][0] == "\\n"
    assert rows["max_steps"] == ("156", "this machine and data: 3 epochs of 52 steps")


def test_a_long_value_is_clipped_and_nothing_shown_is_auto():
    settings = settings_of(system_prompt="long " * 40)
    made = plan(settings, MACHINES["cpu"], facts(), None)
    assert "held out" not in dict(describe_short(made, settings))
    rows = {name: value for _, table in describe_whole(made, settings) for name, value, _ in table}
    assert len(rows["system_prompt"]) == 60
    assert {name for name, value in rows.items() if value == "auto"} == READERS_CHOICE


@pytest.mark.parametrize(
    ("words", "held_out", "metric"),
    [
        ((), False, "loss"),
        ((), True, "exact_match"),
        (("--spaces_separate", "phones"), True, "wer"),
        (("--spaces_separate", "phones"), False, "loss"),
        (("--spaces_separate", "phones", "--metric_for_best_model", "eval_loss"), True, "loss"),
        (("--metric_for_best_model", "cer"), True, "cer"),
    ],
)
def test_the_best_checkpoint_is_the_best_by_the_tasks_score(words, held_out, metric):
    made = plan_of(*words, train=facts(), held_out=facts(50, name="eval.tsv") if held_out else None)
    assert made.metric_for_best_model == metric


def test_a_plan_from_before_there_was_a_choice_meant_the_loss():
    content = plan_of(train=facts()).model_dump(mode="json")
    del content["metric_for_best_model"]
    assert Plan.model_validate(content).metric_for_best_model == "loss"
