"""Command lines as they are typed, and what every refusal has in common."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Sequence

import click
import pytest

from sparksmith.base.errors import ExitCode
from sparksmith.cli.main import VERBS, cli, main

Said = tuple[int, str, str]  # exit code, standard output, standard error
TORCH = ("torch", "transformers", "trl")
FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
COMMAND = re.compile(r"(?<![\w./-])sparksmith ([a-z]+)(?: ([a-z]+))?")
ELSEWHERE = re.compile(r"\b(?:hf|df|ls|nvidia-smi|uv)\b[^;,(]*")  # commands of others, with flags of their own


def type_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str | Sequence[str]) -> Said:
    """Type a command line. Only a defect shows a traceback, and each flag in a hint exists where it is named."""
    typed = shlex.split(words) if isinstance(words, str) else list(words)
    monkeypatch.setattr(sys, "argv", ["sparksmith", *typed])
    with pytest.raises(SystemExit) as stopped:
        main()
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err or stopped.value.code == ExitCode.DEFECT
    for line in shown.err.splitlines():
        if line.startswith("hint: "):
            assert unknown_flags(typed, line) == []
    return stopped.value.code, shown.out, shown.err


def unknown_flags(typed: Sequence[str], hint: str) -> list[str]:
    """The flags in a hint that neither the command before them in the hint nor the typed one has."""
    hint = ELSEWHERE.sub("", hint)
    places = [(match.start(), *match.groups()) for match in COMMAND.finditer(hint) if match[1] in VERBS]
    own = flags_of(*[word for word in typed if not word.startswith("-")][:2])
    unknown = []
    for match in FLAG.finditer(hint):
        before = [words for at, *words in places if at < match.start()]
        known = flags_of(*[word for word in before[-1] if word]) | own if before else own
        if match[0] not in known:
            unknown.append(match[0])
    return unknown


def flags_of(verb: str = "", word: str = "") -> set[str]:
    """Every flag of a verb, or of its own verb, in every spelling."""
    context = click.Context(cli)
    command = cli.get_command(context, verb) if verb in VERBS else cli
    assert command is not None
    if isinstance(command, click.Group) and command is not cli:
        command = command.get_command(context, word) or command
    found = {"--help"}
    for option in command.params:
        found |= {*option.opts, *option.secondary_opts}
    return found


def every_flag() -> Iterator[str]:
    """The flags of all verbs and of their own verbs."""
    for verb in VERBS:
        command = cli.get_command(click.Context(cli), verb)
        for word in ("", *(command.commands if isinstance(command, click.Group) else ())):
            yield from flags_of(verb, word)


def check_refusal(said: Said, code: int, message: str, hint: str | None, *, out: str = "") -> None:
    """One error on standard error and nothing on standard output, with a hint where one is expected."""
    found, printed, err = said
    assert (found, printed) == (code, out)
    assert len(re.findall("^error: ", err, re.MULTILINE)) == 1
    assert message in err
    if hint is not None:
        (line,) = [line for line in err.splitlines() if line.startswith("hint: ")]
        assert hint in line


def without_torch(monkeypatch: pytest.MonkeyPatch, *others: str) -> None:
    """From here on importing torch is an ImportError, and so a defect."""
    for name in (*TORCH, *others):
        monkeypatch.setitem(sys.modules, name, None)
