"""sparksmith predict: answers, one line each."""

from __future__ import annotations

import sys

import click

from sparksmith.base.errors import UsageProblem


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run")
@click.argument("texts", nargs=-1)
@click.option("--max_new_tokens", "--max-new-tokens", type=click.IntRange(1), help="the longest answer")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
def predict(run: str, texts: tuple[str, ...], max_new_tokens: int | None, device: str) -> None:
    """Answer each TEXT with RUN; without TEXT, each line of standard input.

    RUN is a run's folder, a checkpoint, a model's folder or a hub id.
    """
    from sparksmith.cli.environment import check_model, check_torch

    check_model(run)
    if not texts and sys.stdin.isatty():
        raise UsageProblem(
            "nothing to answer: no TEXT, and standard input is a terminal", f"sparksmith predict {run} TEXT"
        )
    prompts = list(texts) or [line.strip() for line in sys.stdin]
    if not any(prompt.strip() for prompt in prompts):
        raise UsageProblem("nothing to answer: the text is empty", f"sparksmith predict {run} TEXT")
    check_torch()
    from sparksmith.data.examples import Message
    from sparksmith.evaluate.dataset import predict as answer
    from sparksmith.evaluate.load import load_ready

    ready = load_ready(run, max_new_tokens=max_new_tokens, device=device)
    asked = [prompt for prompt in prompts if prompt.strip()]
    answers = iter(
        answer(
            ready.model, ready.encoder, [ready.encoder.encode_prompt([Message("user", prompt)]) for prompt in asked],
            max_new_tokens=ready.max_new_tokens, batch_size=ready.batch_size, bf16=ready.bf16,
        )
    )  # fmt: skip
    for prompt in prompts:  # one line for each, so that answers stay beside what was asked
        click.echo(next(answers) if prompt.strip() else "")
