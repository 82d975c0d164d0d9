"""sparksmith stop: ask a job to save and stop."""

from __future__ import annotations

import shlex
import time

import click

from sparksmith.base.errors import ExitCode, SparksmithError

POLL_SECONDS = 0.2


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run")
@click.option("--reason", default="asked by a user", show_default=True, help="kept in the run's record")
@click.option("--wait/--no-wait", default=True, help="wait until the job has saved and ended")
def stop(run: str, reason: str, wait: bool) -> int:
    """Ask the job of RUN to finish its step, save and stop."""
    from sparksmith.jobs.status import read_status
    from sparksmith.jobs.stop import StopRequest, ask_to_stop
    from sparksmith.report.commands import typable
    from sparksmith.report.failures import resume_command
    from sparksmith.runs.layout import find_run

    folder = find_run(run)
    status = read_status(folder)
    if status.process is None and status.state == "running":
        raise SparksmithError(
            f"the job in {folder.path} is only starting, and cannot hear yet", f"sparksmith stop {shlex.quote(run)}"
        )
    if status.process is None:
        why = f": {status.why}" if status.why else ""
        raise SparksmithError(
            f"no job runs in {folder.path}; it is {status.state}{why}", f"sparksmith runs show {shlex.quote(run)}"
        )
    ask_to_stop(folder.path, status.process, StopRequest("sparksmith stop", reason))
    if not wait:
        click.echo("asked to save and stop", err=True)
        return ExitCode.DONE
    click.echo("asked to save and stop; waiting for it (Ctrl+C ends the waiting, not the job)", err=True)
    try:
        while (status := read_status(folder)).process is not None:
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        return ExitCode.DONE
    click.echo(
        f"{status.state} at step {status.step:,}; the newest checkpoint is {status.checkpoint or 'none'}", err=True
    )
    if status.can_go_on:
        click.echo(f"hint: {typable(resume_command(folder))}", err=True)
    return ExitCode.DONE
