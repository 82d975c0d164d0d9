"""Whether a setup.py only refuses: it raises when an installer builds it, to say that another package is meant. Pure.

The names that such packages hold (tensorflow-gpu, pytorch, nvidia-tensorrt) are often those that people try first. What
the script does under `setup.py bdist_wheel` is followed as far as its top level goes: conditions on `sys.argv` are
worked out, all others are passed over, and nothing is run. Of an archive that holds nothing else, as sklearn's, a
function that it calls on the way is followed, too: elsewhere that may be a look for a compiler.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass, field

from packaging.utils import canonicalize_name

ARGV = ("setup.py", "bdist_wheel")
SCRIPT_AT_MOST = 64 << 10  # characters: one that only refuses is short, and a tree takes 600 times its text's memory
MESSAGE_AT_MOST = 160
NAMED = re.compile(r"\b(?:install|use|called|named|is)\s+(?P<quote>['\"`])(?P<name>[A-Za-z0-9][\w.-]*)(?P=quote)", re.I)
TYPED = re.compile(r"\bpip3? install (?P<name>[A-Za-z][\w.-]*)")
SYSTEM = re.compile(r"version_info|hexversion|python_version|platform|os\.name|uname")
RULE = re.compile(r"[=\-*#_~]{4,}")


@dataclass
class _Script:
    """What its top level defines: texts, functions of one argument that look for it in sys.argv (`tests`), conditions
    that are worked out, and functions that are followed."""

    texts: dict[str, str] = field(default_factory=dict)
    tests: set[str] = field(default_factory=set)
    conditions: dict[str, bool] = field(default_factory=dict)
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)


def find_refusal(text: str, *, alone: bool = False) -> str | None:
    """What it says when it refuses, in one line ("" where that is not written there); None where it does not. `alone`:
    the archive holds no other code."""
    if len(text) > SCRIPT_AT_MOST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python does not know
            module = ast.parse(text)
        script = _Script()
        if alone:
            script.functions = {each.name: each for each in module.body if isinstance(each, ast.FunctionDef)}
        raised = _raised(module.body, script)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the trees may be deeper than they can be followed
        return None
    return None if raised is None else _message(raised, script.texts)


def named_instead(name: str, said: str) -> str | None:
    """The package that a refusal sends to: `Please install "tensorflow" instead`; None where it names none."""
    found = [match["name"].rstrip(".") for pattern in (NAMED, TYPED) for match in pattern.finditer(said)]
    return next((each for each in found if canonicalize_name(each) != canonicalize_name(name)), None)


def _is_test(value: ast.expr) -> bool:
    """lambda x: x in sys.argv"""
    return isinstance(value, ast.Lambda) and ast.unparse(value).endswith(" in sys.argv")


def _raised(statements: list[ast.stmt], script: _Script) -> ast.Raise | None:
    for statement in statements:
        if isinstance(statement, ast.Raise):
            return statement
        taken: list[ast.stmt] = []
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            _note(statement.targets[0], statement.value, script)
        elif isinstance(statement, ast.If):
            held = _holds(statement.test, script)
            taken = statement.body if held else statement.orelse if held is False else []
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            called = script.functions.pop(getattr(statement.value.func, "id", ""), None)
            if called is not None and not SYSTEM.search(ast.unparse(called)):
                taken = called.body
        if (raised := _raised(taken, script)) is not None:
            return raised
    return None


def _note(target: ast.expr, value: ast.expr, script: _Script) -> None:
    if not isinstance(target, ast.Name):
        return
    if text := _said(value, script.texts):
        script.texts[target.id] = text
    elif _is_test(value):
        script.tests.add(target.id)
    elif (held := _holds(value, script)) is not None:
        script.conditions[target.id] = held


def _holds(test: ast.expr, script: _Script) -> bool | None:
    """Whether a condition holds under `ARGV`; None where that cannot be worked out."""
    if isinstance(test, ast.Name):
        return script.conditions.get(test.id)
    if isinstance(test, ast.BoolOp):
        parts = [_holds(part, script) for part in test.values]
        decided = isinstance(test.op, ast.Or)  # what one part alone decides
        return decided if decided in parts else None if None in parts else not decided
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _holds(test.operand, script)
        return None if inner is None else not inner
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id in script.tests:
        return _word(test.args[0]) in ARGV if len(test.args) == 1 and _word(test.args[0]) else None
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    left, (operator,), (right,) = test.left, test.ops, test.comparators
    if isinstance(operator, ast.Eq) and ast.unparse(left) == "__name__":
        return _word(right) == "__main__"
    if isinstance(operator, ast.In | ast.NotIn) and ast.unparse(right) == "sys.argv" and (word := _word(left)):
        return (word in ARGV) == isinstance(operator, ast.In)
    if isinstance(operator, ast.Eq | ast.NotEq) and ast.unparse(left) == "sys.argv[1]" and (word := _word(right)):
        return (word == ARGV[1]) == isinstance(operator, ast.Eq)
    return None


def _word(value: ast.expr) -> str | None:
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def _said(value: ast.expr, texts: dict[str, str]) -> str:
    """A text, or a name of one, or texts that are joined."""
    if isinstance(value, ast.Name):
        return texts.get(value.id, "")
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "join":
        listed = value.args[0] if len(value.args) == 1 else None
        return " ".join(filter(None, map(_word, listed.elts))) if isinstance(listed, ast.List | ast.Tuple) else ""
    return _word(value) or ""


def _message(raised: ast.Raise, texts: dict[str, str]) -> str:
    called = raised.exc
    if not isinstance(called, ast.Call) or not called.args:
        return ""
    text = " ".join(RULE.sub(" ", _said(called.args[0], texts)).split())
    if len(text) <= MESSAGE_AT_MOST:
        return text
    whole, stop, _ = text[:MESSAGE_AT_MOST].rpartition(". ")
    return whole + "." if stop else text[: MESSAGE_AT_MOST - 4].rsplit(" ", 1)[0] + " ..."
