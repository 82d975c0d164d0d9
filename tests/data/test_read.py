"""Data files: every format, and every way in which one can be wrong."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparksmith.base.errors import SparksmithError
from sparksmith.data.examples import Example, Message, pair
from sparksmith.data.read import DataFile, read_data

TURNS = [{"role": "user", "content": "cat"}, {"role": "assistant", "content": "k æ t"}]


@pytest.fixture
def written(tmp_path):
    """Write a data file and return its path."""

    def write(content, name="data.tsv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return write


def pairs(file: DataFile) -> list[tuple[int, str, str]]:
    return [(example.line, example.prompt, example.response) for example in file.examples]


def refusal(path, *arguments) -> SparksmithError:
    with pytest.raises(SparksmithError) as caught:
        read_data(path, *arguments)
    assert str(path) in caught.value.message or "not CSV" in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.tsv", "cat\tk æ t\ndog\td ɒ ɡ\n", [(1, "cat", "k æ t"), (2, "dog", "d ɒ ɡ")]),
        ("a.tsv", "cat\tk æ t", [(1, "cat", "k æ t")]),
        ("a.txt", "cat\tk æ t\n", [(1, "cat", "k æ t")]),
        ("a.TSV", "cat\tk æ t\n", [(1, "cat", "k æ t")]),
        ("a.tsv", "\ncat\tk æ t\n\n \ndog\td\n\n", [(2, "cat", "k æ t"), (5, "dog", "d")]),
        ("a.tsv", " cat \t k æ t \n", [(1, "cat", "k æ t")]),
        ("a.tsv", "cat\tk æ t\r\ndog\td\r\n", [(1, "cat", "k æ t"), (2, "dog", "d")]),
        ("a.tsv", "\ufeffcat\tk\n", [(1, "cat", "k")]),
        ("a.tsv", '"cat\tk"\n', [(1, '"cat', 'k"')]),  # TSV has no quotes
        ("a.tsv", "a\u2028b\tc\x85d\n", [(1, "a\u2028b", "c\x85d")]),  # only \n ends a line
        ("a.csv", "cat,k æ t\ndog,d\n", [(1, "cat", "k æ t"), (2, "dog", "d")]),
        ("a.csv", "cat,k\r\ndog,d\r\n", [(1, "cat", "k"), (2, "dog", "d")]),
        ("a.csv", '\ufeff"cat",k\n', [(1, "cat", "k")]),
        ("a.csv", '"one, two","say ""hi"""\n', [(1, "one, two", 'say "hi"')]),
        ("a.csv", '"one\ntwo",b\n\n"c","d\ne"\nf,g\n', [(1, "one\ntwo", "b"), (4, "c", "d\ne"), (6, "f", "g")]),
        ("a.csv", ",\ncat,k\n", [(2, "cat", "k")]),
        ("a.jsonl", '\n{"prompt": "cat", "completion": "k"}\n\n', [(2, "cat", "k")]),
        ("a.jsonl", '{"completion": "d", "prompt": "dog", "id": 7}\n', [(1, "dog", "d")]),
        ("a.ndjson", '{"prompt": "cat", "completion": "k"}\r\n', [(1, "cat", "k")]),
        ("a.jsonl", '\ufeff{"prompt": " cat", "completion": "k "}', [(1, " cat", "k ")]),
        ("a.json", '{"prompt": "cat", "completion": "k"}\n', [(1, "cat", "k")]),
        ("noending", '{"prompt": "cat", "completion": "k"}\n', [(1, "cat", "k")]),
        ("noending", "cat\tk\n", [(1, "cat", "k")]),
    ],
)  # fmt: skip
def test_pairs_of_every_format(written, name, content, expected):
    file = read_data(written(content, name))
    assert pairs(file) == expected
    assert all(example.kind == "pair" and example.can_be_scored for example in file.examples)


def test_messages(written):
    turns = [
        {"role": "system", "content": "Spell."},
        *TURNS,
        {"role": "user", "content": "dog"},
        {"role": "assistant", "content": "d"},
    ]
    file = read_data(written(json.dumps({"messages": turns}) + "\n" + json.dumps({"messages": TURNS}), "a.jsonl"))
    first, second = file.examples
    assert [message.role for message in first.messages] == ["system", "user", "assistant", "user", "assistant"]
    assert (first.prompt, first.response, first.can_be_scored) == ("dog", "d", True)
    assert second == Example(2, "messages", (Message("user", "cat"), Message("assistant", "k æ t")))
    assert file.describe() == "2 conversations (jsonl)"


def test_texts(written):
    file = read_data(written('{"text": "one"}\n{"text": "two words"}\n', "a.jsonl"))
    assert [example.text for example in file.examples] == ["one", "two words"]
    assert [example.can_be_scored for example in file.examples] == [False, False]
    assert file.examples[1].response == "two words"
    assert file.examples[1].prompt == ""
    assert file.describe() == "2 texts (jsonl)"


