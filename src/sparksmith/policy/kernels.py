"""Packages of GPU kernels that another package brings along and uses for some work only (`kernels.toml`).

Where such a package has no code for a GPU, the one that brings it runs there all the same, without that work. A row:

    [NAME]        of the package, as the index spells it in lower case with dashes
    brought_by    the package that asks for it
    work          what these kernels do, in words that end a sentence
    source, date  where it is known from, and when that was looked at
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from sparksmith.base.errors import SparksmithError, describe_problems

KEYS = {"brought_by": str, "work": str, "source": str, "date": datetime.date}


@dataclass(frozen=True)
class Kernels:
    """One row, as the module's docstring explains it."""

    name: str
    brought_by: str
    work: str
    source: str
    date: str


@cache
def load_kernels() -> Mapping[str, Kernels]:
    """The shipped rows by name."""
    return parse_kernels((files("sparksmith.policy") / "kernels.toml").read_text(encoding="utf-8"))


def parse_kernels(text: str) -> Mapping[str, Kernels]:
    """The rows of a file. Raises `SparksmithError` with every problem at once."""
    rows: dict[str, dict[str, Any]] = tomllib.loads(text)
    problems = [
        f"{name}: {key} is {'missing' if key not in row else f'no {kind.__name__}'}"
        for name, row in rows.items()
        for key, kind in KEYS.items()
        if not isinstance(row.get(key), kind)
    ]
    problems += [f"{name}: {key} is not a key" for name, row in rows.items() for key in row.keys() - KEYS.keys()]
    if problems:
        raise SparksmithError(describe_problems("kernels.toml is wrong:", problems), "policy/kernels.py has the keys")
    return {name: Kernels(name, **{**row, "date": str(row["date"])}) for name, row in rows.items()}
