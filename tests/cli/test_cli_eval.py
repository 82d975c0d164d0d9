"""eval as it is typed: what goes where."""

from __future__ import annotations

import json
import shutil

import jsonschema
import pytest

from answering import DATA, TOO_LONG, WORDS
from plans import PAIRS
from small_models import save_small_qwen
from sparksmith.base.files import sha256_of, write_json
from sparksmith.evaluate.dataset import evaluate
from sparksmith.evaluate.find import find_model
from sparksmith.evaluate.load import load_base, load_ready
from sparksmith.runs.checkpoints import seal_checkpoint
from sparksmith.runs.records import schema


def test_eval_json_is_the_record_of_evaluation_json(type_in, made):
    code, out, err = type_in("eval run eval.tsv --json")
    assert code == 0
    record = json.loads(out)
    jsonschema.validate(record, schema("evaluation"))
    assert (record["model"], record["data"], record["rows"]) == ("run/checkpoint-1", "eval.tsv", len(PAIRS))
    assert record["decoding"] == {"method": "greedy", "batch_size": 64, "max_new_tokens": 9, "precision": "fp32"}
    assert record["scores"]["wer"]["total"] == sum(len(response.split()) for _, response in PAIRS)
    assert len(record["worst"]) == 10 and record["untrained"] is None
    assert err == f"predicting the answers: {len(PAIRS)}/{len(PAIRS)}\n"  # talk


def test_eval_shows_scores_worst_rows_and_confusions(type_in):
    code, out, err = type_in("eval run eval.tsv")
    assert code == 0
    for part in ("PER", "WER", "the worst rows", "phones taken for others", PAIRS[0][1]):
        assert part in out
    assert "hint: --base scores the untrained model beside it" in err
    assert "hint" not in type_in("eval run eval.tsv --no-base")[2]


def test_eval_shows_the_untrained_model_from_the_runs_own_record(type_in, folder):
    found = find_model("run")
    ready = load_ready(found)
    from sparksmith.data.read import read_data

    examples = read_data(folder / "eval.tsv").examples
    base = evaluate(
        load_base(found, ready).model, ready.encoder, examples, separated="words", max_new_tokens=9, batch_size=64,
        precision="fp32",
    )  # fmt: skip
    base.keep(found.folder)
    assert sha256_of(folder / "eval.tsv") == found.plan.eval_data.sha256
    code, out, err = type_in("eval run eval.tsv --json")
    assert code == 0 and json.loads(out)["untrained"] == base.scores.to_json()
    assert "untrained" not in err  # nothing was computed for it
    assert json.loads(type_in("eval run eval.tsv --json --no-base")[1])["untrained"] is None
    # asked in another way, or on other data, it says nothing of these answers
    assert json.loads(type_in("eval run eval.tsv --json --max_new_tokens 4")[1])["untrained"] is None
    (folder / "other.tsv").write_text(DATA.replace("כן", "לא"), encoding="utf-8")
    assert json.loads(type_in("eval run other.tsv --json")[1])["untrained"] is None
    # computed anew, it is the same
    (folder / "run/untrained.json").unlink()
    code, out, err = type_in("eval run eval.tsv --json --base")
    assert json.loads(out)["untrained"] == base.scores.to_json()
    assert "predicting the untrained model's answers: 22/22" in err
    assert "untrained" in type_in("eval run eval.tsv --base")[1]


def test_eval_of_a_plain_model(type_in, folder):
    save_small_qwen(folder / "model", template=None)
    (folder / "two.tsv").write_text("a\tb\nc\td\n")
    code, out, err = type_in("eval model two.tsv --json --max_new_tokens 3 --batch_size 1 --separator ' -> '")
    record = json.loads(out)
    assert code == 0 and "hint" not in err
    jsonschema.validate(record, schema("evaluation"))
    assert record["model"] == "model" and record["scores"]["per"] is None and record["untrained"] is None
    assert record["decoding"]["batch_size"] == 1


def test_eval_reports_prompts_that_are_too_long(type_in, folder):
    (folder / "long.tsv").write_text(f"{WORDS[0]}\ta\n{TOO_LONG}\tb\n", encoding="utf-8")
    code, out, err = type_in("eval run long.tsv --json")
    assert code == 0
    assert json.loads(out)["too_long"] == [2]
    assert "warning: 1 of 2 prompts fill the model's 137 tokens (lines 2)" in err


# What a run knows of how its data are read


@pytest.fixture
def with_header(folder):
    """The run as if it had been trained with --header yes and columns by name, and a file of that shape."""
    plan = json.loads((folder / "run/plan.json").read_text())
    write_json(folder / "run/plan.json", plan | {"prompt_column": "wort", "response_column": "laut", "header": "yes"})
    rows = "".join(f"{line}\t{prompt}\t{response}\n" for line, (prompt, response) in enumerate(PAIRS))
    (folder / "three.tsv").write_text(f"n\twort\tlaut\n{rows}", encoding="utf-8")
    return folder


