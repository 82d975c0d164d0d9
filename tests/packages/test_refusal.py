"""A setup.py that only refuses is recognised, and one that merely could raise is not."""

from __future__ import annotations

import pytest

from sparksmith.packages.wheel.refusal import find_refusal, named_instead

# How tensorflow-gpu 2.12.0, pytorch 1.0.2 and nvidia-tensorrt 0.0.1.dev5 do it (the package index, read 2026-11-29).
TENSORFLOW = '''
import sys
import setuptools
WARNING = """

=========================
The "tensorflow-gpu" package has been removed!

Please install "tensorflow" instead.
=========================
"""
if "bdist_wheel" in sys.argv or "install" in sys.argv or "bdist_egg" in sys.argv:
  raise Exception(WARNING)
if __name__ == "__main__":
  setuptools.setup()
'''
PYTORCH = """
import sys
argv = lambda x: x in sys.argv
message = 'The package named for PyTorch is "torch"'
if (argv('install') or (argv('--dist-dir') and argv('bdist_egg'))):
    raise Exception(message)
if argv('bdist_wheel'):
    raise Exception(message)
if argv('sdist'):
    setup(name='pytorch')
"""
NVIDIA = """
if sys.argv[1] == "sdist":
    build_package(name)
else:
    raise RuntimeError(open("ERROR.txt", "r").read())
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TENSORFLOW, 'The "tensorflow-gpu" package has been removed! Please install "tensorflow" instead.'),
        (PYTORCH, 'The package named for PyTorch is "torch"'),
        (NVIDIA, ""),
        ('raise SystemExit("use scikit-learn")', "use scikit-learn"),
        ("raise RuntimeError", ""),
        ("if not 'sdist' in sys.argv:\n    raise ValueError('no')", "no"),
        ("if 'sdist' not in sys.argv:\n    raise ValueError('no')", "no"),
        ("if sys.argv[1] != 'sdist':\n    raise ValueError('no')", "no"),
        (f"raise ValueError('{'word ' * 100}')", "word " * 31 + "..."),
        (f"raise ValueError('Take torch. {'word ' * 100}')", "Take torch."),
    ],
)
def test_it_refuses(text, said):
    assert find_refusal(text) == said


@pytest.mark.parametrize(
    "text",
    [
        "setup()",
        "if sys.version_info < (3, 8):\n    raise RuntimeError('too old')\nsetup()",
        "if 'bdist_wheel' in sys.argv and not os.environ.get('FORCE'):\n    raise RuntimeError('no')",
        "if 'sdist' in sys.argv:\n    raise RuntimeError('no')",
        "if sys.argv[-1] == 'publish':\n    raise SystemExit\nsetup()",
        "def run():\n    raise NotImplementedError\nsetup()",
        "try:\n    import numpy\nexcept ImportError:\n    raise\nsetup()",
        "class Command:\n    raise_it = True\nsetup()",
        "if argv('bdist_wheel'):\n    raise Exception('argv is not known here')",
        "print 'Python 2'",
        "x = " + "(" * 5000,
        "\x00",
    ],
)
def test_it_may_install(text):
    assert find_refusal(text) is None


# sklearn 0.0.post12, cut down
SKLEARN = """
import os
import sys
def likely_error():
    if os.environ.get("ALLOW") == "true":
        return
    message = "\\n".join(["The 'sklearn' package is deprecated, use 'scikit-learn'", "rather than 'sklearn'."])
    raise SystemExit(message)
if __name__ == "__main__":
    sdist_mode = len(sys.argv) == 2 and sys.argv[1] == "sdist"
    if not sdist_mode:
        likely_error()
    setup(name="sklearn")
"""


def test_a_function_that_refuses_is_followed_where_there_is_nothing_else():
    assert find_refusal(SKLEARN, alone=True) == (
        "The 'sklearn' package is deprecated, use 'scikit-learn' rather than 'sklearn'."
    )
    assert find_refusal(SKLEARN) is None  # flash-attn looks for nvcc in such a one


@pytest.mark.parametrize(
    "text",
    [
        "def check():\n    if sys.version_info > (3,8):\n        return\n    raise RuntimeError('x')\ncheck()\nsetup()",
        "def check():\n    raise RuntimeError('x')\nif found():\n    check()\nsetup()",
        "def check():\n    check()\ncheck()",
        "if __name__ == 'other':\n    raise RuntimeError('x')",
        "def read():\n    raise RuntimeError('no version')\nversion = read()\nsetup()",
    ],
)  # fmt: skip
def test_no_function_is_a_refusal_for_another_reason(text):
    assert find_refusal(text, alone=True) is None


@pytest.mark.parametrize(
    ("name", "said", "other"),
    [
        ("tensorflow-gpu", 'The "tensorflow-gpu" package has been removed! Please install "tensorflow" instead.',
         "tensorflow"),
        ("pytorch", 'You tried to install "pytorch". The package named for PyTorch is "torch"', "torch"),
        ("x", "run pip install y.", "y"), ("x", 'do not install "X"', None), ("x", "", None),
    ],
)  # fmt: skip
def test_what_it_sends_to(name, said, other):
    assert named_instead(name, said) == other


@pytest.mark.parametrize("depth", [100, 600, 2000, 20_000])
@pytest.mark.parametrize(
    "text",
    [
        "x = lambda x: {plus}1",
        "if {no}a:\n    raise X",
        "if 'x' in a{dots}:\n    raise X",
        "def f():\n    x = {plus}1\nf()",
        "f{dots}()",
    ],
)
def test_what_is_nested_deeper_than_it_can_be_followed(text, depth):
    nested = text.format(plus="1 + " * depth, no="not " * depth, dots=".b" * depth)
    assert find_refusal(nested, alone=True) is None


def test_a_long_script_is_not_looked_into_and_warns_of_nothing(recwarn):
    assert find_refusal("raise SystemExit('no')  # \\d\n" + "x = 1\n" * 20_000) is None
    assert find_refusal("x = '\\d'\nraise SystemExit('no')") == "no"
    assert not recwarn.list
