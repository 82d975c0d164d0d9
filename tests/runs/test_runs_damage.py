"""Records that are cut off or gone: what is said of them, and what is left."""

from __future__ import annotations

import pytest

from records import write_checkpoint, write_run
from sparksmith.base.errors import SparksmithError
from sparksmith.runs.checkpoints import seal_checkpoint
from sparksmith.runs.damage import check_base, find_damage, what_is_left


@pytest.fixture
def run(tmp_path):
    folder = write_run(tmp_path / "a run")
    for path in (folder.settings, folder.data, folder.evaluation):
        path.write_text("{}")
    for path in (folder.events, folder.metrics, folder.predictions):
        path.write_text('{"step": 1}\n{"step": 2}\n{"st')  # the last line is being written
    write_checkpoint(folder.path, 5)
    return folder


def test_a_whole_run_has_no_damage(run):
    assert find_damage(run) == []
    assert what_is_left(run) is None


@pytest.mark.parametrize("name", ["manifest.json", "plan.json", "settings.json", "data.json", "evaluation.json"])
@pytest.mark.parametrize("content", [b'{"max_steps": 2', b"[1]", b"\xff\xfe", b""])
def test_a_record_that_is_cut_off(run, name, content):
    (run.path / name).write_bytes(content)
    assert find_damage(run) == [f"{name} cannot be read: it is cut off or not JSON"]


@pytest.mark.parametrize("name", ["manifest.json", "plan.json", "settings.json"])
def test_a_record_that_is_gone(run, name):
    (run.path / name).unlink()
    assert find_damage(run) == [f"{name} is missing"]


def test_lines_that_are_no_json(run):
    run.metrics.write_text("{}\nnonsense\n{}\n")
    run.events.write_text("x\n" * 7)
    assert find_damage(run) == [
        "events.jsonl is not JSON in lines 1, 2, 3, 4, 5 ...", "metrics.jsonl is not JSON in line 2",
    ]  # fmt: skip


def test_a_base_that_is_not_what_was_saved(run):
    """Of another size, which the list of damage shows; of other content, which only its use does."""
    weights = run.base / "model.safetensors"
    run.base.mkdir()
    weights.write_bytes(b"weights")
    check_base(run)
    seal_checkpoint(run.base, 0)
    check_base(run)
    assert find_damage(run) == []
    weights.write_bytes(b"WEIGHTS")
    assert find_damage(run) == []
    with pytest.raises(SparksmithError, match=r"is not whole: model.safetensors is not what was saved") as caught:
        check_base(run)
    resume = f"sparksmith train --output_dir '{run.path}' --resume_from_checkpoint"
    assert caught.value.hint == f"a resume makes it again: rm -r '{run.base}'; {resume}"
    weights.write_bytes(b"short")
    assert find_damage(run) == ["base: model.safetensors has 5 bytes instead of 7"]
    (run.base / "sparksmith.json").write_text("{")
    assert find_damage(run) == ["base: no manifest (sparksmith.json) that can be read"]


def test_checkpoints_that_are_not_whole(run):
    (run.path / "checkpoint-5/model.safetensors").write_bytes(b"short")
    (run.path / "checkpoint-5/optimizer.pt").unlink()
    (run.path / "checkpoint-7").mkdir()
    sealed, plain = find_damage(run)
    assert sealed.startswith("checkpoint-5: model.safetensors has 5 bytes instead of ") and sealed.endswith(
        "and 1 more"
    )
    assert plain == "checkpoint-7: trainer_state.json is missing and 3 more"


@pytest.mark.parametrize("name", ["plan", "settings"])
def test_what_can_still_be_done(run, name):
    getattr(run, name).write_text('{"cut')
    assert what_is_left(run) == (
        f"it cannot go on; its checkpoints still answer: sparksmith predict '{run.path}/checkpoint-5' TEXT"
    )
    (run.path / "checkpoint-5/optimizer.pt").unlink()
    assert "train anew" in str(what_is_left(run))