def test_data_is_read_as_in_training(type_in, with_header):
    code, out, err = type_in("eval run three.tsv --json")
    assert code == 0
    assert json.loads(out)["rows"] == len(PAIRS)
    note = "note: three.tsv is read as in training: --header yes --prompt_column wort --response_column laut"
    assert note in err.splitlines()


def test_what_is_typed_comes_before_the_training(type_in, with_header):
    rows = "".join(f"{prompt}\t{response}\n" for prompt, response in PAIRS)
    (with_header / "two.tsv").write_text(rows, encoding="utf-8")
    code, out, err = type_in("eval run two.tsv --json --header no --prompt_column 1 --response_column 2")
    assert (code, json.loads(out)["rows"]) == (0, len(PAIRS))
    assert "as in training" not in err


def test_data_of_another_kind_is_read_as_it_is(type_in, with_header):
    rows = "".join(json.dumps({"prompt": prompt, "completion": response}) + "\n" for prompt, response in PAIRS[:3])
    (with_header / "rows.jsonl").write_text(rows)
    code, out, err = type_in("eval run rows.jsonl --json")
    assert (code, json.loads(out)["rows"]) == (0, 3)
    assert "as in training" not in err


def test_a_first_line_that_looks_like_names_is_told(type_in, folder):
    (folder / "named.tsv").write_text("wort\taussprache\n" + DATA, encoding="utf-8")
    code, out, err = type_in("eval run named.tsv --json")
    assert (code, json.loads(out)["rows"]) == (0, len(PAIRS) + 1)
    assert "warning: data: line 1 of named.tsv looks like column names" in err and "hint: --header yes" in err
    assert "looks like" not in type_in("eval run named.tsv --json --header no")[2]
    assert json.loads(type_in("eval run named.tsv --json --header yes")[1])["rows"] == len(PAIRS)


# What else is said


@pytest.mark.parametrize(
    ("rows", "words", "hint"),
    [
        (["c a t", "d o g"], "", "--spaces_separate phones scores them by phones"),
        (["kˈat", "dˈog"], "", "--spaces_separate words scores them by phones"),
        (["a cat", "a dog"], "", None),
        (["c a t", "d o g"], "--spaces_separate phones", None),
    ],
)
@pytest.mark.parametrize("shown", ["", "--json"])
def test_how_phones_are_scored(type_in, folder, rows, words, hint, shown):
    save_small_qwen(folder / "model", template=None)
    (folder / "few.tsv").write_text("".join(f"w\t{row}\n" for row in rows), encoding="utf-8")
    code, _, err = type_in(f"eval model few.tsv --max_new_tokens 2 {words} {shown}")
    assert code == 0
    assert ("hint:" in err) is (hint is not None) and (hint is None or hint in err)


def test_a_better_checkpoint_than_the_newest_is_named(type_in, folder):
    shutil.copytree(folder / "run/checkpoint-1", folder / "run/checkpoint-2")
    plan = json.loads((folder / "run/plan.json").read_text())
    assert plan["metric_for_best_model"] == "wer"
    seal_checkpoint(folder / "run/checkpoint-1", 1, eval_loss=0.9, eval_wer=0.25)
    seal_checkpoint(folder / "run/checkpoint-2", 2, eval_loss=0.5, eval_wer=0.5)
    _, _, err = type_in("eval run eval.tsv --json")
    assert "note: by WER 25.0% when it was saved, the best checkpoint is run/checkpoint-1" in err
    assert "best" not in type_in("eval run/checkpoint-1 eval.tsv --json")[2]
    write_json(folder / "run/plan.json", plan | {"metric_for_best_model": "loss"})
    assert "best" not in type_in("eval run eval.tsv --json")[2]


def test_damaged_weights_are_told_and_the_checkpoint_before_answers(type_in, folder):
    shutil.copytree(folder / "run/checkpoint-1", folder / "run/checkpoint-2")
    seal_checkpoint(folder / "run/checkpoint-2", 2)
    path = folder / "run/checkpoint-2/model.safetensors"
    path.write_bytes(path.read_bytes()[:-2] + b"!!")
    code, out, err = type_in("eval run eval.tsv --json")
    assert (code, json.loads(out)["model"]) == (0, "run/checkpoint-1")
    assert "warning: checkpoint-2 is passed over, it is not whole: model.safetensors is not what was saved" in err
    assert "model.safetensors is not what was saved" in type_in(["predict", "run", "x"])[2]


def test_a_run_without_its_plan_answers_from_its_checkpoint(type_in, folder):
    (folder / "run/plan.json").write_text('{"version": 1, "mod')
    code, out, err = type_in("eval run/checkpoint-1 eval.tsv --json --max_new_tokens 3")
    assert (code, json.loads(out)["rows"]) == (0, len(PAIRS))
    assert "plan.json cannot be read as JSON" in err and "checkpoint-1 answers as a plain model" in err
