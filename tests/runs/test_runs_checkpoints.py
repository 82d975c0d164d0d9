"""Checkpoints are whole or are not there, and what is not ours is not touched."""

from __future__ import annotations

import json
import shutil

import pytest

from records import FILES, write_checkpoint, write_files
from sparksmith.base.errors import SparksmithError
from sparksmith.runs import checkpoints
from sparksmith.runs.checkpoints import (
    SEAL,
    check_checkpoint,
    checkpoint_folders,
    find_faults,
    find_plain_faults,
    last_whole_checkpoint,
    leftovers,
    publish_checkpoint,
    read_seal,
    read_step,
    remove_checkpoint,
    remove_leftovers,
    rotate,
    seal_checkpoint,
    whole_checkpoints,
)


def names(paths):
    return [path.name for path in paths]


def test_a_seal_holds_every_file_and_what_was_put_beside(tmp_path):
    path = write_checkpoint(tmp_path, 5, tokens_seen=9)
    seal = read_seal(path)
    assert (seal.step, set(seal.files), seal.facts["tokens_seen"]) == (5, set(FILES), 9)
    assert find_faults(path, hashes=True) == []
    assert read_step(path) == 5
    seal_checkpoint(path, 5)  # again: the manifest is no part of itself
    assert set(read_seal(path).files) == set(FILES)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "flipped", "cut", "longer", "folder"])
def test_every_damage_to_every_file_is_found(tmp_path, name, damage):
    path = write_checkpoint(tmp_path, 5)
    file = path / name
    data = file.read_bytes()
    if damage in {"missing", "folder"}:
        file.unlink()
        if damage == "folder":
            file.mkdir()
    elif damage == "flipped":
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    else:
        file.write_bytes(data[:-1] if damage == "cut" else data + b"x")
    (fault,) = find_faults(path, hashes=True)
    assert fault.startswith(name)
    assert (find_faults(path, hashes=False) == []) is (damage == "flipped")
    assert last_whole_checkpoint(tmp_path) is None


def test_a_file_that_was_added_is_no_fault(tmp_path):
    path = write_checkpoint(tmp_path, 5)
    (path / "notes.txt").write_text("mine")
    assert find_faults(path, hashes=True) == []


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path, monkeypatch):
    path = write_checkpoint(tmp_path, 5)

    def fail(file):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(checkpoints, "digest_of", fail)
    assert find_faults(path, hashes=True)[0].endswith("cannot be read (Input/output error)")


GOOD = {"version": 1, "step": 5, "files": {"a": {"bytes": 1, "sha256": "0"}}}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "\x00",
        "[]",
        "5",
        "null",
        "[" * 100_000,
        "{}",
        json.dumps({**GOOD, "version": 2}),
        json.dumps({**GOOD, "files": []}),
        json.dumps({**GOOD, "files": {}}),
        json.dumps({**GOOD, "files": {"a": 5}}),
        json.dumps({**GOOD, "files": {"a": {}}}),
        json.dumps({**GOOD, "step": "five"}),
        json.dumps({**GOOD, "step": None}),
        json.dumps({**GOOD, "step": float("inf")}),
        json.dumps({**GOOD, "files": {"a": {"bytes": "many", "sha256": ""}}}),
        *(
            json.dumps({**GOOD, "files": {name: GOOD["files"]["a"]}})
            for name in ("../../x", "/etc/passwd", "a/../../b", "..")
        ),
    ],
)
def test_a_hostile_manifest_is_none(tmp_path, content):
    (tmp_path / "checkpoint-5").mkdir()
    (tmp_path / "checkpoint-5" / SEAL).write_text(content)
    assert read_seal(tmp_path / "checkpoint-5") is None
    assert "no manifest" in find_faults(tmp_path / "checkpoint-5", hashes=False)[0]
    assert whole_checkpoints(tmp_path) == []
    with pytest.raises(SparksmithError, match="not a whole checkpoint"):
        check_checkpoint(tmp_path / "checkpoint-5")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "\ud800"])
def test_names_that_no_disk_has_are_faults(tmp_path, name):
    (tmp_path / SEAL).write_text(json.dumps({**GOOD, "files": {name: GOOD["files"]["a"]}}))
    assert len(find_faults(tmp_path, hashes=True)) == 1


