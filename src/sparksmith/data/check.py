"""What is worth knowing of the data before a night is spent on it: one pure pass over the examples of each file.

`data_facts` makes the record data.json of a run (runs/schemas/data.json). A million rows take a few seconds and, beside
the examples themselves, one dictionary of their prompts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Any
from unicodedata import is_normalized, name

from sparksmith.data.examples import Example
from sparksmith.data.lengths import summarize_lengths
from sparksmith.data.read import DataFile

DATA_VERSION = 1
_is_nfc = partial(is_normalized, "NFC")
LINES_SHOWN = 20  # of each finding; the count is always whole
Prompt = str | tuple[Any, ...]


def data_facts(
    train: DataFile,
    eval: DataFile | None,
    *,
    max_length: int,
    token_lengths: tuple[Sequence[int], Sequence[int] | None] | None = None,
) -> dict[str, Any]:
    """The record of both files. `token_lengths` are the lengths of their examples, in order; without them the lengths
    are in characters, which `max_length` is not compared with."""
    files = []
    of_train, of_eval = token_lengths or (None, None)
    prompts = _Seen(train.examples)
    files.append(_file_facts("train", train, prompts, of_train, max_length))
    if eval is None:
        return {"version": DATA_VERSION, "files": files, "overlap": None, "unseen_characters": None}
    files.append(_file_facts("eval", eval, _Seen(eval.examples), of_eval, max_length))
    return {
        "version": DATA_VERSION,
        "files": files,
        "overlap": check_overlap(prompts, eval.examples),
        "unseen_characters": check_characters(train.examples, eval.examples),
    }


class _Seen:
    """The prompts of a file, each with its response, or its responses where they differ."""

    def __init__(self, examples: Iterable[Example]) -> None:
        self.responses: dict[Prompt, str | set[str]] = {}
        self.duplicates: list[int] = []  # lines
        self.conflicts: list[int] = []
        for example in examples:
            prompt, response = prompt_of(example), example.response
            known = self.responses.get(prompt)
            if known is None:
                self.responses[prompt] = response
            elif self.has(prompt, response):
                self.duplicates.append(example.line)
            else:
                self.responses[prompt] = {response, *([known] if isinstance(known, str) else known)}
                self.conflicts.append(example.line)
        self.conflicting_prompts = sum(not isinstance(known, str) for known in self.responses.values())

    def has(self, prompt: Prompt, response: str) -> bool:
        """Whether a row has both."""
        known = self.responses.get(prompt)
        return known == response if isinstance(known, str) else known is not None and response in known


def prompt_of(example: Example) -> Prompt:
    """What the model is asked: one prompt, or every turn before the response; of plain text, the text itself."""
    if example.kind == "pair":
        return example.messages[0].content
    return example.messages[:-1] if example.messages else (example.text,)


def texts_of(example: Example) -> Iterable[str]:
    """Every text of an example."""
    return [turn.content for turn in example.messages] if example.messages else [example.text]


def _file_facts(
    role: str, file: DataFile, seen: _Seen, token_lengths: Sequence[int] | None, max_length: int
) -> dict[str, Any]:
    if token_lengths is None:
        lengths: Sequence[int] = [sum(map(len, texts_of(example))) for example in file.examples]
    else:
        lengths = token_lengths
    unnormal = check_normal_form(file.examples)
    return {
        "role": role,
        "path": str(file.path.resolve()),
        "sha256": file.sha256,
        "rows": len(file.examples),
        "format": file.format,
        "kind": file.examples[0].kind,
        "lengths": summarize_lengths(
            lengths, unit="characters" if token_lengths is None else "tokens", max_length=max_length
        ),
        "duplicates": {"rows": len(seen.duplicates), "lines": seen.duplicates[:LINES_SHOWN]},
        "conflicts": {"prompts": seen.conflicting_prompts, "lines": seen.conflicts[:LINES_SHOWN]},
        "not_nfc": {"rows": len(unnormal), "lines": unnormal[:LINES_SHOWN]},
    }


def check_normal_form(examples: Iterable[Example]) -> list[int]:
    """The lines whose text is not in Unicode's normal form C: the same word may be there in two spellings."""
    return [example.line for example in examples if not all(map(_is_nfc, texts_of(example)))]


def check_overlap(train: _Seen, examples: Iterable[Example]) -> dict[str, Any]:
    """Rows of the held-out part that the training data has, and prompts of it; the lines of either in the held-out
    part. A score on them says what was remembered, not what was learnt."""
    rows = 0
    lines = []
    prompts = set()
    for example in examples:
        prompt = prompt_of(example)
        if prompt in train.responses:
            prompts.add(prompt)
            lines.append(example.line)
            rows += train.has(prompt, example.response)
    return {"rows": rows, "prompts": len(prompts), "lines": lines[:LINES_SHOWN]}


def check_characters(train: Iterable[Example], held_out: Iterable[Example]) -> list[dict[str, Any]]:
    """Characters of the held-out part that the training data lacks, the most frequent first."""
    held_out = tuple(held_out)
    unseen = _characters(held_out) - _characters(train)
    rows = dict.fromkeys(unseen, 0)
    first: dict[str, int] = {}
    for example in held_out if unseen else ():
        for character in unseen.intersection(chain.from_iterable(texts_of(example))):
            rows[character] += 1
            first.setdefault(character, example.line)
    return [
        {"character": one, "name": name(one, f"U+{ord(one):04X}"), "rows": rows[one], "line": first[one]}
        for one in sorted(rows, key=lambda one: (-rows[one], one))
    ]


def _characters(examples: Iterable[Example]) -> set[str]:
    known: set[str] = set()
    for example in examples:
        for turn in example.messages:
            known.update(turn.content)
        known.update(example.text)
    return known
