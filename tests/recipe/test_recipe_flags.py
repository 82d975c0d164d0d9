"""Every flag, in every spelling, changes what it names and nothing else."""

from __future__ import annotations

import pytest

from asked import MACHINES, facts, flags_of, parameters_of, settings_of
from sparksmith.base.errors import ExitCode, UsageProblem
from sparksmith.cli.options import NOT_FLAGS, flag_names, is_switch, spellings
from sparksmith.recipe.aliases import ALIASES, REFUSED, canonical
from sparksmith.recipe.plan import plan
from sparksmith.recipe.schema import Recipe

# flag: (what is typed, what the key becomes); never the default
EVERY_FLAG = {
    "data_file": ("other.tsv", "other.tsv"),
    "eval_file": ("held_out.tsv", "held_out.tsv"),
    "data_format": ("jsonl", "jsonl"),
    "header": ("no", "no"),
    "prompt_column": ("word", "word"),
    "response_column": ("ipa", "ipa"),
    "system_prompt": ("You spell words.", "You spell words."),
    "system_prompt_file": ("prompt.txt", "prompt.txt"),
    "separator": (" => ", " => "),
    "train_on": ("all", "all"),
    "max_length": ("64", 64),
    "too_long": ("error", "error"),
    "group_by_length": ("false", False),
    "model": ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
    "device": ("cpu", "cpu"),
    "precision": ("fp32", "fp32"),
    "gradient_checkpointing": ("true", True),
    "dropout": ("0.25", 0.25),
    "attention_dropout": ("0.15", 0.15),
    "tiny_hidden_size": ("64", 64),
    "tiny_layers": ("2", 2),
    "tiny_heads": ("8", 8),
    "full_finetuning": ("true", True),
    "lora_r": ("16", 16),
    "lora_alpha": ("32", 32),
    "lora_dropout": ("0.05", 0.05),
    "lora_target_modules": ("q_proj,v_proj", "q_proj,v_proj"),
    "max_steps": ("77", 77),
    "num_train_epochs": ("1.5", 1.5),
    "batch_size": ("24", 24),
    "micro_batch_size": ("4", 4),
    "gradient_accumulation_steps": ("2", 2),
    "learning_rate": ("2e-4", 2e-4),
    "lr_scheduler_type": ("cosine", "cosine"),
    "warmup_ratio": ("0.1", 0.1),
    "weight_decay": ("0.02", 0.02),
    "adam_beta2": ("0.98", 0.98),
    "max_grad_norm": ("0.5", 0.5),
    "label_smoothing": ("0.1", 0.1),
    "response_noise": ("0.2", 0.2),
    "ema_window": ("0.3", 0.3),
    "optim": ("adamw_torch", "adamw_torch"),
    "seed": ("7", 7),
    "eval_steps": ("250", 250),
    "evaluate_untrained": ("true", True),
    "eval_batch_size": ("16", 16),
    "max_new_tokens": ("99", 99),
    "metric_for_best_model": ("wer", "wer"),
    "spaces_separate": ("words", "words"),
    "output_dir": ("elsewhere", "elsewhere"),
    "logging_steps": ("3", 3),
    "save_steps": ("123", 123),
    "save_total_limit": ("2", 2),
    "resume_from_checkpoint": ("checkpoint-4", "checkpoint-4"),
    "report_to": ("tensorboard", "tensorboard"),
}
# keys that follow from another one
FOLLOWS = {
    "system_prompt_file": {"system_prompt"},
    "full_finetuning": {"learning_rate"},
    "micro_batch_size": {"batch_size", "gradient_accumulation_steps"},
    "gradient_accumulation_steps": {"micro_batch_size"},
}
EVERY_SPELLING = [(name, spelling) for name in EVERY_FLAG for spelling in spellings(name) if name in flag_names()]
DEFAULTS = settings_of().values


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompt.txt").write_text("Answer in IPA.\n", encoding="utf-8")
    return tmp_path


def changed(values: Recipe) -> set[str]:
    return {name for name in Recipe.model_fields if getattr(values, name) != getattr(DEFAULTS, name)}


def test_the_table_holds_every_flag():
    assert set(EVERY_FLAG) == set(flag_names()) == set(Recipe.model_fields) - NOT_FLAGS


def test_both_spellings_and_every_alias_are_tried():
    tried = {spelling for _, spelling in EVERY_SPELLING}
    assert {f"--{name}" for name in (*EVERY_FLAG, *ALIASES)} <= tried
    assert {f"--{name.replace('_', '-')}" for name in (*EVERY_FLAG, *ALIASES)} <= tried


