"""What was seen of the data, as text: nothing wider than a terminal, every finding with its lines."""

from __future__ import annotations

import contextlib
import io
import sys

import pytest

from sparksmith.report.data import TO_NFC, data_warnings, describe_data, draw_histogram, show_character


def a_file(role: str, **other) -> dict:
    """The record of a file in which nothing was found."""
    lengths = {
        "unit": "tokens", "max_length": 64, "over": 0, "shortest": 3, "median": 5, "p95": 9, "longest": 14,
        "histogram": [{"from": 3 + at, "to": 4 + at, "count": max(0, 40 - 8 * at)} for at in range(12)],
    }  # fmt: skip
    nothing = {"rows": 0, "lines": []}
    record = {
        "role": role, "path": "/data/a.tsv", "sha256": "0" * 64, "rows": 100, "format": "tsv", "kind": "pair",
        "lengths": lengths, "duplicates": nothing, "conflicts": {"prompts": 0, "lines": []}, "not_nfc": nothing,
    }  # fmt: skip
    return record | other


def facts(train: dict | None = None, held_out: dict | None = None, overlap=None, unseen=None) -> dict:
    files = [a_file("train", **(train or {}))]
    if held_out is not None:
        files.append(a_file("eval", **held_out))
    return {"version": 1, "files": files, "overlap": overlap, "unseen_characters": unseen}


NO_OVERLAP = {"rows": 0, "prompts": 0, "lines": []}
EVERYTHING = facts(
    {"duplicates": {"rows": 30, "lines": list(range(2, 22))}, "conflicts": {"prompts": 1, "lines": [7]},
     "not_nfc": {"rows": 2, "lines": [3, 9]}, "lengths": a_file("train")["lengths"] | {"over": 4}},
    {"lengths": a_file("eval")["lengths"] | {"unit": "characters"}},
    {"rows": 1, "prompts": 3, "lines": [1, 5, 6]},
    [{"character": "\u0301", "name": "COMBINING ACUTE ACCENT", "rows": 2, "line": 4},
     {"character": "\u200f", "name": "RIGHT-TO-LEFT MARK", "rows": 1, "line": 8},
     {"character": "\ue000", "name": "U+E000", "rows": 1, "line": 8}],
)  # fmt: skip


def test_what_was_found_by_hand():
    text = "\n".join(describe_data(EVERYTHING))
    assert "data, tokens in a row: shortest 3, median 5, 95% up to 9, longest 14" in text
    assert "over max_length 64: 4 rows (4.0%)" in text
    assert "duplicates: 30 rows (30.0%); lines 2, 3, 4, 5, 6, 7, 8, 9 ..." in text
    assert "conflicts: 1 prompt with several responses; line 7" in text
    assert "not in Unicode's form NFC: 2 rows (2.0%); lines 3, 9" in text
    assert f"    $ {TO_NFC} < /data/a.tsv > nfc.tsv" in text
    assert "held out, characters in a row" in text
    assert "over max_length: known when tokens can be counted; max_length is 64 tokens" in text
    assert "in both: 3 prompts of the held-out part, 1 row (1.0%) with the same response;" in text
    assert "    ◌\u0301 U+0301 COMBINING ACUTE ACCENT, in 2 rows, first in line 4" in text
    assert "       U+200F RIGHT-TO-LEFT MARK, in 1 row, first in line 8" in text
    assert "       U+E000, in 1 row, first in line 8" in text


def test_what_was_looked_for_is_said_also_where_nothing_was_found():
    text = "\n".join(describe_data(facts(held_out={}, overlap=NO_OVERLAP, unseen=[])))
    assert text.count(": none") == 4 + 4 + 2
    assert "$ " not in text
    assert "held out" not in "\n".join(describe_data(facts()))


@pytest.mark.parametrize("record", [EVERYTHING, facts(held_out={}, overlap=NO_OVERLAP, unseen=[])])
def test_it_fits_a_terminal(record):
    for line in describe_data(record):
        assert len(line) <= 80 or line.strip().startswith("$ ")


def test_warnings_are_one_line_each_and_only_of_what_may_hurt():
    assert data_warnings(facts(held_out={}, overlap=NO_OVERLAP, unseen=[])) == []
    assert data_warnings(facts()) == []
    assert data_warnings(EVERYTHING) == [
        "data: 30 of 100 rows repeat an earlier one",
        "data: 1 prompt with several responses",
        "data: 2 of 100 rows are not in Unicode's form NFC",
        "held out: 3 prompts that the training data has too",
        "held out: 3 characters that the training data lacks: ◌\u0301 U+200F U+E000",
    ]
    few = facts({"rows": 1000, "duplicates": {"rows": 9, "lines": [2]}, "conflicts": {"prompts": 9, "lines": [3]}})
    assert data_warnings(few) == []


def test_the_command_that_is_shown_makes_nfc(tmp_path):
    source = TO_NFC.removeprefix('python3 -c "').removesuffix('"')
    before, sys.stdin = sys.stdin, io.StringIO("cafe\u0301\tx\n")
    try:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(source, {})
    finally:
        sys.stdin = before
    assert out.getvalue() == "caf\u00e9\tx\n"


def test_a_chart_by_hand():
    bins = [{"from": 10 * at, "to": 10 * at + 10, "count": count} for at, count in enumerate([32, 16, 1, 0] + [0] * 8)]
    assert draw_histogram(bins) == [
        "         32 ██",
        "            ██",
        "            ████",
        "            ████▁▁",
        "            0                    119   each bar 10 wide",
    ]
    bins[-1]["to"] = 5001
    assert draw_histogram(bins)[-1].endswith("5,000   each bar 10 wide, the last from 110 on")


@pytest.mark.parametrize(
    ("character", "shown"), [("a", "a"), ("\u0301", "◌\u0301"), ("\n", "U+000A"), (" ", "U+0020"), ("ʃ", "ʃ")]
)
def test_a_character_is_seen(character, shown):
    assert show_character(character) == shown
