"""Interpreters whose torch is made up: this process' own, with a package `torch` of a few lines and no other.

Written by us; what each of them does is said in its text.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

# Enough of a torch for the steps before the first piece of work, which it fails.
PLAIN = """
__version__ = "2.99.0"
class version:
    cuda = None
class cuda:
    @staticmethod
    def is_available(): return False
uint8 = None
def full(*_, **__): raise RuntimeError("this torch is made up")
"""


def make_python(folder: Path, torch: str, **other: str) -> Path:
    """A `python` that finds this torch, and other packages by their names."""
    for name, text in {"torch": torch, **other}.items():
        package = folder / "site with a space" / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(text, encoding="utf-8")
    return make_script(
        folder,
        f'PYTHONPATH={shlex.quote(str(folder / "site with a space"))} exec {shlex.quote(sys.executable)} -S "$@"',
    )


def make_script(folder: Path, text: str) -> Path:
    """An executable that a shell runs, in the place of an environment's Python."""
    python = folder / "bin" / "python"
    python.parent.mkdir(exist_ok=True)
    python.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    python.chmod(0o755)
    return python
