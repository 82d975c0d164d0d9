"""Standard output that is full, closed or gone, and folders that cannot be written."""

from __future__ import annotations

import errno
import io
import os
import shlex
import sys
from pathlib import Path

import pytest

from asked import machine
from made_runs import write_made_run
from sparksmith.cli.main import main
from sparksmith.report.terminal import OutputLost, Watched
from typed import check_refusal, type_words, without_torch

VERBS = ["runs show 'a run'", "runs show 'a run' --json", "recipe schema", "--help", "train --help",
         "report 'a run' --output -", "logs 'a run'", "train g2p-hebrew --dry-run"]  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sparksmith.machine.collect.collect", machine)
    without_torch(monkeypatch)
    return write_made_run(tmp_path / "a run")


def typed_into(stream, monkeypatch, capsys, words):
    monkeypatch.setattr(sys, "argv", ["sparksmith", *shlex.split(words)])
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert sys.stdout is stream
    return stopped.value.code, "", capsys.readouterr().err


@pytest.mark.parametrize("words", VERBS)
@pytest.mark.parametrize("buffered", [True, False])
def test_a_disk_that_is_full(run, monkeypatch, capsys, words, buffered):
    with Path("/dev/full").open("wb", buffering=-1 if buffered else 0) as raw:
        stream = io.TextIOWrapper(raw, encoding="utf-8", write_through=not buffered)
        said = typed_into(stream, monkeypatch, capsys, words)
        stream.close()  # as at Python's end: nothing is left to fail
    check_refusal(said, 1, "standard output cannot be written: No space left on device", "> FILE")


@pytest.mark.parametrize("words", VERBS)
def test_a_reader_that_left(run, monkeypatch, capsys, words):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        code, _, err = typed_into(stream, monkeypatch, capsys, words)
    assert (code, "error" in err) == (0, False)


@pytest.mark.parametrize("words", ["runs", "runs show 'a run'", "recipe list"])
def test_standard_output_that_was_closed(run, monkeypatch, capsys, words):
    assert typed_into(None, monkeypatch, capsys, words)[0] == 0


def test_an_error_of_the_stream_is_none_of_a_file():
    class Broken(io.StringIO):
        def write(self, text):
            raise OSError(errno.EPIPE, "Broken pipe")

        def flush(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputLost, match="Broken pipe") as lost:
        Watched(Broken()).write("a")
    assert lost.value.reader_left
    with pytest.raises(OutputLost, match="No space") as lost:
        Watched(Broken()).flush()
    assert not lost.value.reader_left
    assert Watched(Broken()).isatty() is False


@pytest.mark.parametrize(
    ("number", "name", "message", "hint"),
    [
        (errno.ENOSPC, None, "the disk failed: No space left on device", "df -h ."),
        (errno.EACCES, "/a/b", "/a/b: Permission denied", "ls -ld /a"),
        (errno.EROFS, "/a/b", "/a/b: Read-only file system", "ls -ld /a"),
    ],
)
def test_a_disk_that_fails_anywhere(run, monkeypatch, capsys, number, name, message, hint):
    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number), name)

    monkeypatch.setattr("sparksmith.runs.layout.find_run", fail)
    check_refusal(type_words(monkeypatch, capsys, "runs show run"), 1, message, hint)


def test_another_error_of_the_system_is_a_defect(run, monkeypatch, capsys):
    def fail(*arguments, **options):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr("sparksmith.runs.layout.find_run", fail)
    code, _, err = type_words(monkeypatch, capsys, "runs show run")
    assert code == 70 and "a defect of Sparksmith" in err
