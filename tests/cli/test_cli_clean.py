"""clean, as it is typed."""

from __future__ import annotations

import pytest

from records import write_files
from sparksmith.jobs.lock import hold_folder
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.register import register, registered


@pytest.fixture
def type_in(type_without_torch):
    return type_without_torch


class TestCleaning:
    @pytest.mark.parametrize(("words", "answer", "code", "left"), [
        ("clean outputs --dry-run", "", 0, True), ("clean outputs", "n\n", 1, True), ("clean outputs", "y\n", 0, False),
        ("clean outputs -y", "", 0, False), ("clean outputs outputs ./outputs/ -y", "", 0, False),
    ])  # fmt: skip
    def test_it_shows_and_asks(self, type_in, begun, words, answer, code, left):
        found, out, _ = type_in(words, answer)
        assert found == code
        assert "outputs/checkpoint-10" in out
        assert begun.path.exists() is left
        assert len(registered()) == left

    def test_what_is_not_ours_stays(self, type_in, begun):
        (begun.path / "notes.txt").touch()
        write_files(begun.path / "checkpoint-3", 3)
        code, out, err = type_in("clean outputs --yes")
        assert code == 0
        assert "checkpoint-3" not in out
        assert "outputs stays" in err
        assert sorted(path.name for path in begun.path.iterdir()) == ["checkpoint-3", "notes.txt"]
        assert type_in("runs --json")[1].count("folder") == 0

    def test_without_a_run_only_what_was_cut_off_goes(self, type_in, begun, tmp_path):
        write_files(begun.path / ".saving-checkpoint-15", 15)
        register("gone", RunFolder(tmp_path / "gone"), 1.0)
        code, out, _ = type_in("clean --dry-run")
        assert code == 0
        assert len(registered()) == 2
        assert len(out.splitlines()) == 2
        with hold_folder(begun.path):  # a job saves there now
            assert ".saving" not in type_in("clean --dry-run")[1]
        assert type_in("clean --yes")[0] == 0
        assert [run.folder.path for run in registered()] == [begun.path]
        assert not (begun.path / ".saving-checkpoint-15").exists()
        assert (begun.path / "checkpoint-10").is_dir()
        assert "nothing to delete" in type_in("clean")[2]

    def test_a_job_that_began_while_the_question_stood(self, type_in, begun, monkeypatch):
        from contextlib import ExitStack

        held = ExitStack()
        monkeypatch.setattr(
            "sparksmith.cli.clean._confirm", lambda: bool(held.enter_context(hold_folder(begun.path))) or True
        )
        with held:
            code, _, err = type_in("clean outputs")
        assert (code, "a job is running in" in err) == (1, True)
        assert (begun.path / "checkpoint-10").is_dir()
