"""sparksmith train: a recipe and flags become a plan, and a Job carries it out."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import click

from sparksmith import __version__
from sparksmith.base.errors import ExitCode, SparksmithError, UsageProblem
from sparksmith.base.files import read_json, write_atomic, write_json
from sparksmith.base.redact import redact_text
from sparksmith.cli.environment import check_model_source, check_torch
from sparksmith.cli.options import TrainCommand, given_flags, recipe_options
from sparksmith.jobs.lock import is_held
from sparksmith.recipe.read import Request
from sparksmith.recipe.shipped import find_recipe
from sparksmith.runs.checkpoints import checkpoint_folders
from sparksmith.runs.clean import bears_mark, delete, own_paths
from sparksmith.runs.layout import RunFolder

DRY_RUN_VERSION = 1


@click.command(cls=TrainCommand, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("recipe", required=False)
@click.option(
    "--dry-run", "--dry_run", "dry_run", is_flag=True, help="print the whole plan and what the data is like, and stop"
)
@click.option("--json", "as_json", is_flag=True, help="with --dry-run: plan and data as JSON on standard output")
@click.option("--detach", is_flag=True, help="leave the job behind; `sparksmith logs -f` follows it")
@recipe_options
def train(recipe: str | None, dry_run: bool, as_json: bool, detach: bool, **options: Any) -> int:
    """Fine-tune a model.

    RECIPE is a shipped recipe's name (`sparksmith recipe list`) or a YAML file; without one it is `sft`: a LoRA adapter
    on unsloth/gemma-3-270m-it. A flag overrides the recipe's key; dashes and underscores are the same.

    --resume_from_checkpoint goes on with the run in output_dir; without RECIPE as what that run was.
    """
    from sparksmith.cli import data, resume
    from sparksmith.recipe.settings import resolve
    from sparksmith.runs.layout import choose_folder

    if as_json and not dry_run:
        raise UsageProblem(
            "--json goes with --dry-run: a run's output is its folder", "sparksmith train --dry-run --json ..."
        )
    flags = given_flags(options)
    request = _find_request(recipe, flags)
    settings = resolve(request, flags)
    values = settings.values
    resuming = values.resume_from_checkpoint is not None
    checkpoint = resume.named_checkpoint(values.resume_from_checkpoint)
    folder = choose_folder(_output_pattern(settings), resume=resuming)
    files = data.read_files(values)
    data.warn_of_headers(files)
    begun = RunFolder(checkpoint.parent) if checkpoint and not folder.is_run() else folder
    before = resume.read_old_plan(begun) if resuming else None
    plan = _make_plan(settings, files, folder, checkpoint)
    if resuming:
        plan = resume.keep_division(plan, before, settings)
    if as_json:
        check_model_source(plan.model)
        facts = data.look_at(plan, files, tokens=True)
        both = {"version": DRY_RUN_VERSION, "plan": plan.model_dump(mode="json"), "data": facts}
        click.echo(json.dumps(both, indent=2, ensure_ascii=False))
        return ExitCode.DONE
    _show(plan, settings, files, whole=dry_run)
    if resuming:
        resume.check_resume(plan, before, folder, checkpoint)
    _check_folder(folder, resuming=resuming)
    check_model_source(plan.model)
    facts = data.look_at(plan, files, tokens=dry_run)
    data.show_facts(facts, whole=dry_run)
    if dry_run:
        click.echo("\nnothing was started or written (--dry-run)", err=True)
        return ExitCode.DONE
    check_torch()
    try:
        _make_folder(folder, resuming=resuming)
        _write(folder, request, settings, plan, facts)
    except OSError as error:
        what = "written" if folder.path.is_dir() else "made"
        raise SparksmithError(
            f"the run's folder {folder.path} cannot be {what}: {error.strerror}",
            "--output_dir FOLDER" if not resuming else f"ls -ld {shlex.quote(str(folder.path))}",
        ) from None
    return _start(folder, detach=detach)


def _output_pattern(settings: Any) -> str:
    """Where the run goes: `output_dir`, and where nobody named one and `outputs` holds other runs, a folder in it."""
    from sparksmith.runs.layout import runs_below

    named = str(settings.values.output_dir)
    default = RunFolder(Path(named))
    if settings.origin_of("output_dir").source != "default" or default.is_run() or not runs_below(default.path, 1):
        return named
    return f"{named}/{settings.values.name or 'run'}-{{n}}"


def _find_request(recipe: str | None, flags: dict[str, Any]) -> Request:
    """The recipe that was named; to go on, what the run was; `sft` otherwise."""
    from sparksmith.cli.resume import named_checkpoint, own_request
    from sparksmith.recipe.schema import Recipe
    from sparksmith.runs.layout import absolute, choose_folder, name_runs, runs_below

    if recipe is None and "resume_from_checkpoint" in flags:
        name = flags["resume_from_checkpoint"]
        where = str(flags.get("output_dir") or Recipe.model_fields["output_dir"].default)
        folder = choose_folder(where, resume=True)
        if name != "latest" and "output_dir" not in flags:
            folder = RunFolder(absolute(name).parent)
        own = own_request(folder)
        if own is not None:
            return own
        if "data_file" not in flags:
            named_checkpoint(name)  # one that is broken is told first
            there = runs_below(folder.path)
            others = "sparksmith runs lists them; without one: a RECIPE or --data_file"
            raise SparksmithError(
                f"there is no run in {folder.path} to go on with" + (", but it holds some" if there else ""),
                f"--output_dir FOLDER names one; {name_runs(folder.path) if there else others}",
            )
    return find_recipe(recipe or "sft")


def _make_plan(settings: Any, files: list[tuple[str, Any]], folder: RunFolder, checkpoint: Path | None) -> Any:
    from sparksmith.machine.collect import collect
    from sparksmith.recipe.plan import plan as make_plan

    facts = [file.facts() for _, file in files]
    plan = make_plan(settings, collect(), facts[0], facts[1] if len(facts) > 1 else None)
    update: dict[str, Any] = {"output_dir": str(folder.path)}
    if checkpoint is not None:
        update["resume_from_checkpoint"] = str(checkpoint)
    return plan.model_copy(update=update)


def _start(folder: RunFolder, *, detach: bool) -> int:
    from sparksmith.jobs.start import detach_job, run_job
    from sparksmith.report.commands import typable

    if not detach:
        return run_job(folder.path)
    job = detach_job(folder.path, folder.path / "job.log")
    run = shlex.quote(str(folder.path))
    click.echo(f"the job runs on as process {job.pid}; it outlives this terminal", err=True)
    click.echo(f"hint: {typable(f'sparksmith logs -f {run}')}   or {typable(f'sparksmith stop {run}')}", err=True)
    return ExitCode.DONE


def _show(plan: Any, settings: Any, files: list[tuple[str, Any]], *, whole: bool) -> None:
    from sparksmith.recipe.show import describe_short, describe_whole

    for label, file in files:
        click.echo(f"{label:>9}  {file.title}: {file.describe()}", err=not whole)
    for label, text in describe_short(plan, settings):
        if label not in {"data", "held out"}:
            click.echo(f"{label:>9}  {text}", err=not whole)
    if not whole:
        return
    for group, rows in describe_whole(plan, settings):
        click.echo(f"\n{group}")
        for name, value, why in rows:
            click.echo(f"  {name:<28}{value:<24} {why}")


def _check_folder(folder: RunFolder, *, resuming: bool) -> None:
    """A fresh run does not write into another run's folder."""
    if is_held(folder.path):
        raise SparksmithError(
            f"a job is running in {folder.path}", f"sparksmith stop {folder.path}, or another --output_dir"
        )
    if folder.is_run() and not resuming and checkpoint_folders(folder.path):
        raise SparksmithError(
            f"{folder.path} holds a run already",
            "go on with it: --resume_from_checkpoint; or a new folder: --output_dir OTHER; or delete it: "
            f"sparksmith clean {shlex.quote(str(folder.path))}",
        )


