"""Parquet files, read with pyarrow, which is imported here only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparksmith.base.errors import SparksmithError
from sparksmith.data.examples import Example
from sparksmith.data.rows import parse_row
from sparksmith.data.tables import choose_hint, no_column

SHAPES = (("messages",), ("prompt", "completion"), ("prompt", "response"), ("text",))  # as in JSONL, in this order
ROWS_AT_ONCE = 10_000


def import_pyarrow() -> Any:
    """pyarrow with its parquet reader. Raises `SparksmithError` where it is not installed."""
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError:
        raise SparksmithError(
            "parquet is read with pyarrow, which is not installed beside this command",
            "in a clone of Sparksmith: make, then .venv/bin/sparksmith ...; or turn the file into JSONL elsewhere",
        ) from None
    return pyarrow


def read_parquet(
    path: Path, columns: tuple[str, str] | None, problems: list[str]
) -> tuple[list[Example], tuple[str, ...]]:
    """The examples of a parquet file and the columns that were taken. What is wrong with a row goes to `problems`.

    Raises `SparksmithError` for what is wrong with the whole file.
    """
    pyarrow = import_pyarrow()
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            taken = _choose(file.schema_arrow, columns, path, pyarrow)
            as_pair = taken if columns is None and taken not in SHAPES else columns
            examples: list[Example] = []
            row = 0
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=list(taken)):
                for content in batch.to_pylist():
                    row += 1
                    made = parse_row(row, content, as_pair)  # type: ignore[arg-type]
                    if isinstance(made, str):
                        problems.append(f"row {row}: {made}")
                    else:
                        examples.append(made)
    except (pyarrow.ArrowException, OSError) as error:
        raise SparksmithError(
            f"{path} is not a whole parquet file: {(str(error).strip().splitlines() or ['?'])[0][:200]}",
            "copy or download it again",
        ) from None
    return examples, taken


def _choose(schema: Any, columns: tuple[str, str] | None, path: Path, pyarrow: Any) -> tuple[str, ...]:
    """The columns to take: those that were asked for, those of JSONL's shapes, or the only two that hold text."""
    names = list(schema.names)
    if columns is not None:
        for name in columns:
            if name not in names:
                raise no_column(path, name, names)
            if not _is_text(schema.field(name).type, pyarrow):
                raise SparksmithError(
                    f"the column {name!r} of {path} holds {schema.field(name).type}; text is wanted",
                    f"columns of text: {', '.join(_texts(schema, pyarrow)) or 'none'}",
                )
        return columns
    for shape in SHAPES:
        if set(shape) <= set(names):
            return shape
    texts = _texts(schema, pyarrow)
    if len(names) == 2 and len(texts) == 2:
        return tuple(texts)
    shown = ", ".join(f"{field.name} ({field.type})" for field in schema)
    raise SparksmithError(
        f"{path} has none of prompt/completion, messages, text, nor just two columns of text; it has "
        + (shown if len(shown) <= 300 else shown[:297] + "..."),
        f"say which is the prompt and which the response: {choose_hint(texts)}",
    )


def _texts(schema: Any, pyarrow: Any) -> list[str]:
    return [field.name for field in schema if _is_text(field.type, pyarrow)]


def _is_text(kind: Any, pyarrow: Any) -> bool:
    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    view = getattr(pyarrow.types, "is_string_view", lambda _: False)
    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind) or view(kind))
