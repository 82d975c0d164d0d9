"""Settings, the machine and the data become a Plan: what will be done and why, with nothing left open."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import read_json
from sparksmith.base.units import plural
from sparksmith.machine.collect import Machine
from sparksmith.recipe.schema import Recipe
from sparksmith.recipe.settings import Settings

PLAN_VERSION = 1
FP32_WIDTH = 512  # of `tiny`: up to it a step is bound by the number of kernels (benchmarks/RESULTS.md, 2026-11-29)
UNTRAINED_ROWS = 2000  # rows of eval_file up to which the untrained model is scored unasked


@dataclass(frozen=True)
class DataFacts:
    """What was seen of one data file before anything is planned. Lengths are characters (Unicode code points)."""

    path: Path
    sha256: str
    rows: int
    format: str
    longest_response: int


class PlannedData(BaseModel):
    """A data file as the Job will read it. Raises nothing: it was checked when the plan was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: str
    sha256: str
    rows: int
    format: str


class Choice(BaseModel):
    """A value that the plan decided, and why."""

    model_config = ConfigDict(frozen=True)
    name: str
    value: Any
    why: str


class Plan(Recipe):
    """Every key decided, and what they follow from. `train` reads nothing else but the data and the model."""

    version: int = PLAN_VERSION
    device: Literal["cpu", "cuda"]
    precision: Literal["bf16", "fp32"]
    gradient_checkpointing: bool
    full_finetuning: bool
    max_steps: int
    micro_batch_size: int
    gradient_accumulation_steps: int
    learning_rate: float
    optim: Literal["adamw_torch", "adamw_8bit"]
    eval_steps: int
    evaluate_untrained: bool
    max_new_tokens: int
    metric_for_best_model: Literal["loss", "wer", "per", "cer", "exact_match"] = "loss"  # as it was without the key
    train_data: PlannedData
    eval_data: PlannedData | None
    choices: tuple[Choice, ...]

    @property
    def tiny(self) -> bool:
        return self.model == "tiny"


def plan(
    settings: Settings,
    machine: Machine,
    train_facts: DataFacts,
    eval_facts: DataFacts | None,
    predict: Callable[..., Any] | None = None,
) -> Plan:
    """Decide what is still `auto`. `predict` will give the memory of a candidate; without it the micro-batch is the
    whole batch. Raises `SparksmithError` where what was asked for is impossible on this machine."""
    values = settings.values
    decided: dict[str, Any] = {}
    choices: list[Choice] = []

    def decide(name: str, value: Any, why: str) -> None:
        decided[name] = value
        choices.append(Choice(name=name, value=value, why=why))

    _decide_device(values, machine, decide)
    cuda = decided["device"] == "cuda"
    _decide_precision(values, machine, cuda, decide)
    if values.gradient_checkpointing == "auto":
        if cuda and values.model != "tiny":
            decide("gradient_checkpointing", True, "memory is not predicted yet, and recomputing keeps it small")
        else:
            decide(
                "gradient_checkpointing",
                False,
                "the model is small" if values.model == "tiny" else "on a CPU time is short",
            )
    _decide_batch(values, predict, decide)
    _decide_optimizer(values, cuda, decide)
    steps_per_epoch = math.ceil(train_facts.rows / values.batch_size)
    if values.max_steps is None:
        steps = max(1, math.ceil(values.num_train_epochs * steps_per_epoch))
        epochs = f"{values.num_train_epochs:g} {'epoch' if values.num_train_epochs == 1 else 'epochs'}"
        decide("max_steps", steps, f"{epochs} of {plural(steps_per_epoch, 'step')}")
    if values.eval_steps == "auto":
        if eval_facts:
            decide("eval_steps", values.save_steps, "as often as checkpoints are saved")
        else:
            decide("eval_steps", 0, "there is no eval_file")
    if values.evaluate_untrained == "auto":
        rows = eval_facts.rows if eval_facts else 0
        small = 0 < rows <= UNTRAINED_ROWS
        decide(
            "evaluate_untrained",
            small,
            f"{plural(rows, 'row')} to compare with"
            if small
            else f"eval_file has {plural(rows, 'row')}"
            if rows
            else "there is no eval_file",
        )
    if values.metric_for_best_model == "auto":
        if eval_facts is None:
            decide("metric_for_best_model", "loss", "there is no eval_file")
        elif values.spaces_separate is not None:
            decide("metric_for_best_model", "wer", f"spaces_separate {values.spaces_separate} gives a WER")
        else:
            decide("metric_for_best_model", "exact_match", "answers are compared; of equal ones the loss decides")
    if values.max_new_tokens == "auto":
        longest = max(facts.longest_response for facts in (train_facts, eval_facts) if facts)
        tokens = min(values.max_length, 16 + longest * (1 if values.model == "tiny" else 2))
        decide("max_new_tokens", tokens, f"the longest response has {plural(longest, 'character')}")
    if values.model == "tiny" and values.system_prompt is not None:
        if settings.origins["system_prompt"].source == "flag":
            raise SparksmithError(
                "a system prompt has no use with --model tiny: it starts from random weights and cannot read it",
                "leave the system prompt out, or name a chat model",
            )
        decide("system_prompt", None, "the same words in every example tell a model from scratch nothing")
    fields = values.model_dump() | decided
    fields |= {
        "train_data": _planned(train_facts),
        "eval_data": _planned(eval_facts) if eval_facts else None,
        "choices": tuple(choices),
    }
    return Plan.model_validate(fields)


