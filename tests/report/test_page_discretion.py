"""A page may be posted: no secrets, no names, no places; and nothing from a run is more than text."""

from __future__ import annotations

import json
import socket

import pytest

from made_runs import data, evaluation, plan, write_lines, write_made_run
from sparksmith.report.compare import render_comparison
from sparksmith.report.discretion import Discretion, discretion_of
from sparksmith.report.page import State, render_run
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import write_manifest

TOKEN = "hf_" + "Ab3" * 11
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"</style></title>"


@pytest.fixture
def private(tmp_path, monkeypatch):
    """A run in the home of a user with a name, on a host with a name, that named an index in its records."""
    home = tmp_path / "homes" / "marlowe"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USER", "marlowe")
    monkeypatch.setenv("UV_INDEX_URL", "https://packages.corp-mirror.example/list")
    monkeypatch.setattr(socket, "gethostname", lambda: "bigsleep.lan.example")
    folder = write_made_run(home / "trainings" / "run-1")
    index = f"https://marlowe:{TOKEN}@packages.corp-mirror.example/list"
    says = [
        f"cannot reach {index}: see {home}/.netrc",
        "HTTPSConnectionPool(host='internal-hub', port=443) of bigsleep",
        "user marlowe on bigsleep.lan.example, proxy http://10.20.30.40:3128, peer 10.20.30.41:29500",
        "/home/vivian/models/base is not there, nor /mnt/sternwood/models/base",
        f"export HF_TOKEN={TOKEN}",
        "vivian asked for it",
    ]
    rows = [{"version": 1, "time": 1.0, "kind": "warning", "message": text, "step": 1} for text in says]
    write_lines(folder.events, rows)
    paths = {
        "train_data": {"path": f"{home}/data/train.tsv", "rows": 3, "sha256": "0" * 64},
        "model": f"{home}/models/mine", "device": index,
    }  # fmt: skip
    folder.plan.write_text(json.dumps(plan(folder.path, 600) | paths))
    command = ["sparksmith", "train", f"{home}/my recipe.yaml", "--output_dir", str(folder.path), "--hub", index]
    write_manifest(folder, command=command, message=says[0], state="failed")
    told = evaluation() | {"data": f"{home}/data/held_out.tsv", "model": f"{home}/models/mine"}
    told["worst"][0] |= {"prompt": f"my token is {TOKEN}", "prediction": f"{home}/diary.txt"}
    folder.evaluation.write_text(json.dumps(told))
    seen = data()
    seen["files"][0]["path"] = f"{home}/data/train.tsv"
    folder.data.write_text(json.dumps(seen))
    lines = [{"prompt": f"{home} {index}", "reference": "marlowe", "prediction": "marlowe", "untrained": TOKEN}]
    write_lines(folder.predictions, lines)
    return folder


SECRETS = (TOKEN, "corp-mirror", "internal-hub", "bigsleep", "10.20.30", "/homes/", "/home/", "sternwood", "vivian")


class TestPosted:
    def test_nothing_private_stands_on_the_page(self, private):
        page = render_run(private)
        assert [word for word in SECRETS if word in page] == []
        # a row of data keeps its words; nothing else names the user
        assert page.count("marlowe") == page.count('<bdi dir="auto">marlowe</bdi>') == 2

    def test_nor_on_a_comparison(self, private, tmp_path):
        other = write_made_run(tmp_path / "other")
        page = render_comparison(
            [private, other], [State("failed", private.manifest.read_text()), State("finished", "")]
        )
        assert [word for word in (*SECRETS, "marlowe") if word in page] == []

    def test_places_are_told_from_the_home_on(self, private):
        page = render_run(private)
        assert "~/trainings/run-1" in page
        assert "sparksmith train ~/&#39;my recipe.yaml&#39; --output_dir ~/trainings/run-1" in page
        assert "…/base is not there, nor …/base" not in page
        assert "~/models/base is not there, nor …/base" in page


class TestWords:
    @pytest.fixture
    def discreet(self, tmp_path):
        return Discretion(tmp_path / "run", "/h/ada", users=["ada", "root", ""], hosts=["spark-1", "localhost"])

    @pytest.mark.parametrize(
        ("said", "shown"),
        [
            ("/h/ada/data/x.tsv", "~/data/x.tsv"), ("/h/ada", "~"), ("/h/adam/x.tsv", "…/x.tsv"),
            ("read /data/sets/x.tsv, then", "read …/x.tsv, then"), ("/home/eve/x", "~/x"), ("/root/x", "~/x"),
            ("ada and adam at spark-1", "[user] and adam at [host]"), ("root on localhost", "root on localhost"),
            ("https://huggingface.co/unsloth/gemma", "https://huggingface.co/unsloth/gemma"),
            ("https://a:b@pypi.org/x", "https://[redacted]@pypi.org/x"),
            ("https://[redacted]@index.example/x", "https://[address]"),
            ("git+ssh://git.example/x", "git+ssh://[address]"), ("https://evil-huggingface.co/x", "https://[address]"),
            ("driver 580.95.05, 13.0.2.14", "driver 580.95.05, 13.0.2.14"), ("1/2 and/or 3", "1/2 and/or 3"),
            ("unsloth/gemma-3-270m-it", "unsloth/gemma-3-270m-it"),
        ],
    )  # fmt: skip
    def test_texts(self, discreet, said, shown):
        assert discreet.text(said) == shown

    def test_inside_the_run_paths_begin_there(self, discreet, tmp_path):
        assert discreet.text(f"saved {tmp_path}/run/checkpoint-5") == "saved checkpoint-5"
        assert discreet.text(f"{tmp_path}/run") == "run"

    def test_rows_of_data_keep_their_words(self, discreet):
        assert discreet.words_of_data("ada /k æ t/ a/b/c") == "ada /k æ t/ a/b/c"

    def test_the_user_whose_home_a_record_names_is_hidden(self, tmp_path):
        discreet = discretion_of(tmp_path, [{"output_dir": "/home/grace/outputs"}])
        assert discreet.text("grace") == "[user]"


class TestEscaped:
    def test_nothing_of_a_run_is_markup(self, tmp_path):
        folder = write_made_run(tmp_path / "run")
        for path in (folder.manifest, folder.plan, folder.settings, folder.evaluation, folder.data):
            content = json.loads(path.read_text())
            path.write_text(json.dumps(poison(content)))
        for path in (folder.predictions, folder.events):
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            kept = {"kind", "time", "step"}
            write_lines(
                path, [{key: value if key in kept else poison(value) for key, value in row.items()} for row in rows]
            )
        page = render_run(folder)
        assert page.count("<script>") == 1  # our own
        assert "<img" not in page
        assert page.count("</style>") == page.count("</title>") - page.count("</title></path>") == 1
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page

    def test_nor_in_a_comparison(self, tmp_path):
        folders = [RunFolder(tmp_path / name) for name in ("a", "<b>b<b>")]
        for folder in folders:
            write_made_run(folder.path, name=HOSTILE, optim=f"{HOSTILE}{folder.path.name}")
        page = render_comparison(folders, [State(HOSTILE, HOSTILE)] * 2)
        assert page.count("<script>") == 1
        assert "<img" not in page
        assert "<b>b<b>" not in page


def poison(value):
    """Every text in a record with markup behind it."""
    if isinstance(value, str):
        return value + HOSTILE
    if isinstance(value, dict):
        return {key: poison(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [poison(inner) for inner in value]
    return value
