"""Datasets from a hub: every shape of split, and every way in which a hub can fail. In processes of their own."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from hub.server import Hub, Repository, serve
from sparksmith.data.read import read_data

pytestmark = pytest.mark.effects

# Reads each name as `train` does. The pauses between huggingface_hub's attempts are left out.
SCRIPT = """
import json, sys
sys.modules["torch"] = None
from sparksmith.base.errors import SparksmithError
from sparksmith.data.named import read_named
import huggingface_hub.file_download as downloads
downloads.time.sleep = lambda seconds: None
downloads.constants.DOWNLOAD_CHUNK_SIZE = 500
for words in sys.argv[1:]:
    name, _, role = words.partition("=")
    notes = []
    try:
        file = read_named(name, role or "train", say=notes.append)
        answer = {
            "rows": [[one.prompt, one.response] for one in file.examples], "title": file.title, "path": str(file.path),
            "sha256": file.sha256, "format": file.format,
        }
    except SparksmithError as error:
        answer = {"message": error.message, "hint": error.hint}
    print(json.dumps({**answer, "notes": notes}), flush=True)
"""


def read(home: Path, address: str, *names: str, **environment: str) -> list[dict]:
    """What became of each name, in one process; `name=eval` is a held-out part."""
    clean = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    settings = {
        "HF_HOME": str(home / "hub"), "XDG_CACHE_HOME": str(home / "cache"), "HF_ENDPOINT": address,
        "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *names], capture_output=True, text=True, timeout=60, check=False, cwd=home,
        env={**clean, **settings, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def lines(*pairs: tuple[str, str]) -> bytes:
    return "".join(json.dumps({"prompt": a, "completion": b}) + "\n" for a, b in pairs).encode()


def parquet(*pairs: tuple[str, str], names=("prompt", "completion"), rest: int = 0) -> bytes:
    """A parquet file of two columns, and a third of random bytes that no compression makes small."""
    columns = {name: [pair[at] for pair in pairs] for at, name in enumerate(names)}
    if rest:
        columns["noise"] = [os.urandom(rest) for _ in pairs]
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


ONE, TWO, THREE = ("a", "1"), ("b", "2"), ("c", "3")
CARD = {"configs": [
    {"config_name": "words", "data_files": [{"split": "train", "path": "w/*.tsv"}, {"split": "dev", "path": "w2.tsv"}]},
    {"config_name": "phrases", "data_files": "p.csv"},
]}  # fmt: skip


def repositories() -> dict[str, Repository]:
    return {
        "we/shards": Repository({
            "README.md": b"", "data/train-00000-of-00002.parquet": parquet(ONE, TWO, rest=2000),
            "data/train-00001-of-00002.parquet": parquet(THREE, rest=1),
            "data/test-00000-of-00001.parquet": parquet(TWO),
        }),
        "we/mixed": Repository({
            "train-0.parquet": parquet(ONE), "train-1.parquet": parquet(TWO, names=("word", "ipa")),
        }),
        "we/lines": Repository({"train.jsonl": lines(ONE), "dev.jsonl": lines(TWO), "test.jsonl": lines(THREE)}),
        "we/single": Repository({"all.tsv": b"a\t1\nb\t2\n"}),
        "we/zipped": Repository({
            "train/0.jsonl.gz": gzip.compress(lines(ONE).rstrip()), "train/1.jsonl.gz": gzip.compress(lines(TWO)),
            "train/2.json": json.dumps([{"prompt": "c", "completion": "3"}]).encode(),
        }),
        "we/tables": Repository({"train-0.csv": b"word,ipa\na,1\n", "train-1.csv": b"word,ipa\nb,2"}),
        "we/card": Repository({"w/x.tsv": b"a\t1\n", "w2.tsv": b"b\t2\n", "p.csv": b"c,3\n"}, card=CARD),
        "we/nothing": Repository({"README.md": b"x", "model.bin": b"y"}),
        "we/gated": Repository({"train.jsonl": lines(ONE)}, gated=True),
        "we/broken": Repository({"train.jsonl": lines(ONE) * 50}),
    }  # fmt: skip


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """One hub, asked once: (what became of each name, the hub, the user's folders)."""
    names = (
        "we/shards", "we/shards=eval", "we/lines", "we/lines=eval", "we/lines:test", "we/lines:dev", "we/lines:tset",
        "we/mixed", "we/single", "we/single=eval", "we/zipped", "we/tables", "we/card", "we/card:words/train",
        "we/card:words/dev",
        "we/card:phrases/train", "we/card:wrods/train", "we/nothing", "we/gated", "we/absent", "we/broken",
    )  # fmt: skip
    home = tmp_path_factory.mktemp("user")
    hub = Hub(datasets=repositories())
    hub.broken = {"we/shards/data/train-00000-of-00002.parquet": [1500, 1000], "we/broken/train.jsonl": [600, -1]}
    with serve(hub):
        found = dict(zip(names, read(home, hub.address, *names), strict=True))
    return found, hub, home


@pytest.mark.parametrize(
    ("name", "rows", "title", "form"),
    [
        ("we/shards", [ONE, TWO, THREE], "we/shards:train", "parquet"),
        ("we/shards=eval", [TWO], "we/shards:test", "parquet"),
        ("we/lines", [ONE], "we/lines:train", "jsonl"),
        ("we/lines=eval", [TWO], "we/lines:validation", "jsonl"),
        ("we/lines:test", [THREE], "we/lines:test", "jsonl"),
        ("we/lines:dev", [TWO], "we/lines:validation", "jsonl"),
        ("we/single", [ONE, TWO], "we/single:train", "tsv"),
        ("we/tables", [ONE, TWO], "we/tables:train", "csv"),
        ("we/zipped", [ONE, TWO, THREE], "we/zipped:train", "jsonl"),
        ("we/card:words/train", [ONE], "we/card:words/train", "tsv"),
        ("we/card:words/dev", [TWO], "we/card:words/dev", "tsv"),
        ("we/card:phrases/train", [THREE], "we/card:phrases/train", "csv"),
    ],
)  # fmt: skip
def test_splits_become_files(answers, name, rows, title, form):
    answer = answers[0][name]
    assert [tuple(row) for row in answer["rows"]] == rows
    assert answer["title"] == f"{title} at commit 01234567"
    assert answer["format"] == form
    assert answer["notes"] == []
    # the Job reads the file by its path, and nothing else
    file = read_data(Path(answer["path"]))
    assert file.sha256 == answer["sha256"] and len(file.examples) == len(rows)
    assert [path.name for path in file.path.parent.iterdir() if path.name.startswith(".")] == []


def test_a_download_that_broke_off_goes_on_where_it_was(answers):
    _, hub, _ = answers
    begun, *then = hub.downloads("we/shards/data/train-00000-of-00002.parquet")
    assert begun is None
    assert then == ["bytes=1500-", "bytes=2500-"]


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("we/mixed", "the split's 2 parquet files cannot be put together", "make one file of them"),
        ("we/lines:tset", "has no split tset (perhaps you meant test); it has test, train", "we/lines:test"),
        ("we/single=eval", "has no split validation and no split test; it has train", "we/single:train"),
        ("we/card", "has 2 configurations: words, phrases", "choose one: we/card:words/train"),
        ("we/card:wrods/train", "has no configuration wrods (perhaps you meant words)", "we/card:words/train"),
        ("we/nothing", "holds no parquet, JSONL, CSV or TSV (2 other files)", "hf download we/nothing --repo-type"),
        ("we/gated", "the dataset we/gated is gated on the hub", "/datasets/we/gated, then: hf auth login"),
        ("we/absent", "the hub has no dataset we/absent, or it is private", "/datasets; for a private one: hf auth"),
        ("we/broken", "the download of the dataset we/broken broke off", "try again"),
    ],
)
def test_what_cannot_be_had_is_said(answers, name, message, hint):
    answer = answers[0][name]
    assert message in answer["message"]
    assert hint in answer["hint"]


