"""sparksmith doctor: what is wrong with this machine, what an error means, and how either is mended."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

if TYPE_CHECKING:
    from sparksmith.doctor.gather import Gathered, Read
    from sparksmith.doctor.result import Diagnosis
    from sparksmith.policy.targets import Target
    from sparksmith.report.audit_progress import AuditProgress

DEFAULT_BUNDLE = "-"
# A word that may be the name of a file, where an error's own words have quotes, brackets or a colon in them.
PATH = re.compile(r"(?!.*://)[^\s<>|\"'`;:*?(){}\[\]\\,]+")
LOG_ENDINGS = (".log", ".txt", ".out", ".err", ".jsonl")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("environment", metavar="[ENV]", required=False)
@click.option("--root", type=click.Path(path_type=Path), metavar="DIR", help="examine a copy of a machine's files")
@click.option("--target", metavar="NAME|FILE[:ROW]", help="the machine to judge packages for (default: this one)")
@click.option("--error", metavar="TEXT|FILE|-", help="explain an error, or a log; - reads standard input")
@click.option("--fix", is_flag=True, help="mend what can be mended without a risk")
@click.option("--dry-run", "dry_run", is_flag=True, help="with --fix: only say what would be done")
@click.option("--deep", is_flag=True, help="also try torch out, in the environment's own Python")
@click.option("--facts", is_flag=True, help="what was observed, instead of what is wrong with it")
@click.option(
    "--bundle", is_flag=False, flag_value=DEFAULT_BUNDLE, metavar="[FILE]", help="pack what was seen for a bug report"
)
@click.option("--json", "as_json", is_flag=True, help="as JSON")
def doctor(
    environment: str | None, root: Path | None, target: str | None, error: str | None, fix: bool, dry_run: bool,
    deep: bool, facts: bool, bundle: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Say what is wrong with this machine and with a Python environment, and what to type to mend it.

    \b
    sparksmith doctor                       this machine and the active
                                            environment
    sparksmith doctor .venv                 another environment
    sparksmith doctor --error "TEXT"        what an error means
    train 2>&1 | sparksmith doctor --error -

    Without ENV: the one recorded in .sparksmith, else the active one, else .venv. It reads files and asks nvidia-smi
    and the like; it changes nothing without --fix.

    The exit code is 1 where something will fail, with --error where no known fault is recognised, with --fix where
    something could not be mended or is left to you; 2 where the command line is wrong, an ENV that is none included;
    else 0.
    """
    from sparksmith.base.errors import ExitCode, UsageProblem

    modes = {"--error": error is not None, "--facts": facts, "--fix": fix, "--bundle": bundle is not None}
    if sum(modes.values()) > 1:
        asked = " and ".join(name for name, given in modes.items() if given)
        raise UsageProblem(f"{asked} are different questions", "ask one after the other")
    if dry_run and not fix:
        raise UsageProblem("--dry-run goes with --fix", "sparksmith doctor --fix --dry-run")
    if as_json and (fix or bundle is not None):
        name = "--fix" if fix else "--bundle"
        raise UsageProblem(f"{name} and --json do not go together", "sparksmith doctor --json tells what was found")
    if deep and (sum(modes.values()) or root):
        hint = "sparksmith doctor --deep"
        raise UsageProblem("--deep runs this machine's torch, and tells what is wrong with it; nothing else", hint)
    if error is not None:
        if environment or root or target:
            hint = "without them: sparksmith doctor --error TEXT"
            raise UsageProblem("--error explains a text: it looks at no ENV, --root or --target", hint)
        return _explain(error, as_json)
    judged = _load_target(target)
    place = _check_root(root)
    if bundle is not None:
        return _bundle(bundle, place, environment, judged)
    with _progress() as progress:
        gathered = _gather(progress, place, environment, judged)
        if facts:
            _show_facts(gathered, as_json)
            return ExitCode.DONE
        diagnosis = _diagnose(gathered)
        if deep:
            diagnosis = _try_torch(diagnosis, progress)
    if fix:
        return _fix(diagnosis, dry_run)
    return _show(diagnosis, as_json)


def _load_target(name: str | None) -> Target | None:
    from sparksmith.base.errors import SparksmithError, UsageProblem
    from sparksmith.policy.targets import load_target

    try:
        return load_target(name) if name is not None else None
    except SparksmithError as error:
        raise UsageProblem(f"--target: {error.message}", error.hint) from None


