"""A recipe and flags become Settings: every key with its value, where that comes from, and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from sparksmith.base.errors import SparksmithError, UsageProblem, describe_problems
from sparksmith.recipe.read import Request, find_problems
from sparksmith.recipe.schema import Recipe, why_of

SETTINGS_VERSION = 1
FOR_ONE_MODEL = (
    "full_finetuning", "learning_rate", "weight_decay", "dropout", "label_smoothing", "lora_r", "lora_alpha",
    "lora_dropout", "lora_target_modules",
)  # fmt: skip
BATCH_KEYS = ("batch_size", "micro_batch_size", "gradient_accumulation_steps")


class Origin(BaseModel):
    """Where a value comes from, and why it is what it is where that is not plain."""

    model_config = ConfigDict(frozen=True)
    source: Literal["default", "recipe", "flag", "derived"]
    why: str = ""


class Settings(BaseModel):
    """A recipe resolved. What only the machine or the data can decide is still `auto`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: int = SETTINGS_VERSION
    values: Recipe
    origins: dict[str, Origin]

    def origin_of(self, name: str) -> Origin:
        return self.origins[name]


def resolve(request: Request, flags: Mapping[str, Any]) -> Settings:
    """The recipe with the flags over it. Raises `UsageProblem` for flags that are not possible or contradict."""
    if problems := find_problems(flags):
        # a flag is shown as it is typed
        lines = [f"--{text}" for _, text in problems]
        raise UsageProblem(describe_problems("the flags cannot be used as they are:", lines), "sparksmith train --help")
    merged: dict[str, Any] = {**request.values, **flags}
    origins = {name: Origin(source="default", why=why_of(name)) for name in Recipe.model_fields}
    origins |= {name: Origin(source="recipe", why=request.origin) for name in request.values}
    origins |= {name: Origin(source="flag") for name in flags}
    if "data_file" in flags and "eval_file" in merged and "eval_file" not in flags:
        # the recipe's held-out part belongs to the recipe's data
        del merged["eval_file"]
        origins["eval_file"] = Origin(source="derived", why="the recipe's eval_file belongs to the recipe's data_file")
    _drop_for_other_model(request, flags, merged, origins)
    _resolve_batch(request.values, flags, merged, origins)
    _resolve_adapter(merged, origins)
    _resolve_prompt(merged, origins)
    _resolve_learning_rate(merged, origins)
    return Settings(values=Recipe.model_validate(merged), origins=origins)


def _drop_for_other_model(
    request: Request, flags: Mapping[str, Any], merged: dict[str, Any], origins: dict[str, Origin]
) -> None:
    """A flag that puts a trained model in `tiny`'s place, or the other way round, drops what the recipe chose for the
    one it names: what suits random weights ruins trained ones, and an adapter cannot mend random ones."""
    named = request.values.get("model")
    if named is None or "model" not in flags or (flags["model"] == "tiny") == (named == "tiny"):
        return
    for name in FOR_ONE_MODEL:
        if name in request.values and name not in flags:
            del merged[name]
            origins[name] = Origin(source="derived", why=f"the recipe's value is for {named}")


def _resolve_batch(
    recipe: Mapping[str, Any], flags: Mapping[str, Any], merged: dict[str, Any], origins: dict[str, Origin]
) -> None:
    """Make batch_size = micro_batch_size x gradient_accumulation_steps hold, or leave what nobody said `auto`.

    Flags are one statement and the recipe another: a flag that names the batch or the micro-batch drops what the recipe
    says of all three; a flag for the accumulation alone, or one that says `auto`, divides the recipe's batch anew.
    """
    if any(name in flags for name in BATCH_KEYS):
        named = any(flags.get(name, "auto") != "auto" for name in ("batch_size", "micro_batch_size"))
        batch = None if named else _batch_of(recipe)
        for name in BATCH_KEYS:
            if name in merged and name not in flags:
                del merged[name]
                origins[name] = Origin(
                    source="derived", why="a flag names the batch, so what the recipe says of it is dropped"
                )
        if batch is not None:
            merged["batch_size"] = batch
            origins["batch_size"] = Origin(source="recipe", why="the recipe's batch, divided as the flags say")
    values = Recipe.model_validate({name: merged[name] for name in BATCH_KEYS if name in merged})
    micro, accumulation = values.micro_batch_size, values.gradient_accumulation_steps
    if micro != "auto" and "batch_size" not in merged:
        merged["gradient_accumulation_steps"] = 1 if accumulation == "auto" else accumulation
        merged["batch_size"] = micro * merged["gradient_accumulation_steps"]
        origins["batch_size"] = Origin(source="derived", why="micro_batch_size x gradient_accumulation_steps")
    elif micro != "auto" or accumulation != "auto":
        _divide_batch(values.batch_size, micro, accumulation, merged, origins)


