"""`sparksmith`: the verbs are imported when they are used."""

from __future__ import annotations

import importlib
import sys

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
}


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
    try:
        result = cli.main(prog_name="sparksmith", standalone_mode=False)
        code = result if isinstance(result, int) else ExitCode.DONE
    except SparksmithError as error:
        from sparksmith.report.failures import show

        show(error)
        code = error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = ExitCode.USAGE
    except click.ClickException as error:
        from sparksmith.report.failures import show

        # an option without its value is told without a context
        context = error.ctx if isinstance(error, click.UsageError) else None
        path = (
            context.command_path
            if context
            else " ".join(["sparksmith", *(word for word in sys.argv[1:2] if word in VERBS)])
        )
        show(SparksmithError(error.format_message(), f"{path} --help"))
        code = ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        code = ExitCode.DONE
        sys.stderr.close()
    except Exception as error:
        from sparksmith.report.failures import show_defect

        show_defect(error, None)
        code = ExitCode.DEFECT
    sys.exit(int(code))
