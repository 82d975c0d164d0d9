"""`sparksmith`: the verbs are imported when they are used."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from pathlib import Path

import click

from sparksmith import __version__
from sparksmith.base.errors import ExitCode, SparksmithError

VERBS = {
    "train": ("sparksmith.cli.train", "train", "Fine-tune a model on a file of your own."),
    "eval": ("sparksmith.cli.eval", "evaluate", "Score a run or a model on a file."),
    "predict": ("sparksmith.cli.predict", "predict", "Answer with a trained model."),
    "chat": ("sparksmith.cli.chat", "chat", "Talk with a trained model."),
    "report": ("sparksmith.cli.report", "report", "The page of a run, or several runs compared."),
    "runs": ("sparksmith.cli.runs", "runs", "What runs, ran, died and why; how to go on."),
    "logs": ("sparksmith.cli.logs", "logs", "What a run has said; -f follows it."),
    "stop": ("sparksmith.cli.stop", "stop", "Ask a job to save and stop."),
    "clean": ("sparksmith.cli.clean", "clean", "Delete runs, or what broken saves have left."),
    "recipe": (
        "sparksmith.cli.recipe",
        "recipe",
        "List and show the shipped recipes, and the schema of a recipe file.",
    ),
    "doctor": ("sparksmith.cli.doctor", "doctor", "What is wrong with this machine, what an error means, and the fix."),
    "audit": ("sparksmith.cli.audit", "audit", "Say before anything is installed whether packages will run."),
    "stack": ("sparksmith.cli.stack", "stack", "The shipped sets of packages, and what their audit says."),
}

# What the user can mend: no room, no permission, a disk that fails.
OF_THE_DISK = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG, errno.ENAMETOOLONG,
    errno.ESTALE, errno.ENOTCONN, errno.ELOOP, errno.EMFILE,
}  # fmt: skip


class LazyGroup(click.Group):
    """Knows each verb's name and help line; imports its module only when it runs."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        module, attribute, _ = VERBS[name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in VERBS.items()])

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from sparksmith.base.errors import UsageProblem, perhaps

        if args and not args[0].startswith("-") and args[0] not in VERBS:
            raise UsageProblem(f"there is no command {args[0]}{perhaps(args[0], VERBS)}", "sparksmith --help")
        return super().resolve_command(context, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sparksmith")
def cli() -> None:
    """Fine-tune language models dependably on an NVIDIA DGX Spark, and try it anywhere.

    The first thing to try, without a GPU and without a download: sparksmith train g2p-hebrew
    """


def main() -> None:
    """The console script. Every error that a user can mend is one message and a hint; the rest is a defect of ours."""
    from sparksmith.report.failures import show
    from sparksmith.report.terminal import OutputLost, watched_output

    try:
        with watched_output():
            code = _run()
    except OutputLost as lost:
        code = ExitCode.DONE
        if not lost.reader_left:
            message = f"standard output cannot be written: {lost}"
            show(SparksmithError(message, "make room, or send it elsewhere: > FILE"))
            code = ExitCode.MENDABLE
    sys.exit(int(code))


def _run() -> int:
    """The verb's exit code, every other end told."""
    from sparksmith.report.failures import show, show_defect
    from sparksmith.report.terminal import OutputLost

    try:
        result = cli.main(prog_name="sparksmith", standalone_mode=False)
        return result if isinstance(result, int) else ExitCode.DONE
    except SparksmithError as error:
        show(error)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    except click.ClickException as error:
        # an option without its value is told without a context
        context = error.ctx if isinstance(error, click.UsageError) else None
        path = (
            context.command_path
            if context
            else " ".join(["sparksmith", *(word for word in sys.argv[1:2] if word in VERBS)])
        )
        show(SparksmithError(error.format_message(), f"{path} --help"))
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except OutputLost:
        raise
    except BrokenPipeError:  # who read standard error has seen enough
        sys.stderr.close()
        return ExitCode.DONE
    except OSError as error:
        return _tell_of_disk(error)
    except Exception as error:
        show_defect(error, None)
        return ExitCode.DEFECT


def _tell_of_disk(error: OSError) -> int:
    """A disk that is full, read-only, forbidden or broken, in one message; another error of the system is a defect."""
    from sparksmith.report.failures import show, show_defect

    if error.errno not in OF_THE_DISK:
        show_defect(error, None)
        return ExitCode.DEFECT
    said = error.strerror or str(error)
    if error.filename is None:
        show(SparksmithError(f"the disk failed: {said}", "df -h . shows what it has left"))
    else:
        where = Path(os.fsdecode(error.filename)).parent
        show(SparksmithError(f"{error.filename}: {said}", f"ls -ld {where}; df -h {where}"))
    return ExitCode.MENDABLE