@pytest.mark.parametrize("environment", [{}, {"HF_HUB_OFFLINE": "1"}])
def test_without_the_hub_what_was_fetched_is_there(answers, environment):
    before, hub, home = answers  # its server is gone
    names = ("we/shards", "we/lines=eval", "we/card:words/dev", "we/broken", "we/lines:other")
    whole, held_out, of_card, broken, other = read(home, hub.address, *names, **environment)
    assert whole["path"] == before["we/shards"]["path"] and whole["sha256"] == before["we/shards"]["sha256"]
    assert "127.0.0.1 cannot be reached" in whole["notes"][0] and "as it was fetched before" in whole["notes"][0]
    assert held_out["title"] == "we/lines:validation at commit 01234567"
    assert of_card["rows"] == [list(TWO)]
    for answer, name in ((broken, "we/broken"), (other, "we/lines:other")):
        assert f"there is no file {name}; as a dataset on the hub it was not fetched before" in answer["message"]
        assert "127.0.0.1 cannot be reached" in answer["message"]
        assert "name a file that lies here" in answer["hint"]


def test_a_newer_commit_is_taken_and_the_older_file_stays(tmp_path):
    hub = Hub(datasets={"we/lines": Repository({"train.jsonl": lines(ONE)})})
    with serve(hub):
        (first,) = read(tmp_path, hub.address, "we/lines")
        asked = len(hub.downloads("we/lines/resolve/" + "0123456789abcdef" * 2 + "01234567/train.jsonl"))
        (again,) = read(tmp_path, hub.address, "we/lines")
        assert again["path"] == first["path"] and asked == 1
        assert len([path for method, path, _ in hub.asked if method == "GET" and "resolve" in path]) == 1
        hub.datasets["we/lines"] = Repository({"train.jsonl": lines(TWO)}, commit="f" * 40)
        (newer,) = read(tmp_path, hub.address, "we/lines")
        hub.failing = True
        failing, other = read(tmp_path, hub.address, "we/lines", "we/other")
    assert failing["path"] == newer["path"]
    assert "nor could it be fetched: Server error '500" in failing["notes"][0]
    assert (
        "nor could it be fetched: Server error '500" in other["message"]
        and "name a file that lies here" in other["hint"]
    )
    assert newer["title"] == "we/lines:train at commit ffffffff" and newer["rows"] == [list(TWO)]
    assert read_data(Path(first["path"])).examples[0].prompt == "a"
    (offline,) = read(tmp_path, hub.address, "we/lines", HF_HUB_OFFLINE="1")
    assert offline["path"] == newer["path"]


def test_the_command_says_which_split_was_taken(tmp_path):
    hub = Hub(datasets={"we/lines": repositories()["we/lines"], "we/gated": repositories()["we/gated"]})

    def dry_run(*words: str) -> tuple[int, str, str]:
        settings = {"HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
        done = subprocess.run(
            [sys.executable, "-m", "sparksmith", "train", "--dry-run", *words], capture_output=True, text=True,
            timeout=60, check=False, cwd=tmp_path, env={**os.environ, **settings},
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    with serve(hub):
        code, out, err = dry_run("--data_file", "we/lines", "--eval_file", "we/lines")
        assert code == 0, err
        assert "     data  we/lines:train at commit 01234567: 1 prompt with its response (jsonl)\n" in out
        assert " held out  we/lines:validation at commit 01234567: 1 prompt with its response (jsonl)\n" in out
        code, out, err = dry_run("--data_file", "we/gated")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "error: the dataset we/gated is gated on the hub",
        f"hint: accept its terms at {hub.address}/datasets/we/gated, then: hf auth login",
    ]
