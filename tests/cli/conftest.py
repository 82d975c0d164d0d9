"""What the tests of eval, predict and chat share: a run that answers, and its answers known from the inside.

Other files here have a `type_in` of their own.
"""

from __future__ import annotations

import os
import shutil
import sys

import pytest

from answering import DATA, WORDS, make_run
from sparksmith.evaluate.find import find_model
from sparksmith.evaluate.load import load_ready
from typed import type_words


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