@pytest.mark.parametrize(
    ("first", "header", "found"),
    [
        ("word\tipa", "auto", ("word", "ipa")),
        ("Word\tPHONES", "auto", ("Word", "PHONES")),
        ("hebrew_word\tphones", "auto", ("hebrew_word", "phones")),
        ("source text\ttarget text", "auto", ("source text", "target text")),
        ("word\tw ɜː d", "auto", None),
        ("cat\tipa", "auto", None),
        ("word\tipa", "no", None),
        ("anything\tat all", "yes", ("anything", "at all")),
    ],
)
def test_headers(written, first, header, found):
    for name, content in (("a.tsv", f"{first}\ncat\tk\n"), ("a.csv", f"{first}\ncat\tk\n".replace("\t", ","))):
        file = read_data(written(content, name), "auto", header)
        assert file.header == found
        assert len(file.examples) == (1 if found else 2)
        assert pairs(file)[-1] == (2, "cat", "k")  # lines are counted with the header
        assert ("no header" in file.describe()) == (found is None)


def test_a_header_that_was_asked_for_may_have_any_number_of_columns(written):
    file = read_data(written("only one\ncat\tk\n"), header="yes")
    assert file.describe() == "1 prompt with its response (tsv), header 'only one'"


def test_the_format_that_was_asked_for_wins(written):
    assert pairs(read_data(written("a,b\n", "a.tsv"), "csv")) == [(1, "a", "b")]
    assert pairs(read_data(written("a\tb\n", "a.data"), "tsv")) == [(1, "a", "b")]
    assert pairs(read_data(written('{"prompt": "a", "completion": "b"}', "a.tsv"), "jsonl")) == [(1, "a", "b")]


def test_facts(written):
    path = written("cat\tk æ t\nelephant\tˈɛ l ɪ f ə n t\n")
    facts = read_data(path).facts()
    assert facts.path == path
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (facts.rows, facts.format, facts.longest_response) == (2, "tsv", len("ˈɛ l ɪ f ə n t"))


def many(start: int, count: int) -> str:
    return "".join(f"w{number}\tp{number}\n" for number in range(start, start + count))


@pytest.mark.parametrize(
    ("name", "content", "message", "hint"),
    [
        ("a.tsv", "", "is empty", "TSV, CSV or JSONL"),
        ("a.tsv", " \n\t\n", "is empty", "TSV, CSV or JSONL"),
        ("a.tsv", "\ufeff", "holds no examples", "a tab"),
        ("a.tsv", "word\tipa\n", "holds no examples", "a tab"),
        ("a.tsv", b"\x7fELF\x00\x01\x02", "is not a text file (it has NUL bytes)", "TSV, CSV or JSONL"),
        ("a.tsv", "cat\tk\n".encode("utf-16"), "is UTF-16", "iconv -f UTF-16"),
        ("a.tsv", "cat\tk\n".encode("utf-16-be"), "NUL bytes", "TSV, CSV or JSONL"),
        ("a.tsv", "cat\tk\ncafé\tk a f e\n".encode("latin-1"), "is not UTF-8: byte 0xe9 on line 2", "iconv -f ISO"),
        ("a.tsv", "cat\n", "line 1: 1 column, 2 expected: 'cat'", "a tab"),
        ("a.tsv", "cat k\n" + many(1, 2), "has 1 bad line:", "a tab"),
        ("a.tsv", many(1, 2) + "a\tb\tc\n", "line 3: 3 columns, 2 expected: 'a | b | c'", "a tab"),
        ("a.tsv", "cat\t\n", "line 1: the response is empty: 'cat | '", "a tab"),
        ("a.tsv", "\tk\n", "line 1: the prompt is empty", "a tab"),
        ("a.csv", "cat\n", "line 1: 1 column, 2 expected", "a comma"),
        ("a.csv", "cat,\ndog,d\n", "line 1: the response is empty", "a comma"),
        ("a.csv", 'a,"b\nc,d\n', "not CSV", "twice"),
        ("a.csv", 'a,"b"c\n', "line 1: not CSV", "twice"),
        ("a.jsonl", "{'prompt': 1}\n", "line 1: not JSON", "each line is"),
        ("a.jsonl", '{"prompt": "a"\n', "line 1: not JSON", "each line is"),
        ("a.jsonl", "[" * 100_000, "line 1: not JSON", "each line is"),
        ("a.jsonl", "[1, 2]\n", "line 1: list instead of an object", "each line is"),
        ("a.jsonl", "7\n", "line 1: int instead of an object", "each line is"),
        ("a.jsonl", '{"prompt": "a"}\n', "none of prompt/completion, messages, text; it has prompt", "each line is"),
        ("a.jsonl", "{}\n", "it has nothing", "each line is"),
        ("a.jsonl", '{"prompt": "", "completion": " "}\n', "line 1: prompt and completion is empty", "each line is"),
        ("a.jsonl", '{"prompt": [], "completion": "a"}\n', "prompt and completion are text", "each line is"),
        ("a.jsonl", '{"text": " "}\n', "text is empty", "each line is"),
        ("a.jsonl", '{"text": 1}\n', "text is not text", "each line is"),
        ("a.jsonl", '{"messages": []}\n', "messages is not a list of turns", "each line is"),
        ("a.jsonl", '{"messages": {"role": "user"}}\n', "messages is not a list of turns", "each line is"),
        ("a.jsonl", '{"messages": [{"role": "user"}]}\n', "turn 1 has no role or no content", "each line is"),
        ("a.jsonl", '{"messages": [{"role": "bot", "content": "a"}]}\n', "the role 'bot'; the roles are", "each"),
        ("a.jsonl", json.dumps({"messages": [{"role": "user", "content": ""}]}), "turn 1 is empty", "each line is"),
        ("a.jsonl", json.dumps({"messages": TURNS[:1]}), "the last turn is the user's; there is no", "each line is"),
        ("a.jsonl", json.dumps({"messages": TURNS[1:]}), "one turn only; there is no prompt", "each line is"),
        ("a.jsonl", json.dumps({"messages": TURNS}) + '\n{"text": "c"}\n', "messages (line 1), text (line 2)", "one"),
        ("a.json", '[{"prompt": "a", "completion": "b"}]', "is one JSON list; JSON Lines are wanted", "jq -c '.[]'"),
        ("a.parquet", "PAR1 and more\n", "is not a whole parquet file", "download it again"),
        ("a.parquet", "PK and more\n", "is no parquet file: it does not begin with PAR1", "--data_format"),
        ("a.docx", "one two\n", "cannot be told from its name", "--data_format"),
    ],
)  # fmt: skip
def test_bad_files(written, name, content, message, hint):
    error = refusal(written(content, name))
    assert message in error.message
    assert hint in str(error.hint)


