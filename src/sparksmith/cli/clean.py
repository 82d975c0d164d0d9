"""sparksmith clean: delete what runs have left, and nothing else."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from pathlib import Path

import click

from sparksmith.base.errors import ExitCode, SparksmithError
from sparksmith.base.units import format_bytes
from sparksmith.report.commands import relative


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("runs", nargs=-1)
@click.option("--dry-run", "--dry_run", "dry_run", is_flag=True, help="show what would be deleted")
@click.option("-y", "--yes", is_flag=True, help="do not ask")
def clean(runs: tuple[str, ...], dry_run: bool, yes: bool) -> int:
    """Delete RUNS; without RUN, half-written checkpoints and register entries whose folder is gone.

    Only what Sparksmith wrote is deleted: other files in a run's folder stay.
    """
    from sparksmith.jobs.lock import NAME, hold_folder, is_held
    from sparksmith.runs.checkpoints import leftovers
    from sparksmith.runs.clean import bears_mark, delete, own_paths, size_of
    from sparksmith.runs.layout import RunFolder, find_run
    from sparksmith.runs.register import registered

    entries = registered()
    paths: list[Path] = []
    if runs:
        folders = list(dict.fromkeys(RunFolder(find_run(run).path.resolve()) for run in runs))
        for run in runs:
            if not RunFolder(Path(run).expanduser()).is_run():
                raise SparksmithError(
                    f"{run} is a checkpoint; clean deletes whole runs",
                    f"rm -r {shlex.quote(run)}, or the run: sparksmith clean {shlex.quote(str(find_run(run).path))}",
                )
        for folder in folders:
            if not bears_mark(folder):
                raise SparksmithError(
                    f"{folder.path} has no manifest.json of Sparksmith's, so nothing in it is known to be its own",
                    f"ls {shlex.quote(str(folder.path))}",
                )
            if is_held(folder.path):
                raise SparksmithError(f"a job is running in {folder.path}", f"sparksmith stop {folder.path}")
            paths += own_paths(folder)
        entries = [entry for entry in entries if RunFolder(entry.folder.path.resolve()) in folders]
    else:
        folders = []
        for entry in entries:
            if not is_held(entry.folder.path):
                paths += leftovers(entry.folder.path)
        entries = [entry for entry in entries if not entry.folder.is_run()]
    if not paths and not entries:
        click.echo("nothing to delete", err=True)
        return ExitCode.DONE
    for path in paths:
        click.echo(f"{format_bytes(size_of(path)):>12}  {relative(path)}")
    for entry in entries:
        if not runs:
            click.echo(f"{'':>12}  the register's entry of {entry.folder.path}, which is gone")
    click.echo(f"{format_bytes(sum(map(size_of, paths))):>12}  in all", err=True)
    if dry_run:
        click.echo("nothing was deleted (--dry-run)", err=True)
        return ExitCode.DONE
    if not yes and not _confirm():
        return ExitCode.MENDABLE
    try:
        with ExitStack() as held:  # a job may have been started while the question stood
            for place in dict.fromkeys(path.parent for path in paths):
                held.enter_context(hold_folder(place))
            delete([*paths, *(folder.path / NAME for folder in folders)])
    except OSError as error:
        raise SparksmithError(f"not all could be deleted: {error}", "sparksmith clean --dry-run") from None
    for entry in entries:
        entry.entry.unlink(missing_ok=True)
    for folder in folders:
        if folder.path.is_dir() and not any(folder.path.iterdir()):
            folder.path.rmdir()
        elif folder.path.is_dir():
            click.echo(f"{relative(folder.path)} stays: it holds files that are not Sparksmith's", err=True)
    return ExitCode.DONE


def _confirm() -> bool:
    """Ask. Raises `SparksmithError` where nobody can answer."""
    try:
        return click.confirm("delete these?", err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)
        raise SparksmithError("clean asks before it deletes, and nobody answered", "sparksmith clean --yes") from None
