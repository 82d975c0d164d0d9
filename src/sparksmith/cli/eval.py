"""sparksmith eval: a run or a model over a file."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
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
    find_model_slowly,
    text_option,
    warn,
)
from sparksmith.cli.data import said_if_slow, warn_of_headers
from sparksmith.report.commands import relative

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sparksmith.data.examples import Example
    from sparksmith.data.read import DataFile
    from sparksmith.evaluate.find import Found
    from sparksmith.evaluate.load import Ready
    from sparksmith.evaluate.result import Evaluation
    from sparksmith.recipe.plan import Plan

TABLES = ("tsv", "csv")


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
@choice_option("header", "auto", "yes", "no", help="whether a table starts with column names; a run knows its own")
@text_option("prompt_column", "the column of the prompt, where there are several; a run knows its own")
@text_option("response_column", "the column of the response, likewise")
@DEVICE
@choice_option("precision", "auto", "bf16", "fp32", default="auto", help="of matrix products; auto: as in training")
def evaluate(
    run: str, data: str, as_json: bool, base: bool | None, device: str, data_format: str, header: str | None,
    prompt_column: str | None, response_column: str | None, **asking: Any,
) -> None:  # fmt: skip
    """Score RUN's greedy answers to all of DATA, and show where they are wrong.

    RUN is a run's folder, a checkpoint, a model's folder or a hub id; DATA a file of prompts with responses (TSV, CSV,
    JSONL, parquet) or a dataset on the hub, owner/name or owner/name:split.
    """
    if Path(run).is_file() and Path(data).is_dir():
        raise UsageProblem(
            f"{run} is a file and {data} a folder: the run comes first",
            f"sparksmith eval {shlex.quote(data)} {shlex.quote(run)}",
        )
    found, problem = None, None
    try:
        found = find_model_slowly(run)
    except SparksmithError as error:  # told after what is wrong with the data
        problem = error
    file = _read(data, found.plan if found else None, data_format, header, prompt_column, response_column)
    examples = [example for example in file.examples if example.can_be_scored]
    if not examples:
        raise SparksmithError(f"{data} has no prompts with responses to compare with", "a TSV of two columns, or JSONL")
    warn_of_headers([("data", file)])
    plan = found.plan if found else None
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
    _say_which_is_best(found)
    from sparksmith.cli.environment import check_torch

    check_torch()
    trained, untrained, name = _score(found, file, examples, base=base, device=device, asking=asking)
    separated = asking["spaces_separate"] or (plan.spaces_separate if plan else None)
    if as_json:
        record = trained.to_json(model=name, data=data, rows=len(examples), untrained=untrained)
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
        _say_what_else(found, separated, examples, base=False, untrained=untrained is not None)
        return
    from sparksmith.report.scores import show_evaluation

    show_evaluation(examples, trained, model=name, data=data, untrained=untrained)
    _say_what_else(found, separated, examples, base=base, untrained=untrained is not None)


def _read(
    name: str, plan: Plan | None, data_format: str, header: str | None, prompt_column: str | None,
    response_column: str | None,
) -> DataFile:  # fmt: skip
    """The data, read as the run's was where nothing else is said and it is a file of the same kind."""
    from sparksmith.data.named import locate_named
    from sparksmith.data.read import find_format, read_data

    with said_if_slow(f"reading {name}"):
        located = locate_named(name, "eval", data_format, say=lambda text: click.echo(f"note: {text}", err=True))
        found_format = find_format(located.path, located.data_format)
        as_before = []
        if plan is not None and _kind(found_format) == _kind(plan.train_data.format):
            if header is None and found_format in TABLES and plan.header != "auto":
                header = plan.header
                as_before.append(f"--header {header}")
            if plan.prompt_column is not None and plan.response_column is not None:
                if prompt_column is None:
                    prompt_column = plan.prompt_column
                    as_before.append(f"--prompt_column {shlex.quote(prompt_column)}")
                if response_column is None:
                    response_column = plan.response_column
                    as_before.append(f"--response_column {shlex.quote(response_column)}")
        if as_before:
            click.echo(f"note: {name} is read as in training: {' '.join(as_before)}", err=True)
        return read_data(
            located.path, located.data_format, header or "auto", prompt_column=prompt_column,
            response_column=response_column, name=located.title,
        )  # fmt: skip


def _kind(data_format: str) -> str:
    """Tables, whose cells have places; or rows, whose fields have names."""
    return "table" if data_format in TABLES else "rows"


def _say_which_is_best(found: Found) -> None:
    """A run answers with its newest checkpoint; another one may be better."""
    from sparksmith.runs.best import find_best, metric_of

    if found.folder is None:
        return
    best = find_best(found.folder.path, metric_of(found.folder))
    if best is not None and best.path.name != Path(found.source).name:
        path = shlex.quote(relative(best.path))
        click.echo(f"note: by {best.describe()} when it was saved, the best checkpoint is {path}", err=True)


def _say_what_else(
    found: Found, separated: str | None, examples: Sequence[Example], *, base: bool | None, untrained: bool
) -> None:
    """Hints for what was asked: other units, a better checkpoint, the model before training."""
    from sparksmith.data.headers import guess_separated

    if separated is None and (guess := guess_separated([example.response for example in examples])):
        click.echo(
            f"hint: the responses look like pronunciations: --spaces_separate {guess} scores them by phones "
            f"(PER, WER), where spaces separate {guess}",
            err=True,
        )
    if found.plan is not None and not untrained and base is None:
        click.echo("hint: --base scores the untrained model beside it", err=True)


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
