"""sparksmith audit: will these packages run on a machine that is not at hand."""

from __future__ import annotations

import click


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("what", nargs=-1, required=True)
@click.option("--target", default="gb10", show_default=True, metavar="NAME|FILE[:ROW]", help="the machine to judge for")
@click.option("--strict", is_flag=True, help="exit with 1 also where it cannot tell")
@click.option("-v", "--verbose", is_flag=True, help="every package and finding, each library with GPU code")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
def audit(what: tuple[str, ...], target: str, strict: bool, verbose: bool, as_json: bool) -> int:
    """Say whether WHAT will run on a DGX Spark, before anything is installed.

    \b
    sparksmith audit "torch>=2.11" trl       what an installer would take there
    sparksmith audit requirements.txt        also pyproject.toml[EXTRA], uv.lock
    sparksmith audit wheels/*.whl            also a folder of wheels
    sparksmith audit .venv                   also conda, a container's root,
                                             another machine's

    Wheels that are not known yet are fetched, read and deleted; nothing of them is run. The exit code is 1 where
    something will not run.
    """
    import json
    import sys

    from sparksmith.base.errors import ExitCode, SparksmithError, UsageProblem
    from sparksmith.packages.audit import audit as judge
    from sparksmith.policy.targets import load_target
    from sparksmith.report.audit import columns_of, describe_audit, has_colour, hides_something
    from sparksmith.report.audit_progress import AuditProgress

    try:
        machine = load_target(target)
    except SparksmithError as error:
        raise UsageProblem(f"--target: {error.message}", error.hint) from None
    with AuditProgress(sys.stderr) as progress:
        found = judge(what, machine, say=progress.say, progress=progress.fetched)
    record = found.to_json()
    if as_json:
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        text = describe_audit(record, verbose=verbose, width=columns_of(sys.stdout), colour=has_colour(sys.stdout))
        click.echo("\n".join(text))
        if not verbose and hides_something(record) and sys.stderr.isatty():
            click.echo("hint: -v shows every package, and its libraries with GPU code", err=True)
    bad = found.verdict == "will not run" or (strict and found.verdict == "cannot tell")
    return ExitCode.MENDABLE if bad else ExitCode.DONE
