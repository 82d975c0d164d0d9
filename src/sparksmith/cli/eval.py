"""sparksmith eval: a run or a model over a file."""

from __future__ import annotations

import json

import click

from sparksmith.base.errors import SparksmithError


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run")
@click.argument("data")
@click.option("--json", "as_json", is_flag=True, help="scores as JSON on standard output")
@click.option(
    "--spaces_separate",
    "--spaces-separate",
    type=click.Choice(["phones", "words"]),
    help="for grapheme-to-phoneme; a run knows its own",
)
@click.option("--system_prompt", "--system-prompt", help="for a MODEL; a run knows its own")
@click.option("--max_new_tokens", "--max-new-tokens", type=click.IntRange(1), help="the longest answer")
@click.option("--batch_size", "--batch-size", type=click.IntRange(1), help="answers generated at once")
@click.option(
    "--data_format",
    "--data-format",
    type=click.Choice(["auto", "tsv", "csv", "jsonl"]),
    default="auto",
    show_default=True,
)
@click.option("--header", type=click.Choice(["auto", "yes", "no"]), default="auto", show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
def evaluate(
    run: str, data: str, as_json: bool, spaces_separate: str | None, system_prompt: str | None,
    max_new_tokens: int | None, batch_size: int | None, data_format: str, header: str, device: str,
) -> None:  # fmt: skip
    """Score greedy predictions of RUN (a run's folder, a checkpoint, a model's folder or a hub id) on the file DATA."""
    from sparksmith.data.read import read_data
    from sparksmith.recipe.shipped import locate_data

    file = read_data(locate_data(data), data_format, header)
    examples = [example for example in file.examples if example.can_be_scored]
    if not examples:
        raise SparksmithError(f"{data} has no prompts with responses to compare with", "a TSV of two columns, or JSONL")
    from sparksmith.cli.environment import check_model, check_torch

    check_model(run)
    check_torch()
    import sys

    from rich.console import Console

    from sparksmith.evaluate.dataset import evaluate as score_examples
    from sparksmith.evaluate.load import load_ready
    from sparksmith.report.progress import Progress
    from sparksmith.report.scores import prediction_table, score_table

    ready = load_ready(
        run, separated=spaces_separate, system_prompt=system_prompt, max_new_tokens=max_new_tokens,  # type: ignore[arg-type]
        batch_size=batch_size, device=device,
    )  # fmt: skip
    progress = Progress(sys.stderr)
    result = score_examples(
        ready.model, ready.encoder, examples, separated=ready.separated, max_new_tokens=ready.max_new_tokens,
        batch_size=ready.batch_size, bf16=ready.bf16,
        on_batch=lambda done: progress(
            {"kind": "evaluating", "when": "the answers", "done": done, "rows": len(examples)}
        ),
    )  # fmt: skip
    if as_json:
        summary = {
            "version": 1, "model": ready.name, "data": data, "rows": len(examples), "seconds": result.seconds,
            "scores": result.scores.to_json(),
        }  # fmt: skip
        click.echo(json.dumps(summary, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    console.print(score_table([(ready.name, result.scores)]))
    console.print()
    console.print(prediction_table(examples, result.predictions))
