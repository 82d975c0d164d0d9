"""What is seen of the data, worked out by hand."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sparksmith.data.check import data_facts
from sparksmith.data.lengths import make_histogram, summarize_lengths
from sparksmith.data.read import read_data
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import schema, write_data

TRAIN = """cat	k a t
dog	d o g
cat	k a t
cat	k æ t
bird	b ɜ d
cat	k æ t
cafe\u0301	k a f e
"""
EVAL = """dog	d o g
cat	k ɑ t
fox	f ɒ k s
box	b ɒ k s
fox	f ɒ k s
"""


@pytest.fixture
def read(tmp_path):
    def written(content: str, name: str = "a.tsv"):
        (tmp_path / name).write_text(content, encoding="utf-8")
        return read_data(tmp_path / name)

    return written


def test_every_check_by_hand(read, tmp_path):
    facts = data_facts(read(TRAIN), read(EVAL, "eval.tsv"), max_length=64)
    train, held_out = facts["files"]
    assert (train["role"], train["rows"], train["format"], train["kind"]) == ("train", 7, "tsv", "pair")
    assert train["path"] == str(tmp_path / "a.tsv")
    assert train["duplicates"] == {"rows": 2, "lines": [3, 6]}  # the second `k æ t` repeats line 4
    assert train["conflicts"] == {"prompts": 1, "lines": [4]}
    assert train["not_nfc"] == {"rows": 1, "lines": [7]}
    assert held_out["duplicates"] == {"rows": 1, "lines": [5]}
    assert held_out["conflicts"] == {"prompts": 0, "lines": []}
    assert facts["overlap"] == {"rows": 1, "prompts": 2, "lines": [1, 2]}
    assert facts["unseen_characters"] == [
        {"character": "s", "name": "LATIN SMALL LETTER S", "rows": 3, "line": 3},
        {"character": "x", "name": "LATIN SMALL LETTER X", "rows": 3, "line": 3},
        {"character": "ɒ", "name": "LATIN SMALL LETTER TURNED ALPHA", "rows": 3, "line": 3},
        {"character": "ɑ", "name": "LATIN SMALL LETTER ALPHA", "rows": 1, "line": 2},
    ]
    Draft202012Validator(schema("data")).validate(facts)
    write_data(tmp_path, facts)
    assert RunFolder(tmp_path).data.is_file()


def test_lengths_are_those_of_tokens_where_they_are_given(read):
    train, held_out = read(TRAIN), read(EVAL, "eval.tsv")
    facts = data_facts(train, held_out, max_length=10, token_lengths=([1, 2, 3, 11, 12, 4, 5], None))
    assert facts["files"][0]["lengths"] | {"histogram": []} == {
        "unit": "tokens", "max_length": 10, "over": 2, "shortest": 1, "median": 4, "p95": 12, "longest": 12,
        "histogram": [],
    }  # fmt: skip
    assert facts["files"][1]["lengths"]["unit"] == "characters"
    assert facts["files"][1]["lengths"]["over"] == 0
    assert facts["files"][1]["lengths"]["longest"] == len("fox" + "f ɒ k s")


def test_without_a_held_out_part(read):
    facts = data_facts(read(TRAIN), None, max_length=64)
    assert facts["overlap"] is None and facts["unseen_characters"] is None
    Draft202012Validator(schema("data")).validate(facts)


def test_conversations_are_compared_by_every_turn_before_the_response(read):
    def row(*turns):
        roles = ["system", "user", "assistant"][3 - len(turns) :]
        inner = ", ".join(f'{{"role": "{role}", "content": "{text}"}}' for role, text in zip(roles, turns, strict=True))
        return f'{{"messages": [{inner}]}}\n'

    train = row("Spell.", "cat", "k") + row("cat", "k") + row("Spell.", "cat", "c") + row("Spell.", "cat", "k")
    facts = data_facts(read(train, "a.jsonl"), read(row("Shout.", "cat", "K"), "b.jsonl"), max_length=64)
    assert facts["files"][0]["duplicates"] == {"rows": 1, "lines": [4]}
    assert facts["files"][0]["conflicts"] == {"prompts": 1, "lines": [3]}
    assert facts["overlap"] == {"rows": 0, "prompts": 0, "lines": []}
    assert [one["character"] for one in facts["unseen_characters"]] == ["K", "h", "o", "u"]


def test_texts(read):
    facts = data_facts(read('{"text": "a"}\n{"text": "b"}\n{"text": "a"}\n', "a.jsonl"), None, max_length=64)
    assert facts["files"][0]["duplicates"] == {"rows": 1, "lines": [3]}
    assert facts["files"][0]["conflicts"]["prompts"] == 0


def test_lines_are_the_first_twenty_and_counts_whole(read):
    facts = data_facts(read("a\tb\n" * 50), None, max_length=64)
    assert facts["files"][0]["duplicates"] == {"rows": 49, "lines": list(range(2, 22))}


letters = st.text("ab", min_size=1, max_size=2)


@given(
    st.lists(st.tuples(letters, letters), min_size=1, max_size=20), st.lists(st.tuples(letters, letters), max_size=9)
)
def test_against_a_plain_count(tmp_path_factory, train, held_out):
    folder = tmp_path_factory.mktemp("data")
    files = []
    for name, pairs in (("a.tsv", train), ("b.tsv", held_out)):
        (folder / name).write_text("".join(f"{one}\t{other}\n" for one, other in pairs), encoding="utf-8")
        files.append(read_data(folder / name, header="no") if pairs else None)
    facts = data_facts(files[0], files[1], max_length=64)
    found = facts["files"][0]
    assert found["duplicates"]["rows"] == len(train) - len(set(train))
    prompts = {one for one, _ in train}
    several = [one for one in prompts if len({other for prompt, other in train if prompt == one}) > 1]
    assert found["conflicts"]["prompts"] == len(several)
    if held_out:
        assert facts["overlap"]["rows"] == sum(pair in train for pair in held_out)
        assert facts["overlap"]["prompts"] == len({one for one, _ in held_out} & prompts)
        missing = set("".join(map("".join, held_out))) - set("".join(map("".join, train)))
        assert {one["character"] for one in facts["unseen_characters"]} == missing


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=60))
def test_a_histogram_holds_every_length_once(lengths):
    bins = make_histogram(sorted(lengths))
    assert 12 <= len(bins) <= 30
    assert sum(one["count"] for one in bins) == len(lengths)
    assert all(one["to"] == following["from"] for one, following in pairwise(bins))
    assert len({one["to"] - one["from"] for one in bins[:-1]}) == 1
    for one in bins:
        assert one["count"] == sum(one["from"] <= length < one["to"] for length in lengths)


def test_a_histogram_by_hand():
    assert make_histogram([3, 3, 5])[:3] == [
        {"from": 3, "to": 4, "count": 2}, {"from": 4, "to": 5, "count": 0}, {"from": 5, "to": 6, "count": 1},
    ]  # fmt: skip
    bins = make_histogram([*range(100, 200)])
    assert (bins[0], bins[-1], len(bins)) == (
        {"from": 100, "to": 105, "count": 5}, {"from": 195, "to": 200, "count": 5}, 20,
    )  # fmt: skip
    tail = make_histogram([10] * 99 + [5000])
    assert tail[-1] == {"from": tail[-2]["to"], "to": 5001, "count": 1} and tail[0]["count"] == 99


def test_percentiles_by_hand():
    summary = summarize_lengths(list(range(1, 101)), unit="tokens", max_length=90)
    assert [summary[name] for name in ("shortest", "median", "p95", "longest", "over")] == [1, 50, 95, 100, 10]
    assert summarize_lengths([7], unit="tokens", max_length=7)["p95"] == 7


def test_the_name_of_a_character_without_one(read):
    facts = data_facts(read("a\tb\n"), read("a\tb\ue000\n", "eval.tsv"), max_length=64)
    (one,) = facts["unseen_characters"]
    assert one == {"character": "\ue000", "name": "U+E000", "rows": 1, "line": 1}
    assert unicodedata.name("\ue000", None) is None
