"""The record of an evaluation, and what a resumed run recalls of the untrained model."""

from __future__ import annotations

import json

import jsonschema
import pytest

from plans import make_plan
from sparksmith.base.files import write_json
from sparksmith.data.examples import pair
from sparksmith.evaluate.result import CONFUSIONS_KEPT, UNTRAINED, Decoding, make_evaluation, recall_untrained
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import read_lines, schema

DECODING = Decoding("greedy", 32, 64, "bf16")
EXAMPLES = [pair(2, "אב", "ˈab"), pair(3, "ד", "d"), pair(7, "שלום", "ʃalˈom")]


def evaluation(predictions, separated="words", examples=EXAMPLES, **facts):
    return make_evaluation(examples, predictions, separated, seconds=1.5, decoding=DECODING, **facts)


def check(record):
    jsonschema.Draft202012Validator(schema("evaluation")).validate(record)


def test_the_record():
    """ʃalˈom is answered with salom: ʃ for s is 1 of 5 phones; d is not answered, because its prompt is too long."""
    found = evaluation(["ˈab", "", "salom"], too_long=[3], cut_off=1)
    record = found.to_json(model="tiny", data="a.tsv", rows=3, untrained=evaluation(["", "", ""]))
    check(record)
    assert json.loads(json.dumps(record)) == record
    scores, untrained = record.pop("scores"), record.pop("untrained")
    assert record == {
        "version": 1, "model": "tiny", "data": "a.tsv", "rows": 3, "seconds": 1.5,
        "decoding": {"method": "greedy", "batch_size": 32, "max_new_tokens": 64, "precision": "bf16"},
        "too_long": [3], "cut_off": 1,
        "worst": [
            {
                "line": 3, "prompt": "ד", "reference": "d", "prediction": "", "errors": 1, "total": 1,
                "edits": [{"expected": "d", "predicted": None}],
            },
            {
                "line": 7, "prompt": "שלום", "reference": "ʃalˈom", "prediction": "salom", "errors": 1, "total": 5,
                "edits": [
                    {"expected": "ʃ", "predicted": "s"},
                    *({"expected": phone, "predicted": phone} for phone in "alom"),
                ],
            },
        ],
        "confusions": [
            {"expected": "d", "predicted": None, "count": 1, "of": 1},
            {"expected": "ʃ", "predicted": "s", "count": 1, "of": 1},
        ],
    }  # fmt: skip
    assert (scores["per"]["errors"], scores["per"]["total"]) == (2, 8)
    assert scores["per"]["mean_of_rows"] == pytest.approx((0 + 1 + 1 / 5) / 3)
    assert untrained["per"]["rate"] == 1.0


def test_without_an_untrained_model():
    record = evaluation(["x", "y", "z"], None).to_json(model="m", data="d", rows=3, untrained=None)
    check(record)
    assert record["untrained"] is None and record["scores"]["per"] is None
    assert {len(edit["expected"] or " ") for row in record["worst"] for edit in row["edits"]} == {1}


def test_a_long_tail_of_confusions_is_left_out_of_the_record():
    examples = [pair(line, "p", chr(0x4E00 + line)) for line in range(1, CONFUSIONS_KEPT + 51)]
    found = evaluation(["x"] * len(examples), None, examples)
    record = found.to_json(model="m", data="d", rows=len(examples), untrained=None)
    check(record)
    assert len(found.confusions) == CONFUSIONS_KEPT + 50
    assert len(record["confusions"]) == CONFUSIONS_KEPT
    assert len(record["worst"]) == 10


@pytest.fixture
def plan(tmp_path):
    data = tmp_path / "eval.tsv"
    data.write_text("".join(f"{each.prompt}\t{each.response}\n" for each in EXAMPLES), encoding="utf-8")
    return make_plan(tmp_path, data_file=str(data), eval_file=str(data), spaces_separate="words")


@pytest.mark.parametrize("untrained", [None, ["", "b", "c"]])
def test_a_run_keeps_it(tmp_path, plan, untrained):
    folder = RunFolder(tmp_path)
    found, before = evaluation(["ˈab", "d", "l"]), evaluation(untrained) if untrained else None
    found.write(folder, plan, EXAMPLES, before)
    record = json.loads(folder.evaluation.read_text())
    check(record)
    assert record == found.to_json(model=plan.model, data=plan.eval_data.path, rows=3, untrained=before)
    lines = list(read_lines(folder.predictions))
    assert lines[2] == {
        "line": 7, "prompt": "שלום", "reference": "ʃalˈom", "prediction": "l",
        **({"untrained": "c"} if untrained else {}),
    }  # fmt: skip
    for line in lines:
        jsonschema.Draft202012Validator(schema("prediction")).validate(line)


def test_the_untrained_model_is_recalled_whole(tmp_path, plan):
    found = evaluation(["", "d", "l"], too_long=[2], cut_off=2)
    found.keep(RunFolder(tmp_path))
    assert recall_untrained(RunFolder(tmp_path), EXAMPLES, plan) == found
    assert recall_untrained(RunFolder(tmp_path), EXAMPLES[:2], plan) is None


@pytest.mark.parametrize(
    "damage",
    [
        None,
        {"predictions": ["a", "b", "c"]},
        {"seconds": "soon", "predictions": ["a", "b", "c"], "decoding": {}, "too_long": [], "cut_off": 0},
        {"seconds": 1, "predictions": 3, "decoding": {}, "too_long": [], "cut_off": 0},
        [],
    ],
)
def test_what_cannot_be_recalled_is_none(tmp_path, plan, damage):
    if damage is not None:
        write_json(tmp_path / UNTRAINED, damage)
    assert recall_untrained(RunFolder(tmp_path), EXAMPLES, plan) is None


def test_there_must_be_an_answer_for_each_example():
    with pytest.raises(ValueError, match="2 predictions for 3 references"):
        evaluation(["a", "b"])
