"""Parquet: the shapes of JSONL, two columns of text, and every way in which a file can be wrong."""

from __future__ import annotations

import sys

import pyarrow
import pyarrow.parquet
import pytest

from sparksmith.base.errors import SparksmithError
from sparksmith.data.read import read_data

TURNS = [{"role": "user", "content": "cat"}, {"role": "assistant", "content": "k"}]


@pytest.fixture
def written(tmp_path):
    """Write columns as a parquet file and return its path."""

    def write(name: str = "a.parquet", **columns):
        path = tmp_path / name
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
        return path

    return write


def rows(file) -> list[tuple[int, str, str]]:
    return [(example.line, example.prompt, example.response) for example in file.examples]


@pytest.mark.parametrize(
    ("columns", "taken"),
    [
        ({"prompt": ["a", "b"], "completion": ["1", "2"]}, ("prompt", "completion")),
        ({"response": ["1", "2"], "id": [7, 8], "prompt": ["a", "b"]}, ("prompt", "response")),
        ({"word": ["a", "b"], "ipa": ["1", "2"]}, ("word", "ipa")),
        ({"word": pyarrow.array(["a", "b"], pyarrow.large_string()), "ipa": ["1", "2"]}, ("word", "ipa")),
        ({"word": ["a", "b"], "ipa": pyarrow.array(["1", "2"]).dictionary_encode()}, ("word", "ipa")),
    ],
)
def test_pairs(written, columns, taken):
    file = read_data(written(**columns))
    assert rows(file) == [(1, "a", "1"), (2, "b", "2")]
    assert (file.format, file.columns) == ("parquet", taken)
    assert file.describe() == f"2 prompts with responses (parquet), columns {taken[0]!r} and {taken[1]!r}"
    assert file.facts().rows == 2


def test_columns_by_name(written):
    path = written(id=[1, 2], word=["a", "b"], ipa=["1", "2"], picture=[b"x", b"y"])
    assert rows(read_data(path, prompt_column="word", response_column="ipa")) == [(1, "a", "1"), (2, "b", "2")]


def test_conversations_and_texts(written):
    file = read_data(written(messages=[TURNS, [{"role": "system", "content": "Spell."}, *TURNS]], id=[1, 2]))
    assert [len(example.messages) for example in file.examples] == [2, 3]
    assert rows(file)[0] == (1, "cat", "k")
    assert [example.text for example in read_data(written(text=["one", "two"])).examples] == ["one", "two"]


def test_a_parquet_file_is_known_by_its_first_bytes(written):
    assert read_data(written("0000", prompt=["a"], completion=["1"])).format == "parquet"
    assert read_data(written("a.data", prompt=["a"], completion=["1"]), "parquet").format == "parquet"


def test_rows_are_counted_across_batches(written, monkeypatch):
    monkeypatch.setattr("sparksmith.data.parquet.ROWS_AT_ONCE", 2)
    file = read_data(written(prompt=list("abcde"), completion=list("12345")))
    assert [line for line, _, _ in rows(file)] == [1, 2, 3, 4, 5]


def refusal(path, **options) -> SparksmithError:
    with pytest.raises(SparksmithError) as caught:
        read_data(path, **options)
    return caught.value


TWO = {"prompt_column": "word", "response_column": "ipa"}
NESTED = {"word": [{"he": "a"}], "ipa": ["1"]}


@pytest.mark.parametrize(
    ("columns", "options", "message", "hint"),
    [
        ({"word": ["a"], "ipa": ["1"], "note": ["x"]}, {}, "two columns of text; it has word (string)", "--prompt"),
        ({"word": ["a"]}, {}, "it has word (string)", "--prompt_column NAME"),
        ({"word": ["a"], "label": [3]}, {}, "it has word (string), label (int64)", "--prompt_column"),
        (NESTED, {}, "it has word (struct<he: string>), ipa (string)", "--prompt_column"),
        (NESTED, TWO, "the column 'word' of", "columns of text: ipa"),
        ({"wrod": ["a"], "ipa": ["1"]}, TWO, "has no column 'word' (perhaps you meant wrod)", "NAME"),
        ({"prompt": ["a", None], "completion": ["1", "2"]}, {}, "row 2: prompt and completion are text", "each row is"),
        ({"word": ["a", None], "ipa": ["1", "2"]}, {}, "row 2: word is null; text is wanted", "each row is"),
        ({"word": ["a", " "], "ipa": ["1", "2"]}, TWO, "row 2: word is empty", "each row is"),
        ({"text": [1, 2]}, {}, "row 1: text is not text", "each row is"),
        ({"messages": [["a"]]}, {}, "row 1: turn 1 has no role or no content", "each row is"),
        ({"messages": [TURNS[:1]]}, {}, "row 1: the last turn is the user's", "each row is"),
        ({"prompt": pyarrow.array([], "string"), "completion": pyarrow.array([], "string")}, {}, "no examples", "each"),
    ],
)  # fmt: skip
def test_bad_columns(written, columns, options, message, hint):
    error = refusal(written(**columns), **options)
    assert message in error.message
    assert hint in str(error.hint)


def test_a_file_that_was_cut_off(written):
    path = written(prompt=["a"], completion=["1"])
    content = path.read_bytes()
    for end in (4, 20, len(content) - 1):
        path.write_bytes(content[:end])
        error = refusal(path)
        assert f"{path} is not a whole parquet file" in error.message and "\n" not in error.message
        assert "download it again" in str(error.hint)


def test_a_file_that_is_damaged_in_the_middle(written):
    path = written(prompt=["a" * 50] * 100, completion=["1"] * 100)
    content = bytearray(path.read_bytes())
    content[4:40] = bytes(36)
    path.write_bytes(content)
    assert "is not a whole parquet file" in refusal(path).message


def test_without_pyarrow(written, monkeypatch):
    path = written(prompt=["a"], completion=["1"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    error = refusal(path)
    assert "pyarrow, which is not installed" in error.message
    assert "make" in str(error.hint) and "JSONL" in str(error.hint)
