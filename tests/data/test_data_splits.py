"""Names on the hub, and which files make up a split."""

from __future__ import annotations

import pytest

from sparksmith.base.errors import SparksmithError, UsageProblem
from sparksmith.data.hub import HubName, parse_hub_name
from sparksmith.data.splits import choose_config, data_ending, find_splits


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("owner/name", HubName("owner/name", None, None)),
        ("owner/name:test", HubName("owner/name", None, "test")),
        ("owner/name:main/test", HubName("owner/name", "main", "test")),
        ("owner/my.data-set_2", HubName("owner/my.data-set_2", None, None)),
        ("owner/train.tsv", None),
        ("owner/train.jsonl", None),
        ("data/absent", None),  # a folder of that name lies here
        ("data.tsv", None),
        ("a/b/c", None),
        ("./a/b", None),
        ("/a/b", None),
        ("~/a", None),
        ("sample:g2p-hebrew/train.tsv", None),
        ("owner/na me", None),
        ("", None),
    ],
)
def test_what_is_a_name_on_the_hub(name, expected):
    assert parse_hub_name(name) == expected


def test_what_lies_here_is_no_name_on_the_hub(folder):
    (folder / "owner").mkdir()
    (folder / "owner/name").write_text("a\tb\n")
    assert parse_hub_name("owner/name") is None


@pytest.mark.parametrize("name", ["owner/name:", "owner/name:a/b/c", "owner/name:a b", "owner/name:/test"])
def test_what_is_no_split(name):
    with pytest.raises(UsageProblem, match="names no split") as caught:
        parse_hub_name(name)
    assert "owner/name:SPLIT" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("file", "ending"),
    [
        ("a.parquet", ".parquet"), ("a.jsonl", ".jsonl"), ("a.json", ".jsonl"), ("a.ndjson.gz", ".jsonl"),
        ("a.CSV", ".csv"), ("x/a.tsv.gz", ".tsv"), ("README.md", None), ("a.txt", None), ("dataset_infos.json", None),
        (".hidden.json", None), ("train", None),
    ],
)  # fmt: skip
def test_data_endings(file, ending):
    assert data_ending(file) == ending


@pytest.mark.parametrize(
    ("files", "entry", "expected"),
    [
        (["a.csv", "b.csv", "README.md"], None, {"train": ["a.csv", "b.csv"]}),
        (["my_train.csv", "my_dev.csv"], None, {"train": ["my_train.csv"], "validation": ["my_dev.csv"]}),
        (["train/x.csv", "test/y.csv", "z.csv"], None, {"train": ["train/x.csv"], "test": ["test/y.csv"]}),
        (["test/train.csv"], None, {"train": ["test/train.csv"]}),  # the file's own name counts first
        (["trainer.csv", "contest.csv"], None, {"train": ["trainer.csv", "contest.csv"]}),  # only whole words
        (["train-00000-of-00002.parquet"], None, {"train": ["train-00000-of-00002.parquet"]}),
        (["README.md"], None, {}),
        (["d/train.csv", "e/train.csv"], {"data_dir": "e"}, {"train": ["e/train.csv"]}),
        (["a.csv", "b.csv"], {"data_files": "b.csv"}, {"train": ["b.csv"]}),
        (["a.csv", "b.csv", "d/c.csv"], {"data_files": ["*.csv"]}, {"train": ["a.csv", "b.csv"]}),
        (["a.csv", "d/e/c.csv"], {"data_files": "**/*.csv"}, {"train": ["a.csv", "d/e/c.csv"]}),
        (["p/a.csv", "p/q/b.csv"], {"data_files": "p/**"}, {"train": ["p/a.csv", "p/q/b.csv"]}),
        (["a1.csv", "a2.csv", "b1.csv"], {"data_files": "[!b]?.csv"}, {"train": ["a1.csv", "a2.csv"]}),
        (["a.csv", "b.csv"], {"data_files": {"test": "a.csv", "gone": "x.csv"}}, {"test": ["a.csv"]}),
        (["d/a.csv"], {"data_dir": "d", "data_files": [{"split": "dev", "path": ["a.csv"]}]}, {"dev": ["d/a.csv"]}),
    ],
)
def test_the_files_of_a_split(files, entry, expected):
    assert find_splits(files, entry, "we/data") == expected


@pytest.mark.parametrize(
    ("data_files", "message"),
    [
        ([{"split": "dev", "path": None}], "its split dev: its files are null"),
        ([{"split": "dev", "path": ["a.csv", None]}], 'its split dev: its files are ["a.csv", null]'),
        ({"test": 5}, "its split test: its files are 5"),
        (True, "its split train: its files are true"),
        (["a.csv", {"split": "dev", "path": "b.csv"}], "its split train: its files are"),
        ("[z-a].csv", "its split train: [z-a].csv is no pattern (bad character range z-a)"),
        ({"test": ["a.csv", "[].csv"]}, "its split test: [].csv is no pattern"),
    ],
)
def test_a_card_that_names_no_files(data_files, message):
    with pytest.raises(SparksmithError) as caught:
        find_splits(["a.csv"], {"data_files": data_files}, "we/data")
    assert f"the card of the dataset we/data does not say which files make up {message}" in caught.value.message
    assert caught.value.hint == "hf download we/data --repo-type dataset, and name the file"


CARD = {"configs": [{"config_name": "one", "data_files": "a.csv"}, {"config_name": "two", "default": True}]}


def test_the_configuration():
    assert choose_config({}, None, "we/data") == choose_config({"configs": 5}, None, "we/data") == (None, None)
    assert choose_config(CARD, None, "we/data") == ("two", CARD["configs"][1])
    assert choose_config(CARD, "one", "we/data") == ("one", CARD["configs"][0])
    assert choose_config({"configs": CARD["configs"][:1]}, None, "we/data") == ("one", CARD["configs"][0])
    assert choose_config({"configs": [{"config_name": "default"}]}, None, "we/data")[0] is None
    with pytest.raises(SparksmithError, match="has no configuration three; it has one, two"):
        choose_config(CARD, "three", "we/data")
    with pytest.raises(SparksmithError, match="has no configuration three") as caught:
        choose_config({}, "three", "we/data")
    assert caught.value.hint == "we/data:train"
