"""The keys of a recipe: the one place where a key, its default and its help stand.

The command line's training options, the JSON schema for editors and the reference page are made from this model. A
key whose value is `auto` is decided later: by `settings.py` where the recipe alone is enough, by `plan.py` where the
machine or the data decide.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

Auto = Literal["auto"]
Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
# YAML reads a bare yes or no as true or false.
YesNo = BeforeValidator(lambda value: {True: "yes", False: "no"}[value] if isinstance(value, bool) else value)

GROUPS = ("data", "model", "adapter", "training", "evaluation", "record")


def key(default: Any, group: str, help: str, *, why: str = "", free: bool = False) -> Any:
    """A recipe key: its default, the group that --help shows it in, what it means, and why this default.

    `free` says that a run may go on under another value of it; without it another value makes it another run.
    """
    return Field(default, description=help, json_schema_extra={"group": group, "why": why, "free": free})


class Recipe(BaseModel):
    """A supervised fine-tuning run, as its user asks for it."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)

    @field_validator("max_steps", mode="before")
    @classmethod
    def _as_transformers(cls, value: Any) -> Any:
        """-1 is Transformers' way of saying that the epochs decide."""
        return None if str(value) == "-1" else value

    @field_validator("metric_for_best_model", mode="before")
    @classmethod
    def _without_prefix(cls, value: Any) -> Any:
        """Transformers' eval_loss is our loss."""
        return value.removeprefix("eval_") if isinstance(value, str) else value

    name: str = key("", "record", "what the recipe is called", free=True)
    description: str = key("", "record", "one line of what it is for", free=True)
    method: Literal["sft"] = key("sft", "training", "supervised fine-tuning")

    data_file: str | None = key(
        None,
        "data",
        "the training data: TSV or CSV of two columns, JSONL or parquet (prompt/completion, messages or text), or a "
        "dataset on the hub, owner/name or owner/name:split",
        free=True,
    )
    eval_file: str | None = key(
        None,
        "data",
        "held-out data of the same kind, for the loss and the score; of a dataset on the hub the split validation, or "
        "else test",
        free=True,
    )
    data_format: Literal["auto", "tsv", "csv", "jsonl", "parquet"] = key(
        "auto", "data", "how to read local files", why="by the name's ending"
    )
    header: Annotated[Literal["auto", "yes", "no"], YesNo] = key(
        "auto", "data", "whether TSV and CSV start with a line of column names"
    )
    prompt_column: str | None = key(
        None,
        "data",
        "the column of the prompt, where there are several: its name, or its number where there is no header",
    )
    response_column: str | None = key(None, "data", "the column of the response, likewise")
    system_prompt: str | None = key(None, "data", "a system message put before every example")
    system_prompt_file: str | None = key(None, "data", "the same, read from a text file", free=True)
    separator: str = key(
        "\n", "data", "what stands between prompt and response where the tokenizer has no chat template"
    )
    train_on: Literal["responses", "all"] = key("responses", "data", "which tokens the loss counts")
    max_length: Annotated[int, Field(ge=8)] = key(
        512, "data", "the longest example, in tokens; `too_long` says what becomes of longer ones"
    )
    too_long: Literal["drop", "error"] = key(
        "drop", "data", "what to do with an example over max_length", why="a cut response teaches to stop early"
    )
    group_by_length: bool = key(
        True, "data", "put examples of like length in one batch", why="less padding; the loss of an example is the same"
    )

    model: str = key(
        "unsloth/gemma-3-270m-it", "model", "a hub id, a local folder, or `tiny` (made here, from scratch)"
    )
    device: Literal["auto", "cpu", "cuda"] = key("auto", "model", "where to train", free=True)
    precision: Literal["auto", "bf16", "fp32"] = key(
        "auto", "model", "bf16: matrix products in bfloat16, trained weights in fp32", free=True
    )
    gradient_checkpointing: bool | Auto = key(
        "auto", "model", "recompute activations in the backward pass: less memory, more time", free=True
    )
    dropout: Share = key(0.0, "model", "dropout on what each attention and feed-forward block adds")
    attention_dropout: Share = key(0.0, "model", "dropout on the attention weights")
    tiny_hidden_size: Annotated[int, Field(ge=16, multiple_of=16)] = key(128, "model", "width of `tiny`")
    tiny_layers: Positive = key(4, "model", "decoder layers of `tiny`")
    tiny_heads: Positive = key(4, "model", "attention heads of `tiny`")

    full_finetuning: bool | Auto = key("auto", "adapter", "train every weight; otherwise a LoRA adapter")
    lora_r: Positive = key(128, "adapter", "rank of the LoRA matrices")
    lora_alpha: Positive = key(128, "adapter", "LoRA scale: alpha / r")
    lora_dropout: Share = key(0.0, "adapter", "dropout before the LoRA matrices")
    lora_target_modules: str = key(
        "all-linear", "adapter", "which layers get LoRA: `all-linear`, or names separated by commas"
    )

    max_steps: Positive | None = key(
        None, "training", "optimizer steps; without it, num_train_epochs decides", free=True
    )
    num_train_epochs: Annotated[float, Field(gt=0)] = key(
        3.0, "training", "passes over the data, where max_steps is not given", free=True
    )
    batch_size: Positive = key(8, "training", "examples per optimizer step (the effective batch)")
    micro_batch_size: Positive | Auto = key("auto", "training", "examples per forward pass", free=True)
    gradient_accumulation_steps: Positive | Auto = key(
        "auto", "training", "forward passes per optimizer step", free=True
    )
    learning_rate: Annotated[float, Field(gt=0)] | Auto = key("auto", "training", "the highest learning rate")
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = key(
        "linear", "training", "how the learning rate falls"
    )
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = key(
        0.03, "training", "share of the steps in which the learning rate rises"
    )
    weight_decay: Annotated[float, Field(ge=0)] = key(
        0.001, "training", "AdamW's weight decay; not on biases and norms"
    )
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = key(
        0.999, "training", "AdamW's decay of the squared gradients' average"
    )
    max_grad_norm: Annotated[float, Field(ge=0)] = key(
        1.0, "training", "gradients are scaled down to this norm; 0 for never"
    )
    label_smoothing: Share = key(0.0, "training", "share of the target spread over all tokens")
    response_noise: Share = key(
        0.0,
        "training",
        "share of the response's tokens that are replaced in what the model reads, not in what it learns",
    )
    ema_window: Share = key(
        0.0,
        "training",
        "evaluate and save the weights' exponential moving average, over this share of the steps; 0 for the weights",
    )
    optim: Literal["auto", "adamw_torch", "adamw_8bit"] = key("auto", "training", "the optimizer")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = key(
        42, "training", "of the weights, the order of the data and dropout"
    )

    eval_steps: Annotated[int, Field(ge=0)] | Auto = key(
        "auto",
        "evaluation",
        "steps between evaluations on eval_file, of the loss and the scores; 0 for never",
        free=True,
    )
    evaluate_untrained: bool | Auto = key("auto", "evaluation", "score the model before training too", free=True)
    eval_batch_size: Positive = key(64, "evaluation", "examples generated at once", free=True)
    max_new_tokens: Positive | Auto = key(
        "auto", "evaluation", "the longest response to generate, in tokens", free=True
    )
    spaces_separate: Literal["phones", "words"] | None = key(
        None,
        "evaluation",
        "for grapheme-to-phoneme: what spaces in a response separate; gives PER, WER and stress error",
        free=True,
    )

    output_dir: str = key(
        "outputs",
        "record",
        "the run's folder; `{n}` becomes the first number that is free; where nobody names one and `outputs` holds "
        "other runs, `outputs/NAME-{n}`",
        free=True,
    )
    logging_steps: Positive = key(10, "record", "steps between lines in metrics.jsonl", free=True)
    save_steps: Positive = key(500, "record", "steps between checkpoints; the last step is always saved", free=True)
    save_total_limit: Positive = key(5, "record", "how many checkpoints are kept", free=True)
    metric_for_best_model: Literal["loss", "wer", "per", "cer", "exact_match"] | Auto = key(
        "auto",
        "record",
        "by which figure of eval_file the best checkpoint is kept besides the newest ones",
        free=True,
    )
    resume_from_checkpoint: str | None = key(
        None, "record", "go on from `latest`, or from the named checkpoint folder", free=True
    )
    report_to: Literal["none", "tensorboard", "wandb"] = key(
        "none", "record", "where metrics go besides metrics.jsonl", free=True
    )


def group_of(name: str) -> str:
    """The group that a key is shown in."""
    extra = Recipe.model_fields[name].json_schema_extra
    assert isinstance(extra, dict)
    return str(extra["group"])


def why_of(name: str) -> str:
    """Why a key's default is what it is; empty where that needs no words."""
    extra = Recipe.model_fields[name].json_schema_extra
    assert isinstance(extra, dict)
    return str(extra["why"])


def free_on_resume(name: str) -> bool:
    """Whether a run may go on under another value of this key."""
    extra = Recipe.model_fields[name].json_schema_extra
    assert isinstance(extra, dict)
    return bool(extra["free"])


def json_schema() -> dict[str, Any]:
    """The JSON schema of a recipe file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}
