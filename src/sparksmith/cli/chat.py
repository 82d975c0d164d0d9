"""sparksmith chat: a conversation in the terminal."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import click

from sparksmith.base.errors import ExitCode, SparksmithError
from sparksmith.cli.answering import DEVICE, MAX_NEW_TOKENS, SYSTEM_PROMPT, find_checked
from sparksmith.cli.lines import input_descriptor, read_batches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sparksmith.evaluate.chat import Conversation
    from sparksmith.evaluate.find import Found

PROMPT = "> "
HELP = "/clear begins anew, /exit or Ctrl+D leaves, Ctrl+C ends an answer"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run")
@click.option(
    "--temperature",
    type=click.FloatRange(0, 10),
    default=0.0,
    metavar="T",
    help="sample at this temperature; 0, the default, takes the most likely token",
)
@SYSTEM_PROMPT
@MAX_NEW_TOKENS
@DEVICE
def chat(run: str, temperature: float, system_prompt: str | None, max_new_tokens: int | None, device: str) -> int:
    """Talk with RUN: a run's folder, a checkpoint, a model's folder or a hub id whose tokenizer has a chat template.

    /clear begins anew, /exit and Ctrl+D leave; Ctrl+C ends an answer, a second one leaves. A conversation longer than
    the model takes loses its oldest turns, and says so. Lines may come from a pipe too.
    """
    from sparksmith.cli.environment import check_torch

    input_descriptor("chat reads from a terminal or a pipe")
    found = find_checked(run, device)
    if found.has_template is False:
        raise SparksmithError(
            f"the tokenizer of {found.name} has no chat template, and so no turns to talk in",
            f"sparksmith predict {run} TEXT",
        )
    single = _asks_singly(found)
    check_torch()
    from sparksmith.evaluate.chat import Conversation
    from sparksmith.evaluate.load import load_ready

    ready = load_ready(found, system_prompt=system_prompt, max_new_tokens=max_new_tokens, device=device)
    conversation = Conversation(ready, temperature=temperature, single=single)
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  (gives input() its line editing and history)
        _notice(HELP)
    if single:
        _notice("this model was trained on single questions: each line is asked by itself")
    return _talk(conversation)


def _asks_singly(found: Found) -> bool:
    """Whether the model knows nothing but single questions: `tiny`, from scratch, on data without conversations."""
    from sparksmith.base.files import read_json

    if found.plan is None or found.folder is None or not found.plan.tiny:
        return False
    try:
        files = read_json(found.folder.data)["files"]
        return all(file["kind"] != "messages" for file in files)
    except (SparksmithError, KeyError, TypeError):  # a run that kept no such record
        return True


def _talk(conversation: Conversation) -> int:
    """Ask and answer until the end of the input, /exit, or a second Ctrl+C."""
    interrupted = False
    lines = _lines()
    while True:
        reading = True
        try:
            line = next(lines, None)
            reading = False
            if line is None or line == "/exit":
                return ExitCode.DONE
            interrupted = False
            if line == "/clear":
                conversation.clear()
                _notice("a new conversation")
            elif line.startswith("/"):
                _notice(f"there is no {line.split()[0]}; {HELP}")
            elif line:
                _say(conversation, line)
        except KeyboardInterrupt:
            click.echo()
            if interrupted:
                return ExitCode.DONE
            interrupted = True
            _notice("Ctrl+C once more leaves")
            if reading:  # a generator is over once an exception has left it
                lines = _lines()


def _say(conversation: Conversation, line: str) -> None:
    """Print the answer as it comes. A line that cannot be answered is told, and the conversation goes on."""
    try:
        conversation.answer(line, _write, _notice_below)
    except SparksmithError as error:
        from sparksmith.report.failures import show

        show(error)
    else:
        click.echo()


def _lines() -> Iterator[str]:
    """The user's lines: typed at a prompt, or read from a pipe. Raises `SparksmithError` for what is not UTF-8."""
    if not sys.stdin.isatty():
        for batch in read_batches(sys.stdin.fileno(), 1, "standard input"):
            yield from batch
        return
    while True:
        try:
            line = input(PROMPT if sys.stdout.isatty() else "")
        except EOFError:
            click.echo()
            return
        except UnicodeDecodeError:
            _notice("that line is not UTF-8")
            continue
        yield line.strip()


def _write(text: str) -> None:
    click.echo(text, nl=False)


def _notice(text: str) -> None:
    click.echo(f"({text})", err=True)


def _notice_below(text: str) -> None:
    """A notice in the midst of an answer begins a new line, where both are seen on one terminal."""
    if sys.stdout.isatty() and sys.stderr.isatty():
        click.echo(err=True)
    _notice(text)
