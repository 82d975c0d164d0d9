"""A plan in words: the short form that every run prints, and the whole of it for --dry-run."""

from __future__ import annotations

from pathlib import Path

from sparksmith.base.units import plural
from sparksmith.recipe.plan import Plan
from sparksmith.recipe.schema import GROUPS, Recipe, group_of
from sparksmith.recipe.settings import Settings


def describe_short(plan: Plan, settings: Settings) -> list[tuple[str, str]]:
    """(subject, what will be done) in five or six lines."""
    whole = "every weight" if plan.full_finetuning else f"LoRA r {plan.lora_r}, alpha {plan.lora_alpha}"
    batch = f"{plan.batch_size}"
    if plan.gradient_accumulation_steps > 1:
        batch += f" ({plan.micro_batch_size} x {plan.gradient_accumulation_steps})"
    lines = [
        ("data", f"{plural(plan.train_data.rows, 'example')} from {_short(plan.train_data.path)}"),
        ("model", f"{plan.model}, {whole}, {plan.precision} on {plan.device}"),
        ("steps", f"{plan.max_steps:,} of batch {batch}, learning rate {plan.learning_rate:g}, {plan.optim}"),
        (
            "run",
            f"{_short(plan.output_dir)}, saved every {plural(plan.save_steps, 'step')}, {plan.save_total_limit} kept",
        ),
    ]
    if plan.eval_data:
        lines.insert(1, ("held out", f"{plural(plan.eval_data.rows, 'example')} from {_short(plan.eval_data.path)}"))
    return lines


def describe_whole(plan: Plan, settings: Settings) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """(group, rows of key, value, where it comes from and why) for every key."""
    whys = {choice.name: choice.why for choice in plan.choices}
    groups = []
    for group in GROUPS:
        rows = []
        for name in Recipe.model_fields:
            if group_of(name) != group:
                continue
            origin = settings.origins[name]
            source = "this machine and data" if name in whys and whys[name] != "asked for" else origin.source
            why = whys.get(name) or origin.why
            shown = why if source == "recipe" and why else f"{source}: {why}" if why else source
            rows.append((name, _value(getattr(plan, name)), shown))
        groups.append((group, rows))
    return groups


def _value(value: object) -> str:
    text = "" if value is None else str(value).replace("\n", "\\n")
    return text if len(text) <= 60 else text[:57] + "..."


def _short(path: str) -> str:
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
