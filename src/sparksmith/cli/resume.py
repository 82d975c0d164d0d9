"""Going on with a run: what it was, whether it may go on as now asked, and what to say of the differences."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from sparksmith import __version__
from sparksmith.base.errors import SparksmithError, describe_problems
from sparksmith.base.files import read_json
from sparksmith.recipe.plan import PLAN_VERSION, Plan
from sparksmith.recipe.read import Request
from sparksmith.recipe.settings import Settings
from sparksmith.runs.checkpoints import check_checkpoint, checkpoint_folders, last_whole_checkpoint, read_step
from sparksmith.runs.damage import what_is_left
from sparksmith.runs.layout import RunFolder, absolute


def own_request(folder: RunFolder) -> Request | None:
    """What the run in a folder was asked for, as if it were a recipe; its data by absolute path. None without a run."""
    if not (folder.settings.is_file() and folder.plan.is_file()):
        return None
    try:
        settings = Settings.model_validate(_read(folder, folder.settings))
    except ValueError:
        raise _other_version(folder.settings) from None
    plan = read_old_plan(folder)
    if plan is None:
        raise _other_version(folder.plan)
    given = settings.values.model_dump()
    asked = {name for name, origin in settings.origins.items() if origin.source in {"recipe", "flag"}}
    values = {name: given[name] for name in asked - {"resume_from_checkpoint", "system_prompt_file"}}
    values |= {"data_file": plan.train_data.path, "output_dir": str(folder.path)}
    if plan.eval_data:
        values["eval_file"] = plan.eval_data.path
    if given["system_prompt"] is not None:
        values["system_prompt"] = given["system_prompt"]
    text = folder.recipe.read_text(encoding="utf-8", errors="replace") if folder.recipe.is_file() else ""
    return Request(values, f"the run in {folder.path}", text)


def named_checkpoint(name: str | None) -> Path | None:
    """The checkpoint folder that a user named, or None for `latest`. Raises `SparksmithError` where it is broken."""
    if name is None or name == "latest":
        return None
    path = absolute(name)
    if not path.is_dir():
        raise SparksmithError(
            f"the checkpoint {name} does not exist", "--resume_from_checkpoint alone takes the newest of output_dir"
        )
    if RunFolder(path).is_run():
        raise SparksmithError(
            f"{name} is a run, not a checkpoint of one",
            f"sparksmith train --output_dir {shlex.quote(name)} --resume_from_checkpoint",
        )
    for note in check_checkpoint(path):
        click.echo(f"note: {note}", err=True)
    return path


def read_old_plan(folder: RunFolder) -> Plan | None:
    """The plan of the run in a folder, or None where there is none of this version."""
    if not folder.plan.is_file():
        return None
    try:
        plan = Plan.model_validate(_read(folder, folder.plan))
    except ValueError:
        raise _other_version(folder.plan) from None
    return plan if plan.version == PLAN_VERSION else None


def _read(folder: RunFolder, path: Path) -> Any:
    """A record that a run cannot go on without. Raises `SparksmithError` with what can still be done."""
    try:
        return read_json(path)
    except SparksmithError as error:
        raise SparksmithError(error.message, what_is_left(folder)) from None


def _other_version(path: Path) -> SparksmithError:
    return SparksmithError(
        f"{path} is not of this version of Sparksmith ({__version__})",
        "train with the version that made it (its manifest.json says which), or start afresh with another --output_dir",
    )


def keep_division(plan: Plan, before: Plan | None, settings: Any) -> Plan:
    """A run keeps its micro-batch and accumulation, unless somebody asked for others."""
    asked = settings.values.micro_batch_size != "auto" or settings.values.gradient_accumulation_steps != "auto"
    if before is None or asked or before.batch_size != plan.batch_size:
        return plan
    kept = {name: getattr(before, name) for name in ("micro_batch_size", "gradient_accumulation_steps")}
    choices = tuple(
        choice.model_copy(update={"value": kept[choice.name], "why": "as the run was"})
        if choice.name in kept
        else choice
        for choice in plan.choices
    )
    return plan.model_copy(update={**kept, "choices": choices})


def check_resume(plan: Plan, before: Plan | None, folder: RunFolder, checkpoint: Path | None) -> None:
    """Say what changed; raise `SparksmithError` with the differences where it would be another run."""
    from sparksmith.recipe.compare import compare_settings

    if checkpoint is not None and checkpoint.parent == folder.path:
        newest = last_whole_checkpoint(folder.path)
        if newest is not None and (read_step(newest) or 0) > (read_step(checkpoint) or 0):
            raise SparksmithError(
                f"{folder.path} goes on to {newest.name}: going on there from {checkpoint.name} would mix two runs",
                f"another --output_dir, or {newest}, which --resume_from_checkpoint alone takes",
            )
    if before is None:
        return
    if checkpoint is None:
        checkpoint = last_whole_checkpoint(folder.path) or next(iter(reversed(checkpoint_folders(folder.path))), None)
    comparison = compare_settings(before, plan, (read_step(checkpoint) if checkpoint else None) or 0)
    if comparison.refused:
        raise SparksmithError(
            describe_problems("this would not be the same run:", [str(one) for one in comparison.refused]),
            "go on without these changes, or start afresh with another --output_dir",
        )
    for difference in comparison.changed:
        click.echo(f"changed: {difference}", err=True)
    for note in comparison.notes:
        click.echo(f"note: {note}", err=True)
