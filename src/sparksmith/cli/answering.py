"""What eval, predict and chat share: options, and what is checked before torch is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from sparksmith.base.errors import SparksmithError

if TYPE_CHECKING:
    from sparksmith.evaluate.find import Found

Command = Callable[..., Any]


def _both(name: str) -> tuple[str, ...]:
    """--batch_size and --batch-size."""
    return tuple(dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}")))


def choice_option(name: str, *values: str, default: str | None = None, help: str = "") -> Callable[[Command], Command]:
    """An option with a few words to choose from."""
    return click.option(
        *_both(name), name, type=click.Choice(values), default=default, show_default=default is not None, help=help
    )


def text_option(name: str, help: str) -> Callable[[Command], Command]:
    """An option with a text."""
    return click.option(*_both(name), name, help=help)


def number_option(name: str, help: str) -> Callable[[Command], Command]:
    """An option with a whole number from 1 on."""
    return click.option(*_both(name), name, type=click.IntRange(1), metavar="N", help=help)


SYSTEM_PROMPT = text_option("system_prompt", "a system message before each prompt; a run knows its own")
MAX_NEW_TOKENS = number_option("max_new_tokens", "the longest answer in tokens; a run knows its own")
BATCH_SIZE = number_option("batch_size", "answers generated at once; halved where the GPU's memory does not suffice")
DEVICE = choice_option("device", "auto", "cpu", "cuda", default="auto", help="where to compute")


def find_model_slowly(name: str) -> Found:
    """What RUN names; said after two seconds, as every byte of the weights is checked. Raises `SparksmithError`."""
    from sparksmith.cli.data import said_if_slow
    from sparksmith.evaluate.find import find_model

    with said_if_slow(f"checking the weights of {name}"):
        return find_model(name)


def find_checked(name: str, device: str) -> Found:
    """What RUN names, told with what was passed over; and the device is there. Raises `SparksmithError`."""
    found = find_model_slowly(name)
    check_device(device)
    for note in found.notes:
        click.echo(f"warning: {note}", err=True)
    return found


def check_device(device: str) -> None:
    """Raises `SparksmithError` where a GPU was asked for and nvidia-smi shows none; torch has the last word."""
    from sparksmith.machine.gpu import read_gpus

    if device == "cuda" and not read_gpus():
        raise SparksmithError(
            "device cuda was asked for and nvidia-smi shows no GPU", "--device cpu, or see what nvidia-smi says"
        )


def warn(message: str) -> None:
    """Talk: one line on standard error."""
    click.echo(f"warning: {message}", err=True)
