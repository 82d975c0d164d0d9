"""A recipe and flags become Settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asked import settings_of
from sparksmith.base.errors import ExitCode, SparksmithError, UsageProblem
from sparksmith.recipe.read import Request
from sparksmith.recipe.schema import GROUPS, Recipe, group_of
from sparksmith.recipe.settings import BATCH_KEYS, Settings, resolve
from sparksmith.recipe.shipped import find_recipe


def trio(batch=None, micro=None, accumulation=None) -> dict[str, object]:
    """The three keys of a batch; None for one that nobody said."""
    return {
        name: value for name, value in zip(BATCH_KEYS, (batch, micro, accumulation), strict=True) if value is not None
    }


def resolve_trio(recipe: dict[str, object], flags: dict[str, object]) -> tuple[object, object, object]:
    values = resolve(Request(recipe, "recipe"), flags).values
    return values.batch_size, values.micro_batch_size, values.gradient_accumulation_steps


REFUSED = "refused"
BATCHES = [
    # (recipe, flags, result); the default batch_size is 8
    (trio(), trio(), (8, "auto", "auto")),
    (trio(32), trio(), (32, "auto", "auto")),
    (trio(32, 8), trio(), (32, 8, 4)),
    (trio(32, None, 4), trio(), (32, 8, 4)),
    (trio(32, 8, 4), trio(), (32, 8, 4)),
    (trio(None, 4), trio(), (4, 4, 1)),
    (trio(None, 4, 3), trio(), (12, 4, 3)),
    (trio(None, 4, "auto"), trio(), (4, 4, 1)),
    (trio(None, None, 2), trio(), (8, 4, 2)),
    (trio(32, 5), trio(), REFUSED),
    (trio(32, 8, 2), trio(), REFUSED),
    (trio(32, None, 3), trio(), REFUSED),
    # flags alone
    (trio(), trio("16"), (16, "auto", "auto")),
    (trio(), trio(None, "4"), (4, 4, 1)),
    (trio(), trio(None, "4", "4"), (16, 4, 4)),
    (trio(), trio("16", "4"), (16, 4, 4)),
    (trio(), trio("16", None, "2"), (16, 8, 2)),
    (trio(), trio("16", "4", "4"), (16, 4, 4)),
    (trio(), trio("16", "auto", "auto"), (16, "auto", "auto")),
    (trio(), trio("16", "4", "2"), REFUSED),
    (trio(), trio("16", "5"), REFUSED),
    (trio(), trio("2", None, "4"), REFUSED),
    # a flag that names the batch or the micro-batch drops what the recipe says of all three
    (trio(32, 8, 4), trio("16"), (16, "auto", "auto")),
    (trio(32, 8, 4), trio(None, "2"), (2, 2, 1)),
    (trio(32, None, 4), trio(None, "2"), (2, 2, 1)),
    (trio(32, 8, 4), trio(None, "2", "3"), (6, 2, 3)),
    (trio(32, 8), trio("16", None, "2"), (16, 8, 2)),
    (trio(None, 8, 4), trio("16"), (16, "auto", "auto")),
    # a flag for the accumulation alone divides the recipe's batch, however the recipe names it
    (trio(32), trio(None, None, "4"), (32, 8, 4)),
    (trio(32, 8), trio(None, None, "2"), (32, 16, 2)),
    (trio(32, 8, 4), trio(None, None, "2"), (32, 16, 2)),
    (trio(None, 16), trio(None, None, "2"), (16, 8, 2)),
    (trio(None, 16, 2), trio(None, None, "4"), (32, 8, 4)),
    (trio(32), trio(None, None, "5"), REFUSED),
    # `auto` names nothing: the recipe's batch stays, and is divided anew
    (trio(32), trio(None, "auto"), (32, "auto", "auto")),
    (trio(32, 8, 4), trio(None, "auto"), (32, "auto", "auto")),
    (trio(None, 16, 2), trio(None, "auto"), (32, "auto", "auto")),
    (trio(32, 8), trio(None, None, "auto"), (32, "auto", "auto")),
    (trio(32, 8), trio(None, "auto", "2"), (32, 16, 2)),
]


@pytest.mark.parametrize(("recipe", "flags", "result"), BATCHES)
def test_batch_rules(recipe, flags, result):
    if result == REFUSED:
        with pytest.raises(UsageProblem, match="batch_size") as caught:
            resolve_trio(recipe, flags)
        assert caught.value.exit_code == ExitCode.USAGE
    else:
        assert resolve_trio(recipe, flags) == result


sizes = st.integers(1, 12)
trios = st.builds(trio, st.none() | sizes, st.none() | sizes | st.just("auto"), st.none() | sizes | st.just("auto"))


@given(trios, trios)
def test_the_parts_always_make_the_whole(recipe, flags):
    try:
        batch, micro, accumulation = resolve_trio(recipe, {name: str(value) for name, value in flags.items()})
    except UsageProblem:
        return
    if isinstance(micro, int) and isinstance(accumulation, int):
        assert micro * accumulation == batch
    else:
        assert (micro, accumulation) == ("auto", "auto")
    for name, value in flags.items():
        if value != "auto":  # what a flag says is so, or is refused
            assert dict(zip(BATCH_KEYS, (batch, micro, accumulation), strict=True))[name] == value


@given(st.integers(1, 500), st.integers(1, 500))
def test_the_hint_of_a_batch_that_does_not_divide_is_possible(batch, micro):
    flags = trio(batch, micro)
    try:
        resolve(Request(), flags)
    except UsageProblem as problem:
        assert batch % micro
        _, first, _, second = str(problem.hint).split()
        assert int(first) % int(second) == 0
        resolve(Request(), trio(int(first), int(second)))
    else:
        assert batch % micro == 0


def test_a_contradiction_says_the_product():
    with pytest.raises(UsageProblem) as caught:
        settings_of("--batch_size", "16", "--micro_batch_size", "4", "--gradient_accumulation_steps", "2")
    assert caught.value.message == "batch_size 16 is not micro_batch_size 4 x gradient_accumulation_steps 2"
    assert "--batch_size 8" in str(caught.value.hint)


def test_every_key_has_an_origin_and_a_group():
    settings = settings_of("--seed", "1", batch_size=4)
    assert set(settings.origins) == set(Recipe.model_fields)
    assert all(group_of(name) in GROUPS for name in Recipe.model_fields)
    assert settings.origin_of("seed").source == "flag"
    assert settings.origin_of("batch_size").source == "recipe"
    assert settings.origin_of("header").source == "default"
    assert settings.origin_of("learning_rate").source == "derived"
    assert all(origin.why for origin in settings.origins.values() if origin.source == "derived")


def test_settings_survive_json():
    settings = settings_of("--lora_r", "8", "--micro_batch_size", "4", model="tiny")
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(
    ("words", "recipe", "full"),
    [
        ([], {}, False),
        ([], {"model": "tiny"}, True),
        (["--model", "tiny"], {"lora_r": 8}, False),
        (["--model", "tiny", "--lora_alpha", "16"], {}, False),
        (["--model", "tiny", "--lora"], {}, False),
        (["--full_finetuning"], {}, True),
        (["--full_finetuning"], {"full_finetuning": False}, True),
        ([], {"full_finetuning": True}, True),
    ],
)
def test_adapter_or_every_weight(words, recipe, full):
    assert settings_of(*words, **recipe).values.full_finetuning is full


@pytest.mark.parametrize(
    ("words", "rate"),
    [
        ([], 5e-5),
        (["--full_finetuning"], 2e-5),
        (["--model", "tiny"], 2e-3),
        (["--model=tiny", "--learning_rate=1"], 1.0),
    ],
)
def test_the_learning_rate_follows_what_is_trained(words, rate):
    assert settings_of(*words).values.learning_rate == rate


def test_the_recipes_held_out_part_belongs_to_the_recipes_data():
    recipe = {"data_file": "a.tsv", "eval_file": "b.tsv"}
    assert settings_of(**recipe).values.eval_file == "b.tsv"
    assert settings_of("--data_file", "mine.tsv", **recipe).values.eval_file is None
    assert settings_of("--eval_file", "mine.tsv", **recipe).values.data_file == "a.tsv"
    both = settings_of("--data_file", "mine.tsv", "--eval_file", "my_eval.tsv", **recipe)
    assert both.values.eval_file == "my_eval.tsv"


def test_a_prompt_and_its_file(tmp_path):
    file = tmp_path / "prompt.txt"
    file.write_text(" From the file. \n", encoding="utf-8")
    assert settings_of(system_prompt_file=str(file)).values.system_prompt == "From the file."
    assert (
        settings_of("--system_prompt_file", str(file), system_prompt="recipe's").values.system_prompt
        == "From the file."
    )
    assert settings_of("--system_prompt", "flag's", system_prompt_file=str(file)).values.system_prompt == "flag's"
    with pytest.raises(UsageProblem, match="twice"):
        settings_of("--system_prompt", "one", "--system_prompt_file", str(file))
    with pytest.raises(SparksmithError, match="cannot be read"):
        settings_of("--system_prompt_file", str(tmp_path / "absent.txt"))
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SparksmithError, match="cannot be read"):
        settings_of("--system_prompt_file", str(file))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch_size", "eight"], "--batch_size: 'eight' is not possible: it is a whole number"),
        (["--batch_size", "0"], "--batch_size: '0' is not possible: it should be greater than or equal to 1"),
        (["--learning_rate", "fast"], "--learning_rate: 'fast' is not possible: it is a number, or 'auto'"),
        (["--num_train_epochs", "inf"], "--num_train_epochs: 'inf' is not possible: it should be a finite number"),
        (["--learning_rate", "nan"], "--learning_rate: 'nan' is not possible"),
        (["--dropout", "1"], "--dropout: '1' is not possible: it should be less than 1"),
        (["--tiny_hidden_size", "100"], "--tiny_hidden_size: '100' is not possible: it should be a multiple of 16"),
        (["--seed", "-1"], "--seed: '-1' is not possible"),
        (
            ["--report_to", "mlflow"],
            "--report_to: 'mlflow' is not possible: it is one of 'none', 'tensorboard', 'wandb'",
        ),
        (["--full_finetuning=perhaps"], "--full_finetuning: 'perhaps' is not possible: it is true or false, or 'auto'"),
        (["--group_by_length", "auto"], "--group_by_length: 'auto' is not possible: it is true or false"),
    ],
)
def test_values_that_are_not_possible(words, message):
    with pytest.raises(UsageProblem) as caught:
        settings_of(*words)
    assert message in caught.value.message
    assert caught.value.hint == "sparksmith train --help"


def test_all_bad_flags_are_told_together():
    with pytest.raises(UsageProblem) as caught:
        settings_of("--batch_size", "x", "--seed", "y", "--dropout", "2")
    assert [line.split(":")[0].strip() for line in caught.value.message.splitlines()[1:]] == [
        "--dropout",
        "--batch_size",
        "--seed",
    ]


class TestAnotherModel:
    """A flag that puts a trained model in `tiny`'s place drops what the recipe chose, and the other way round."""

    def test_tiny_in_place_of_a_chat_model_trains_in_full(self):
        settings = resolve(find_recipe("sft"), {"model": "tiny"})
        assert settings.values.full_finetuning is True
        assert settings.values.learning_rate == 2e-3
        assert "unsloth/gemma-3-270m-it" in settings.origins["lora_r"].why

    def test_a_chat_model_in_place_of_tiny_gets_an_adapter_and_small_steps(self):
        settings = resolve(find_recipe("g2p-hebrew"), {"model": "some/model"})
        values = settings.values
        assert (values.full_finetuning, values.learning_rate, values.dropout) == (False, 5e-5, 0.0)
        assert values.label_smoothing == 0.0
        assert values.batch_size == 32 and values.system_prompt  # what does not depend on the model stays

    def test_flags_stay(self):
        settings = resolve(find_recipe("sft"), {"model": "tiny", "lora_r": "8", "learning_rate": "0.25"})
        assert (settings.values.full_finetuning, settings.values.lora_r) == (False, 8)
        assert settings.values.learning_rate == 0.25

    def test_another_model_of_the_same_kind_keeps_the_recipe(self):
        settings = resolve(find_recipe("sft"), {"model": "some/model"})
        assert settings.origins["learning_rate"].source == "recipe"