def test_the_newest_whole_one_is_found_and_the_others_are_told(tmp_path):
    for step in (5, 10, 20, 100):
        write_checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-100/optimizer.pt").write_bytes(b"cut")
    (tmp_path / "checkpoint-20" / SEAL).unlink()
    (tmp_path / ".saving-checkpoint-200/checkpoint-200").mkdir(parents=True)
    (tmp_path / "checkpoint-300").write_text("a file")
    told = []
    assert last_whole_checkpoint(str(tmp_path), told.append) == tmp_path / "checkpoint-10"
    assert [line.split()[0] for line in told] == ["checkpoint-100", "checkpoint-20"]
    assert "optimizer.pt has 3 bytes instead of" in told[0]
    assert last_whole_checkpoint(tmp_path / "absent") is None
    assert names(checkpoint_folders(tmp_path)) == ["checkpoint-5", "checkpoint-10", "checkpoint-20", "checkpoint-100"]


def test_checkpoints_are_in_the_order_of_their_steps(tmp_path):
    for name in (
        "checkpoint-1000",
        "checkpoint-200",
        "checkpoint-30",
        "checkpoint-x",
        "checkpoint-5-old",
        "a-checkpoint-7",
    ):
        (tmp_path / name).mkdir()
    assert names(checkpoint_folders(tmp_path)) == ["checkpoint-30", "checkpoint-200", "checkpoint-1000"]
    assert checkpoint_folders(tmp_path / "absent") == []


@pytest.mark.parametrize(
    ("keep", "best", "left"),
    [
        (2, None, [30, 40]),
        (2, 10, [10, 30, 40]),
        (2, 40, [30, 40]),
        (1, None, [40]),
        (0, None, [40]),
        (9, 10, [10, 20, 30, 40]),
    ],
)
def test_rotation(tmp_path, keep, best, left):
    for step in (10, 20, 30, 40):
        write_checkpoint(tmp_path, step)
    plain = write_files(tmp_path / "checkpoint-1", 1)
    broken = write_checkpoint(tmp_path, 50)
    (broken / "optimizer.pt").unlink()
    gone = rotate(tmp_path, keep, tmp_path / f"checkpoint-{best}" if best else None)
    assert names(whole_checkpoints(tmp_path)) == [f"checkpoint-{step}" for step in left]
    assert names(gone) == [f"checkpoint-{step}" for step in (10, 20, 30, 40) if step not in left]
    assert plain.is_dir()
    assert broken.is_dir()
    assert leftovers(tmp_path) == []


def stage(run, step):
    staged = write_files(run / f".saving-checkpoint-{step}" / f"checkpoint-{step}", step)
    seal_checkpoint(staged, step)
    return staged


def test_publishing_over_a_step_that_is_there(tmp_path):
    old = write_checkpoint(tmp_path, 5)
    (old / "old").touch()
    publish_checkpoint(stage(tmp_path, 5), tmp_path / "checkpoint-5")
    assert not (tmp_path / "checkpoint-5/old").exists()
    assert find_faults(tmp_path / "checkpoint-5", hashes=True) == []
    assert names(leftovers(tmp_path)) == [".saving-checkpoint-5"]  # the Saver's own, empty


def test_the_new_one_stands_before_the_old_one_is_deleted(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, 5)
    staged = stage(tmp_path, 5)
    seen = []
    delete = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda path: (seen.append(names(whole_checkpoints(tmp_path))), delete(path)))
    publish_checkpoint(staged, tmp_path / "checkpoint-5")
    assert seen == [["checkpoint-5"]]


