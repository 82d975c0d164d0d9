"""What a file of a project says, whatever it is written in: names that are set, and commands that are typed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

How = Literal["assigned", "set", "exported", "loaded", "flag", "mentioned", "command"]

# Variables that decide whether a login is needed: a project that names one takes care of it, so that only the name
# counts, not what it is set to.
VARIABLES = re.compile(
    r"\b(?:HF_TOKEN|HUGGING_?FACE(?:_HUB|HUB)?(?:_API)?_TOKEN|HF_API_(?:TOKEN|KEY)|HF_HUB_OFFLINE|TRANSFORMERS_OFFLINE"
    r"|WANDB_API_KEY|WANDB_DISABLED|WANDB_MODE|VLLM_ALLOW_INSECURE_SERIALIZATION)\b"
)


@dataclass(frozen=True)
class Word:
    """A word of a command, without its quotes, and the line that it stands in."""

    text: str
    line: int


@dataclass(frozen=True)
class Said:
    """`key` is what is set to `value`, spelled as Python does (a flag without its dashes); the value is empty where it
    is no plain text or number. "assigned" is to a name of a program's own, "set" one of somebody else's: a keyword, a
    key of a configuration. Of a call that loads something, and of a command, `key` is its name. `words` are a
    command's."""

    how: How
    key: str
    value: str
    line: int
    words: tuple[Word, ...] = ()


def mentions(text: str, line: int) -> Iterator[Said]:
    """The variables that a text names."""
    for match in VARIABLES.finditer(text):
        yield Said("mentioned", match[0], "", line)


def sayings_of(words: Iterable[Word]) -> Iterator[Said]:
    """What one command says: the variables in front of it, those that it exports, its flags, and itself."""
    command = list(words)
    exported = False
    while command:
        name, equals, value = command[0].text.partition("=")
        if equals and re.fullmatch(r"\w+\+?", name):
            yield Said("exported" if exported else "assigned", name, value, command[0].line)
        elif command[0].text in ("export", "env", "declare", "typeset", "readonly"):
            exported = exported or command[0].text == "export"
        elif not (exported and re.fullmatch(r"\w+|-\w+", command[0].text)):
            break
        command = command[1:]
    if [word.text for word in command[:2]] in (["uv", "run"], ["poetry", "run"]):
        command = command[2:]
    if command:
        yield Said("command", command[0].text.rpartition("/")[2], "", command[0].line, tuple(command))
    yield from _flags(command)


def _flags(command: list[Word]) -> Iterator[Said]:
    for word, following in pairwise([*command, Word("", 0)]):
        text = word.text
        if text in ("-e", "--env") and "=" in following.text:
            name, _, value = following.text.partition("=")
            yield Said("set", name, value, following.line)
        elif text.startswith("--") and len(text) > 2:
            name, equals, value = text[2:].partition("=")
            if not equals and not following.text.startswith("-"):
                value, word = following.text, (following if following.text else word)
            yield Said("flag", name.replace("-", "_"), value, word.line)
