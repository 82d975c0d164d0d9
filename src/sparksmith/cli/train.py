"""sparksmith train: a recipe and flags become a plan, and a Job carries it out."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from sparksmith import __version__
from sparksmith.base.errors import ExitCode, SparksmithError, UsageProblem
from sparksmith.base.files import write_atomic, write_json
from sparksmith.base.redact import redact_text
from sparksmith.cli.environment import check_torch
from sparksmith.cli.options import TrainCommand, given_flags, recipe_options
from sparksmith.recipe.read import Request
from sparksmith.recipe.shipped import find_recipe, locate_data


@click.command(cls=TrainCommand, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("recipe", required=False)
@click.option("--dry-run", "--dry_run", "dry_run", is_flag=True, help="print the whole plan and stop")
@click.option("--json", "as_json", is_flag=True, help="with --dry-run: the plan as JSON on standard output")
@recipe_options
def train(recipe: str | None, dry_run: bool, as_json: bool, **options: Any) -> int:
    """Fine-tune a model.

    RECIPE is a shipped recipe's name (`sparksmith recipe list`) or a YAML file; without one it is `sft`: a LoRA adapter
    on unsloth/gemma-3-270m-it. A flag overrides the recipe's key; dashes and underscores are the same.
    """
    from sparksmith.data.read import DataFile, read_data
    from sparksmith.machine.collect import collect
    from sparksmith.recipe.plan import plan as make_plan
    from sparksmith.recipe.settings import resolve
    from sparksmith.runs.layout import choose_folder

    if as_json and not dry_run:
        raise UsageProblem(
            "--json goes with --dry-run: a run's output is its folder", "sparksmith train --dry-run --json ..."
        )
    request = find_recipe(recipe or "sft")
    flags = given_flags(options)
    resolved = resolve(request, flags)
    values = resolved.values
    if values.data_file is None:
        raise UsageProblem(
            "no data: neither the recipe nor a flag names a data_file",
            "sparksmith train --data_file FILE   (TSV, CSV or JSONL), or try sparksmith train g2p-hebrew",
        )
    files: list[tuple[str, DataFile]] = []
    for label, name in (("data", values.data_file), ("held out", values.eval_file)):
        if name is not None:
            files.append((label, read_data(locate_data(name), values.data_format, values.header)))
    facts = [file.facts() for _, file in files]
    folder = choose_folder(values.output_dir, resume=values.resume_from_checkpoint is not None)
    plan = make_plan(resolved, collect(), facts[0], facts[1] if len(facts) > 1 else None)
    plan = plan.model_copy(update={"output_dir": str(folder.path), "resume_from_checkpoint": _checkpoint(values)})
    if as_json:
        click.echo(plan.model_dump_json(indent=2))
        return ExitCode.DONE
    _show(plan, resolved, files, whole=dry_run)
    if dry_run:
        return ExitCode.DONE
    check_torch()
    _check_folder(folder, resume=values.resume_from_checkpoint is not None)
    _write(folder, request, resolved, plan)
    from sparksmith.jobs.start import run_job

    return run_job(folder.path)


def _checkpoint(values: Any) -> str | None:
    """`latest`, or the named checkpoint's absolute path. Raises `SparksmithError` where it is not there."""
    name: str | None = values.resume_from_checkpoint
    if name is None or name == "latest":
        return name
    path = Path(name).expanduser().absolute()
    if not path.is_dir():
        raise SparksmithError(
            f"the checkpoint {name} does not exist", "--resume_from_checkpoint alone takes the newest of output_dir"
        )
    if not (path / "trainer_state.json").is_file():
        raise SparksmithError(f"{name} is no checkpoint: it has no trainer_state.json", f"ls {path}")
    return str(path)


def _show(plan: Any, settings: Any, files: list[tuple[str, Any]], *, whole: bool) -> None:
    from sparksmith.recipe.show import describe_short, describe_whole

    for label, file in files:
        click.echo(f"{label:>9}  {file.path.name}: {file.describe()}", err=not whole)
    for label, text in describe_short(plan, settings):
        if label not in {"data", "held out"}:
            click.echo(f"{label:>9}  {text}", err=not whole)
    if not whole:
        return
    for group, rows in describe_whole(plan, settings):
        click.echo(f"\n{group}")
        for name, value, why in rows:
            click.echo(f"  {name:<28}{value:<24} {why}")
    click.echo("\nnothing was started or written (--dry-run)", err=True)


def _check_folder(folder: Any, *, resume: bool) -> None:
    """A fresh run does not write into another run's folder."""
    if folder.is_run() and not resume:
        raise SparksmithError(
            f"{folder.path} holds a run already",
            "go on with it: --resume_from_checkpoint; or a new folder: --output_dir OTHER; or delete it: "
            f"rm -r {folder.path}",
        )
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SparksmithError(
            f"the run's folder {folder.path} cannot be made: {error.strerror}", "--output_dir FOLDER"
        ) from None


def _write(folder: Any, request: Request, settings: Any, plan: Any) -> None:
    from sparksmith.runs.records import new_run_id, write_manifest

    write_atomic(folder.recipe, redact_text(request.text))
    write_json(folder.settings, settings.model_dump(mode="json"))
    write_json(folder.plan, plan.model_dump(mode="json"))
    known = {} if folder.manifest.is_file() else {"run": new_run_id(), "created": time.time()}
    write_manifest(
        folder, **known, name=plan.name, sparksmith=__version__, command=["sparksmith", *sys.argv[1:]], state="planned"
    )  # fmt: skip
