"""Whether a setup.py only refuses: it raises when an installer builds it, to say that another package is meant. Pure.

The names that such packages hold (tensorflow-gpu, pytorch, nvidia-tensorrt) are often those that people try first. What
the script does under `setup.py bdist_wheel` is followed as far as its top level goes: conditions on `sys.argv` are
worked out, all others are passed over, and nothing is run.
"""

from __future__ import annotations

import ast
import re

ARGV = ("setup.py", "bdist_wheel")
MESSAGE_AT_MOST = 160
RULE = re.compile(r"[=\-*#_~]{4,}")


def find_refusal(text: str) -> str | None:
    """What it says when it refuses, in one line ("" where that is not written there); None where it does not."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    texts: dict[str, str] = {}
    tests: set[str] = set()  # functions of one argument: is it among sys.argv?
    for statement in module.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
            if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                texts[target.id] = value.value
            elif isinstance(target, ast.Name) and _is_test(value):
                tests.add(target.id)
        elif (raised := _raised([statement], tests)) is not None:
            return _message(raised, texts)
    return None


def _is_test(value: ast.expr) -> bool:
    """lambda x: x in sys.argv"""
    return isinstance(value, ast.Lambda) and ast.unparse(value).endswith(" in sys.argv")


def _raised(statements: list[ast.stmt], tests: set[str]) -> ast.Raise | None:
    for statement in statements:
        if isinstance(statement, ast.Raise):
            return statement
        if isinstance(statement, ast.If):
            held = _holds(statement.test, tests)
            taken = statement.body if held else statement.orelse if held is False else []
            if (raised := _raised(taken, tests)) is not None:
                return raised
    return None


def _holds(test: ast.expr, tests: set[str]) -> bool | None:
    """Whether a condition holds under `ARGV`; None where that cannot be worked out."""
    if isinstance(test, ast.BoolOp):
        parts = [_holds(part, tests) for part in test.values]
        decided = isinstance(test.op, ast.Or)  # what one part alone decides
        return decided if decided in parts else None if None in parts else not decided
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _holds(test.operand, tests)
        return None if inner is None else not inner
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id in tests:
        return _word(test.args[0]) in ARGV if len(test.args) == 1 and _word(test.args[0]) else None
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    left, (operator,), (right,) = test.left, test.ops, test.comparators
    if isinstance(operator, ast.In | ast.NotIn) and ast.unparse(right) == "sys.argv" and (word := _word(left)):
        return (word in ARGV) == isinstance(operator, ast.In)
    if isinstance(operator, ast.Eq | ast.NotEq) and ast.unparse(left) == "sys.argv[1]" and (word := _word(right)):
        return (word == ARGV[1]) == isinstance(operator, ast.Eq)
    return None


def _word(value: ast.expr) -> str | None:
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def _message(raised: ast.Raise, texts: dict[str, str]) -> str:
    called = raised.exc
    if not isinstance(called, ast.Call) or not called.args:
        return ""
    said = called.args[0]
    text = _word(said) or (texts.get(said.id, "") if isinstance(said, ast.Name) else "")
    text = " ".join(RULE.sub(" ", text).split())
    if len(text) <= MESSAGE_AT_MOST:
        return text
    whole, stop, _ = text[:MESSAGE_AT_MOST].rpartition(". ")
    return whole + "." if stop else text[: MESSAGE_AT_MOST - 4].rsplit(" ", 1)[0] + " ..."