def _batch_of(recipe: Mapping[str, Any]) -> int | None:
    """The effective batch that a recipe names, itself or as a product; None where it names none."""
    values = Recipe.model_validate({name: recipe[name] for name in BATCH_KEYS if name in recipe})
    if "batch_size" in recipe:
        return values.batch_size
    if values.micro_batch_size == "auto":
        return None
    accumulation = values.gradient_accumulation_steps
    return values.micro_batch_size * (1 if accumulation == "auto" else accumulation)


def _divide_batch(
    batch: int, micro: int | str, accumulation: int | str, merged: dict[str, Any], origins: dict[str, Origin]
) -> None:
    """Fill in the missing one of micro-batch and accumulation. Raises `UsageProblem` where they do not divide."""
    if isinstance(micro, int) and isinstance(accumulation, int):
        if micro * accumulation != batch:
            raise UsageProblem(
                f"batch_size {batch} is not micro_batch_size {micro} x gradient_accumulation_steps {accumulation}",
                f"leave one of the three out, or ask for --batch_size {micro * accumulation}",
            )
        return
    known, given = (
        ("micro_batch_size", micro) if isinstance(micro, int) else ("gradient_accumulation_steps", accumulation)
    )
    derived = "gradient_accumulation_steps" if isinstance(micro, int) else "micro_batch_size"
    assert isinstance(given, int)
    if batch % given:
        raise UsageProblem(
            f"batch_size {batch} is not a multiple of {known} {given}",
            f"--batch_size {max(1, round(batch / given)) * given} --{known} {given}",
        )
    merged[derived] = batch // given
    origins[derived] = Origin(source="derived", why=f"batch_size / {known}")


def _resolve_adapter(merged: dict[str, Any], origins: dict[str, Origin]) -> None:
    """LoRA unless asked otherwise; `tiny` in full unless a LoRA key is given."""
    values = Recipe.model_validate(merged)
    if values.full_finetuning != "auto":
        return
    asked = [
        name for name, origin in origins.items() if name.startswith("lora_") and origin.source in {"flag", "recipe"}
    ]
    if values.model == "tiny" and not asked:
        merged["full_finetuning"] = True
        why = "`tiny` starts from random weights, which an adapter cannot mend"
    else:
        merged["full_finetuning"] = False
        why = f"{asked[0]} asks for LoRA" if asked else "LoRA trains a small adapter and leaves the model as it is"
    origins["full_finetuning"] = Origin(source="derived", why=why)


def _resolve_prompt(merged: dict[str, Any], origins: dict[str, Origin]) -> None:
    """system_prompt_file becomes system_prompt; both at once is a contradiction."""
    file = merged.get("system_prompt_file")
    if file is None:
        return
    if merged.get("system_prompt") is not None:
        if origins["system_prompt"].source == origins["system_prompt_file"].source:
            raise UsageProblem("system_prompt and system_prompt_file say the same thing twice", "leave one of them out")
        if origins["system_prompt"].source == "flag":
            merged["system_prompt_file"] = None
            return
    path = Path(file).expanduser()
    try:
        merged["system_prompt"] = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SparksmithError(f"the system prompt {file} cannot be read: {error}") from None
    origins["system_prompt"] = Origin(source=origins["system_prompt_file"].source, why=f"read from {file}")


def _resolve_learning_rate(merged: dict[str, Any], origins: dict[str, Origin]) -> None:
    values = Recipe.model_validate(merged)
    if values.learning_rate != "auto":
        return
    if values.model == "tiny":
        rate, why = 2e-3, "a small decoder from random weights"
    elif values.full_finetuning:
        rate, why = 2e-5, "all weights of a trained model: small steps keep what it knows"
    else:
        rate, why = 5e-5, "what the gemma3-g2p recipe trains its adapter with"
    merged["learning_rate"] = rate
    origins["learning_rate"] = Origin(source="derived", why=why)
