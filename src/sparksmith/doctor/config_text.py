"""What configurations, notebooks and READMEs say, read line by line: YAML, TOML, devcontainer.json, Markdown, ipynb.

Covers `key: value`, lists below a key, and commands where a key says that they are some. Texts of several lines that
are no commands do not count: they describe. Does not cover anchors, and flow mappings of several keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from sparksmith.doctor.python_text import parse_python
from sparksmith.doctor.said import Said, Word, mentions, sayings_of
from sparksmith.doctor.shell_text import Command, parse_commands, parse_dockerfile

KEY = re.compile(
    r"^(?P<indent>\s*)(?P<item>(?:-\s+)*)(?P<quote>[\"']?)(?P<key>[\w.-]+)(?P=quote)\s*:(?:\s+(?P<value>.*))?$"
)
ITEM = re.compile(r"^(?P<indent>\s*)-\s+(?P<value>.*)$")
BLOCK = re.compile(r"^[|>][+-]?\d?\s*(?:#.*)?$")
ASSIGNMENT = re.compile(r"^\s*(?P<quote>[\"']?)(?P<key>[\w.-]+)(?P=quote)\s*=\s*(?P<value>.*)$")
MEMBER = re.compile(r"\"(?P<key>\w+)\"\s*:\s*\"(?P<value>(?:[^\"\\]|\\.)*)\"")
COMMANDS = re.compile(r"^(?:command|cmd|run|script|args?|entrypoint|shell|\w*[cC]ommand)$")
VARIABLES = re.compile(r"^(?:environment|env|env_vars|envs|variables)$")
FENCE = re.compile(r"^\s*(?:```|~~~)\s*(\w*)")
SHELLS = ("", "console", "bash", "sh", "shell", "zsh", "terminal")
PROMPT = re.compile(r"^\s*(?:[\w@:~./()-]*[$%] )?")
MOST_WORDS = 500


def sayings_of_commands(commands: Iterator[Command]) -> Iterator[Said]:
    """What commands that run in any case say; the variables that any of them names."""
    for command in commands:
        for word in command.words:
            yield from mentions(word.text, word.line)
        if command.certain:
            yield from sayings_of(command.words)


def parse_shell(text: str) -> Iterator[Said]:
    """A script, a Makefile or a list of variables."""
    return sayings_of_commands(parse_commands(text))


def parse_image(text: str) -> Iterator[Said]:
    """A Dockerfile."""
    return sayings_of_commands(parse_dockerfile(text))


@dataclass
class _Command:
    """A command whose words are the items of a list, or go on in deeper lines."""

    indent: int
    words: list[Word] = field(default_factory=list)


def parse_yaml(text: str) -> Iterator[Said]:
    """Keys that are set, and what commands say."""
    lines = text.split("\n")
    parent, depth = "", -1  # the key whose list is read
    command: _Command | None = None
    number = 0
    while number < len(lines):
        line = lines[number].rstrip()
        number += 1
        bare = line.lstrip()
        if not bare or bare.startswith("#"):
            continue
        indent = len(line) - len(bare)
        yield from mentions(uncomment(line), number)
        if command and (indent < command.indent or (indent == command.indent and not bare.startswith("-"))):
            yield from sayings_of(command.words)
            command = None
        match = KEY.match(line)
        if match and not (command and bare.startswith("-")):
            key, value = match["key"], uncomment(match["value"] or "").strip()
            parent, depth = (key, indent) if not value else ("", -1)
            inside = len(match["indent"]) + len(match["item"])
            if BLOCK.match(value):
                stop = _block_end(lines, number, inside)
                if COMMANDS.match(key):
                    joined = (" \\\n" if value[0] == ">" else "\n").join(lines[number:stop])
                    yield from sayings_of_commands(parse_commands(joined, number + 1))
                number = stop
            elif COMMANDS.match(key):
                command = _Command(inside, [*_words(value, number)])
            elif value.startswith("["):
                yield from (Said("set", key, each, number) for each in _listed(value))
            else:
                yield Said("set", key, _plain(value), number)
        elif command:
            item = ITEM.match(line)
            more = _words(uncomment(item["value"] if item else bare), number, whole=item is not None)
            command.words += [*more][: max(0, MOST_WORDS - len(command.words))]
        elif (item := ITEM.match(line)) and parent and indent >= depth:
            said = _plain(uncomment(item["value"]).strip())
            if VARIABLES.match(parent) and "=" in said:
                name, _, said = said.partition("=")
                yield Said("set", name, said, number)
            elif parent == "report_to":
                yield Said("set", parent, said, number)
    if command:
        yield from sayings_of(command.words)


def _block_end(lines: list[str], first: int, indent: int) -> int:
    """The line after a text that is set deeper than its key."""
    for number in range(first, len(lines)):
        bare = lines[number].lstrip()
        if bare and len(lines[number]) - len(bare) <= indent:
            return number
    return len(lines)


def _words(value: str, line: int, *, whole: bool = False) -> Iterator[Word]:
    """The words of a value: a list's, one alone where it is `whole`, else as a shell reads them."""
    if value.startswith("["):
        yield from (Word(each, line) for each in _listed(value))
    elif whole and " " not in value:
        yield Word(_plain(value), line)
    else:
        for command in parse_commands(_plain(value), line):
            yield from command.words


