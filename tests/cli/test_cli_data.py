"""The data at the command line: what is refused, and what a dry run and a run say of it."""

from __future__ import annotations

import io
import json

import jsonschema
import pyarrow
import pyarrow.parquet
import pytest

from asked import machine
from sparksmith.cli.data import said_if_slow
from sparksmith.recipe.plan import Plan
from sparksmith.runs.records import schema
from typed import check_refusal, type_words, without_torch


def parquet(**columns) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


PAIRS = parquet(prompt=["a", "b"], completion=["1", "2"])
TURNS = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
CHOICE = "--prompt_column word --response_column ipa"

# (files to write, words behind `train --data_file`, exit code, part of the message, part of the hint)
BAD = [
    ({}, "absent.parquet", 1, "absent.parquet does not exist", "parquet"),
    ({"near.parquet": PAIRS}, "neer.parquet", 1, "(perhaps you meant near.parquet)", "there are near.parquet"),
    ({"a.parquet": PAIRS[:40]}, "a.parquet", 1, "a.parquet is not a whole parquet file", "download it again"),
    ({"a.parquet": PAIRS[:-9]}, "a.parquet", 1, "a.parquet is not a whole parquet file", "download it again"),
    ({"a.parquet": b""}, "a.parquet", 1, "a.parquet is empty", "parquet"),
    ({"a.parquet": b"a\tb\n"}, "a.parquet", 1, "is no parquet file", "--data_format"),
    ({"a.tsv": PAIRS}, "a.tsv", 1, "is not a text file", "data is a TSV"),
    ({"a.tsv": b"a\tb\n"}, "a.tsv --data_format parquet", 1, "is no parquet file", "--data_format"),
    ({"a.parquet": parquet(x=[{"y": "a"}], z=["b"])}, "a.parquet", 1, "x (struct<y: string>)", "--prompt_column"),
    ({"a.parquet": parquet(x=["a"], y=["b"], z=[1])}, "a.parquet", 1, "z (int64)", "_column x --response_column y"),
    ({"a.parquet": PAIRS}, f"a.parquet {CHOICE}", 1, "has no column 'word'; it has 'prompt', 'completion'", "NAME"),
    ({"a.parquet": parquet(word=["a"], ipa=[1])}, f"a.parquet {CHOICE}", 1, "holds int64; text is wanted", "word"),
    ({"a.csv": b"a;b;c\n"}, "a.csv", 1, "line 1: 3 columns, 2 expected: 'a', 'b', 'c'", "--prompt_column a --resp"),
    ({"a.csv": b"word,ipa,n\na,b,1\n"}, "a.csv", 1, "3 columns, 2 expected", CHOICE),
    ({"a.csv": b"wort,ipa,n\na,b,1\n"}, f"a.csv {CHOICE}", 1, "no column 'word' (perhaps you meant wort)", "NAME"),
    ({"a.csv": b"a,b;c\n"}, "a.csv", 1, "a comma and a semicolon could part its cells", "use TSV"),
    ({"a.csv": b"a,b\n"}, "a.csv --prompt_column a", 2, "prompt_column is given without response_column", "--response"),
    ({"a.csv": b"a,b\n"}, "a.csv --header no " + CHOICE, 1, "header is no", "--prompt_column 1"),
    ({"a.csv": "a,b\n".encode("utf-16")}, "a.csv", 1, "a.csv is UTF-16", "iconv -f UTF-16"),
    ({"a.csv": b"one\n"}, "a.csv", 1, "1 column, 2 expected", "a comma"),
    ({"a.jsonl": TURNS.encode() + b'{"text": "a"}\n'}, "a.jsonl", 1, "mixes kinds of rows", "one kind"),
    ({"a.jsonl": b'{"q": "a", "a": "b"}\n' * 2}, "a.jsonl", 1, "it has q, a", "--prompt_column q --response_column a"),
    ({"a.jsonl": b'{"text": "\\udc00"}\n'}, "a.jsonl", 1, "half of a surrogate pair", "each line"),
    ({"a.tsv": b"a\tb\n"}, "a.tsv --model ./m --dry-run --json", 1, "the folder ./m does not exist", "--model takes"),
    ({"a.tsv": b"a\tb\n"}, "a.tsv --model a/b! --dry-run --json", 1, "no name on the hub", "--model takes"),
    ({}, "owner/name", 1, "there is no file owner/name; as a dataset on the hub it was not fetched before", "connect"),
    ({}, "owner/name:train:x", 2, "names no split of a dataset", "owner/name:SPLIT"),
    ({}, "owner/name:a/b/c", 2, "names no split of a dataset", "owner/name:CONFIGURATION/SPLIT"),
    ({}, "not/a/name", 1, "not/a/name does not exist", "data is a TSV"),
    ({"a.tsv": b"a\tb\n"}, "a.tsv --eval_file owner/name", 1, "there is no file owner/name", "connect"),
]  # fmt: skip


@pytest.fixture
def type_in(tmp_path, monkeypatch, capsys):
    """Type a command line into a folder with these files; returns (exit code, standard output, standard error)."""

    def run(files, words):
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sparksmith.machine.collect.collect", machine)
        return type_words(monkeypatch, capsys, words.split())

    return run


@pytest.fixture
def no_torch(monkeypatch):
    without_torch(monkeypatch)


