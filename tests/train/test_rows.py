"""The data files of a Job: rows with their lengths in tokens, and the record data.json."""

from __future__ import annotations

import json

import jsonschema
import pytest

from jobs_here import carry_out
from plans import make_plan
from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import sha256_of
from sparksmith.runs.records import read_lines, schema
from sparksmith.train.rows import load_file

# a row costs its characters and three marks of `tiny`: 5, 6, 7 and 13 tokens
TRAIN = "a\tb\nab\tb\nab\tab\na\tbaaaaaaaa\n"
EVAL = "a\tb\nba\té\n"


@pytest.fixture
def planned(tmp_path):
    (tmp_path / "train.tsv").write_text(TRAIN, encoding="utf-8")
    (tmp_path / "eval.tsv").write_text(EVAL, encoding="utf-8")

    def make(**flags):
        return make_plan(
            tmp_path, data_file=str(tmp_path / "train.tsv"), max_steps=1, tiny_hidden_size=32, tiny_layers=1,
            max_new_tokens=2, **flags,
        )  # fmt: skip

    return make


@pytest.mark.effects
@pytest.mark.filterwarnings("ignore")
def test_the_job_writes_what_the_data_are_in_tokens(tmp_path, planned):
    folder = carry_out(planned(eval_file=str(tmp_path / "eval.tsv"), max_length=8))
    facts = json.loads(folder.data.read_text(encoding="utf-8"))
    jsonschema.validate(facts, schema("data"))
    train, held_out = facts["files"]
    assert (train["role"], train["path"], train["rows"]) == ("train", str(tmp_path / "train.tsv"), 4)
    assert train["sha256"] == sha256_of(tmp_path / "train.tsv")
    lengths = train["lengths"]
    assert (lengths["unit"], lengths["max_length"], lengths["over"]) == ("tokens", 8, 1)
    assert (lengths["shortest"], lengths["longest"]) == (5, 13)
    assert sum(bin["count"] for bin in lengths["histogram"]) == 4
    assert (held_out["role"], held_out["rows"], held_out["lengths"]["unit"]) == ("eval", 2, "tokens")
    # é is e and a mark, which the training data lack both: two tokens
    assert (held_out["lengths"]["shortest"], held_out["lengths"]["longest"], held_out["lengths"]["over"]) == (5, 7, 0)
    assert facts["overlap"] == {"rows": 1, "prompts": 1, "lines": [1]}
    assert [one["character"] for one in facts["unseen_characters"]] == ["é"]
    told = [event["message"] for event in read_lines(folder.events) if event["kind"] == "warning"]
    assert told == ["1 of 4 examples of data_file are longer than 8 tokens (lines 4) and are left out"]


@pytest.mark.effects
@pytest.mark.filterwarnings("ignore")
def test_without_a_held_out_part_and_written_again_by_a_resume(planned):
    plan = planned()
    folder = carry_out(plan)
    facts = json.loads(folder.data.read_text(encoding="utf-8"))
    jsonschema.validate(facts, schema("data"))
    assert len(facts["files"]) == 1 and facts["overlap"] is None and facts["files"][0]["lengths"]["over"] == 0
    folder.data.unlink()
    (folder.path / ".data.json.abcd1234").write_text("{")  # as a Job that was killed leaves it
    carry_out(plan.model_copy(update={"resume_from_checkpoint": "latest"}))
    assert json.loads(folder.data.read_text(encoding="utf-8")) == facts
    assert not list(folder.path.glob(".data.json.*"))


def test_a_file_that_is_not_the_planned_one_is_refused(tmp_path, planned):
    plan = planned()
    assert len(load_file(plan, plan.train_data).examples) == 4
    (tmp_path / "train.tsv").write_text(TRAIN + "b\ta\n", encoding="utf-8")
    with pytest.raises(SparksmithError, match="has changed since the plan was made"):
        load_file(plan, plan.train_data)
