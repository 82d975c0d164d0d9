"""sparksmith stack: the shipped sets of packages, and what their audit says."""

from __future__ import annotations

from typing import Any

import click

from sparksmith.base.errors import SparksmithError, UsageProblem

TARGET = click.option(
    "--target", default="gb10", show_default=True, metavar="NAME|FILE[:ROW]", help="the machine to judge for"
)
JSON = click.option("--json", "as_json", is_flag=True, help="as JSON")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def stack() -> None:
    """The sets of packages that come with Sparksmith, and what their audit says."""


@stack.command("list")
@TARGET
@JSON
def list_stacks(target: str, as_json: bool) -> None:
    """Every stack with its verdict, from what is known of its wheels."""
    import json
    import sys

    from sparksmith.policy.load import list_stacks
    from sparksmith.report.audit import columns_of, has_colour
    from sparksmith.report.stacks import describe_stacks

    records = [_record(name, target) for name in list_stacks()]
    records.sort(key=lambda record: not record["works"])
    if as_json:
        click.echo(json.dumps({"version": 1, "stacks": records}, indent=2, ensure_ascii=False))
        return
    click.echo("\n".join(describe_stacks(records, columns_of(sys.stdout), colour=has_colour(sys.stdout))))


@stack.command("show")
@click.argument("name")
@TARGET
@click.option("-v", "--verbose", is_flag=True, help="every package and finding, each library with GPU code")
@JSON
def show_stack(name: str, target: str, verbose: bool, as_json: bool) -> None:
    """What a stack is, where it is known from, and its audit."""
    import json
    import sys

    from sparksmith.report.audit import columns_of, has_colour
    from sparksmith.report.stacks import describe_stack

    record = _record(name, target)
    if as_json:
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
        return
    text = describe_stack(record, verbose=verbose, width=columns_of(sys.stdout), colour=has_colour(sys.stdout))
    click.echo("\n".join(text))


def _record(name: str, target: str) -> dict[str, Any]:
    """A stack with its audit, as JSON. Raises `SparksmithError` for a stack or a target that there is not."""
    from sparksmith.packages.audit import audit_stack, stack_to_json
    from sparksmith.policy.load import load_stack
    from sparksmith.policy.targets import load_target

    found = load_stack(name)
    try:
        machine = load_target(target)
    except SparksmithError as error:
        raise UsageProblem(f"--target: {error.message}", error.hint) from None
    return stack_to_json(found, audit_stack(found, machine))
