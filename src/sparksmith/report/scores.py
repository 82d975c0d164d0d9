"""Scores as a table, with predictions beside the truth."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparksmith.base.files import read_json
from sparksmith.base.units import format_percent
from sparksmith.report.commands import relative, typable
from sparksmith.runs.layout import RunFolder
from sparksmith.score.rates import Rate, Scores

ROWS = (
    ("PER", "per", "phones wrong"),
    ("WER", "wer", "words with a wrong phone"),
    ("stress error", "stress_error", "words stressed elsewhere"),
    ("WER with stress", "wer_with_stress", "words wrong, stress counted"),
    ("CER", "cer", "characters wrong"),
    ("exact match", "exact_match", "rows right"),
)
SHOWN = 5  # predictions shown beside the truth


def score_table(columns: Sequence[tuple[str, Scores]]) -> Table:
    """One column of rates for each (heading, scores); with counts."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    for heading, _ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", style="dim")
    for label, name, meaning in ROWS:
        rates: list[Rate | None] = [getattr(scores, name) for _, scores in columns]
        if any(rate is not None for rate in rates) or (name in {"per", "wer", "stress_error"} and columns[0][1].per):
            last = rates[-1]
            counts = (
                f"{last.errors:,} of {last.total:,} {meaning}"
                if last
                else "the data marks no stress"
                if columns[-1][1].wer_with_stress is None
                else "no marked word to compare"
            )
            table.add_row(label, *(format_percent(rate.rate) if rate else "–" for rate in rates), counts)
    return table


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
        table.add_row(_clip(example.prompt), _clip(example.response), _clip(prediction), mark)
    return table


def _clip(text: str) -> str:
    text = text.replace("\n", "\\n")
    return text if len(text) <= 60 else text[:57] + "..."


def show_result(
    folder: RunFolder, examples: Sequence[Any], untrained: Any, trained: Any, stream: TextIO = sys.stdout
) -> None:
    """The end of a run: scores beside the untrained model's, five predictions, and what to type next."""
    console = Console(file=stream, highlight=False)
    if trained is not None:
        columns = [("untrained", untrained.scores)] if untrained else []
        console.print()
        console.print(score_table([*columns, ("trained", trained.scores)]))
        console.print()
        console.print(prediction_table(examples, trained.predictions))
    console.print()
    console.print("next:", style="bold")
    for line in next_commands(folder, examples[0].prompt if examples else "TEXT", scored=trained is not None):
        console.print(f"  {line}", soft_wrap=True)


def next_commands(folder: RunFolder, prompt: str, *, scored: bool) -> list[str]:
    """What to type after a run."""
    run = shlex.quote(relative(folder.path))
    known = read_json(folder.manifest) if folder.manifest.is_file() else {}
    lines = [
        f"sparksmith predict {run} {shlex.quote(_clip(prompt))}",
        *([f"sparksmith eval {run} FILE"] if scored else []),
        f"sparksmith train {known.get('name') or 'sft'} --data_file FILE" + (" --eval_file FILE" if scored else ""),
    ]
    return [typable(line) for line in lines]
