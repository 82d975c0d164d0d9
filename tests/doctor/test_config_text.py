"""What configurations, READMEs and notebooks say."""

from __future__ import annotations

import json

import pytest

from sparksmith.doctor.config_text import (
    parse_devcontainer,
    parse_notebook,
    parse_readme,
    parse_toml,
    parse_yaml,
    uncomment,
)


def told(found):
    return [(said.how, said.key, said.value, said.line) for said in found if said.how != "command"]


@pytest.mark.parametrize(
    ("text", "sayings"),
    [
        ("a: b # c\n'd': \"e # f\"\n- g: h\n", [("set", "a", "b", 1), ("set", "d", "e # f", 2), ("set", "g", "h", 3)]),
        ("a: [b, 'c']\n", [("set", "a", "b", 1), ("set", "a", "c", 1)]),
        ("report_to:\n- wandb\n", [("set", "report_to", "", 1), ("set", "report_to", "wandb", 2)]),
        ("environment:\n  - A=b\n  - C\n", [("set", "environment", "", 1), ("set", "A", "b", 2)]),
        ("text: |\n  a: b\n\n  c: d\ne: f\n", [("set", "e", "f", 5)]),
        ("run: |\n  a --b c\n  if x; then d --e f; fi\ng: h\n", [("flag", "b", "c", 2), ("set", "g", "h", 4)]),
        ("command: >-\n  a --b\n  c\n", [("flag", "b", "c", 3)]),
        ("command: a --b c\n  --d e\nf: g\n", [("flag", "b", "c", 1), ("flag", "d", "e", 2), ("set", "f", "g", 3)]),
        ("args: ['--b', \"c\"]\n", [("flag", "b", "c", 1)]),
        ("args:\n  - --b\n  - c\n  - --d=e\n", [("flag", "b", "c", 3), ("flag", "d", "e", 4)]),
        ("command:\n- a\n- --b\nc: d\n", [("flag", "b", "", 3), ("set", "c", "d", 4)]),
        ("- name: HF_TOKEN\n  value: x\n",
         [("mentioned", "HF_TOKEN", "", 1), ("set", "name", "HF_TOKEN", 1), ("set", "value", "x", 2)]),
        ("# HF_TOKEN\n", []),
        ("just a text\n", []),
    ],
)  # fmt: skip
def test_yaml(text, sayings):
    assert told(parse_yaml(text)) == sayings


def test_toml():
    text = "a = 'b' # c\nd = [\"e\", 'f']\ng = '''\nh = 'i'\n'''\nj = \"\"\"k = 'l'\"\"\"\nm = 1\n"
    assert [each[1:3] for each in told(parse_toml(text))] == [
        ("a", "b"), ("d", "e"), ("d", "f"), ("j", "\"\"k = 'l'\"\""), ("m", "1"),
    ]  # fmt: skip


def test_a_development_container():
    text = '{"containerEnv": {"A": "0"},\n// {"B": "0"}\n"postCreateCommand": "C=0 d"}'
    assert told(parse_devcontainer(text)) == [
        ("set", "A", "0", 1), ("set", "postCreateCommand", "C=0 d", 3), ("assigned", "C", "0", 3),
    ]  # fmt: skip


def test_a_readme():
    text = "A=1\n```python\nB=1\n```\n```bash\n$ C=1\nuser@host:~$ D=1\n```\ntext\n~~~\n# E=1\nF=1\n~~~\n```sh\nG=1"
    assert [each[1:] for each in told(parse_readme(text))] == [
        ("C", "1", 6), ("D", "1", 7), ("F", "1", 12), ("G", "1", 15),
    ]  # fmt: skip


def test_a_notebook():
    cells = [
        {"cell_type": "markdown", "source": ["a = 'b'"]},
        {"cell_type": "code", "source": ["!c --d e\n", "%f\n", "g = 'h'"], "outputs": [{"text": ["i = 'j'"]}]},
        {"cell_type": "code", "source": "k = 'l'"},
    ]
    text = json.dumps({"cells": cells}, indent=1)
    found = told(parse_notebook(text))
    assert [each[:3] for each in found] == [("assigned", "g", "h"), ("flag", "d", "e"), ("assigned", "k", "l")]
    assert all(1 <= line <= text.count("\n") + 1 for *_, line in found)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 1}', '{"cells": [{"cell_type": "code"}]}', "[" * 100_000])
def test_what_is_no_notebook_says_nothing(text):
    assert list(parse_notebook(text)) == []


@pytest.mark.parametrize(
    ("line", "code"),
    [("a # b", "a"), ("a#b", "a#b"), ("# a", ""), ("a: '# b' # c", "a: '# b'"), ("it's # a", "it's"), ("a", "a")],
)
def test_a_comment_is_cut(line, code):
    assert uncomment(line) == code
