"""sparksmith logs: what a run has said, and, with -f, what it goes on saying."""

from __future__ import annotations

import shlex
import sys
import time
from typing import Any

import click

from sparksmith.base.errors import ExitCode

POLL_SECONDS = 0.5


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run")
@click.option("-f", "--follow", is_flag=True, help="go on until the job ends")
def logs(run: str, follow: bool) -> int:
    """What RUN has said; with -f also what it goes on saying. Ctrl+C ends the following, not the job."""
    from sparksmith.runs.layout import find_run

    folder = find_run(run)
    try:
        _show(folder, follow=follow)
    except KeyboardInterrupt:
        return ExitCode.DONE
    return ExitCode.DONE


def _show(folder: Any, *, follow: bool) -> None:
    from sparksmith.jobs.status import STARTING_SECONDS, read_status
    from sparksmith.report.progress import Progress
    from sparksmith.runs.records import read_lines

    now = 0.0
    progress = Progress(sys.stdout, clock=lambda: now)  # the run's clock, so that what is left is told as it was then
    shown = [0, 0]
    while True:
        status = read_status(folder)
        fresh = []
        for at, (path, kind) in enumerate(((folder.events, None), (folder.metrics, "metric"))):
            lines = list(read_lines(path))
            fresh += [{"kind": kind, **line} if kind else line for line in lines[shown[at] :]]
            shown[at] = len(lines)
        for line in sorted(fresh, key=lambda line: float(line["time"])):
            now = float(line["time"])
            progress(line)
        starting = status.state == "planned" and time.time() - _written(folder) < STARTING_SECONDS
        if not follow or not (status.state == "running" or starting):
            break
        time.sleep(POLL_SECONDS)
    if status.state == "running":
        return
    click.echo(status.state + (f": {status.why}" if status.why else ""), err=True)
    log = folder.path / "job.log"
    if status.state in {"failed", "died"} and log.is_file():
        click.echo(f"hint: tail {shlex.quote(str(log))}", err=True)


def _written(folder: Any) -> float:
    return float(folder.manifest.stat().st_mtime) if folder.manifest.is_file() else 0.0
