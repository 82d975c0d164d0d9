"""What the tests of the verbs share: a run that answers, and its answers known from the inside; a run that has begun.

Other files here have a `type_in` of their own.
"""

from __future__ import annotations

import io
import os
import shutil
import sys

import pytest

from answering import DATA, WORDS, make_run
from asked import machine
from records import write_checkpoint
from sparksmith.evaluate.find import find_model
from sparksmith.evaluate.load import load_ready
from sparksmith.runs.layout import RunFolder
from typed import type_words, without_torch


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A run that was evaluated on eval.tsv."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "eval.tsv").write_text(DATA, encoding="utf-8")
    return make_run(folder, spaces_separate="words", max_new_tokens=9, eval_file=str(folder / "eval.tsv"))


@pytest.fixture(scope="session")
def answers(made):
    """What the run answers to each word, from the inside."""
    from sparksmith.data.examples import Message
    from sparksmith.evaluate.dataset import predict

    ready = load_ready(find_model(str(made.path)))
    prompts = [ready.encoder.encode_prompt([Message("user", word)]) for word in WORDS]
    replies, _ = predict(ready.model, ready.encoder, prompts, max_new_tokens=9, batch_size=1, precision="fp32")
    found = dict(zip(WORDS, (reply.text for reply in replies), strict=True))
    assert len(set(found.values())) > len(WORDS) // 2
    return found


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """The working directory: run, which a test may spoil, and eval.tsv."""
    path = tmp_path / "it's a folder"
    shutil.copytree(made.path, path / "run")
    (path / "eval.tsv").write_text(DATA, encoding="utf-8")
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def type_in(folder, monkeypatch, capsys):
    """Type words, with bytes waiting on standard input; returns (exit code, standard output, standard error)."""

    def run(words, given=b""):
        reading, writing = os.pipe()
        os.write(writing, given)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            return type_words(monkeypatch, capsys, words)

    return run


@pytest.fixture
def type_without_torch(tmp_path, monkeypatch, capsys):
    """Type a command line in a folder with data; returns (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "data.tsv").write_text("cat\tk æ t\ndog\td ɒ ɡ\nox\tɒ k s\n", encoding="utf-8")
    (tmp_path / "other.tsv").write_text("cow\tk aʊ\n", encoding="utf-8")
    monkeypatch.setattr("sparksmith.machine.collect.collect", lambda: machine())
    monkeypatch.setattr("sparksmith.jobs.start.run_job", lambda folder: 0)
    monkeypatch.setattr("sparksmith.cli.train.check_torch", lambda: None)
    without_torch(monkeypatch)

    def run(words, answer=""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
        return type_words(monkeypatch, capsys, words)

    return run


@pytest.fixture
def begun(type_without_torch, tmp_path):
    """A run of `tiny` that stands at step 10 of 20."""
    (tmp_path / "prompt.txt").write_text("Be brief.")
    words = "train --model tiny --data_file data.tsv --eval_file other.tsv --max_steps 20 --batch_size 2 --seed 7"
    assert type_without_torch(words)[0] == 0
    write_checkpoint(tmp_path / "outputs", 10)
    return RunFolder(tmp_path / "outputs")
