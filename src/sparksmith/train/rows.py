"""A plan's data files become the rows that the trainer takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sparksmith.base.errors import SparksmithError
from sparksmith.data.collate import labels_of
from sparksmith.data.encode import Encoded, Encoder
from sparksmith.data.examples import Example
from sparksmith.data.read import DataFile, read_data
from sparksmith.recipe.plan import Plan, PlannedData
from sparksmith.runs.records import Recorder


def load_file(plan: Plan, data: PlannedData) -> DataFile:
    """The planned file. Raises `SparksmithError` where the file is not the planned one any more."""
    path = Path(data.path)
    columns = {"prompt_column": plan.prompt_column, "response_column": plan.response_column}
    file = read_data(path, data.format, plan.header, **columns)
    if file.sha256 != data.sha256:
        raise SparksmithError(
            f"{path} has changed since the plan was made", "start the run again with sparksmith train"
        )
    return file


def encode_rows(
    encoder: Encoder, examples: Sequence[Example], plan: Plan, recorder: Recorder, name: str
) -> tuple[Any, list[int]]:
    """A dataset of input_ids and labels, and the length of every example in tokens.

    What is too long is dropped and told, or refused with `SparksmithError`, as the plan says.
    """
    from datasets import Dataset

    kept: list[Encoded] = []
    lengths: list[int] = []
    lines: list[int] = []
    too_long: list[int] = []
    for example, encoded in zip(examples, encoder.encode(examples), strict=True):
        lengths.append(len(encoded.input_ids))
        if lengths[-1] <= plan.max_length:
            kept.append(encoded)
            lines.append(example.line)
        else:
            too_long.append(example.line)
    if too_long:
        shown = ", ".join(map(str, too_long[:10])) + (" ..." if len(too_long) > 10 else "")
        message = f"{len(too_long)} of {len(examples)} examples of {name} are longer than {plan.max_length} tokens"
        message += f" (lines {shown})"
        if plan.too_long == "error" or not kept:
            raise SparksmithError(
                message, "a larger --max_length, or --too_long drop" if kept else "a larger --max_length"
            )
        recorder.event("warning", message=message + " and are left out")
    if encoder.turns_not_found:
        recorder.event(
            "warning",
            message=f"{encoder.turns_not_found} earlier answers are rewritten by the chat template and not counted",
        )
        encoder.turns_not_found = 0
    rows = {
        "input_ids": [encoded.input_ids for encoded in kept],
        "labels": [labels_of(encoded.input_ids, encoded.counted) for encoded in kept],
        "line": lines,
    }
    return Dataset.from_dict(rows), lengths