def test_a_file_that_is_not_there(tmp_path, written):
    assert "data is a TSV" in str(refusal(tmp_path / "absent.tsv").hint)
    written("a\tb\n", "words.tsv")
    assert "there are words.tsv" in str(refusal(tmp_path / "absent.tsv").hint)
    assert "does not exist" in refusal(tmp_path / "no folder" / "a.tsv").message
    assert "Not a directory" in refusal(tmp_path / "words.tsv" / "a.tsv").message


def test_a_folder(tmp_path):
    error = refusal(tmp_path)
    assert "is a folder" in error.message
    assert error.hint == f"ls {tmp_path}"


def test_all_bad_lines_are_counted_and_the_first_twenty_shown(written):
    error = refusal(written(many(1, 3) + "bad\n" * 25 + many(4, 2)))
    heading, *lines = error.message.splitlines()
    assert heading.endswith("has 25 bad lines:")
    assert [line.split(":")[0].strip() for line in lines[:20]] == [f"line {number}" for number in range(4, 24)]
    assert lines[20:] == ["  ... and 5 more"]


def test_a_long_line_is_clipped(written):
    error = refusal(written("x" * 500 + "\n"))
    assert "xxx..." in error.message
    assert len(error.message.splitlines()[1]) < 120


cells = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).map(str.strip).filter(bool)
rows = st.lists(st.tuples(cells, cells), min_size=1, max_size=8)


@given(rows)
def test_what_is_written_is_read_in_every_format(tmp_path_factory, expected):
    import csv

    folder = tmp_path_factory.mktemp("written")
    with (folder / "a.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(expected)
    tsv = "".join(f"{prompt}\t{response}\n" for prompt, response in expected)
    (folder / "a.tsv").write_text(tsv, encoding="utf-8")
    lines = [json.dumps({"prompt": prompt, "completion": response}) for prompt, response in expected]
    (folder / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    made = tuple(pair(line, *cells) for line, cells in enumerate(expected, start=1))
    for name in ("a.csv", "a.tsv", "a.jsonl"):
        assert read_data(folder / name, header="no").examples == made


@given(st.binary(max_size=80), st.sampled_from(["a.tsv", "a.csv", "a.jsonl", "a.json", "a"]))
def test_any_bytes_are_read_or_refused_with_the_files_name(tmp_path_factory, content, name):
    path = tmp_path_factory.mktemp("bytes") / name
    path.write_bytes(content)
    try:
        assert read_data(path).examples
    except SparksmithError as error:
        assert str(path) in error.message
        assert error.hint