def _check_root(root: Path | None) -> Path:
    """The folder whose files are examined. Raises `UsageProblem` where it is none, or holds no machine."""
    import os

    from sparksmith.base.errors import UsageProblem

    if root is None:
        return Path("/")
    hint = "DIR is a folder with the etc, proc and usr of a machine, as the bundle's folder `machine` is"
    try:
        names = os.listdir(root)  # noqa: PTH208 - the names count
    except FileNotFoundError:
        raise UsageProblem(f"--root: {root} does not exist", hint) from None
    except NotADirectoryError:
        raise UsageProblem(f"--root: {root} is a file", hint) from None
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise UsageProblem(f"--root: {root} cannot be read: {said}", f"ls -ld {root}") from None
    if not {"etc", "proc", "usr", "commands", "Users"} & set(names):
        raise UsageProblem(f"--root: {root} holds no machine's files", hint)
    return root.resolve()


def _progress() -> AuditProgress:
    import sys

    from sparksmith.report.audit_progress import AuditProgress

    return AuditProgress(sys.stderr)


def _gather(
    progress: AuditProgress, root: Path, environment: str | None, target: Target | None, read: Read | None = None
) -> Gathered:
    from sparksmith.base.errors import SparksmithError, UsageProblem
    from sparksmith.doctor.gather import gather
    from sparksmith.machine.facts import read_machine

    try:
        return gather(root, environment, target, read=read or read_machine, say=progress.say)
    except SparksmithError as error:
        # what is wrong with a machine is a finding or a note: it is raised for an ENV that is none
        if environment is not None and error.exit_code is SparksmithError.exit_code:
            raise UsageProblem(error.message, error.hint) from None
        raise


def _diagnose(gathered: Gathered) -> Diagnosis:
    from sparksmith.doctor.examine import examine
    from sparksmith.doctor.result import Diagnosis

    return Diagnosis(gathered, tuple(examine(gathered.examined)))


def _try_torch(diagnosis: Diagnosis, progress: AuditProgress) -> Diagnosis:
    """Run the environment's torch for a moment, in a child with a deadline."""
    from sparksmith.base.errors import SparksmithError
    from sparksmith.doctor.deep import run_probe

    place = diagnosis.gathered.place
    if place is None:
        hint = "name the environment: sparksmith doctor ENV --deep"
        raise SparksmithError("there is no Python environment whose torch could be tried", hint)
    python = Path("/usr/bin/python3") if place.path == "/" else Path(place.path, "bin/python")
    return diagnosis.with_deep(run_probe(python, say=progress.say))


def _show(diagnosis: Diagnosis, as_json: bool) -> int:
    """The findings; 1 where something will fail."""
    import json
    import sys

    from sparksmith.base.errors import ExitCode
    from sparksmith.doctor.deep import describe_result
    from sparksmith.report.audit import columns_of, has_colour
    from sparksmith.report.doctor import describe_doctor

    record = diagnosis.to_json()
    if as_json:
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        tried = describe_result(diagnosis.deep) if diagnosis.deep else []
        text = describe_doctor(record, tried, width=columns_of(sys.stdout), colour=has_colour(sys.stdout))
        click.echo("\n".join(text))
        if any(finding.fault.safe for finding in diagnosis.findings):
            click.echo("hint: sparksmith doctor --fix --dry-run shows what it can mend by itself", err=True)
    return ExitCode.MENDABLE if diagnosis.outcome == "fails" else ExitCode.DONE


def _show_facts(gathered: Gathered, as_json: bool) -> None:
    import json
    import sys

    from sparksmith.report.audit import columns_of
    from sparksmith.report.doctor import describe_facts

    record = gathered.examined.machine.to_json()
    if as_json:
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(describe_facts(record, width=columns_of(sys.stdout))))


def _explain(error: str, as_json: bool) -> int:
    """The faults that a text tells of; 1 where it tells of none."""
    import json
    import sys
    from io import BytesIO

    from sparksmith.base.errors import ExitCode, SparksmithError, UsageProblem
    from sparksmith.doctor.explain import explain_stream
    from sparksmith.doctor.result import matches_to_json
    from sparksmith.report.audit import columns_of, has_colour
    from sparksmith.report.doctor import describe_error

    if not error.strip():
        hint = 'sparksmith doctor --error "TEXT", or a log: sparksmith doctor --error - < LOG'
        raise UsageProblem("--error: the text is empty", hint)
    if error == "-":
        matches = explain_stream(_standard_input())
    elif (log := _file_named(error)) is not None:
        try:
            with log.open("rb") as opened:
                matches = explain_stream(opened)
        except OSError as problem:
            raise SparksmithError(f"{log} cannot be read: {problem.strerror}", f"ls -l {log}") from None
    else:
        matches = explain_stream(BytesIO(error.encode("utf-8", "surrogateescape")))
        if not matches:
            _check_no_file_is_meant(error)
    record = matches_to_json(matches)
    if as_json:
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        text = describe_error(record, width=columns_of(sys.stdout), colour=has_colour(sys.stdout))
        click.echo("\n".join(text))
    return ExitCode.DONE if matches else ExitCode.MENDABLE


