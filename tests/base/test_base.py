"""Errors, units, files and the door to other processes."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparksmith.base import command
from sparksmith.base.errors import ExitCode, SparksmithError, UsageProblem, describe_problems, perhaps
from sparksmith.base.files import read_json, sha256_of, write_atomic, write_json
from sparksmith.base.units import format_bytes, format_count, format_percent, format_seconds


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2, "1.0 MiB"),
        (3.2 * 1024**3, "3.2 GiB"),
    ],
)
def test_bytes(count, text):
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (870, "870"), (12_100, "12.1k"), (1_400_000, "1.4M"), (2e9, "2G")]
)
def test_counts(count, text):
    assert format_count(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (8.4, "8 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599, "59 min 59 s"),
        (7500, "2 h 05 min"),
        (90_000, "25 h 00 min"),
    ],
)
def test_seconds(seconds, text):
    assert format_seconds(seconds) == text


def test_percent():
    assert format_percent(0.0812) == "8.1%"
    assert format_percent(1.5) == "150.0%"


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [("batchsize", " (perhaps you meant batch_size)"), ("sede", " (perhaps you meant seed)"), ("zzz", ""), ("", "")],
)
def test_perhaps(word, suggestion):
    assert perhaps(word, iter(["batch_size", "seed"])) == suggestion


def test_problems_past_the_limit_are_counted():
    assert describe_problems("two:", ["a", "b"]) == "two:\n  a\n  b"
    assert describe_problems("many:", [str(n) for n in range(25)]).splitlines()[-1] == "  ... and 5 more"
    assert len(describe_problems("many:", [str(n) for n in range(25)]).splitlines()) == 22


def test_exit_codes():
    assert SparksmithError("m").exit_code == ExitCode.MENDABLE == 1
    assert UsageProblem("m", "h").exit_code == ExitCode.USAGE == 2
    assert SparksmithError("m", exit_code=ExitCode.DEFECT).exit_code == 70
    assert SparksmithError("m").exit_code == 1  # the other one's is its own
    assert (str(SparksmithError("what", "to type")), SparksmithError("what", "to type").hint) == ("what", "to type")


class TestFiles:
    def test_written_whole_or_not_at_all(self, tmp_path, monkeypatch):
        path = tmp_path / "it's a file.json"
        write_atomic(path, "old")

        def full(descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write_atomic(path, "new")
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]  # nothing is left beside it

    def test_bytes_text_and_permissions(self, tmp_path):
        before = os.umask(0o027)
        try:
            write_atomic(tmp_path / "a", "ˈ")
            write_atomic(tmp_path / "b", b"\x00\xff")
        finally:
            os.umask(before)
        assert (tmp_path / "a").read_bytes() == b"\xcb\x88"
        assert (tmp_path / "b").read_bytes() == b"\x00\xff"
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640

    def test_json(self, tmp_path):
        write_json(tmp_path / "a.json", {"phones": "ˈaba", "n": None})
        assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "phones": "ˈaba",\n  "n": null\n}\n'
        assert read_json(tmp_path / "a.json") == {"phones": "ˈaba", "n": None}

    @pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}"])
    def test_json_that_is_none(self, tmp_path, content):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(SparksmithError, match="cannot be read as JSON"):
            read_json(tmp_path / "a.json")

    def test_json_that_is_not_there(self, tmp_path):
        with pytest.raises(SparksmithError, match="does not exist"):
            read_json(tmp_path / "a.json")
        with pytest.raises(SparksmithError, match="cannot be read as JSON"):
            read_json(tmp_path)

    @given(st.binary(max_size=100))
    def test_sha256(self, tmp_path_factory, content):
        path = tmp_path_factory.getbasetemp() / "hashed"
        write_atomic(path, content)
        assert sha256_of(path) == hashlib.sha256(content).hexdigest()


class TestCommand:
    @pytest.mark.parametrize(
        ("raised", "words"),
        [
            (FileNotFoundError(), "nvidia-smi: not found"),
            (subprocess.TimeoutExpired("nvidia-smi", 2.5), "nvidia-smi: no answer within 2.5 s"),
            (PermissionError(13, "Permission denied"), "Permission denied"),
        ],
    )
    def test_a_command_that_does_not_answer(self, monkeypatch, raised, words):
        def run(*arguments, **options):
            raise raised

        monkeypatch.setattr(subprocess, "run", run)
        answer = command.ask(["nvidia-smi", "-L"], timeout_seconds=2.5)
        assert answer.code is None
        assert not answer.ok
        assert words in answer.stderr

    @pytest.mark.effects
    def test_a_command_that_answers(self):
        script = (
            "import sys; print('out'); sys.stdout.buffer.write(b'\\xff'); print('talk', file=sys.stderr); sys.exit(3)"
        )
        answer = command.ask([sys.executable, "-c", script], timeout_seconds=30)
        assert (answer.code, sorted(answer.stdout), answer.stderr) == (3, sorted("out\n\ufffd"), "talk\n")
        assert not answer.ok

    @pytest.mark.effects
    def test_a_command_is_started_in_its_folder_with_its_environment(self, tmp_path):
        script = "import os, pathlib; pathlib.Path('seen').write_text(os.environ['WORD'])"
        job = command.start([sys.executable, "-c", script], cwd=tmp_path, environment={**os.environ, "WORD": "spark"})
        assert job.wait(30) == 0
        assert (tmp_path / "seen").read_text() == "spark"
