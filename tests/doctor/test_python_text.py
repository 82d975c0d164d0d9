"""What Python files set and load, and what in them is only said."""

from __future__ import annotations

import pytest

from sparksmith.doctor.python_text import can_be_started, parse_python


def told(text):
    return [(said.how, said.key, said.value) for said in parse_python(text) if said.how != "command"]


@pytest.mark.parametrize(
    ("text", "sayings"),
    [
        ("a = 'b'\nc.d = 1\ne['f'] = True", [("assigned", "a", "b"), ("assigned", "d", "1"), ("set", "f", "True")]),
        ("f(a='b', **c)", [("set", "a", "b")]),
        ("x = M.from_pretrained('a/b')", [("assigned", "x", ""), ("loaded", "from_pretrained", "a/b")]),
        ("a = {'b': 'c', 1: 'd'}", [("set", "b", "c")]),
        ("f(report_to=['wandb', x])", [("set", "report_to", "wandb"), ("set", "report_to", "")]),
        ("MODELS = ['a/b']", []),
        ("p.add_argument('--a-b', default='c', help='d')",
         [("set", "default", "c"), ("set", "help", "d"), ("set", "a_b", "c")]),
        ("if __name__ == '__main__':\n  a = 'b'", [("assigned", "a", "b")]),
        ("if x:\n  a = 'b'\nelse:\n  a = 'c'", []),
        ("a = 'b' if x else 'c'\nd = x or 'e'", [("assigned", "a", ""), ("assigned", "d", "")]),
        ("try:\n  import x\n  a = 'b'\nexcept ImportError:\n  a = 'c'", []),
        ("try:\n  a = 'b'\nexcept OSError:\n  a = 'c'\nfinally:\n  d = 'e'",
         [("assigned", "a", "b"), ("assigned", "d", "e")]),
        ("def f(a='b', *, c='d'):\n  '''e'''\n  return g(h='i')", [("set", "h", "i")]),
        ("class A:\n  a: str = 'b'\n  c = 'd'", [("assigned", "c", "d")]),
        ("assert f(a='b') == 'c'", []),
        ("'HF_TOKEN'\n'''HF_TOKEN'''", []),
        ("os.environ['HF_TOKEN']", [("mentioned", "HF_TOKEN", "")]),
        ("if x:\n  login()", [("mentioned", "HF_TOKEN", ""), ("mentioned", "WANDB_API_KEY", "")]),
        ("wandb.login()\nhuggingface_hub.login()", [("mentioned", "WANDB_API_KEY", ""), ("mentioned", "HF_TOKEN", "")]),
        ("wandb.init(mode='offline')", [("mentioned", "WANDB_MODE", ""), ("set", "mode", "offline")]),
        ("f(token=t)", [("mentioned", "HF_TOKEN", ""), ("set", "token", "")]),
        ("f(token=None)\nm.push_to_hub(token=t)", [("set", "token", "None"), ("set", "token", "")]),
        ("subprocess.run(['a', '--b', 'c', x])", [("flag", "b", "c")]),
        ("os.system('A=1 a --b c')", [("assigned", "A", "1"), ("flag", "b", "c")]),
        ("os.environ.setdefault('A', 'b')", [("set", "A", "b")]),
        ("a = '\\d'", [("assigned", "a", "\\d")]),
    ],
)  # fmt: skip
def test_what_is_said(text, sayings):
    assert told(text) == sayings


def test_what_is_no_python_is_read_by_lines():
    text = "print 'x'\na = 'b'\nf(c = \"d\", )\n  e='f',\n'''\ng = 'h'\n'''\n# i = 'HF_TOKEN'\nj == 'k'\n"
    text += "l('WANDB_API_KEY')\n"
    assert [(said.how, said.key, said.value, said.line) for said in parse_python(text)] == [
        ("set", "a", "b", 2), ("set", "e", "f", 4), ("mentioned", "WANDB_API_KEY", "", 10),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["(" * 100_000, "-" * 100_000 + "1", "a" + ".b" * 100_000, "a = '\0'", "x = " + "[" * 90 + "]" * 90, "\ud800"],
)
def test_a_hostile_file_is_no_error(text):
    assert isinstance(parse_python(text), list)


def test_a_large_tree_is_cut():
    assert len(parse_python("f(a='b')\n" * 40_000)) < 40_000


def test_what_can_be_started():
    assert can_be_started("import x\nif __name__ == '__main__':\n    main()\n")
    assert not can_be_started("def f():\n    if __name__ == 'x':\n        pass\n")
