"""sparksmith runs: what runs, ran, died and why."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from typing import Any

import click

from sparksmith.base.units import format_seconds
from sparksmith.report.commands import relative, typable

SCORES_SHOWN = 2  # what a terminal's line has room for


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@click.pass_context
def runs(context: click.Context, as_json: bool) -> None:
    """What runs, ran, died and why; `runs show RUN` for one of them."""
    if context.invoked_subcommand is not None:
        return
    from sparksmith.jobs.status import read_status
    from sparksmith.runs.register import newest_of_each_folder

    rows = [(entry, read_status(entry.folder)) for entry in newest_of_each_folder()]
    if as_json:
        listed = [
            {"run": entry.run, "created": entry.created, **to_json(entry.folder, status)} for entry, status in rows
        ]
        click.echo(json.dumps({"version": 1, "runs": listed}, indent=2, ensure_ascii=False))
        return
    if not rows:
        click.echo(typable("no runs yet: sparksmith train g2p-hebrew makes one"), err=True)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, justify in (
        ("run", "left"),
        ("state", "left"),
        ("step", "right"),
        ("loss", "right"),
        ("begun", "right"),
    ):
        table.add_column(heading, justify=justify, no_wrap=heading != "run")  # type: ignore[arg-type]
    table.add_column("why")
    colours = {"running": "green", "finished": "dim", "failed": "red", "died": "red", "stopped": "yellow"}
    for entry, status in rows:
        steps = f"{status.step:,}" + (f"/{status.max_steps:,}" if status.max_steps else "")
        loss = f"{status.loss:.4f}" if status.loss is not None else ""
        age = format_seconds(max(0.0, time.time() - entry.created)) + " ago"
        state = f"[{colours.get(status.state, 'default')}]{status.state}[/]"
        table.add_row(escape(relative(entry.folder.path)), state, steps, loss, age, escape(status.why))
    Console(highlight=False, width=None if sys.stdout.isatty() else 1000).print(table)  # a pipe wants whole lines
    if any(status.can_go_on for _, status in rows):
        click.echo(typable("hint: sparksmith runs show RUN says how to go on with one"), err=True)


@runs.command("show")
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
def show_run(run: str, as_json: bool) -> None:
    """One run: its state, how far it came, and the command that goes on."""
    from sparksmith.jobs.status import BEING_STARTED, read_status
    from sparksmith.report.failures import resume_command
    from sparksmith.runs.best import find_best, metric_of
    from sparksmith.runs.damage import find_damage, what_is_left
    from sparksmith.runs.layout import find_run

    folder = find_run(run)
    status = read_status(folder)
    if as_json:
        click.echo(json.dumps({"version": 1, **to_json(folder, status)}, indent=2, ensure_ascii=False))
        return
    lines = [("run", str(folder.path)), ("state", status.state + (f": {status.why}" if status.why else ""))]
    lines.append(("step", f"{status.step:,}" + (f" of {status.max_steps:,}" if status.max_steps else "")))
    if status.loss is not None:
        lines.append(("loss", f"{status.loss:.4f}"))
    lines.append(("checkpoint", status.checkpoint or "none"))
    best = find_best(folder.path, metric_of(folder))
    if best is not None and best.measured > 1:
        lines.append(("best", f"{best.path.name}, by {best.describe()} on the held-out part"))
    if scores := _scores(folder):
        lines.append(("scores", scores))
    if status.process:
        lines.append(("process", str(status.process.pid)))
    lines += [("damaged", text) for text in find_damage(folder)]
    for label, text in lines:
        click.echo(f"{label:>12}  {text}")
    for row in _chart(folder):
        click.echo(row)
    if status.state == "running" or status.why == BEING_STARTED:
        click.echo(f"{'follow':>12}  {typable(f'sparksmith logs -f {shlex.quote(run)}')}")
    elif left := what_is_left(folder):
        click.echo(f"{'left':>12}  {typable(left)}")
    elif status.can_go_on:
        click.echo(f"{'go on':>12}  {typable(resume_command(folder))}")


def _scores(folder: Any) -> str:
    """The last evaluation's foremost rates with their intervals, in a line; empty where nothing was scored."""
    from sparksmith.report.answers import cards, score_rows
    from sparksmith.report.run_records import read_evaluation

    shown = cards(score_rows(read_evaluation(folder)))[:SCORES_SHOWN]
    rates = [(row.heading, row.trained.text, row.trained.interval) for row in shown]
    return ", ".join(f"{heading} {rate}" + (f" ({interval})" if interval else "") for heading, rate, interval in rates)


def _chart(folder: Any) -> list[str]:
    """The loss as lines of characters, an empty one around it; nothing where there is no curve."""
    from sparksmith.report.run_records import read_curves
    from sparksmith.report.terminal_chart import loss_chart

    unicode = "utf" in (getattr(sys.stdout, "encoding", None) or "").lower()
    columns = min(100, shutil.get_terminal_size((80, 24)).columns) if sys.stdout.isatty() else 80
    rows = loss_chart(*read_curves(folder, "loss", "eval_loss"), width=columns, unicode=unicode)
    return ["", *rows, ""] if rows else []


def to_json(folder: Any, status: Any) -> dict[str, Any]:
    """A status as scripts want it."""
    from sparksmith.report.failures import resume_command
    from sparksmith.runs.damage import find_damage, what_is_left

    return {
        "folder": str(folder.path),
        "state": status.state,
        "why": status.why,
        "step": status.step,
        "max_steps": status.max_steps,
        "loss": status.loss,
        "checkpoint": status.checkpoint,
        "pid": status.process.pid if status.process else None,
        "exit_code": status.manifest.get("exit_code"),
        "resume": resume_command(folder) if status.can_go_on and what_is_left(folder) is None else None,
        "damaged": find_damage(folder) if status.state != "gone" else [],
    }