def _make_folder(folder: RunFolder, *, resuming: bool) -> None:
    """The run's folder; the records of an earlier try that saved nothing go. Raises `OSError`."""
    if folder.is_run() and not resuming:
        delete(own_paths(folder))
    folder.path.mkdir(parents=True, exist_ok=True)


def _write(folder: RunFolder, request: Request, settings: Any, plan: Any, facts: dict[str, Any]) -> None:
    """The run's folder as the Job wants it, and an entry in the register of runs. Raises `OSError`."""
    from sparksmith.runs.records import new_run_id, write_data, write_manifest
    from sparksmith.runs.register import register

    # the manifest first: a folder that bears its mark can be cleaned
    known = read_json(folder.manifest) if bears_mark(folder) else {}
    run, created = str(known.get("run", new_run_id())), float(known.get("created", time.time()))
    write_manifest(
        folder, run=run, created=created, name=plan.name, sparksmith=__version__, state="planned",
        command=["sparksmith", *sys.argv[1:]],
    )  # fmt: skip
    write_atomic(folder.recipe, redact_text(request.text))
    write_json(folder.settings, settings.model_dump(mode="json"))
    write_json(folder.plan, plan.model_dump(mode="json"))
    write_data(folder.path, facts)
    try:
        register(run, folder, created)
    except OSError as error:
        click.echo(f"warning: this run will not be in `sparksmith runs`: {error}", err=True)
