"""What `train` does about its data before a Job is begun: read it, look at it, and say what was seen."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from sparksmith.base.errors import UsageProblem
from sparksmith.base.hub import MODEL
from sparksmith.machine.python_env import has_module

if TYPE_CHECKING:
    from sparksmith.data.hub import Role

SLOW_SECONDS = 2.0  # after which it is said what takes so long
TOKENS_OF_ROWS = 200_000  # a dry run counts the tokens of so many rows; of more, the Job does
Named = tuple[str, Any]  # data or held out, and its DataFile


@contextlib.contextmanager
def said_if_slow(text: str) -> Iterator[None]:
    """Says on standard error what is being done, if it takes longer than two seconds."""
    timer = threading.Timer(SLOW_SECONDS, lambda: click.echo(f"{text} ...", err=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def read_files(values: Any) -> list[Named]:
    """Read and check the data files, before anything else happens. Raises `SparksmithError`."""
    from sparksmith.data.named import read_named

    if values.data_file is None:
        raise UsageProblem(
            "no data: neither the recipe nor a flag names a data_file",
            "sparksmith train --data_file FILE   (TSV, CSV, JSONL, parquet, or a hub dataset as owner/name), "
            "or try sparksmith train g2p-hebrew",
        )
    files = []
    wanted: list[tuple[str, str | None, Role]] = [
        ("data", values.data_file, "train"),
        ("held out", values.eval_file, "eval"),
    ]
    for label, name, role in wanted:
        if name is None:
            continue
        with said_if_slow(f"reading {name}"):
            file = read_named(
                name, role, data_format=values.data_format, header=values.header, prompt_column=values.prompt_column,
                response_column=values.response_column, say=lambda text: click.echo(f"note: {text}", err=True),
            )  # fmt: skip
        files.append((label, file))
    return files


def warn_of_headers(files: Sequence[Named]) -> None:
    """Say on standard error where a first line that is taken as a row looks like column names."""
    from sparksmith.data.headers import doubt_first_row, share_first_row

    doubts = {
        label: doubt_first_row(file.examples) if file.may_have_header else None for label, file in files
    }  # fmt: skip
    both = len(files) > 1 and all(file.may_have_header for _, file in files)
    if both and share_first_row(files[0][1].examples, files[1][1].examples):
        doubts = {label: doubt or "both files begin with it" for label, doubt in doubts.items()}
    for label, file in files:
        if doubts[label]:
            first = file.examples[0]
            click.echo(
                f"warning: {label}: line {first.line} of {file.title} looks like column names, and is taken as a row: "
                f"{first.prompt!r}, {first.response!r} ({doubts[label]})",
                err=True,
            )
    if any(doubts.values()):
        click.echo("hint: --header yes leaves it out; --header no says that it is a row", err=True)


def look_at(plan: Any, files: Sequence[Named], *, tokens: bool) -> dict[str, Any]:
    """The record data.json. With `tokens`, lengths are in tokens where the plan's tokenizer is at hand."""
    from sparksmith.data.check import data_facts

    train, held_out = files[0][1], files[1][1] if len(files) > 1 else None
    lengths = None
    if tokens:
        with said_if_slow("counting tokens"):
            lengths = count_tokens(plan, [file for _, file in files])
    with said_if_slow("checking the data"):
        return data_facts(train, held_out, max_length=plan.max_length, token_lengths=lengths)


def count_tokens(plan: Any, files: Sequence[Any]) -> tuple[list[int], list[int] | None] | None:
    """The length in tokens of every example, as the Job will have it; None where that cannot be had without waiting:
    no torch, a model that would have to be fetched, or very many rows.

    Raises `SparksmithError` where the tokenizer or its template refuses, as the Job would.
    """
    if sum(len(file.examples) for file in files) > TOKENS_OF_ROWS:
        return None
    if not (has_module("torch") and has_module("transformers") and _is_at_hand(plan.model)):
        return None
    try:
        from sparksmith.model.libraries import settle_libraries

        settle_libraries()
        from sparksmith.data.encode import Encoder
        from sparksmith.model.make import make_tokenizer
    except ImportError:
        return None
    examples = files[0].examples
    tokenizer = make_tokenizer(
        plan, [turn.content for one in examples for turn in one.messages[:-1]], [one.response for one in examples], None
    )  # fmt: skip
    encoder = Encoder(tokenizer, system_prompt=plan.system_prompt, separator=plan.separator, train_on=plan.train_on)
    lengths = [[len(encoded.input_ids) for encoded in encoder.encode(file.examples)] for file in files]
    return lengths[0], lengths[1] if len(lengths) > 1 else None


def _is_at_hand(model: str) -> bool:
    """Whether a model's tokenizer can be loaded without a download."""
    from pathlib import Path

    if model == "tiny" or Path(model).expanduser().is_dir():
        return True
    if not MODEL.fullmatch(model):
        return False
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return False
    return all(
        isinstance(try_to_load_from_cache(model, f"{name}.json"), str) for name in ("config", "tokenizer_config")
    )


def show_facts(facts: dict[str, Any], *, whole: bool) -> None:
    """All of it on standard output for a dry run; otherwise what deserves a warning, on standard error."""
    from sparksmith.report.data import data_warnings, describe_data

    if whole:
        for line in describe_data(facts):
            click.echo(line)
        return
    warnings = data_warnings(facts)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    if warnings:
        click.echo("hint: --dry-run shows where", err=True)