def _listed(value: str) -> list[str]:
    return [_plain(each.strip()) for each in value.strip().strip("[]").split(",") if each.strip()]


def _plain(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def uncomment(value: str) -> str:
    """Without the comment behind it: a # after a space, outside of quotes."""
    quote = ""
    for at, character in enumerate(value):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'" and (at == 0 or value[at - 1] in " [:=,"):
            quote = character
        elif character == "#" and (at == 0 or value[at - 1].isspace()):
            return value[:at].rstrip()
    return value


def parse_toml(text: str) -> Iterator[Said]:
    """Keys with a value in their line; nothing of texts of several lines."""
    inside = ""
    for number, line in enumerate(text.split("\n"), 1):
        code = uncomment(line)
        for marks in ('"""', "'''"):
            if inside in ("", marks) and line.count(marks) % 2:
                inside, code = ("" if inside else marks), ""
        if inside or not code:
            continue
        yield from mentions(code, number)
        if match := ASSIGNMENT.match(code):
            value = match["value"].strip()
            for each in _listed(value) if value.startswith("[") else [_plain(value)]:
                yield Said("set", match["key"], each, number)


def parse_devcontainer(text: str) -> Iterator[Said]:
    """Variables, and commands that are run when the container is made or started."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("//"):
            continue
        yield from mentions(line, number)
        for match in MEMBER.finditer(line):
            yield Said("set", match["key"], match["value"], number)
            if COMMANDS.match(match["key"]):
                yield from sayings_of_commands(parse_commands(match["value"].replace('\\"', '"'), number))


def parse_readme(text: str) -> Iterator[Said]:
    """What the blocks of a README tell to type."""
    language: str | None = None  # of the block that is read; None outside of one
    block: list[str] = []
    for number, line in enumerate([*text.split("\n"), "```"], 1):
        fence = FENCE.match(line)
        if fence is None:
            block.append(PROMPT.sub("", line))
        elif language is None:
            language, block = fence[1].lower(), []
        else:
            if language in SHELLS:
                yield from sayings_of_commands(parse_commands("\n".join(block), number - len(block)))
            language = None


def parse_notebook(text: str) -> Iterator[Said]:
    """What the cells of a notebook say; the line is the file's where the words stand first."""
    try:
        cells = json.loads(text)["cells"]
        sources = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    for source in sources:
        code = "".join(map(str, source)) if isinstance(source, list) else str(source)
        lines = code.split("\n")
        typed = "\n".join(line.lstrip()[1:] for line in lines if line.lstrip().startswith("!"))
        python = "\n".join("" if line.lstrip().startswith(("!", "%")) else line for line in lines)
        found = [*parse_python(python), *sayings_of_commands(parse_commands(typed))]
        for said in found:
            words = said.value or said.key
            at = text.find(json.dumps(words)[1:-1])
            line = text.count("\n", 0, at) + 1 if at >= 0 else 1
            yield Said(said.how, said.key, said.value, line, tuple(Word(word.text, line) for word in said.words))