def _file_named(text: str) -> Path | None:
    """The file that a text names, if it is no error but the name of a log."""
    try:
        return Path(text) if "\n" not in text and Path(text).is_file() else None
    except (OSError, ValueError):
        return None


def _check_no_file_is_meant(text: str) -> None:
    """Raises `UsageProblem` for a word that tells of nothing and is spelled like the name of a log."""
    import os

    from sparksmith.base.errors import UsageProblem, perhaps

    path = Path(text)
    if not PATH.fullmatch(text) or not ("/" in text or path.suffix in LOG_ENDINGS or os.path.isdir(path)):  # noqa: PTH112 - never raises
        return
    if os.path.isdir(path):  # noqa: PTH112
        raise UsageProblem(f"--error: {text} is a folder", f"name the log in it: ls {text}")
    folder = path.parent
    try:
        names = os.listdir(folder)  # noqa: PTH208 - the names count
    except (OSError, ValueError):
        names = []
    hint = "name a log that is there, or quote more of the error, with its blanks"
    raise UsageProblem(f"--error: there is no file {text}{perhaps(path.name, names)}", hint)


def _standard_input() -> BinaryIO:
    import os
    import sys

    from sparksmith.cli.lines import input_descriptor

    descriptor = input_descriptor("sparksmith doctor --error - < LOG")
    if os.isatty(descriptor):
        click.echo("paste the error, then Enter and Ctrl+D", err=True)
    return sys.stdin.buffer


def _fix(diagnosis: Diagnosis, dry_run: bool) -> int:
    """Apply what is safe, or say what would be; 1 where something is left to the user, or failed."""
    import os
    import sys

    from sparksmith.base.errors import ExitCode
    from sparksmith.doctor.fixes import apply_fix, describe_fix, plan_fixes
    from sparksmith.report.audit import columns_of
    from sparksmith.report.doctor import describe_applied

    gathered = diagnosis.gathered
    live, root_user = gathered.root == Path("/"), os.geteuid() == 0
    applied = []
    for fix in plan_fixes(gathered, diagnosis.findings):
        if dry_run:
            applied += describe_fix(fix, live=live, root_user=root_user)
        else:
            applied += apply_fix(fix, gathered.root, live=live, root_user=root_user)
    others = sum(not finding.fault.safe for finding in diagnosis.findings)
    told = [{"fault": one.fault, "state": one.state, "text": one.text} for one in applied]
    click.echo("\n".join(describe_applied(told, others, dry_run=dry_run, width=columns_of(sys.stdout))))
    bad = any(one.state == "failed" or (one.state == "left" and not dry_run) for one in applied)
    return ExitCode.MENDABLE if bad else ExitCode.DONE


def _bundle(name: str, root: Path, environment: str | None, target: Target | None) -> int:
    """Look, and pack what was seen."""
    import tempfile
    import time

    from sparksmith.base.errors import ExitCode
    from sparksmith.base.units import format_bytes
    from sparksmith.doctor.bundle import as_text, check_target, write_bundle
    from sparksmith.machine.capture import collect_tree
    from sparksmith.machine.facts import MachineFacts
    from sparksmith.report.doctor import describe_doctor

    file = Path(time.strftime("sparksmith-doctor-%Y%m%d-%H%M%S.tar.gz") if name == DEFAULT_BUNDLE else name)
    check_target(file)
    with tempfile.TemporaryDirectory(prefix="sparksmith-") as folder, _progress() as progress:
        tree = Path(folder) / "machine"

        def read(at: Path, **options: object) -> MachineFacts:
            return collect_tree(tree, at, **options)  # type: ignore[arg-type]

        gathered = _gather(progress, root, environment, target, read)
        progress.say("looking for what is wrong")
        record = gathered.examined.machine.private.hide_all(_diagnose(gathered).to_json())
        progress.say(f"packing {file}")
        texts = {
            "doctor.txt": "\n".join(describe_doctor(record)) + "\n",
            "findings.json": as_text(record),
            "facts.json": as_text(gathered.examined.machine.to_json()),
        }
        size = write_bundle(file, tree, texts)
    click.echo(str(file))
    click.echo(f"{format_bytes(size)}; its README.txt says what is in it: tar -xzf {file}", err=True)
    return ExitCode.DONE