@pytest.mark.parametrize(("name", "spelling"), EVERY_SPELLING)
def test_a_flag_changes_what_it_names(name, spelling):
    typed, expected = EVERY_FLAG[name]
    for words in ([spelling, typed], [f"{spelling}={typed}"]):
        settings = settings_of(*words)
        assert getattr(settings.values, name) == expected
        assert settings.origin_of(name).source == "flag"
        assert changed(settings.values) - FOLLOWS.get(name, set()) == {name}


@pytest.mark.parametrize("name", EVERY_FLAG)
def test_a_flag_overrides_the_recipe(name):
    typed, expected = EVERY_FLAG[name]
    field = Recipe.model_fields[name]
    other = DEFAULTS.learning_rate if name == "learning_rate" else field.default
    settings = settings_of(f"--{name}={typed}", **({} if other is None else {name: other}))
    assert getattr(settings.values, name) == expected
    assert settings.origin_of(name).source == "flag"


@pytest.mark.parametrize("name", EVERY_FLAG)
def test_a_flag_reaches_the_plan(name):
    typed, expected = EVERY_FLAG[name]
    made = plan(settings_of(f"--{name}={typed}"), MACHINES["gb10"], facts(), facts(100))
    assert getattr(made, name) == expected


def test_a_system_prompt_is_read_from_its_file():
    settings = settings_of("--system_prompt_file", "prompt.txt")
    assert settings.values.system_prompt == "Answer in IPA."
    assert "prompt.txt" in settings.origin_of("system_prompt").why


@pytest.mark.parametrize(
    ("words", "key", "expected"),
    [
        (["--model_name_or_path", "Qwen/Qwen3-0.6B"], "model", "Qwen/Qwen3-0.6B"),
        (["--per_device_train_batch_size", "4"], "batch_size", 4),
        (["--per_device_train_batch_size", "4", "--gradient_accumulation_steps", "4"], "batch_size", 16),
        (["--per-device-eval-batch-size", "4"], "eval_batch_size", 4),
        (["--max_seq_length", "1024"], "max_length", 1024),
        (["--gradient_checkpointing"], "gradient_checkpointing", True),
        (["--gradient_checkpointing", "False"], "gradient_checkpointing", False),
        (["--learning_rate", "2e-4"], "learning_rate", 2e-4),
        (["--num_train_epochs", "1"], "num_train_epochs", 1.0),
        (["--warmup_ratio", "0.03"], "warmup_ratio", 0.03),
        (["--lr_scheduler_type", "constant_with_warmup"], "lr_scheduler_type", "constant_with_warmup"),
        (["--seed", "3407"], "seed", 3407),
        (["--label_smoothing_factor", "0.1"], "label_smoothing", 0.1),
        (["--lora_rank", "8"], "lora_r", 8),
        (["--lora-target", "q_proj"], "lora_target_modules", "q_proj"),
    ],
)
def test_names_that_transformers_users_type(words, key, expected):
    assert getattr(settings_of(*words).values, key) == expected


def test_the_last_of_two_spellings_wins():
    assert settings_of("--max_length", "64", "--max_seq_length", "96").values.max_length == 96


OLD_GUIDE = (
    "--data_file data.tsv --eval_file eval.tsv --batch_size 8 --max_steps 10000 --save_steps 500 --save_total_limit 5 "
    "--weight_decay 0.001 --eval_steps 2000 --report_to wandb --resume_from_checkpoint"
)


def test_the_line_of_the_older_guides_parses_as_it_stands():
    values = settings_of(*OLD_GUIDE.split()).values
    assert values.data_file == "data.tsv"
    assert values.eval_file == "eval.tsv"
    assert (values.batch_size, values.max_steps, values.save_steps, values.save_total_limit) == (8, 10000, 500, 5)
    assert (values.weight_decay, values.eval_steps, values.report_to) == (0.001, 2000, "wandb")
    assert values.resume_from_checkpoint == "latest"


@pytest.mark.parametrize("spelling", ["--resume_from_checkpoint", "--resume-from-checkpoint"])
def test_resuming_takes_a_checkpoint_or_nothing(spelling):
    assert settings_of(spelling).values.resume_from_checkpoint == "latest"
    assert settings_of(spelling, "--seed", "1").values.resume_from_checkpoint == "latest"
    assert settings_of(spelling, "outputs/checkpoint-500").values.resume_from_checkpoint == "outputs/checkpoint-500"
    assert settings_of(f"{spelling}=latest").values.resume_from_checkpoint == "latest"
    assert parameters_of("sft", spelling)["recipe"] == "sft"
    assert parameters_of(f"{spelling}=latest", "sft")["recipe"] == "sft"


