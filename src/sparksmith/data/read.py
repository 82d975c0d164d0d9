"""Read a data file whole and check it before anything expensive starts.

TSV and CSV of two columns (prompt, response), with or without a header; JSONL with prompt/completion, messages or text.
Every bad line is found in one pass and told by its number.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparksmith.base.errors import SparksmithError, describe_problems, perhaps
from sparksmith.base.files import sha256_of
from sparksmith.data.examples import Example, Message, pair
from sparksmith.recipe.plan import DataFacts

FORMATS = {".tsv": "tsv", ".txt": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
ROLES = ("system", "user", "assistant", "tool")
# A first line is a header where both its cells are among these words.
HEADER_WORDS = frozenset(
    [
        "word",
        "words",
        "text",
        "grapheme",
        "graphemes",
        "input",
        "prompt",
        "source",
        "src",
        "question",
        "instruction",
        "sentence",
        "hebrew",
        "orthography",
        "spelling",
        "phone",
        "phones",
        "phoneme",
        "phonemes",
        "ipa",
        "output",
        "completion",
        "response",
        "target",
        "tgt",
        "answer",
        "pronunciation",
        "transcription",
        "label",
    ]
)


@dataclass(frozen=True)
class DataFile:
    """A data file that was read and found whole."""

    path: Path
    format: str
    examples: tuple[Example, ...]
    header: tuple[str, ...] | None

    def facts(self) -> DataFacts:
        """What a plan needs to know of it."""
        longest = max(len(example.response) for example in self.examples)
        return DataFacts(self.path, sha256_of(self.path), len(self.examples), self.format, longest)

    def describe(self) -> str:
        """One line: how many rows, of what kind, and what became of the first line."""
        kind = self.examples[0].kind
        words = {"pair": "prompts with responses", "messages": "conversations", "text": "texts"}[kind]
        line = f"{len(self.examples):,} {words} ({self.format})"
        if self.format in {"tsv", "csv"}:
            line += f", header {', '.join(map(repr, self.header))}" if self.header else ", no header"
        return line


def read_data(path: Path, data_format: str = "auto", header: str = "auto") -> DataFile:
    """Read and check one file. Raises `SparksmithError` that lists the bad lines, the first 20 of them in full."""
    text = _read_text(path)
    data_format = _find_format(path, data_format, text)
    problems: list[str] = []
    found_header: tuple[str, ...] | None = None
    if data_format == "jsonl":
        examples = _parse_jsonl(text, problems)
    else:
        rows = list(_rows(text, data_format, path))
        if rows and (header == "yes" or (header == "auto" and _is_header(rows[0][1]))):
            found_header = tuple(rows.pop(0)[1])
        examples = _parse_rows(rows, data_format, problems)
    if problems:
        raise SparksmithError(
            describe_problems(f"{path} has {len(problems)} bad line{'s' if len(problems) > 1 else ''}:", problems),
            _hint(data_format),
        )
    if not examples:
        raise SparksmithError(f"{path} holds no examples", _hint(data_format))
    kinds = {example.kind for example in examples}
    if len(kinds) > 1:
        first = {kind: next(e.line for e in examples if e.kind == kind) for kind in kinds}
        raise SparksmithError(
            f"{path} mixes kinds of rows: "
            + ", ".join(f"{kind} (line {line})" for kind, line in sorted(first.items())),
            "put one kind into a file",
        )
    return DataFile(path, data_format, tuple(examples), found_header)


def _hint(data_format: str) -> str:
    if data_format == "jsonl":
        messages = '{"messages": [{"role": ..., "content": ...}]}'
        return f'each line is {{"prompt": ..., "completion": ...}}, {messages} or {{"text": ...}}'
    between = "a tab" if data_format == "tsv" else "a comma"
    return f"each line is a prompt, {between}, a response; --data_format says tsv, csv or jsonl where the name misleads"


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        near = (
            sorted(entry.name for entry in path.parent.iterdir() if entry.suffix in FORMATS)
            if path.parent.is_dir()
            else []
        )
        hint = (
            f"in {path.parent} there are {', '.join(near[:6])}"
            if near
            else "--data_file takes a TSV, CSV or JSONL file"
        )
        raise SparksmithError(
            f"the data file {path.absolute()} does not exist{perhaps(path.name, near)}", hint
        ) from None
    except IsADirectoryError:
        raise SparksmithError(f"{path} is a folder; a data file is wanted", f"ls {path}") from None
    except OSError as error:
        raise SparksmithError(f"the data file {path} cannot be read: {error.strerror}") from None
    if not data.strip():
        raise SparksmithError(f"the data file {path} is empty", "--data_file takes a TSV, CSV or JSONL file")
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise SparksmithError(f"{path} is UTF-16", f"iconv -f UTF-16 -t UTF-8 {path} > utf8{path.suffix}")
    if b"\0" in data[:8192]:
        raise SparksmithError(
            f"{path} is not a text file (it has NUL bytes)", "--data_file takes a TSV, CSV or JSONL file"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SparksmithError(
            f"{path} is not UTF-8: byte 0x{data[error.start]:02x} on line {line}",
            f"iconv -f ISO-8859-1 -t UTF-8 {path} > utf8{path.suffix}   (or whichever encoding it has)",
        ) from None


def _find_format(path: Path, asked: str, text: str) -> str:
    if asked != "auto":
        return asked
    known = FORMATS.get(path.suffix.lower())
    if known:
        return known
    if path.suffix.lower() == ".json" and text.lstrip().startswith("["):
        raise SparksmithError(
            f"{path} is one JSON list; JSON Lines are wanted", f"jq -c '.[]' {path} > {path.with_suffix('.jsonl').name}"
        )
    first = text.lstrip().split("\n", 1)[0]
    if first.startswith("{"):
        return "jsonl"
    if "\t" in first:
        return "tsv"
    raise SparksmithError(
        f"the format of {path} cannot be told from its name", "--data_format tsv, csv or jsonl, or a name that ends so"
    )


def _rows(text: str, data_format: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each line that is not blank. TSV has no quotes: a tab always separates."""
    if data_format == "tsv":
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield number, line.rstrip("\r").split("\t")
        return
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
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


