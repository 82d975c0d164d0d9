"""Where a run lies, and which folder a name means."""

from __future__ import annotations

import os

import pytest

from sparksmith.base.errors import SparksmithError
from sparksmith.runs.layout import MARKERS, RunFolder, choose_folder, find_run


def begin(path, marker="manifest.json", when: int | None = None) -> RunFolder:
    path.mkdir(parents=True, exist_ok=True)
    (path / marker).write_text("{}")
    if when is not None:
        os.utime(path / marker, (when, when))
    return RunFolder(path)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_the_paths_of_a_run(here):
    run = RunFolder(here)
    names = ["manifest", "recipe", "settings", "plan", "events", "metrics", "evaluation", "predictions", "base"]
    paths = [getattr(run, name) for name in names]
    assert [path.stem for path in paths] == names
    assert {path.parent for path in paths} == {here}
    assert not any(path.exists() for path in paths)


@pytest.mark.parametrize("marker", MARKERS)
def test_a_run_is_a_folder_with_a_marker(here, marker):
    assert not RunFolder(here).is_run()
    assert not RunFolder(here / "absent").is_run()
    (here / "folder" / marker).mkdir(parents=True)
    assert not RunFolder(here / "folder").is_run()
    assert begin(here, marker).is_run()


@pytest.mark.parametrize("resume", [False, True])
def test_a_plain_folder_is_what_it_says(here, own_home, resume):
    assert choose_folder("outputs", resume=resume).path == here / "outputs"
    begin(here / "outputs")
    assert choose_folder("outputs", resume=resume).path == here / "outputs"
    assert choose_folder("~/runs", resume=resume).path == own_home / "runs"
    assert choose_folder("/somewhere", resume=resume).path.as_posix() == "/somewhere"


def test_a_number_is_the_first_that_is_free(here):
    assert choose_folder("runs/a-{n}", resume=False).path == here / "runs/a-1"
    begin(here / "runs/a-1")
    begin(here / "runs/a-2", "plan.json")
    begin(here / "runs/a-4")
    (here / "runs/a-3").mkdir()  # no run stands in it
    assert choose_folder("runs/a-{n}", resume=False).path == here / "runs/a-3"


@pytest.mark.parametrize("pattern", ["runs/a-{n}", "runs/{n}", "runs-{n}/a", "~/runs/{n}/a", "runs/a.{n}+"])
def test_a_resume_takes_the_run_that_was_written_to_last(here, own_home, pattern):
    assert choose_folder(pattern, resume=True).path == choose_folder(pattern, resume=False).path  # there is none yet

    def path(number):
        return RunFolder(choose_folder(pattern.replace("{n}", str(number)), resume=False).path).path

    begin(path(1), when=1000)
    begin(path(2), when=2000)
    begin(path(10), when=3000)
    assert choose_folder(pattern, resume=True).path == path(10)
    assert choose_folder(pattern, resume=False).path == path(3)
    begin(path(1), when=4000)
    assert choose_folder(pattern, resume=True).path == path(1)
    (path(1) / "manifest.json").unlink()  # the first is gone: the others are still there
    assert choose_folder(pattern, resume=True).path == path(10)


def test_a_resume_counts_a_plan_without_a_manifest(here):
    begin(here / "a-1", when=2000)
    begin(here / "a-2", "plan.json", when=3000)
    (here / "a-x").mkdir()
    (here / "a-03").mkdir()
    assert choose_folder("a-{n}", resume=True).path == here / "a-2"


def test_a_run_is_found_by_its_folder_or_a_checkpoint(here):
    run = begin(here / "outputs")
    (here / "outputs/checkpoint-5").mkdir()
    for name in ("outputs", "outputs/", "./outputs", str(run.path), "outputs/checkpoint-5"):
        assert find_run(name).path == run.path


def test_a_run_that_is_not_found(here):
    with pytest.raises(SparksmithError, match="outputs does not exist") as caught:
        find_run("outputs")
    assert "sparksmith runs lists all runs" in str(caught.value.hint)
    (here / "run-1").mkdir()
    with pytest.raises(SparksmithError, match="run-1 is no run: it has no manifest"):
        find_run("run-1")
    with pytest.raises(SparksmithError, match="does not exist"):
        find_run("absent/outputs")
    (here / "file").touch()
    with pytest.raises(SparksmithError, match="is no run"):
        find_run("file")


def test_the_runs_that_lie_near_are_named(here):
    for number in range(9):
        begin(here / f"outputs/it's {number}")
    (here / "outputs/empty").mkdir()
    (here / "link").symlink_to(here / "outputs")
    first = ", ".join(f"'outputs/it'\"'\"'s {number}'" for number in range(8))
    for name, message in (
        ("outputs", "outputs is no run, but holds some"),
        ("outputs/empty", "is no run: it has no manifest"),
        ("output", "output does not exist"),
    ):
        with pytest.raises(SparksmithError, match=message) as caught:
            find_run(name)
        assert str(caught.value.hint).endswith(f"runs: {first} ...")
