"""sparksmith predict: answers, one line each."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparksmith.base.errors import ExitCode, UsageProblem
from sparksmith.cli.answering import BATCH_SIZE, DEVICE, MAX_NEW_TOKENS, SYSTEM_PROMPT, find_checked, warn

if TYPE_CHECKING:
    from sparksmith.evaluate.load import Ready

PREDICT_VERSION = 1
LINES_AT_ONCE = 256  # of a file or a pipe that is ahead: some batches, so that prompts of like length share one


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run")
@click.argument("texts", nargs=-1)
@click.option("--file", "file", metavar="FILE", help="answer each line of FILE; - is standard input")
@click.option("--json", "as_json", is_flag=True, help="a JSON object a line: prompt, answer, whether it ended")
@SYSTEM_PROMPT
@MAX_NEW_TOKENS
@BATCH_SIZE
@DEVICE
def predict(
    run: str, texts: tuple[str, ...], file: str | None, as_json: bool, system_prompt: str | None,
    max_new_tokens: int | None, batch_size: int | None, device: str,
) -> int:  # fmt: skip
    """Answer each TEXT with RUN; without TEXT, each line of --file or of standard input.

    RUN is a run's folder, a checkpoint, a model's folder or a hub id. Answers come in the order of the prompts, one
    line each: a line break within an answer is printed as \\n, two characters (--json keeps it), and an empty line is
    answered with an empty one. A prompt that the model is too short for is told on standard error and answered with an
    empty line; the exit code is then 1.
    """
    from sparksmith.cli.environment import check_torch

    if texts and file is not None:
        raise UsageProblem("TEXT and --file are both given", f"sparksmith predict {run} --file {file}")
    found = find_checked(run, device)
    for text in texts:
        with contextlib.suppress(OSError, ValueError):  # a text that is too long for a name, or has a NUL
            if Path(text).is_file():
                warn(f"{text} is a file, and is answered as a text; --file {shlex.quote(text)} answers its lines")
    prompts = [_check_texts(texts, run)] if texts else _read_prompts(file, run)
    if file not in (None, "-") and isinstance(prompts, list) and all("\t" in text for text in prompts[0] if text):
        first = f"cut -f1 {shlex.quote(str(file))} | sparksmith predict {shlex.quote(run)}"
        warn(f"{file} is a table, and each whole line of it is a prompt; the first column alone: {first}")
    check_torch()
    from sparksmith.evaluate.load import load_ready

    ready = load_ready(
        found, system_prompt=system_prompt, max_new_tokens=max_new_tokens, batch_size=batch_size, device=device
    )
    return _answer_all(ready, prompts, as_json=as_json)


def _check_texts(texts: Sequence[str], run: str) -> list[str]:
    for number, text in enumerate(texts, start=1):
        if any("\udc80" <= character <= "\udcff" for character in text):  # how Python shows a byte that it cannot read
            raise UsageProblem(f"TEXT {number} is not UTF-8", f"sparksmith predict {run} TEXT")
    if not any(text.strip() for text in texts):
        raise UsageProblem("nothing to answer: the text is empty", f"sparksmith predict {run} TEXT")
    return [text.strip() for text in texts]


def _read_prompts(file: str | None, run: str) -> Iterable[list[str]]:
    """Batches of lines. Of a file they are read, and found to be text, before the model is loaded."""
    from sparksmith.cli.lines import input_descriptor, is_file, read_batches, read_whole

    hint = f"sparksmith predict {run} TEXT"
    if file not in (None, "-"):
        batches = read_whole(Path(str(file)).expanduser(), LINES_AT_ONCE)
        what = str(file)
    else:
        descriptor, what = input_descriptor(hint), "standard input"
        if file is None and os.isatty(descriptor):
            raise UsageProblem(
                "nothing to answer: no TEXT, and standard input is a terminal",
                f"{hint}   (or --file - to type lines)",
            )
        if not is_file(descriptor):
            return read_batches(descriptor, LINES_AT_ONCE, what)
        batches = list(read_batches(descriptor, LINES_AT_ONCE, what))
    if not any(text for batch in batches for text in batch):
        raise UsageProblem(f"nothing to answer: {what} has no text", hint)
    return batches


def _answer_all(ready: Ready, batches: Iterable[list[str]], *, as_json: bool) -> int:
    """Print a line for each prompt as its batch is answered. Returns the exit code."""
    unanswered = lines = 0
    for texts in batches:
        answered = _answer(ready, texts)
        shown = []
        for at, (text, (answer, ended, error)) in enumerate(zip(texts, answered, strict=True), start=lines + 1):
            record = {"version": PREDICT_VERSION, "prompt": text, "answer": answer, "ended": ended}
            if error is not None:
                unanswered += 1
                record["error"] = error
                warn(f"line {at} is not answered: {error}")
            shown.append(json.dumps(record, ensure_ascii=False) if as_json else one_line(answer))
        lines += len(texts)
        click.echo("\n".join(shown))
    if lines == 0:
        raise UsageProblem("nothing to answer: standard input has no text", "sparksmith predict RUN TEXT")
    return ExitCode.MENDABLE if unanswered else ExitCode.DONE


def _answer(ready: Ready, texts: list[str]) -> list[tuple[str, bool, str | None]]:
    """(answer, whether it ended by itself, why there is none) for each text; an empty text has an empty answer."""
    from sparksmith.data.examples import Message
    from sparksmith.evaluate.dataset import predict as answer
    from sparksmith.model.generate import longest_sequence

    prompts = {at: ready.encoder.encode_prompt([Message("user", text)]) for at, text in enumerate(texts) if text}
    replies, _ = answer(
        ready.model, ready.encoder, list(prompts.values()), max_new_tokens=ready.max_new_tokens,
        batch_size=ready.batch_size, precision=ready.precision, on_warning=warn,
    )  # fmt: skip
    made: list[tuple[str, bool, str | None]] = [("", True, None)] * len(texts)
    for (at, prompt), reply in zip(prompts.items(), replies, strict=True):
        error = None
        if reply.end == "too_long":
            error = f"its prompt has {len(prompt):,} tokens, and the model takes {longest_sequence(ready.model):,}"
        made[at] = (reply.text, reply.end == "stop", error)
    return made


def one_line(answer: str) -> str:
    """The answer with its line breaks as \\n and \\r."""
    return answer.replace("\r", "\\r").replace("\n", "\\n")
