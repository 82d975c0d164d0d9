"""TSV and CSV: lines of cells, which of them is the prompt and which the response."""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from sparksmith.base.errors import SparksmithError, perhaps
from sparksmith.base.units import plural
from sparksmith.data.examples import Example, pair

# A first line is a header where both its cells are among these words.
HEADER_WORDS = frozenset([
    "word", "words", "text", "grapheme", "graphemes", "input", "prompt", "source", "src", "question", "instruction",
    "sentence", "hebrew", "orthography", "spelling", "phone", "phones", "phoneme", "phonemes", "ipa", "output",
    "completion", "response", "target", "tgt", "answer", "pronunciation", "transcription", "label",
])  # fmt: skip
COUNTS_ROWS = re.compile(r"(.*[_ -])?(id|uid|uuid|idx|index|nr|no|num|number|row|line)|#|unnamed.*|", re.IGNORECASE)
DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
LOOKED_AT = 20  # lines by which a delimiter is told where the first line leaves it open
Row = tuple[int, list[str]]  # the line on which it begins, and its cells


def parse_table(
    text: str, data_format: str, header: str, columns: tuple[str, str] | None, path: Path, problems: list[str]
) -> tuple[list[Example], tuple[str, ...] | None, str]:
    """The examples of a table, its header where it has one, and what parts its cells.

    `columns` are the names, or the numbers from 1, of prompt and response; without them a table has two. What is wrong
    with a line goes to `problems`; raises `SparksmithError` for what is wrong with the whole.
    """
    delimiter = "\t" if data_format == "tsv" else find_delimiter(text, path)
    rows = list(parse_rows(text, data_format, delimiter, path))
    if not rows:
        return [], None, delimiter
    first = [cell.strip() for cell in rows[0][1]]
    numbered = columns is not None and all(map(str.isdecimal, columns)) and not set(columns) <= set(first)
    named = columns is not None and not numbered
    if named and header == "no":
        raise SparksmithError(
            f"prompt_column and response_column name columns of {path}, and header is no",
            "--header yes, or number the columns: --prompt_column 1 --response_column 2",
        )
    chosen = first
    if columns is not None and numbered:
        chosen = [first[int(name) - 1] for name in columns if 1 <= int(name) <= len(first)]
    found_header = None
    if header == "yes" or named or (header == "auto" and is_header(chosen)):
        found_header = tuple(rows.pop(0)[1])
    at, width = _places(rows[0] if rows else (1, first), columns, numbered, found_header, path)
    return list(_examples(rows, at, width, problems)), found_header, delimiter


def find_delimiter(text: str, path: Path) -> str:
    """What parts the cells of a CSV file: what its first line has, and a comma where it has nothing of the kind.

    Where that line has several, the one that makes each of the first lines the same number of cells, two or more.
    Raises `SparksmithError` where that leaves it open.
    """
    # without quotes, a delimiter that stands in no field; with them, the reader tells
    first = text.lstrip("\n\r").split("\n", 1)[0]
    present = [delimiter for delimiter in DELIMITERS if delimiter in first]
    if len(present) < 2:
        return present[0] if present else ","
    even = [delimiter for delimiter in present if _is_even(text, delimiter)]
    if len(even) == 1:
        return even[0]
    if not even:
        return present[0]
    raise SparksmithError(
        f"{path}: {' and '.join(DELIMITERS[one] for one in even)} could part its cells: both are in every line",
        "put cells that hold one of them into quotes, or use TSV, where only a tab parts them",
    )


def _is_even(text: str, delimiter: str) -> bool:
    """Whether the first lines have the same number of cells, two or more, where this parts them."""
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        counts = {len(cells) for cells in islice((cells for cells in reader if any(cells)), LOOKED_AT)}
    except csv.Error:
        return False
    return len(counts) == 1 and min(counts) >= 2


def parse_rows(text: str, data_format: str, delimiter: str, path: Path) -> Iterator[Row]:
    """Each line that is not blank. TSV has no quotes: a tab always separates. Raises `SparksmithError`."""
    if data_format == "tsv":
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield number, line.rstrip("\r").split("\t")
        return
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begin = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield begin, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        raise SparksmithError(
            f"{path}, line {reader.line_num}: not CSV: {error}",
            "a quote inside a field is written twice; tabs need none: use TSV",
        ) from None


