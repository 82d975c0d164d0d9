"""What rows look like: a first line that is column names which nobody declared and would be learnt; pronunciations.

Only a doubt is raised, never a row dropped: which word heads a column in which language cannot be known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from statistics import median
from typing import Literal

from sparksmith.data.examples import Example

LOOKED_AT = 500  # rows by which the first one is judged
FEWEST = 3  # further rows; with fewer nothing stands out
NAME = re.compile(r"[^\W\d]([\w.-]*\w)?( [^\W\d]([\w.-]*\w)?)?")  # one or two words without other signs
ASCII_LETTER = re.compile("[A-Za-z]")
STRESS = "ˈ"
Cells = tuple[str, str]


def doubt_first_row(examples: Sequence[Example]) -> str | None:
    """Why the first of these rows of two cells may be column names, in words, or None."""
    cells = [(example.prompt, example.response) for example in examples[: LOOKED_AT + 1]]
    if len(cells) <= FEWEST:
        return None
    first, rest = cells[0], cells[1:]
    if not all(NAME.fullmatch(cell) and (cell.islower() or cell.istitle() or cell.isupper()) for cell in first):
        return None
    return next((words for test, words in TESTS if test(first, rest)), None)


def share_first_row(train: Sequence[Example], held_out: Sequence[Example]) -> bool:
    """Whether two files that have little else in common begin with the same row of two names."""
    if not (len(train) > 1 and len(held_out) > 1):
        return False
    first = (train[0].prompt, train[0].response)
    if first != (held_out[0].prompt, held_out[0].response) or not all(map(NAME.fullmatch, first)):
        return False
    known = {(example.prompt, example.response) for example in train[1:]}
    again = sum((example.prompt, example.response) in known for example in held_out[1:])
    return again * 10 <= len(held_out) - 1


def are_phones(responses: Sequence[str]) -> bool:
    """Whether responses look like phones that spaces separate: pieces of a sign or two, nearly everywhere."""
    pieces = [response.split() for response in responses[:LOOKED_AT]]
    split = [row for row in pieces if len(row) > 1]
    if len(split) < 0.8 * len(pieces) or not split:
        return False
    lengths = [len(piece) for row in split for piece in row]
    return sum(lengths) <= 1.6 * len(lengths) and max(lengths) <= 8


def guess_separated(responses: Sequence[str]) -> Literal["phones", "words"] | None:
    """What spaces separate in responses that look like pronunciations, or None where they do not."""
    if are_phones(responses):
        return "phones"
    looked_at = responses[:LOOKED_AT]
    return "words" if sum(STRESS in response for response in looked_at) > 0.5 * len(looked_at) else None


def _not_in_phones(first: Cells, rest: Sequence[Cells]) -> bool:
    responses = [response for _, response in rest]
    known = {piece for response in responses for piece in response.split()}
    return are_phones(responses) and all(len(piece) > 2 and piece not in known for piece in first[1].split())


def _in_other_letters(first: Cells, rest: Sequence[Cells]) -> bool:
    return first[0].isascii() and first[1].isascii() and not any(ASCII_LETTER.search(prompt) for prompt, _ in rest)


def _between_sentences(first: Cells, rest: Sequence[Cells]) -> bool:
    """Names of a word or two over columns of sentences."""
    words = [[len(cell.split()) for cell in column] for column in zip(*rest, strict=True)]
    return all(median(column) >= 4 and min(column) >= 2 for column in words) and not any(" " in cell for cell in first)


TESTS: tuple[tuple[Callable[[Cells, Sequence[Cells]], bool], str], ...] = (
    (_not_in_phones, "the other lines have phones in their second column"),
    (_in_other_letters, "the other lines are in another script"),
    (_between_sentences, "the other lines are sentences"),
)
