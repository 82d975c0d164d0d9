"""Commands in the text of a shell script, a Makefile, a Dockerfile or a block of a README, as far as they will be run.

Covers quotes, comments, lines that go on, here-documents and conditions. Nothing is expanded: a word with a variable
stays as it is written. Does not cover what functions are called with, and what `eval` makes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from sparksmith.doctor.said import Word

PIECE = re.compile(
    r"""(?P<joined>\\\r?\n)|(?P<escaped>\\.)|(?P<single>'[^']*')|(?P<double>"(?:[^"\\]|\\.)*")"""
    r"""|(?P<inner>\$\{[^}\n]{0,500}\}|\$\([^()\n]{0,500}(?:\([^()\n]{0,500}\)[^()\n]{0,500}){0,9}\)|`[^`\n]{0,500}`)"""
    r"""|(?P<here><<-?[ \t]*['"]?(?P<end>[A-Za-z_]\w*)['"]?)|(?P<line>\n)|(?P<between>[ \t\r]+)"""
    r"""|(?P<apart>\|\||&&|[;&|()])|(?P<plain>[^\s\\'"$`<;&|()]+|.)""",
    re.DOTALL,
)
OPENS, CLOSES = ("if", "case"), ("fi", "esac")
IN_FRONT = frozenset(("then", "else", "do", "{", "!", "time", "exec", "sudo", "nohup", "@", "-"))
TESTS = frozenset(("[", "[[", "test", "grep", "command", "which"))
# what says something, or looks for it, instead of doing it
SAYS = frozenset(("echo", "printf", "grep", "sed", "awk", "cat", "git", "curl", "wget", "logger", "read", "usage"))
INSTRUCTION = re.compile(r"\s*(RUN|CMD|ENTRYPOINT|ENV)\b(?:\s+--[\w-]+=\S+)*[ \t]*", re.IGNORECASE)
SHELLS = frozenset(("sh", "bash", "zsh"))
DEEPEST = 3


@dataclass(frozen=True)
class Command:
    """The words of one command. Not `certain`: it stands in a condition, or only says something."""

    words: tuple[Word, ...]
    certain: bool


@dataclass
class _Reader:
    """Where the reading of a text stands."""

    line: int
    words: list[Word] = field(default_factory=list)
    word: str | None = None
    at: int = 0
    conditions: int = 0
    last: tuple[str, str] = ("", "")  # what stood before this command, and its first word
    ends: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        if self.word is None:
            self.word, self.at = "", self.line
        self.word += text

    def end_word(self) -> None:
        if self.word is not None:
            self.words.append(Word(self.word, self.at))
        self.word = None

    def end_command(self, apart: str) -> Iterator[Command]:
        """The command that was read, and whether it is run in any case."""
        self.end_word()
        words, self.words = self.words, []
        if words and words[0].text in CLOSES:
            self.conditions = max(0, self.conditions - 1)
            words = []
        elif words and words[0].text in OPENS:
            self.conditions += 1
        while words and words[0].text.lstrip("@-") in IN_FRONT | {""}:
            words = words[1:]
        before, first_before = self.last
        chosen = before == "||" or (before == "&&" and first_before in TESTS)
        first = words[0].text.lstrip("@") if words else ""
        self.last = (apart, first if words else first_before)
        if words:
            words[0] = Word(first, words[0].line)
            certain = not self.conditions and not chosen and first not in SAYS and first not in TESTS
            yield Command(tuple(words), certain)


def parse_commands(text: str, line: int = 1, depth: int = 0) -> Iterator[Command]:
    """The commands of a script whose first line is `line`; those that are handed to `sh -c` too."""
    for command in _parse(text, line):
        yield command
        words = command.words
        for place in range(1, len(words) - 1):
            name = words[place - 1].text.rpartition("/")[2]
            if re.fullmatch(r"-\w{0,3}c", words[place].text) and name in SHELLS and depth < DEEPEST:
                inner = parse_commands(words[place + 1].text, words[place + 1].line, depth + 1)
                yield from (Command(one.words, one.certain and command.certain) for one in inner)


def _parse(text: str, line: int) -> Iterator[Command]:
    reader = _Reader(line)
    position = 0
    while position < len(text):
        match = PIECE.match(text, position)
        if match is None:  # a newline alone is a piece, so that there is always one
            break
        kind, piece, position = match.lastgroup, match[0], match.end()
        if kind == "end":
            kind = "here"
        if kind == "plain" and piece.startswith("#") and reader.word is None:
            position = _end_of_line(text, match.start())
        elif kind in ("plain", "inner"):
            reader.add(piece)
        elif kind == "escaped":
            reader.add(piece[1])
        elif kind in ("single", "double"):
            reader.add(piece[1:-1] if kind == "single" else re.sub(r"\\(?:\r?\n)|\\(?=[\"\\$`])", "", piece[1:-1]))
        elif kind == "here":
            reader.ends.append(match["end"])
        elif kind in ("between", "joined"):
            reader.end_word()
        elif piece == "(" and reader.word is not None and reader.word.endswith("="):
            reader.end_word()  # an array: its words count
        else:
            yield from reader.end_command(piece)
            if kind == "line":
                for end in reader.ends:
                    found = re.compile(rf"^[ \t]*{end}[ \t]*$", re.MULTILINE).search(text, position)
                    stop = _end_of_line(text, found.start()) if found else len(text)
                    reader.line += text.count("\n", position, stop)
                    position = stop
                reader.ends = []
        reader.line += piece.count("\n")
    yield from reader.end_command("")


def _end_of_line(text: str, position: int) -> int:
    found = text.find("\n", position)
    return len(text) if found < 0 else found


def parse_dockerfile(text: str) -> Iterator[Command]:
    """The commands of a Dockerfile: what RUN, CMD and ENTRYPOINT run, and ENV as an export."""
    for line, instruction in _instructions(text):
        match = INSTRUCTION.match(instruction)
        if match is None:
            continue
        rest = instruction[match.end() :]
        if match[1].upper() == "ENV":
            name, _, value = rest.partition(" ")
            joined = f"{name}={value.strip()}" if value and "=" not in name else rest
            yield from parse_commands(f"export {joined}", line)
        elif rest.startswith("["):
            try:
                words = tuple(Word(each, line) for each in json.loads(rest) if isinstance(each, str))
            except (ValueError, TypeError, RecursionError):
                continue
            if words:
                yield Command(words, certain=True)
        else:
            yield from parse_commands(rest, line)


def _instructions(text: str) -> Iterator[tuple[int, str]]:
    """Each instruction with the line that it begins in; comments within are left out, their lines are not."""
    begun, lines = 0, list[str]()
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("#"):
            line = "\\" if lines else ""
        if not lines:
            begun = number
        lines.append(line)
        if not line.rstrip().endswith("\\"):
            yield begun, "\n".join(lines)
            lines = []
    if lines:
        yield begun, "\n".join(lines)