def _planned(facts: DataFacts) -> PlannedData:
    return PlannedData(path=str(facts.path.resolve()), sha256=facts.sha256, rows=facts.rows, format=facts.format)


def _decide_device(values: Recipe, machine: Machine, decide: Callable[[str, Any, str], None]) -> None:
    gpu = machine.gpus[0] if machine.gpus else None
    if values.device == "cuda" and gpu is None:
        raise SparksmithError(
            "device cuda was asked for and nvidia-smi shows no GPU", "--device cpu, or see what nvidia-smi says"
        )
    if values.device != "auto":
        decide("device", values.device, "asked for")
    elif gpu:
        capability = ".".join(map(str, gpu.compute_capability))
        decide("device", "cuda", f"nvidia-smi shows {gpu.name} (compute capability {capability}, driver {gpu.driver})")
    else:
        decide("device", "cpu", "nvidia-smi shows no GPU")


def read_plan(path: Path, hint: str | None) -> Plan:
    """The plan in a file. Raises `SparksmithError`, with the hint, for one that is damaged or of another version."""
    try:
        content = read_json(path)
    except SparksmithError as error:
        raise SparksmithError(error.message, hint) from None
    if not isinstance(content, dict):
        raise SparksmithError(f"{path} is no plan: it holds no object", hint)
    if content.get("version") != PLAN_VERSION:
        raise SparksmithError(f"{path} is of version {content.get('version')}, this is {PLAN_VERSION}", hint)
    try:
        return Plan.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SparksmithError(f"{path} is no plan: {where}: {first['msg']}", hint) from None


def _decide_precision(values: Recipe, machine: Machine, cuda: bool, decide: Callable[[str, Any, str], None]) -> None:
    able = cuda and bool(machine.gpus) and machine.gpus[0].has_bf16
    if values.precision == "bf16" and not able:
        raise SparksmithError(
            "precision bf16 was asked for and this " + ("GPU has no bfloat16" if cuda else "is a CPU run"),
            "--precision fp32",
        )
    if values.precision != "auto":
        return
    if not cuda:
        decide("precision", "fp32", "bfloat16 is slow on CPUs")
    elif not able:
        decide("precision", "fp32", "the GPU has no bfloat16")
    elif values.model == "tiny" and values.tiny_hidden_size <= FP32_WIDTH:
        decide("precision", "fp32", "the model is so small that bfloat16's conversions would cost more than they save")
    else:
        decide("precision", "bf16", "the GPU has bfloat16")


def _decide_batch(values: Recipe, predict: Callable[..., Any] | None, decide: Callable[[str, Any, str], None]) -> None:
    if values.micro_batch_size == "auto":
        decide("micro_batch_size", values.batch_size, "the whole batch; memory is not predicted yet")
        decide("gradient_accumulation_steps", 1, "the whole batch at once")


def _decide_optimizer(values: Recipe, cuda: bool, decide: Callable[[str, Any, str], None]) -> None:
    if values.optim == "adamw_8bit" and not cuda:
        raise SparksmithError("8-bit AdamW is bitsandbytes' and needs a GPU; this is a CPU run", "--optim adamw_torch")
    if values.optim == "auto":
        if cuda and values.model != "tiny":
            decide("optim", "adamw_8bit", "a quarter of AdamW's memory, on a GPU")
        else:
            decide("optim", "adamw_torch", "the model is small" if cuda else "8-bit AdamW needs a GPU")
