"""sparksmith eval: a run or a model over a file."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from sparksmith.base.errors import SparksmithError, UsageProblem
from sparksmith.cli.answering import (
    BATCH_SIZE,
    DEVICE,
    MAX_NEW_TOKENS,
    SYSTEM_PROMPT,
    check_device,
    choice_option,
    text_option,
    warn,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sparksmith.data.examples import Example
    from sparksmith.data.read import DataFile
    from sparksmith.evaluate.find import Found
    from sparksmith.evaluate.load import Ready
    from sparksmith.evaluate.result import Evaluation


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run")
@click.argument("data")
@click.option("--json", "as_json", is_flag=True, help="the record of evaluation.json on standard output")
@click.option(
    "--base/--no-base",
    "base",
    default=None,
    help="score the model that RUN began with too (unasked where the run has its answers to DATA), or never",
)
@choice_option("spaces_separate", "phones", "words", help="for grapheme-to-phoneme; a run knows its own")
@SYSTEM_PROMPT
@text_option("separator", "between prompt and answer where there is no chat template; a run knows its own")
@MAX_NEW_TOKENS
@BATCH_SIZE
@choice_option("data_format", "auto", "tsv", "csv", "jsonl", "parquet", default="auto", help="how to read a local file")
@choice_option("header", "auto", "yes", "no", default="auto", help="whether a table starts with column names")
@text_option("prompt_column", "the column of the prompt, where there are several; a run knows its own")
@text_option("response_column", "the column of the response, likewise")
@DEVICE
@choice_option("precision", "auto", "bf16", "fp32", default="auto", help="of matrix products; auto: as in training")
def evaluate(
    run: str, data: str, as_json: bool, base: bool | None, device: str, data_format: str, header: str,
    prompt_column: str | None, response_column: str | None, **asking: Any,
) -> None:  # fmt: skip
    """Score RUN's greedy answers to all of DATA, and show where they are wrong.

    RUN is a run's folder, a checkpoint, a model's folder or a hub id; DATA a file of prompts with responses (TSV, CSV,
    JSONL, parquet) or a dataset on the hub, owner/name or owner/name:split.
    """
    from sparksmith.evaluate.find import find_model

    found, problem = None, None
    try:
        found = find_model(run)
    except SparksmithError as error:  # told after what is wrong with the data
        problem = error
    plan = found.plan if found else None
    file = _read(
        data, data_format=data_format, header=header,
        prompt_column=prompt_column or (plan.prompt_column if plan else None),
        response_column=response_column or (plan.response_column if plan else None),
    )  # fmt: skip
    examples = [example for example in file.examples if example.can_be_scored]
    if not examples:
        raise SparksmithError(f"{data} has no prompts with responses to compare with", "a TSV of two columns, or JSONL")
    if found is None:
        assert problem is not None
        raise problem
    if base and plan is None:
        raise UsageProblem(
            f"--base is for a run, and {run} is a model: it is its own base", f"sparksmith eval {run} DATA"
        )
    check_device(device)
    for note in found.notes:
        warn(note)
    from sparksmith.cli.environment import check_torch

    check_torch()
    trained, untrained, name = _score(found, file, examples, base=base, device=device, asking=asking)
    if as_json:
        record = trained.to_json(model=name, data=data, rows=len(examples), untrained=untrained)
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
        return
    from sparksmith.report.scores import show_evaluation

    show_evaluation(examples, trained, model=name, data=data, untrained=untrained)
    if plan is not None and untrained is None and base is None:
        click.echo("hint: --base scores the untrained model beside it", err=True)


def _read(name: str, **options: Any) -> DataFile:
    from sparksmith.cli.data import said_if_slow
    from sparksmith.data.named import read_named

    with said_if_slow(f"reading {name}"):
        return read_named(name, "eval", say=lambda text: click.echo(f"note: {text}", err=True), **options)


def _score(
    found: Found, file: DataFile, examples: Sequence[Example], *, base: bool | None, device: str, asking: dict[str, Any]
) -> tuple[Evaluation, Evaluation | None, str]:
    """The evaluation, that of the untrained model where there is one, and the model's name."""
    from sparksmith.evaluate.load import load_base, load_ready

    ready = load_ready(found, device=device, **{_PARAMETERS.get(name, name): value for name, value in asking.items()})
    trained = _evaluate(ready, examples, "the answers")
    untrained = None
    if base is not False:
        untrained = _recall(found, file, examples, asking)
    if base and untrained is None:
        ready = replace(ready, model=None)  # one model in memory at a time
        untrained = _evaluate(load_base(found, ready, device), examples, "the untrained model's answers")
    return trained, untrained, ready.name


_PARAMETERS = {"spaces_separate": "separated"}


def _evaluate(ready: Ready, examples: Sequence[Example], what: str) -> Evaluation:
    from sparksmith.evaluate.dataset import evaluate as score_examples
    from sparksmith.report.progress import Progress

    progress = Progress(sys.stderr)
    return score_examples(
        ready.model, ready.encoder, examples, separated=ready.separated, max_new_tokens=ready.max_new_tokens,
        batch_size=ready.batch_size, precision=ready.precision,
        on_batch=lambda done: progress({"kind": "evaluating", "when": what, "done": done, "rows": len(examples)}),
        on_warning=lambda message: progress({"kind": "warning", "message": message}),
    )  # fmt: skip


def _recall(found: Found, file: DataFile, examples: Sequence[Example], asking: dict[str, Any]) -> Evaluation | None:
    """What the run's untrained model answered to these examples, asked in the same way; None where that is not kept."""
    from sparksmith.base.files import sha256_of
    from sparksmith.evaluate.result import recall_untrained

    plan = found.plan
    if plan is None or found.folder is None or plan.eval_data is None:
        return None
    same = all(
        asking[name] in (None, getattr(plan, name))
        for name in ("spaces_separate", "system_prompt", "separator", "max_new_tokens")
    )
    if not same or sha256_of(file.path) != plan.eval_data.sha256:
        return None
    return recall_untrained(found.folder, examples, plan)
