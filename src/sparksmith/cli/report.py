"""sparksmith report: the page of a run, or of several beside each other."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from sparksmith.base.errors import ExitCode, SparksmithError, UsageProblem
from sparksmith.base.files import write_atomic
from sparksmith.report.commands import relative


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("runs", nargs=-1, required=True)
@click.option("--output", metavar="FILE", help="where the page goes (report.html in the run's folder); - prints it")
@click.option("--open", "open_it", is_flag=True, help="show it in the browser")
def report(runs: tuple[str, ...], output: str | None, open_it: bool) -> int:
    """Write the page of RUN: one file that opens offline; its path is printed.

    Two to eight runs are compared on one page, comparison.html in this folder.
    """
    from sparksmith.jobs.status import read_status
    from sparksmith.report.compare import MOST_RUNS, render_comparison
    from sparksmith.report.page import State, check_target, render_run
    from sparksmith.runs.layout import RunFolder, find_run

    folders = list(dict.fromkeys(RunFolder(find_run(run).path.resolve()) for run in runs))
    if len(folders) > MOST_RUNS:
        raise UsageProblem(f"{len(folders)} runs are too many for one page, {MOST_RUNS} at most", "sparksmith runs")
    if len(runs) > 1 and len(folders) == 1:
        raise UsageProblem("these are one and the same run", f"sparksmith report {shlex.quote(runs[0])}")
    target = folders[0].report if len(folders) == 1 else Path("comparison.html")
    if output is not None:
        target = Path(output).expanduser()
    printed = output == "-"
    if printed and open_it:
        raise UsageProblem("--open shows a file, and --output - writes none", "--output FILE.html --open")
    if not printed:
        check_target(target)
    known = [read_status(folder) for folder in folders]
    states = [State(status.state, status.why) for status in known]
    page = render_run(folders[0], states[0]) if len(folders) == 1 else render_comparison(folders, states)
    if printed:
        click.echo(page)
        return ExitCode.DONE
    if len(folders) > 1 and output is None and target.exists():
        click.echo(f"note: {target} of an earlier comparison is replaced; --output OTHER.html keeps it", err=True)
    try:
        write_atomic(target, page)
    except OSError as error:
        raise SparksmithError(
            f"{target} cannot be written: {error.strerror}", f"--output {'FILE' if output else 'report.html'}"
        ) from None
    click.echo(relative(target))
    if open_it:
        import webbrowser

        if not webbrowser.open(target.absolute().as_uri()):
            click.echo(f"no browser could be started; open {target.absolute().as_uri()}", err=True)
    return ExitCode.DONE