def test_a_deletion_that_is_cut_off_is_never_seen_as_a_checkpoint(tmp_path, monkeypatch):
    path = write_checkpoint(tmp_path, 5)
    monkeypatch.setattr(shutil, "rmtree", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        remove_checkpoint(path)
    monkeypatch.undo()
    assert checkpoint_folders(tmp_path) == []
    write_checkpoint(tmp_path, 5)
    remove_checkpoint(tmp_path / "checkpoint-5")  # over what the first has left
    assert list(tmp_path.iterdir()) == []


def test_leftovers_are_listed_and_removed_and_nothing_else(tmp_path):
    kept = write_checkpoint(tmp_path / "run", 5)
    for name in (".saving-checkpoint-6", ".deleting-checkpoint-4"):
        write_files(tmp_path / "run" / name, 6)
    (tmp_path / "run/.saving-checkpoint-7").write_text("a file")
    write_files(tmp_path / "elsewhere", 1)
    (tmp_path / "run/.deleting-checkpoint-8").symlink_to(tmp_path / "elsewhere")
    foreign = tmp_path / "run/.saving-notes.txt"
    foreign.write_text("mine")
    found = remove_leftovers(tmp_path / "run")
    assert names(found) == [
        ".deleting-checkpoint-4", ".deleting-checkpoint-8", ".saving-checkpoint-6", ".saving-checkpoint-7"
    ]  # fmt: skip
    assert sorted(names((tmp_path / "run").iterdir())) == [foreign.name, kept.name]
    assert (tmp_path / "elsewhere/optimizer.pt").is_file()
    assert leftovers(tmp_path / "absent") == []


def test_a_checkpoint_that_is_a_link_is_unlinked_and_its_files_stay(tmp_path):
    real = write_checkpoint(tmp_path / "big disk", 5)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/checkpoint-5").symlink_to(real)
    write_checkpoint(tmp_path / "run", 6)
    assert names(rotate(tmp_path / "run", 1, None)) == ["checkpoint-5"]
    assert names((tmp_path / "run").iterdir()) == ["checkpoint-6"]
    assert find_faults(real, hashes=True) == []


@pytest.mark.parametrize("name", ["trainer_state.json", "optimizer.pt", "scheduler.pt", "model.safetensors"])
def test_a_plain_checkpoint_is_taken_whole_with_a_note(tmp_path, name):
    path = write_files(tmp_path / "checkpoint-5", 5)
    (note,) = check_checkpoint(path)
    assert "was not written by Sparksmith" in note
    (path / name).unlink()
    with pytest.raises(SparksmithError, match="missing"):
        check_checkpoint(path)


def test_what_else_a_plain_one_may_lack(tmp_path):
    path = write_files(tmp_path / "checkpoint-5", 5)
    (path / "trainer_state.json").write_text("{}")
    assert find_plain_faults(path) == ["trainer_state.json says no step"]
    (path / "checkpoint-is-incomplete.txt").touch()
    assert "cut off" in find_plain_faults(path)[0]


def test_the_hint_names_another_whole_one(tmp_path):
    write_checkpoint(tmp_path, 5)
    (write_checkpoint(tmp_path, 10) / "optimizer.pt").unlink()
    with pytest.raises(SparksmithError) as caught:
        check_checkpoint(tmp_path / "checkpoint-10")
    assert caught.value.hint == f"--resume_from_checkpoint {tmp_path / 'checkpoint-5'}"


class TestReplacingACheckpointOfTheSameStep:
    """A run that goes on from an earlier checkpoint saves steps that stand there already."""

    @staticmethod
    def staged(run, content):
        folder = run / ".saving-checkpoint-4/checkpoint-4"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(content)
        checkpoints.seal_checkpoint(folder, 4)
        return folder

    def test_a_rename_that_fails_leaves_the_old_one(self, tmp_path, monkeypatch):
        checkpoints.publish_checkpoint(self.staged(tmp_path, b"old"), tmp_path / "checkpoint-4")
        (tmp_path / ".saving-checkpoint-4").rmdir()
        staged = self.staged(tmp_path, b"new")
        rename = type(tmp_path).rename

        def failing(self, target):
            if self == staged:
                raise OSError(5, "Input/output error")
            return rename(self, target)

        monkeypatch.setattr(type(tmp_path), "rename", failing)
        with pytest.raises(OSError, match="Input/output"):
            checkpoints.publish_checkpoint(staged, tmp_path / "checkpoint-4")
        assert (tmp_path / "checkpoint-4/model.safetensors").read_bytes() == b"old"

    def test_a_kill_between_the_renames_loses_neither(self, tmp_path):
        checkpoints.publish_checkpoint(self.staged(tmp_path, b"old"), tmp_path / "checkpoint-4")
        (tmp_path / ".saving-checkpoint-4").rmdir()
        self.staged(tmp_path, b"new")
        (tmp_path / "checkpoint-4").rename(tmp_path / ".deleting-checkpoint-4")  # and here it was killed
        checkpoints.remove_leftovers(tmp_path)
        assert (tmp_path / "checkpoint-4/model.safetensors").read_bytes() == b"new"
        assert checkpoints.find_faults(tmp_path / "checkpoint-4", hashes=True) == []
        assert checkpoints.leftovers(tmp_path) == []

    def test_a_half_written_one_takes_no_place(self, tmp_path):
        staged = self.staged(tmp_path, b"new")
        (staged / "model.safetensors").write_bytes(b"ne")
        checkpoints.remove_leftovers(tmp_path)
        assert list(tmp_path.iterdir()) == []
