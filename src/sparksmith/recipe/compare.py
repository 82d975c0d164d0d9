"""May a run go on under another plan? What matters must be the same; what does not is listed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sparksmith.base.units import plural
from sparksmith.recipe.plan import Plan, PlannedData
from sparksmith.recipe.schema import Recipe, free_on_resume


@dataclass(frozen=True)
class Difference:
    """A key with its value in the run and the one now asked for."""

    name: str
    before: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.name}: {_shown(self.before)} in the run, {_shown(self.now)} now"


@dataclass(frozen=True)
class Comparison:
    """`refused` differences make it another run; `changed` ones do not. `notes` say what becomes of the schedule."""

    refused: tuple[Difference, ...]
    changed: tuple[Difference, ...]
    notes: tuple[str, ...]


def compare_settings(before: Plan, now: Plan, step: int) -> Comparison:
    """Compare a run's plan with the one for going on from `step`, key by key as the recipe's fields say."""
    refused: list[Difference] = []
    changed: list[Difference] = []
    if _content(before.train_data) != _content(now.train_data):
        refused.append(Difference("data_file", _data(before.train_data), _data(now.train_data)))
    if _content(before.eval_data) != _content(now.eval_data):
        changed.append(Difference("eval_file", _data(before.eval_data), _data(now.eval_data)))
    for name in Recipe.model_fields:
        old, new = getattr(before, name), getattr(now, name)
        if old == new or name in {"data_file", "eval_file", "resume_from_checkpoint", "output_dir"}:
            continue
        (changed if free_on_resume(name) else refused).append(Difference(name, old, new))
    notes = []
    if now.max_steps != before.max_steps and now.lr_scheduler_type in {"linear", "cosine"}:
        notes.append(
            f"the learning rate falls to zero at step {now.max_steps:,} instead of {before.max_steps:,}: at step "
            f"{step:,} it is {learning_rate_at(now, step):.3g} instead of {learning_rate_at(before, step):.3g}"
        )
    elif now.lr_scheduler_type == "constant_with_warmup" and learning_rate_at(now, step) != learning_rate_at(
        before, step
    ):
        notes.append(
            f"the warm-up is a share of max_steps: at step {step:,} the learning rate is "
            f"{learning_rate_at(now, step):.3g} instead of {learning_rate_at(before, step):.3g}"
        )
    if step >= now.max_steps:
        notes.append(f"the run stands at step {step:,}, so nothing is left to train with max_steps {now.max_steps:,}")
    return Comparison(tuple(refused), tuple(changed), tuple(notes))


def learning_rate_at(plan: Plan, step: int) -> float:
    """The learning rate of the step after `step` steps, as Transformers' schedules of these names have it (5.17)."""
    warmup = math.ceil(plan.max_steps * plan.warmup_ratio)
    if step < warmup and plan.lr_scheduler_type != "constant":
        return plan.learning_rate * step / max(1, warmup)
    progress = min(1.0, (step - warmup) / max(1, plan.max_steps - warmup))
    if plan.lr_scheduler_type == "linear":
        return plan.learning_rate * max(0, plan.max_steps - step) / max(1, plan.max_steps - warmup)
    if plan.lr_scheduler_type == "cosine":
        return plan.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
    return plan.learning_rate


def _content(data: PlannedData | None) -> tuple[str, str] | None:
    """What two files must have in common to be the same data: their bytes, and how they are read."""
    return (data.sha256, data.format) if data else None


def _data(data: PlannedData | None) -> str:
    if data is None:
        return "none"
    return f"{plural(data.rows, 'row')}, {data.sha256[:8]} ({data.path})"


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 70 else text[:67] + "..."