@pytest.mark.parametrize("recipe", ["r.yaml", "folder/r.yml", "g2p-hebrew"])
@pytest.mark.parametrize("spelling", ["--resume_from_checkpoint", "--resume-from-checkpoint"])
def test_a_recipe_is_not_swallowed_as_a_checkpoint(spelling, recipe):
    with pytest.raises(UsageProblem, match="is a recipe, not a checkpoint") as caught:
        flags_of("--seed", "1", spelling, recipe, "--max_steps", "5")
    assert caught.value.exit_code == ExitCode.USAGE
    hint = str(caught.value.hint)
    assert f"sparksmith train {recipe} --seed 1 --max_steps 5 {spelling}" in hint
    assert f"{spelling}=latest {recipe}" in hint
    # both ways of the hint are understood
    words = hint.split("   (or ")[0].split()[2:]
    assert parameters_of(*words)["recipe"] == recipe
    assert flags_of(*words)["resume_from_checkpoint"] == "latest"


SWITCH_FORMS = [
    (["--full_finetuning"], "full_finetuning", True),
    (["--full-finetuning"], "full_finetuning", True),
    (["--no-full_finetuning"], "full_finetuning", False),
    (["--no_full_finetuning"], "full_finetuning", False),
    (["--no-full-finetuning"], "full_finetuning", False),
    (["--full_finetuning", "false"], "full_finetuning", False),
    (["--full_finetuning", "False"], "full_finetuning", False),
    (["--full_finetuning", "True"], "full_finetuning", True),
    (["--full_finetuning=False"], "full_finetuning", False),
    (["--full_finetuning=1"], "full_finetuning", True),
    (["--full_finetuning", "auto"], "full_finetuning", False),  # LoRA unless asked otherwise
    (["--lora"], "full_finetuning", False),
    (["--lora", "true"], "full_finetuning", False),
    (["--lora", "False"], "full_finetuning", True),
    (["--no-lora"], "full_finetuning", True),
    (["--bf16"], "precision", "bf16"),
    (["--bf16", "True"], "precision", "bf16"),
    (["--bf16=false"], "precision", "fp32"),
    (["--no_bf16"], "precision", "fp32"),
    (["--no_group_by_length"], "group_by_length", False),
    (["--gradient_checkpointing", "auto"], "gradient_checkpointing", "auto"),
    (["--evaluate_untrained", "off"], "evaluate_untrained", False),
]


@pytest.mark.parametrize(
    ("words", "key", "expected"), SWITCH_FORMS, ids=lambda value: " ".join(value) if isinstance(value, list) else None
)
def test_switch_forms(words, key, expected):
    assert getattr(settings_of(*words).values, key) == expected
    # a switch never takes the recipe that follows it
    parameters = parameters_of(*words, "sft")
    assert parameters["recipe"] == "sft"


def test_every_switch_stands_alone_and_is_negated():
    for name in filter(is_switch, flag_names()):
        assert getattr(settings_of(f"--{name}").values, name) is True
        assert getattr(settings_of(f"--no_{name}").values, name) is False


@pytest.mark.parametrize("word", ["--bf16=maybe", "--lora=auto"])
def test_a_shorthand_is_true_or_false(word):
    with pytest.raises(UsageProblem, match="it is true or false"):
        flags_of(word)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("dashes", [False, True])
def test_a_refused_flag_says_why(name, dashes):
    typed = name.replace("_", "-") if dashes else name
    with pytest.raises(UsageProblem) as caught:
        flags_of(f"--{typed}", "value")
    assert caught.value.message == f"--{typed} is not possible: {REFUSED[name]}"
    assert caught.value.exit_code == ExitCode.USAGE
    assert caught.value.hint


def test_no_name_is_both_refused_and_known():
    assert not set(REFUSED) & (set(Recipe.model_fields) | set(ALIASES))
    assert set(ALIASES.values()) <= set(Recipe.model_fields)
    assert not set(ALIASES) & set(Recipe.model_fields)


@pytest.mark.parametrize("words", [["--attn_implementation", "sdpa"], ["--attn-implementation=sdpa"]])
def test_the_attention_that_is_used_anyway_may_be_asked_for(words):
    assert flags_of(*words, "--seed", "1") == {"seed": "1"}


def test_words_after_two_dashes_are_left_alone():
    assert parameters_of("--seed", "1", "--", "sft")["recipe"] == "sft"


@pytest.mark.parametrize(
    ("typed", "name"),
    [("batch-size", "batch_size"), ("max-seq-length", "max_length"), (" model ", "model"), ("nonsense", "nonsense")],
)
def test_canonical(typed, name):
    assert canonical(typed) == name


def test_a_dataset_by_the_name_that_trls_scripts_use():
    assert settings_of("--dataset_name", "owner/name:dev").values.data_file == "owner/name:dev"