@pytest.mark.parametrize(("files", "words", "code", "message", "hint"), BAD, ids=[row[1] + row[3] for row in BAD])
def test_bad_data(type_in, no_torch, tmp_path, files, words, code, message, hint):
    check_refusal(type_in(files, f"train --data_file {words}"), code, message, hint)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)


TRAIN = "cat\tk a t\ndog\td o g\ncat\tk æ t\ncafe\u0301\tk a f e\n".encode()
EVAL = b"dog\td o g\nfox\tf o x\n"


def test_a_dry_run_shows_what_was_seen(type_in, no_torch):
    code, out, err = type_in({"a.tsv": TRAIN, "b.tsv": EVAL}, "train --data_file a.tsv --eval_file b.tsv --dry-run")
    assert code == 0
    seen = out[out.index("\ndata, characters in a row") :]
    assert "conflicts: 1 prompt with several responses; line 3" in seen
    assert "not in Unicode's form NFC: 1 row (25.0%); line 4" in seen
    both = "in both: 1 prompt of the held-out part, 1 row (50.0%) with the same response; line 1"
    assert both in " ".join(seen.split())
    assert "x  U+0078 LATIN SMALL LETTER X, in 1 row, first in line 2" in seen
    assert "warning" not in err


def test_a_run_warns_and_records_it(type_in, no_torch, tmp_path, monkeypatch):
    monkeypatch.setattr("sparksmith.jobs.start.run_job", lambda folder: 0)
    monkeypatch.setattr("sparksmith.cli.train.check_torch", lambda: None)
    code, out, err = type_in({"a.tsv": TRAIN, "b.tsv": EVAL}, "train --data_file a.tsv --eval_file b.tsv")
    assert (code, out) == (0, "")
    warnings = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert warnings == [
        "warning: data: 1 prompt with several responses",
        "warning: data: 1 of 4 rows are not in Unicode's form NFC",
        "warning: held out: 1 prompt that the training data has too",
        "warning: held out: 1 character that the training data lacks: x",
    ]
    assert "hint: --dry-run shows where" in err
    record = json.loads((tmp_path / "outputs/data.json").read_text(encoding="utf-8"))
    jsonschema.validate(record, schema("data"))
    assert record["files"][0]["lengths"]["unit"] == "characters"
    assert [file["role"] for file in record["files"]] == ["train", "eval"]


def test_clean_data_is_not_talked_about(type_in, no_torch, monkeypatch):
    monkeypatch.setattr("sparksmith.jobs.start.run_job", lambda folder: 0)
    monkeypatch.setattr("sparksmith.cli.train.check_torch", lambda: None)
    code, _, err = type_in({}, "train g2p-hebrew")
    assert code == 0
    assert "warning" not in err and "hint" not in err


def test_a_dry_run_counts_the_tokens_of_tiny(type_in):
    words = "train --data_file a.tsv --eval_file b.tsv --model tiny --max_length 9 --dry-run --json"
    code, out, _ = type_in({"a.tsv": TRAIN, "b.tsv": EVAL}, words)
    assert code == 0
    shown = json.loads(out)
    jsonschema.validate(shown["data"], schema("data"))
    lengths = shown["data"]["files"][0]["lengths"]
    # a mark before the prompt, one before the response, one at the end, and a token for each character
    assert (lengths["unit"], lengths["shortest"], lengths["longest"]) == ("tokens", 3 + 3 + 5, 3 + 5 + 7)
    assert (lengths["max_length"], lengths["over"]) == (9, 4)
    assert Plan.model_validate(shown["plan"]).max_length == 9


def test_a_dry_run_of_a_model_that_lies_here_counts_its_tokens(type_in, tmp_path):
    from small_models import byte_tokenizer

    byte_tokenizer(None, begin="<|begin|>", end="<|end|>", marks=()).save_pretrained(tmp_path / "model")
    (tmp_path / "model/config.json").write_text("{}")
    files = {"a.tsv": b"ab\tc\nabcd\tc\n"}
    words = "train --data_file a.tsv --model ./model --separator => --dry-run --json"
    code, out, err = type_in(files, words)
    assert code == 0, err
    lengths = json.loads(out)["data"]["files"][0]["lengths"]
    assert (lengths["unit"], lengths["shortest"], lengths["longest"]) == ("tokens", 2 + 2 + 1 + 1, 4 + 2 + 1 + 1)


def test_columns_are_in_the_plan_and_in_what_is_shown(type_in, no_torch):
    files = {"a.csv": b"n;word;ipa\n1;cat;k\n2;dog;d\n"}
    code, out, _ = type_in(files, f"train --data_file a.csv {CHOICE} --dry-run")
    assert code == 0
    shown = "a.csv: 2 prompts with responses (csv) parted by a semicolon, columns 'word' and 'ipa'"
    assert shown in out
    plan = json.loads(type_in({}, f"train --data_file a.csv {CHOICE} --dry-run --json")[1])["plan"]
    assert (plan["prompt_column"], plan["response_column"]) == ("word", "ipa")


def test_what_takes_long_is_said_and_what_does_not_is_not(monkeypatch, capsys):
    with said_if_slow("reading"):
        pass
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sparksmith.cli.data.SLOW_SECONDS", 0.0)
    import threading

    said = threading.Event()
    monkeypatch.setattr("sparksmith.cli.data.click.echo", lambda text, err: said.set())
    with said_if_slow("reading"):
        assert said.wait(10)
