"""Read a data file whole and check it before anything expensive starts.

TSV and CSV of two columns (prompt, response), with or without a header; JSONL and parquet with prompt/completion,
messages or text. Two columns of several are chosen by name. Every bad line is found in one pass and told by its number.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sparksmith.base.errors import SparksmithError, UsageProblem, describe_problems, perhaps
from sparksmith.base.files import sha256_of
from sparksmith.base.units import plural
from sparksmith.data.examples import Example
from sparksmith.data.parquet import read_parquet
from sparksmith.data.rows import first_names, parse_json_lines
from sparksmith.data.tables import DELIMITERS, choose_hint, no_column, parse_table
from sparksmith.recipe.plan import DataFacts

FORMATS = {
    ".tsv": "tsv",
    ".txt": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
WANTED = "data is a TSV, CSV or JSONL file, parquet, or a dataset on the hub as owner/name"
SAY_FORMAT = "--data_format says tsv, csv, jsonl or parquet where the name misleads"


@dataclass(frozen=True)
class DataFile:
    """A data file that was read and found whole. `columns` are those that were taken where there was a choice."""

    path: Path
    format: str
    examples: tuple[Example, ...]
    header: tuple[str, ...] | None
    columns: tuple[str, ...] | None = None
    delimiter: str = field(default="", kw_only=True)
    name: str = field(default="", kw_only=True)  # as it is shown; a hub dataset's with its split and commit
    asked_header: bool = field(default=False, kw_only=True)  # somebody said whether there is a header

    @cached_property
    def sha256(self) -> str:
        return sha256_of(self.path)

    def facts(self) -> DataFacts:
        """What a plan needs to know of it."""
        longest = max(len(example.response) for example in self.examples)
        return DataFacts(self.path, self.sha256, len(self.examples), self.format, longest)

    @property
    def title(self) -> str:
        """What it is called where it is shown."""
        return self.name or self.path.name

    @property
    def may_have_header(self) -> bool:
        """Whether its first line was taken as a row without anybody saying so."""
        return self.format in {"tsv", "csv"} and self.header is None and not self.asked_header

    def describe(self) -> str:
        """One line: how many rows, of what kind, and what became of the first line."""
        kind = self.examples[0].kind
        words = {
            "pair": ("prompt with its response", "prompts with responses"), "messages": ("conversation", None),
            "text": ("text", None),
        }  # fmt: skip
        line = f"{plural(len(self.examples), *words[kind])} ({self.format})"
        if self.format in {"tsv", "csv"}:
            if self.format == "csv" and self.delimiter != ",":
                line += f" parted by {DELIMITERS[self.delimiter]}"
            if self.columns is None:
                line += f", header {', '.join(map(repr, self.header))}" if self.header else ", no header"
        if self.columns is not None:
            line += ", columns " + " and ".join(map(repr, self.columns))
        return line


def read_data(
    path: Path,
    data_format: str = "auto",
    header: str = "auto",
    *,
    prompt_column: str | None = None,
    response_column: str | None = None,
    name: str = "",
) -> DataFile:
    """Read and check one file. Raises `SparksmithError` that lists the bad lines, the first 20 of them in full."""
    with _no_collection():
        return _read(path, data_format, header, _both(prompt_column, response_column), name)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Without the collector of reference cycles, which examples have none of: a million rows take 3 s instead of 7."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _read(path: Path, data_format: str, header: str, columns: tuple[str, str] | None, name: str) -> DataFile:
    problems: list[str] = []
    found_header: tuple[str, ...] | None = None
    taken: tuple[str, ...] | None = columns
    delimiter = ""
    head = _read_head(path)
    data_format = _find_format(path, data_format, head)
    if data_format != "parquet":
        _check_text(path, head)
    elif not head.startswith(b"PAR1"):
        raise SparksmithError(f"{path} is no parquet file: it does not begin with PAR1", SAY_FORMAT)
    if data_format == "parquet":
        examples, taken = read_parquet(path, columns, problems)
    else:
        text = _decode(path)
        if data_format == "jsonl":
            names = first_names(text)
            if columns and names and (absent := [one for one in columns if one not in names]):
                raise no_column(path, absent[0], names)
            examples = parse_json_lines(text, columns, problems)
            if columns is None and not examples and len(names) >= 2 and len(problems) > 1:
                raise SparksmithError(
                    f"{path} has none of prompt/completion, messages, text; it has {', '.join(names[:12])}",
                    f"say which is the prompt and which the response: {choose_hint(names)}",
                )
        else:
            examples, found_header, delimiter = parse_table(text, data_format, header, columns, path, problems)
    if problems:
        what = "row" if data_format == "parquet" else "line"
        raise SparksmithError(
            describe_problems(f"{path} has {plural(len(problems), f'bad {what}')}:", problems),
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
    return DataFile(
        path,
        data_format,
        tuple(examples),
        found_header,
        taken,
        delimiter=delimiter,
        name=name,
        asked_header=header != "auto",
    )


def _both(prompt_column: str | None, response_column: str | None) -> tuple[str, str] | None:
    """The two columns, or None for neither. Raises `UsageProblem` where only one is named."""
    if prompt_column is None and response_column is None:
        return None
    if prompt_column is None or response_column is None:
        given, missing = ("response", "prompt") if prompt_column is None else ("prompt", "response")
        raise UsageProblem(
            f"{given}_column is given without {missing}_column", f"name both: --{missing}_column NAME too"
        )
    if prompt_column == response_column:
        raise UsageProblem(
            f"prompt_column and response_column are both {prompt_column}", "--prompt_column A --response_column B"
        )
    return prompt_column, response_column


def _hint(data_format: str) -> str:
    if data_format in {"jsonl", "parquet"}:
        messages = '{"messages": [{"role": ..., "content": ...}]}'
        which = "line" if data_format == "jsonl" else "row"
        return f'each {which} is {{"prompt": ..., "completion": ...}}, {messages} or {{"text": ...}}'
    between = "a tab" if data_format == "tsv" else "a comma"
    return f"each line is a prompt, {between}, a response; {SAY_FORMAT}"


def _read_head(path: Path) -> bytes:
    """The first bytes of the file. Raises `SparksmithError` where there is none, or nothing in it."""
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
    except FileNotFoundError:
        near = (
            sorted(entry.name for entry in path.parent.iterdir() if entry.suffix in FORMATS)
            if path.parent.is_dir()
            else []
        )
        hint = f"in {path.parent} there are {', '.join(near[:6])}" if near else WANTED
        raise SparksmithError(
            f"the data file {path.absolute()} does not exist{perhaps(path.name, near)}", hint
        ) from None
    except IsADirectoryError:
        raise SparksmithError(f"{path} is a folder; a data file is wanted", f"ls {path}") from None
    except OSError as error:
        raise SparksmithError(f"the data file {path} cannot be read: {error.strerror}") from None
    if not head.strip():
        raise SparksmithError(f"the data file {path} is empty", WANTED)
    return head


def _check_text(path: Path, head: bytes) -> None:
    """Raises `SparksmithError` where the first bytes show another encoding, or no text at all."""
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise SparksmithError(f"{path} is UTF-16", f"iconv -f UTF-16 -t UTF-8 {path} > utf8{path.suffix}")
    if b"\0" in head[:8192]:
        raise SparksmithError(f"{path} is not a text file (it has NUL bytes)", WANTED)


def _decode(path: Path) -> str:
    """The whole file as text. Raises `SparksmithError` where it is not UTF-8."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SparksmithError(f"the data file {path} cannot be read: {error.strerror}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SparksmithError(
            f"{path} is not UTF-8: byte 0x{data[error.start]:02x} on line {line}",
            f"iconv -f ISO-8859-1 -t UTF-8 {path} > utf8{path.suffix}   (or whichever encoding it has)",
        ) from None


def find_format(path: Path, asked: str = "auto") -> str:
    """The format that a file is read in. Raises `SparksmithError` where that cannot be told."""
    return asked if asked != "auto" else _find_format(path, asked, _read_head(path))


def _find_format(path: Path, asked: str, head: bytes) -> str:
    """The format that was asked for, that the name's ending says, or that the first bytes show."""
    if asked != "auto":
        return asked
    known = FORMATS.get(path.suffix.lower())
    if known:
        return known
    if head.startswith(b"PAR1"):
        return "parquet"
    _check_text(path, head)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if path.suffix.lower() == ".json" and text.startswith(b"["):
        raise SparksmithError(
            f"{path} is one JSON list; JSON Lines are wanted", f"jq -c '.[]' {path} > {path.with_suffix('.jsonl').name}"
        )
    first = text.split(b"\n", 1)[0]
    if first.startswith(b"{"):
        return "jsonl"
    if b"\t" in first:
        return "tsv"
    raise SparksmithError(
        f"the format of {path} cannot be told from its name",
        "--data_format tsv, csv, jsonl or parquet, or a name that ends so",
    )
