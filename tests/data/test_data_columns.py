"""Two columns of several: delimiters, headers, names and numbers, in tables, JSONL and parquet."""

from __future__ import annotations

import pytest

from sparksmith.base.errors import ExitCode, SparksmithError, UsageProblem
from sparksmith.data.read import read_data

TWO = {"prompt_column": "word", "response_column": "ipa"}


@pytest.fixture
def written(tmp_path):
    """Write a data file and return its path."""

    def write(content: str, name: str):
        path = tmp_path / name
        path.write_bytes(content.encode("utf-8"))
        return path

    return write


def rows(file) -> list[tuple[int, str, str]]:
    return [(example.line, example.prompt, example.response) for example in file.examples]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "id,word,ipa\n1,cat,k æ t\n2,dog,d\n"),
        ("a.csv", "id;ipa;word\n1;k æ t;cat\n2;d;dog\n"),
        ("a.csv", "word\tid\tipa\ncat\t1\tk æ t\ndog\t2\td\n"),
        ("a.csv", '"word",id,"ipa"\n"cat",1,"k æ t"\ndog,2,d\n'),
        ("a.tsv", "ipa\tid\tword\nk æ t\t1\tcat\nd\t2\tdog\n"),
        ("a.tsv", " word \tipa\tnote\ncat\tk æ t\t\ndog\td\tx\n"),
        ("a.tsv", "word\tipa\ncat\tk æ t\ndog\td\n"),
    ],
)
def test_columns_by_name(written, name, content):
    file = read_data(written(content, name), **TWO)
    assert rows(file) == [(2, "cat", "k æ t"), (3, "dog", "d")]
    assert file.describe().endswith("columns 'word' and 'ipa'")


def test_columns_of_jsonl_by_name(written):
    content = '{"id": 1, "word": "cat", "ipa": "k"}\n{"ipa": "d", "word": "dog", "text": "x"}\n'
    assert rows(read_data(written(content, "a.jsonl"), **TWO)) == [(1, "cat", "k"), (2, "dog", "d")]


def test_columns_by_number(written):
    file = read_data(written("cat,1,k æ t\ndog,2,d\n", "a.csv"), prompt_column="1", response_column="3")
    assert rows(file) == [(1, "cat", "k æ t"), (2, "dog", "d")]
    file = read_data(written("id,word,ipa\n1,cat,k\n", "d.csv"), prompt_column="2", response_column="3")
    assert rows(file) == [(2, "cat", "k")]
    # a header that is called so wins
    file = read_data(written("1,3,2\ncat,k,x\n", "b.csv"), prompt_column="1", response_column="3")
    assert rows(file) == [(2, "cat", "k")]
    file = read_data(written("x,y,z\ncat,k,x\n", "c.csv"), header="yes", prompt_column="3", response_column="1")
    assert rows(file) == [(2, "x", "cat")]


@pytest.mark.parametrize(
    ("content", "delimiter", "first"),
    [
        ("cat;k æ t\ndog;d\n", "a semicolon", ("cat", "k æ t")),
        ("cat\tk, æ\ndog\td\n", "a tab", ("cat", "k, æ")),
        ("ja, nein;jaː\nnein;naɪn\n", "a semicolon", ("ja, nein", "jaː")),  # only it parts every line
        ("a;b,c\nd,e\n", None, ("a;b", "c")),
        ('"a;b",c\n"d",e\n', None, ("a;b", "c")),
        ('"a,b";c\n', "a semicolon", ("a,b", "c")),
        ("a,b\n", None, ("a", "b")),
    ],
)
def test_what_parts_the_cells_of_csv(written, content, delimiter, first):
    file = read_data(written(content, "a.csv"), header="no")
    assert rows(file)[0][1:] == first
    assert (f"parted by {delimiter}" in file.describe()) == (delimiter is not None)


BAD = [
    # name, content, options, message, hint
    ("a.csv", "a;b,c;d\ne;f,g;h\n", {}, "a comma and a semicolon could part its cells", "quotes, or use TSV"),
    ("a.csv", "word,ipa,id\na,b,1\n", {}, "3 columns, 2 expected: 'word', 'ipa', 'id'", "--prompt_column word --resp"),
    ("a.csv", "id;word;ipa\n1;a;b\n", {}, "3 columns, 2 expected: 'id', 'word', 'ipa'", "_column word --resp"),
    ("a.csv", "x y,z!,3\na,b,1\n", {}, "line 1: 3 columns, 2 expected", "by number, --prompt_column 1"),
    ("a.tsv", "my word\tthe ipa\tz\na\tb\tc\n", {"header": "yes"}, "line 2: 3 columns", "--prompt_column 'my word'"),
    ("a.csv", "word,ipa\na,b\n", {**TWO, "prompt_column": "wrod"}, "no column 'wrod' (perhaps you meant word)", "NAME"),
    ("a.csv", "word,ipa\na,b\n", {**TWO, "header": "no"}, "header is no", "--prompt_column 1"),
    ("a.csv", "a,b,c\n", {"prompt_column": "1", "response_column": "4"}, "no column 4: line 1 has 3", "from 1"),
    ("a.csv", "a,b,c\n", {"prompt_column": "0", "response_column": "1"}, "no column 0", "counted from 1"),
    ("a.csv", "word,x,ipa\na,b\n", TWO, "line 2: 2 columns, 3 expected", "each line"),
    ("a.csv", "word,x,ipa\na,b,\n", TWO, "line 2: the response is empty", "each line"),
    ("a.csv", "word,x,ipa\n", TWO, "holds no examples", "each line"),
    ("a.jsonl", '{"wort": "a", "ipa": "b"}\n', TWO, "no column 'word' (perhaps you meant wort)", "NAME"),
    ("a.jsonl", '{"word": "a", "ipa": "b"}\n{"word": "a"}\n', TWO, "line 2: it has no ipa; it has word", "each line"),
    ("a.jsonl", '{"word": "a", "ipa": 7}\n', TWO, "line 1: ipa is int; text is wanted", "each line"),
    ("a.jsonl", '{"word": "a", "ipa": null}\n', TWO, "line 1: ipa is null; text is wanted", "each line"),
    ("a.jsonl", '{"word": " ", "ipa": "b"}\n', TWO, "line 1: word is empty", "each line"),
    ("a.jsonl", '{"word": "a", "ipa": "b"}\n' * 2, {}, "it has word, ipa", "column word --response_column ipa"),
    ("a.jsonl", '{"text": "\\ud800"}\n', {}, "line 1: half of a surrogate pair", "each line"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "options", "message", "hint"), BAD, ids=[row[3] for row in BAD])
def test_what_cannot_be_chosen_is_said(written, name, content, options, message, hint):
    path = written(content, name)
    with pytest.raises(SparksmithError) as caught:
        read_data(path, **options)
    assert str(path) in caught.value.message
    assert message in caught.value.message
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt_column": "a"}, "prompt_column is given without response_column"),
        ({"response_column": "a"}, "response_column is given without prompt_column"),
        ({"prompt_column": "a", "response_column": "a"}, "are both a"),
    ],
)
def test_half_a_choice_is_a_mistake_of_the_command(written, options, message):
    with pytest.raises(UsageProblem, match=message) as caught:
        read_data(written("a,b\n", "a.csv"), **options)
    assert caught.value.exit_code == ExitCode.USAGE


def test_an_emoji_of_two_escapes_is_text(written):
    file = read_data(written('{"text": "\\ud83d\\ude00"}\n', "a.jsonl"))
    assert file.examples[0].text == "😀"
