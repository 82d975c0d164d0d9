"""The register of runs, and what may be deleted of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from records import write_checkpoint, write_files, write_run
from sparksmith.runs.clean import FILES, delete, own_paths, size_of
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.register import register, register_folder, registered


def test_the_register_is_read_newest_first(tmp_path):
    assert registered() == []
    for number, name in enumerate("abc"):
        register(f"run-{name}", RunFolder(tmp_path / name), float(number))
    register("run-a", RunFolder(tmp_path / "a"), 9.0)  # again: replaced
    assert [(run.run, run.folder.path.name) for run in registered()] == [("run-a", "a"), ("run-c", "c"), ("run-b", "b")]


def test_entries_that_cannot_be_read_are_passed_over(tmp_path):
    register("good", RunFolder(tmp_path), 1.0)
    for number, text in enumerate(["", "[]", "{}", "5", '{"run": "x", "folder": 5, "created": 1}', "\x00"]):
        (register_folder() / f"bad{number}.json").write_text(text)
    (register_folder() / "folder.json").mkdir()
    assert [run.run for run in registered()] == ["good"]


def test_a_run_cannot_lead_out_of_the_register(tmp_path):
    register("../../evil", RunFolder(tmp_path), 1.0)
    (entry,) = registered()
    assert entry.entry.parent == register_folder()


@pytest.mark.parametrize("state", ["", "relative/path"])
def test_a_state_folder_must_be_absolute(monkeypatch, own_home, state):
    monkeypatch.setenv("XDG_STATE_HOME", state)
    assert register_folder() == own_home / ".local/state/sparksmith/runs"


def test_only_what_bears_our_mark_is_deleted(tmp_path):
    folder = write_run(tmp_path / "run")
    for name in FILES:
        (folder.path / name).touch() if not (folder.path / name).exists() else None
    for step in (5, 10):
        write_checkpoint(folder.path, step)
    write_files(folder.path / "checkpoint-7", 7)
    write_files(folder.path / ".saving-checkpoint-15", 15)
    (folder.path / ".metrics.jsonl.ab12_xyz").touch()  # a kill while it was renewed
    for name in ("notes.txt", ".env", "train.py", "manifest.json.bak", "base/config.json", ".manifest.json.swp"):
        (folder.path / name).parent.mkdir(exist_ok=True)
        (folder.path / name).touch()
    delete(own_paths(folder))
    assert sorted(path.name for path in folder.path.iterdir()) == [
        ".env", ".manifest.json.swp", "base", "checkpoint-7", "manifest.json.bak", "notes.txt", "train.py"
    ]  # fmt: skip


def test_a_base_model_that_was_made_here_goes_too(tmp_path):
    folder = write_run(tmp_path / "run")
    folder.plan.write_text('{"model": "tiny"}')
    folder.base.mkdir()
    (folder.base / "config.json").touch()
    delete(own_paths(folder))
    assert list(folder.path.iterdir()) == []


@pytest.mark.parametrize("manifest", [None, "", "[]", '{"name": "a web page", "version": 1}'])
def test_a_manifest_of_somebody_else_is_no_mark(tmp_path, manifest):
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    (tmp_path / "settings.json").touch()
    write_checkpoint(tmp_path, 5)
    assert own_paths(RunFolder(tmp_path)) == []


def test_the_manifest_goes_last(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "run")
    gone = []
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda path, **options: (gone.append(path.name), unlink(path, **options)))
    delete(own_paths(folder))
    assert (len(gone), gone[-1]) == (2, "manifest.json")


def test_sizes(tmp_path):
    path = write_checkpoint(tmp_path, 5)
    assert size_of(path) == sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
    assert size_of(path / "optimizer.pt") == 630
