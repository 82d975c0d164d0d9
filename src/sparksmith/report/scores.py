"""Scores as a table, with predictions beside the truth and what went wrong."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparksmith.base.files import read_json
from sparksmith.base.units import format_percent, format_seconds, plural
from sparksmith.report.commands import relative, typable
from sparksmith.report.mistakes import clip, confusion_table, shorten, worst_table
from sparksmith.runs.layout import RunFolder
from sparksmith.score.rates import Rate, Scores

ROWS = (
    ("PER", "per", "phones"),
    ("WER", "wer", "words"),
    ("stress error", "stress_error", "marked words"),
    ("WER with stress", "wer_with_stress", "words"),
    ("CER", "cer", "characters"),
    ("exact match", "exact_match", "rows right"),
)
SHOWN = 5  # predictions shown beside the truth
CONFUSIONS_AFTER_A_RUN = 5
CONFUSIONS_SHOWN = 20
LINES_NAMED = 10
ROOM_FOR_COUNTS = 72  # columns of a terminal


def score_table(columns: Sequence[tuple[str, Scores]], width: int = 80) -> Table:
    """One column of rates for each (heading, scores), the last with its intervals and, where there is room, counts.

    Where a row is a sentence, the means of the rows' own rates stand below.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", caption_style="dim", caption_justify="left")
    table.add_column("", no_wrap=True)
    for heading, _ in columns:
        table.add_column(Text(heading), justify="right", no_wrap=True)
    if told := width >= ROOM_FOR_COUNTS:
        table.add_column("errors", style="dim", header_style="dim")
    scores = columns[-1][1]
    for label, name, meaning in ROWS:
        rates: list[Rate | None] = [getattr(each, name) for _, each in columns]
        if any(rate is not None for rate in rates) or (name in {"per", "wer", "stress_error"} and columns[0][1].per):
            last = rates[-1]
            counts = (
                f"{last.errors:,} of {last.total:,} {meaning}"
                if last
                else "the data marks no stress"
                if scores.wer_with_stress is None
                else "no marked word to compare"
            )
            shown = [format_percent(rate.rate) if rate else "–" for rate in rates[:-1]]
            table.add_row(label, *shown, format_rate(last) if last else "–", *([counts] if told else []))
    table.caption = "in brackets: 95% interval, bootstrap over the rows"
    if scores.wer is not None and scores.wer.total > scores.exact_match.total:
        table.caption += "\n" + mean_of_rows(scores)
    return table


def format_rate(rate: Rate) -> str:
    """A rate with its interval: 5.0% (3.7 to 6.4)."""
    return f"{format_percent(rate.rate)} ({100 * rate.low:.1f} to {100 * rate.high:.1f})"


def mean_of_rows(scores: Scores) -> str:
    """The means of the rows' own rates, in a line."""
    means = [(label, getattr(scores, name)) for label, name, _ in ROWS if name != "exact_match"]
    return "mean of the rows' own rates: " + ", ".join(
        f"{label} {format_percent(rate.mean_of_rows)}" for label, rate in means if rate
    )


def pick_shown(rows: int, count: int = SHOWN) -> list[int]:
    """Which rows to show: spread evenly over the file, the same ones every time."""
    return [at * rows // min(count, rows) for at in range(min(count, rows))]


def prediction_table(examples: Sequence[Any], predictions: Sequence[str]) -> Table:
    """Five predictions beside the truth."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("prompt", "truth", "prediction", ""):
        table.add_column(heading)
    for at in pick_shown(len(examples)):
        example, prediction = examples[at], predictions[at]
        right = prediction == example.response
        mark = Text("right", style="green") if right else Text("wrong", style="red")
        texts = (example.prompt, example.response, prediction)
        table.add_row(*(Text(clip(text)) for text in texts), mark)
    return table


def show_result(
    folder: RunFolder, examples: Sequence[Any], untrained: Any, trained: Any, stream: TextIO | None = None
) -> None:
    """The end of a run: scores beside the untrained model's, five predictions, what is confused most, and what to type
    next."""
    console = Console(file=stream or sys.stdout, highlight=False)
    if trained is not None:
        columns = [("untrained", untrained.scores)] if untrained else []
        console.print()
        console.print(score_table([*columns, ("trained", trained.scores)], console.width))
        _show_notes(console, trained)
        console.print()
        console.print(prediction_table(examples, trained.predictions))
        _show_confusions(console, trained, CONFUSIONS_AFTER_A_RUN)
    console.print()
    console.print("next:", style="bold")
    for line in next_commands(folder, examples[0].prompt if examples else "TEXT", scored=trained is not None):
        console.print(f"  {line}", soft_wrap=True)


def show_evaluation(
    examples: Sequence[Any], evaluation: Any, *, model: str, data: str, untrained: Any = None,
    stream: TextIO | None = None,
) -> None:  # fmt: skip
    """All of an evaluation: scores, five predictions, the worst rows with their edits, and what is confused."""
    console = Console(file=stream or sys.stdout, highlight=False)
    decoding = evaluation.decoding
    console.print(Text(f"{model} on {data}", style="bold"))
    console.print(
        f"{plural(len(examples), 'row')} in {format_seconds(evaluation.seconds)}, {decoding.method}, "
        f"{decoding.precision}, {decoding.batch_size} at once",
        style="dim",
    )
    console.print()
    columns = [("untrained", untrained.scores), ("trained", evaluation.scores)] if untrained else []
    console.print(score_table(columns or [("rate", evaluation.scores)], console.width))
    _show_notes(console, evaluation)
    console.print()
    console.print(prediction_table(examples, evaluation.predictions))
    if evaluation.worst:
        console.print()
        console.print("the worst rows", style="bold")
        console.print(worst_table(evaluation.worst, evaluation.separated))
    _show_confusions(console, evaluation, CONFUSIONS_SHOWN)


def _show_notes(console: Console, evaluation: Any) -> None:
    if evaluation.too_long:
        lines = ", ".join(map(str, evaluation.too_long[:LINES_NAMED]))
        more = len(evaluation.too_long) - LINES_NAMED
        console.print(
            f"too long for the model, scored as unanswered: line{'s' if len(evaluation.too_long) > 1 else ''} {lines}"
            + (f" and {more:,} more" if more > 0 else "")
        )
    if evaluation.cut_off:
        limit = evaluation.decoding.max_new_tokens
        console.print(f"answers cut off at {limit:,} tokens (--max_new_tokens): {evaluation.cut_off:,}")


def _show_confusions(console: Console, evaluation: Any, count: int) -> None:
    confusions = evaluation.confusions
    if not confusions:
        return
    console.print()
    what = "phones" if evaluation.separated else "characters"
    more = f", the first {count} of {len(confusions):,}" if len(confusions) > count else ""
    console.print(f"{what} taken for others{more}", style="bold")
    console.print(confusion_table(confusions[:count]))


def next_commands(folder: RunFolder, prompt: str, *, scored: bool) -> list[str]:
    """What to type after a run."""
    run = shlex.quote(relative(folder.path))
    known = read_json(folder.manifest) if folder.manifest.is_file() else {}
    lines = [
        f"sparksmith predict {run} {shlex.quote(shorten(prompt))}",
        *([f"sparksmith eval {run} FILE"] if scored else []),
        f"sparksmith report {run} --open",
        f"sparksmith train {known.get('name') or 'sft'} --data_file FILE" + (" --eval_file FILE" if scored else ""),
    ]
    return [typable(line) for line in lines]