def is_header(cells: Sequence[str]) -> bool:
    """Whether two cells are words that people head columns with."""
    return len(cells) == 2 and all(_heads(cell) for cell in cells)


def _heads(cell: str) -> bool:
    return cell.strip().lower().replace("_", " ").split(" ")[0] in HEADER_WORDS


def _places(
    row: Row, columns: tuple[str, str] | None, numbered: bool, header: tuple[str, ...] | None, path: Path
) -> tuple[tuple[int, int], int]:
    """Where prompt and response stand in a row, and how many cells a row has. Raises `SparksmithError`."""
    line, first = row
    if columns is None:
        if len(first) > 2:
            raise _too_many(line, first, header, path)
        return (0, 1), 2
    if numbered:
        for name in columns:
            if not 1 <= int(name) <= len(first):
                raise SparksmithError(
                    f"{path} has no column {name}: line {line} has {len(first)}", "columns are counted from 1"
                )
        return (int(columns[0]) - 1, int(columns[1]) - 1), len(first)
    assert header is not None
    names = [name.strip() for name in header]
    for name in columns:
        if name not in names:
            raise no_column(path, name, names)
    return (names.index(columns[0]), names.index(columns[1])), len(header)


def no_column(path: Path, name: str, names: Sequence[str]) -> SparksmithError:
    """The error of a column that is not there: which there are, and which may have been meant."""
    shown = ", ".join(map(repr, names[:12])) + (" ..." if len(names) > 12 else "")
    return SparksmithError(
        f"{path} has no column {name!r}{perhaps(name, names)}; it has {shown}",
        "--prompt_column NAME --response_column NAME, as they stand in the file",
    )


def choose_hint(names: Sequence[str]) -> str:
    """The flags that choose two columns, with likely names in them."""
    telling = [name for name in names if not COUNTS_ROWS.fullmatch(name.strip())]
    names = telling if len(telling) > 1 else names
    likely = [name for name in names if _heads(name)] + [name for name in names if not _heads(name)]
    one, other = sorted(likely[:2], key=list(names).index) if len(likely) > 1 else ("NAME", "NAME")
    return f"--prompt_column {shlex.quote(one)} --response_column {shlex.quote(other)}"


def _too_many(line: int, first: list[str], header: tuple[str, ...] | None, path: Path) -> SparksmithError:
    """A table of more than two columns, and nobody said which two."""
    cells = [cell.strip() for cell in header or first]
    shown = ", ".join(repr(cell if len(cell) <= 20 else cell[:17] + "...") for cell in cells[:8])
    what = f"{path}, line {line}: {len(first)} columns, 2 expected: {shown}{' ...' if len(cells) > 8 else ''}"
    if header or sum(map(_heads, cells)) >= 2 or all(cell.isidentifier() for cell in cells):
        return SparksmithError(what, f"say which is the prompt and which the response: {choose_hint(cells)}")
    return SparksmithError(
        what, "choose two by number, --prompt_column 1 --response_column 2, or by name where line 1 is a header"
    )


def _examples(rows: Sequence[Row], at: tuple[int, int], width: int, problems: list[str]) -> Iterator[Example]:
    prompt_at, response_at = at
    for line, cells in rows:
        if len(cells) != width:
            problems.append(f"line {line}: {plural(len(cells), 'column')}, {width} expected: {_clip(cells)}")
            continue
        prompt, response = cells[prompt_at].strip(), cells[response_at].strip()
        if prompt and response:
            yield pair(line, prompt, response)
        else:
            empty = [name for name, cell in (("prompt", prompt), ("response", response)) if not cell]
            problems.append(f"line {line}: the {' and the '.join(empty)} is empty: {_clip(cells)}")


def _clip(cells: Sequence[str]) -> str:
    text = " | ".join(cells)
    return repr(text if len(text) <= 50 else text[:47] + "...")
