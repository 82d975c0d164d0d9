"""What uv says where it finds no set: real texts of many shapes, and what is made of each."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sparksmith.base.command import Answer
from sparksmith.packages.platform import Platform
from sparksmith.packages.refusals import explain_failure, names_without_wheels
from sparksmith.packages.uv import parse_warnings

RESOLVER = Path(__file__).parent / "resolver"
SPARK = Platform("aarch64", (2, 39), (3, 12))


def text(name: str) -> str:
    return (RESOLVER / f"{name}.txt").read_text(encoding="utf-8")


def without_hints(stderr: str) -> str:
    """As an older uv says it."""
    return stderr.partition("\nhint:")[0]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("no-match", ["bitsandbytes"]),
        ("no-wheels", ["flash-attn"]),
        ("refused/decord", ["decord"]),  # its ranges stand as a list, and the sentence goes on below
        ("refused/taichi", ["taichi"]),
        ("refused/cupy-cuda112", ["cupy-cuda112"]),
        ("refused/tensorflow-gpu", ["tensorflow-gpu"]),
        ("refused/torch-tensorrt", ["tensorrt", "torch-tensorrt"]),
        ("refused/av", []),
        ("refused/conflict", []),
        ("refused/absent", []),
    ],
)
def test_which_packages_have_no_wheel(name, found):
    assert sorted(names_without_wheels(text(name))) == found
    assert sorted(names_without_wheels(without_hints(text(name)))) == found


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("Because x[a]==1 has no wheels with a matching Python version tag (e.g., `cp312`)", ["x"]),
        ("(x<2 has no usable wheels), and versions of `y` have no usable wheels", ["x"]),
        ("Because all of:\n    Some_Name<2\n    Some_Name>3\n  have no usable wheels", ["some-name"]),
        ("hint: Wheels are available for `x[a]` (v1) on the following platform: `win32`", ["x"]),
        ("hint: Pre-releases are available for `x` in the requested range", []),
        ("", []),
    ],
)
def test_other_shapes(words, found):
    assert names_without_wheels(words) == found


LONG = 100_000


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("a" * LONG, 0),
        ("a" * LONG + " has no usable wheels", 1),
        ("a" * LONG + " depends on b", 0),
        ("a." * LONG, 0),
        ("-" * LONG + " has no usable wheels", 0),
        ("x==" + "1" * LONG + " have no usable wheels", 1),
        ("a[b" * LONG + " has no usable wheels", 0),
        ("hint: Wheels are available for `" + "a" * LONG, 0),
        ("Wheels are available for `a[" * (LONG // 20), 1),
        ("x has no usable wheels " * (LONG // 20), 1),
    ],
)
def test_the_time_grows_as_the_text_does(words, found):
    begun = time.process_time()
    assert len(names_without_wheels(words)) == found
    assert explain_failure(Answer(1, "", words), SPARK).message
    assert parse_warnings(f"warning: The package `{words}") == ()
    assert time.process_time() - begun < 1.0  # 0.1 s at most; minutes where each letter is a beginning


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("refused/av", "pip index versions"),
        ("refused/conflict", "bounds"),
        ("refused/absent", "spelling"),
        ("refused/decord", "--target FILE"),
    ],
)
def test_what_is_advised(name, hint):
    error = explain_failure(Answer(1, "", text(name)), SPARK)
    assert hint in str(error.hint)
    assert len(error.message.splitlines()) <= 13
    assert "Because" in error.message


def test_a_long_text_is_cut_and_says_so():
    error = explain_failure(Answer(1, "", text("refused/torch-tensorrt")), SPARK)
    assert error.message.splitlines()[-1].strip().startswith("... and ")


def test_what_is_not_understood_stays_as_it_was_said():
    error = explain_failure(Answer(2, "", "error: something new\n"), SPARK)
    assert (error.message.splitlines()[1:], error.hint) == (["  something new"], None)
    assert "code 9" in explain_failure(Answer(9, "", ""), SPARK).message
