"""Commands in scripts and Dockerfiles: their words, where they stand, and which of them run in any case."""

from __future__ import annotations

import pytest

from sparksmith.doctor.said import sayings_of
from sparksmith.doctor.shell_text import parse_commands, parse_dockerfile


def certain(text):
    return [" ".join(word.text for word in command.words) for command in parse_commands(text) if command.certain]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("a b; c && d | e &\nf", ["a b", "c", "d", "e", "f"]),
        ("a 'b  c' \"d # e\" f\\ g # h\n", ["a b  c d # e f g"]),
        ("# a\n  # b\nc #d\ne#f", ["c", "e#f"]),
        ("a $(b | c; d) ${e#f} `g h` i", ["a $(b | c; d) ${e#f} `g h` i"]),
        ("if a; then b; else c; fi; d", ["d"]),
        ("case $1 in\n x) a ;;\nesac\nb", ["b"]),
        ('[ -n "$A" ] && a\nb || c\nd && e', ["b", "d", "e"]),
        ("for x in a b; do c $x; done", ["for x in a b", "c $x", "done"]),
        ("cat <<EOF\na b\nEOF\nc", ["c"]),
        ("cat <<-'END' > f\n\ta b\n\tEND\nc", ["c"]),
        ("cat <<EOF\na without an end", []),
        ("echo a; printf b", []),
        ("@a b\n\t-c d", ["a b", "-c d"]),
        ("bash -lc 'a b && c'", ["bash -lc a b && c", "a b", "c"]),
        ("ARGS=(--a b\n  --c)", ["ARGS= --a b", "--c"]),
        ("sudo nohup a", ["a"]),
        ("'without an end", ["'without an end"]),
        ("", []),
    ],
)
def test_commands(text, commands):
    assert certain(text) == commands


def test_a_word_knows_its_line():
    words = [
        word for command in parse_commands('a \\\n  b\n\n# c\n"d\n" e\ncat <<X\n1\nX\nf\n') for word in command.words
    ]
    assert [(word.text, word.line) for word in words] == [
        ("a", 1), ("b", 2), ("d\n", 5), ("e", 6), ("cat", 7), ("f", 10),
    ]  # fmt: skip


def test_a_dockerfile():
    text = (
        'FROM x\nENV A 0\nENV B=1 C="2 3"\nRUN --mount=type=cache,target=/r a \\\n# d\n  b\nCMD ["c", "d e"]\nCMD [1\n'
    )
    assert [[(word.text, word.line) for word in command.words] for command in parse_dockerfile(text)] == [
        [("export", 2), ("A=0", 2)],
        [("export", 3), ("B=1", 3), ("C=2 3", 3)],
        [("a", 4), ("b", 6)],
        [("c", 7), ("d e", 7)],
    ]


def told(text):
    (command,) = parse_commands(text)
    return [(said.how, said.key, said.value) for said in sayings_of(command.words) if said.how != "command"]


@pytest.mark.parametrize(
    ("text", "sayings"),
    [
        ("A=1 B='2 3' c", [("assigned", "A", "1"), ("assigned", "B", "2 3")]),
        ("export A=1 B C=2", [("exported", "A", "1"), ("exported", "C", "2")]),
        ("env A=1 b --c=d", [("assigned", "A", "1"), ("flag", "c", "d")]),
        ("a --b-c d --e --f", [("flag", "b_c", "d"), ("flag", "e", ""), ("flag", "f", "")]),
        ("docker run -e A=1 b", [("set", "A", "1")]),
        ("export", []),
    ],
)
def test_what_a_command_says(text, sayings):
    assert told(text) == sayings


@pytest.mark.parametrize(
    "text", ["(" * 50_000, "$(" * 50_000, "\\" * 50_001, "if " * 50_000, "<<A " * 2_000, "`" * 9999]
)
def test_a_hostile_text_ends(text):
    assert isinstance(list(parse_commands(text)), list)