def _is_header(cells: list[str]) -> bool:
    return len(cells) == 2 and all(
        cell.strip().lower().replace("_", " ").split(" ")[0] in HEADER_WORDS for cell in cells
    )


def _parse_rows(rows: list[tuple[int, list[str]]], data_format: str, problems: list[str]) -> list[Example]:
    examples = []
    for line, cells in rows:
        if len(cells) != 2:
            problems.append(
                f"line {line}: {len(cells)} column{'s' if len(cells) != 1 else ''}, 2 expected: {_clip(cells)}"
            )
        elif empty := [name for name, cell in zip(("prompt", "response"), cells, strict=True) if not cell.strip()]:
            problems.append(f"line {line}: the {' and the '.join(empty)} is empty: {_clip(cells)}")
        else:
            examples.append(pair(line, cells[0].strip(), cells[1].strip()))
    return examples


def _clip(cells: list[str]) -> str:
    text = " | ".join(cells)
    return repr(text if len(text) <= 50 else text[:47] + "...")


def _parse_jsonl(text: str, problems: list[str]) -> list[Example]:
    examples = []
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as error:
            problems.append(f"line {line}: not JSON: {error}")
            continue
        made = _parse_row(line, row)
        if isinstance(made, str):
            problems.append(f"line {line}: {made}")
        else:
            examples.append(made)
    return examples


def _parse_row(line: int, row: Any) -> Example | str:
    """An example, or what is wrong with the row."""
    if not isinstance(row, dict):
        return f"{type(row).__name__} instead of an object"
    if "messages" in row:
        return _parse_messages(line, row["messages"])
    if "prompt" in row and "response" in row and "completion" not in row:
        row = {**row, "completion": row["response"]}
    if "prompt" in row and "completion" in row:
        cells = (row["prompt"], row["completion"])
        if not all(isinstance(cell, str) for cell in cells):
            return "prompt and completion are text; a conversation goes into `messages`"
        if empty := [name for name in ("prompt", "completion") if not row[name].strip()]:
            return f"{' and '.join(empty)} is empty"
        return pair(line, *cells)
    if "text" in row:
        if not isinstance(row["text"], str) or not row["text"].strip():
            return "text is empty" if isinstance(row["text"], str) else "text is not text"
        return Example(line, "text", text=row["text"])
    return f"none of prompt/completion, messages, text; it has {', '.join(map(str, list(row)[:6])) or 'nothing'}"


def _parse_messages(line: int, value: Any) -> Example | str:
    if not isinstance(value, list) or not value:
        return "messages is not a list of turns"
    turns = []
    for number, turn in enumerate(value, start=1):
        if (
            not isinstance(turn, dict)
            or not isinstance(turn.get("role"), str)
            or not isinstance(turn.get("content"), str)
        ):
            return f"turn {number} has no role or no content"
        if turn["role"] not in ROLES:
            return f"turn {number} has the role {turn['role']!r}; the roles are {', '.join(ROLES)}"
        if not turn["content"].strip():
            return f"turn {number} is empty"
        turns.append(Message(turn["role"], turn["content"]))
    if turns[-1].role != "assistant":
        return f"the last turn is the {turns[-1].role}'s; there is no response to learn"
    if len(turns) < 2:
        return "one turn only; there is no prompt"
    return Example(line, "messages", tuple(turns))
