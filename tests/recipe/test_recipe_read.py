"""Recipe files: everything that is wrong with one is said at once, with line numbers."""

from __future__ import annotations

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sparksmith.base.errors import SparksmithError
from sparksmith.recipe.read import parse_recipe, read_recipe
from sparksmith.recipe.schema import Recipe, json_schema
from sparksmith.recipe.settings import resolve
from sparksmith.recipe.shipped import find_recipe, locate_data, recipe_names, recipe_text

FIVE_MISTAKES = """\
# a comment
model: tiny
batchsize: 8
max_steps: many
lr_scheduler_type: linaer

load_in_4bit: true
dropout: 1.5
"""


def test_five_mistakes_are_one_message():
    with pytest.raises(SparksmithError) as caught:
        parse_recipe(FIVE_MISTAKES, "my.yaml")
    heading, *lines = caught.value.message.splitlines()
    assert heading == "my.yaml has 5 mistakes:"
    assert [line.split(":")[0].strip() for line in lines] == ["line 3", "line 4", "line 5", "line 7", "line 8"]
    assert "batchsize: no such key (perhaps you meant batch_size)" in lines[0]
    assert "max_steps: 'many' is not possible: it is a whole number" in lines[1]
    assert "it is one of 'linear', 'cosine'" in lines[2]
    assert "load_in_4bit: not possible: QLoRA is not built yet" in lines[3]
    assert "dropout: 1.5 is not possible: it should be less than 1" in lines[4]
    assert "sparksmith recipe schema" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nseed: 2", "line 2: seed: given twice (first on line 1)"),
        ("max_length: 64\nmax_seq_length: 64", "line 2: max_seq_length: given twice (first on line 1)"),
        ("max-length: 64\nmax_length: 64", "line 2: max_length: given twice (first on line 1)"),
        ("- seed\n- 1", "a recipe is `key: value` lines"),
        ("just words", "a recipe is `key: value` lines"),
        ("model: tiny\n  seed: [1", "my.yaml, line 2: not YAML"),
        ('model: "tiny', "not YAML: found unexpected end of stream"),
        ("a: 1\n---\nb: 2", "not YAML"),
        ("name: *nobody", "not YAML: found undefined alias"),
        ("name: 2026-13-45", "line 1: name: month must be in 1..12"),
        ("name: !!python/object:os.system x", "line 1: name: could not determine a constructor"),
        ("name: &a [*a]", "line 1: name: "),
        ("seed: 1.5", "line 1: seed: 1.5 is not possible: it is a whole number"),
        ("learning_rate: .inf", "line 1: learning_rate: inf is not possible: it should be a finite number"),
        ("lora_target_modules: [q_proj, v_proj]", "line 1: lora_target_modules: ['q_proj', 'v_proj'] is not possible"),
        ("{[a]: 1}", "no such key"),
        ("<<: {seed: 1}", "<<: no such key"),
        ("name: \0", "not YAML"),
    ],
)
def test_mistakes(text, message):
    with pytest.raises(SparksmithError) as caught:
        parse_recipe(text, "my.yaml")
    assert message in caught.value.message
    assert caught.value.message.startswith("my.yaml")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("learning_rate: 2e-4", "learning_rate", 2e-4),  # YAML 1.1 reads a string there
        ("learning_rate: 2.0e-4", "learning_rate", 2e-4),
        ("learning_rate: auto", "learning_rate", 5e-5),
        ("per_device_train_batch_size: 4", "batch_size", 4),
        ("save-steps: 7", "save_steps", 7),
        ("header: yes", "header", "yes"),  # YAML 1.1 reads true there
        ("header: no", "header", "no"),
        ('header: "auto"', "header", "auto"),
        ("full_finetuning: on", "full_finetuning", True),
        ("max_steps:", "max_steps", None),
        ("system_prompt: |\n  one\n  two\n", "system_prompt", "one\ntwo\n"),
        ("system_prompt: תעתיק", "system_prompt", "תעתיק"),
        ("", "seed", 42),
        ("# nothing\n", "seed", 42),
        ("{seed: 3}", "seed", 3),
    ],
)
def test_values(text, key, value):
    request = parse_recipe(text, "my.yaml")
    assert request.text == text
    assert getattr(resolve(request, {}).values, key) == value


def test_files(tmp_path):
    file = tmp_path / "it's mine.yaml"
    file.write_text("seed: 5\n", encoding="utf-8")
    assert read_recipe(file).values == {"seed": 5}
    assert find_recipe(str(file)).values == {"seed": 5}
    bare = tmp_path / "bare"
    bare.write_text("seed: 6\n", encoding="utf-8")
    assert find_recipe(str(bare)).values == {"seed": 6}
    with pytest.raises(SparksmithError, match="does not exist"):
        find_recipe(str(tmp_path / "absent.yaml"))
    with pytest.raises(SparksmithError, match="cannot be read: Is a directory"):
        read_recipe(tmp_path)
    file.write_bytes("name: café".encode("latin-1"))
    with pytest.raises(SparksmithError, match="is not UTF-8 text"):
        read_recipe(file)


def test_an_unknown_recipe_is_told_with_the_nearest_name():
    with pytest.raises(SparksmithError, match=r"perhaps you meant g2p-hebrew") as caught:
        find_recipe("g2p-hebrw")
    assert all(name in str(caught.value.hint) for name in recipe_names())
    with pytest.raises(SparksmithError, match="there is no recipe nothing"):
        recipe_text("nothing")


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes(name):
    request = find_recipe(name)
    settings = resolve(request, {})
    assert settings.values.name == name
    assert settings.values.description
    jsonschema.Draft202012Validator(json_schema()).validate(yaml.safe_load(recipe_text(name)))
    for file in (settings.values.data_file, settings.values.eval_file):
        assert file is None or locate_data(file).is_file()


def test_the_shipped_recipes_are_there():
    assert {"sft", "g2p-hebrew", "g2p-word"} <= set(recipe_names())


def test_the_json_schema_tells_every_key_and_refuses_what_the_model_refuses():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) == set(Recipe.model_fields)
    assert all(row["description"] for row in schema["properties"].values())
    validator = jsonschema.Draft202012Validator(schema)
    for wrong in ({"batchsize": 8}, {"batch_size": 0}, {"dropout": 1}, {"optim": "sgd"}, {"learning_rate": "fast"}):
        assert not validator.is_valid(wrong)
        with pytest.raises(SparksmithError):
            parse_recipe(yaml.safe_dump(wrong), "wrong.yaml")


@given(
    st.dictionaries(
        st.sampled_from(sorted(Recipe.model_fields)),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        max_size=5,
    )
)
def test_any_mapping_is_read_or_refused_with_a_line_for_each_mistake(values):
    text = yaml.safe_dump(values, allow_unicode=True, sort_keys=False)
    try:
        request = parse_recipe(text, "any.yaml")
    except SparksmithError as error:
        heading = error.message.splitlines()[0]
        assert heading.startswith("any.yaml has ")
        count = int(heading.split()[2])
        assert 1 <= count <= len(values)
        assert error.message.count("\n  line ") == count
    else:
        assert set(request.values) == set(values)


@given(st.text(max_size=60))
def test_any_text_is_a_recipe_or_an_error_that_helps(text):
    try:
        parse_recipe(text, "any.yaml")
    except SparksmithError as error:
        assert error.message.startswith("any.yaml")
        assert error.hint


def test_samples_and_paths(own_home):
    assert locate_data("~/a.tsv") == own_home / "a.tsv"
    assert str(locate_data("data/a.tsv")) == "data/a.tsv"
    assert locate_data("sample:g2p-hebrew/train.tsv").is_file()
