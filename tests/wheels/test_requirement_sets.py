"""The requirement sets found in public: each has its lines, and its row on the page that `scripts/requirement_sets.py`
writes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from sparksmith.packages.requirements import read_requirements

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks/requirement_sets"
SETS = tomllib.loads((FOLDER / "sets.toml").read_text(encoding="utf-8"))["set"]
PAGE = (ROOT / "docs/reference/requirement-sets.md").read_text(encoding="utf-8")


def test_each_list_is_named_once():
    assert sorted(entry["file"] for entry in SETS) == sorted(path.stem for path in FOLDER.glob("*.txt"))


@pytest.mark.parametrize("entry", SETS, ids=lambda entry: entry["file"])
def test_a_set_has_lines_and_a_row(entry):
    read = read_requirements(FOLDER / f"{entry['file']}.txt")
    assert read.lines and not read.left_out
    (row,) = (line for line in PAGE.splitlines() if f"]({entry['url']})" in line)
    assert row.split(" | ")[1] in ("runs", "runs with a note", "cannot tell", "will not run")
