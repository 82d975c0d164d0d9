"""Records keep to their schemas, hold no secret, and are read after any kind of end."""

from __future__ import annotations

import itertools
import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparksmith.base.errors import SparksmithError
from sparksmith.data.examples import pair
from sparksmith.evaluate.result import Decoding, make_evaluation
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import Recorder, new_run_id, read_lines, schema, write_evaluation, write_manifest
from sparksmith.score.rates import score

SCHEMAS = ["manifest", "event", "metric", "evaluation", "prediction", "status"]
PROCESS = {"pid": 4, "start_ticks": 5, "boot": "b"}
SECRET = "hf_" + "abcdEFGH" * 4


def check(name: str, record: object) -> None:
    jsonschema.Draft202012Validator(schema(name)).validate(record)


def refused(name: str, record: object) -> bool:
    return not jsonschema.Draft202012Validator(schema(name)).is_valid(record)


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return RunFolder(tmp_path)


@pytest.fixture
def recorder(folder):
    ticks = itertools.count(1000)
    opened = Recorder(folder, clock=lambda: next(ticks))
    yield opened
    opened.close()


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_are_schemas(name):
    jsonschema.Draft202012Validator.check_schema(schema(name))
    assert schema(name)["title"]
    assert refused(name, {})


EVENTS = [
    ("job_started", {"pid": 7}),
    ("data_read", {"train_rows": 5, "eval_rows": 0}),
    ("model_ready", {"parameters": 10, "trainable_parameters": 5, "vocabulary": 3}),
    ("training_started", {"step": 0, "max_steps": 5}),
    ("checkpoint_saved", {"step": 5, "path": "outputs/checkpoint-5"}),
    ("warning", {"message": "two rows are too long"}),
    ("training_finished", {"step": 5, "seconds": 1.5, "tokens": 100}),
    ("evaluation", {"scores": score(["a"], ["b"], "phones").to_json()}),
    ("job_failed", {"message": "no space", "hint": None, "exit_code": 1}),
    ("job_finished", {"exit_code": 0}),
]


def test_events_keep_to_their_schema(folder, recorder):
    for kind, facts in EVENTS:
        recorder.event(kind, **facts)
    lines = list(read_lines(folder.events))
    assert [line["kind"] for line in lines] == [kind for kind, _ in EVENTS]
    assert [line["time"] for line in lines] == list(range(1000, 1000 + len(EVENTS)))
    for line, (_, facts) in zip(lines, EVENTS, strict=True):
        check("event", line)
        assert facts.items() <= line.items()


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "something_else"},
        {"kind": "warning"},
        {"kind": "checkpoint_saved", "step": 5},
        {"kind": "job_failed", "message": "no exit code"},
        {"kind": "job_finished"},
        {"kind": "training_finished", "step": 5},
        {"kind": "training_started", "step": -1},
        {"kind": "job_started", "version": 2},
    ],
)
def test_what_the_event_schema_refuses(event):
    assert refused("event", {"version": 1, "time": 0, **event})


def test_metrics_keep_to_their_schema(folder, recorder):
    recorder.metric(
        10, loss=2.5, learning_rate=1e-3, grad_norm=None, tokens_per_second=1e3, tokens_seen=9, memory_available_bytes=5
    )  # fmt: skip
    recorder.metric(20, eval_loss=2.25)
    lines = list(read_lines(folder.metrics))
    for line in lines:
        check("metric", line)
    assert lines[0]["tokens_per_second"] == 1000
    assert lines[1] == {"version": 1, "time": 1001, "step": 20, "eval_loss": 2.25}
    assert refused("metric", {**lines[1], "los": 1})
    assert refused("metric", {**lines[1], "step": -1})


def test_the_sinks_are_told_what_is_written(folder, recorder):
    told = []
    recorder.sinks += [told.append, lambda event: told.append(event["kind"])]
    recorder.event("warning", message=f"cannot log in with {SECRET}")
    recorder.metric(1, loss=0.5)
    (written,) = read_lines(folder.events)
    assert told[:2] == [written, "warning"]
    assert told[2]["loss"] == 0.5
    assert told[3] == "metric"
    assert SECRET not in str(told)


def test_each_line_is_there_as_soon_as_it_is_written(folder, recorder):
    recorder.event("job_started", pid=1)
    assert len(folder.events.read_text().splitlines()) == 1
    recorder.metric(1, loss=0.5)
    assert len(folder.metrics.read_text().splitlines()) == 1


def test_no_secret_is_written(folder, recorder):
    recorder.event(
        "job_failed", message=f"401 for https://user:word@host and {SECRET}", hint=None, exit_code=1, api_key="plain"
    )
    text = folder.events.read_text()
    assert SECRET not in text
    assert "user:word" not in text
    assert "plain" not in text
    write_manifest(folder, command=["sparksmith", "train", f"--hub-token={SECRET}", "HF_TOKEN=plain"])
    assert SECRET not in folder.manifest.read_text()
    assert "plain" not in folder.manifest.read_text()


def test_the_manifest_is_renewed(folder):
    write_manifest(
        folder,
        run="20261121-031500-1a2b",
        created=1.5,
        sparksmith="0.1.0",
        state="planned",
        name="sft",
        process=PROCESS,
    )
    first = json.loads(folder.manifest.read_text())
    check("manifest", first)
    write_manifest(folder, state="finished", process=None, exit_code=0, packages={"torch": "2.13.0"})
    second = json.loads(folder.manifest.read_text())
    check("manifest", second)
    assert second == {**first, "state": "finished", "process": None, "exit_code": 0, "packages": {"torch": "2.13.0"}}
    assert refused("manifest", {**first, "state": "unknown"})
    assert refused("manifest", {**first, "process": {"pid": 4}})
    assert refused("manifest", {**first, "unknown": 1})
    assert refused("manifest", {name: value for name, value in first.items() if name != "run"})


@pytest.mark.parametrize("separated", ["phones", "words", None])
@pytest.mark.parametrize("untrained", [False, True])
def test_evaluations_keep_to_their_schema(folder, separated, untrained):
    examples = [pair(1, "אב", "ˈab"), pair(2, "ד", "d")]
    decoding = Decoding("greedy", 32, 64, "fp32")
    found = make_evaluation(examples, ["at", "d"], separated, seconds=0.5, decoding=decoding)
    before = make_evaluation(examples, ["", ""], separated, seconds=0.5, decoding=decoding) if untrained else None
    summary = found.to_json(model="tiny", data="a.tsv", rows=2, untrained=before)
    rows = [
        {"line": 1, "prompt": "אב", "reference": "ˈab", "prediction": "at"},
        {"line": 2, "prompt": "ד", "reference": "d", "prediction": "d"},
    ]
    if untrained:
        rows = [{**row, "untrained": ""} for row in rows]
    write_evaluation(folder.path, summary, rows)
    found = json.loads(folder.evaluation.read_text())
    check("evaluation", found)
    assert found == summary and found["version"] == 1
    assert list(read_lines(folder.predictions)) == rows
    for row in rows:
        check("prediction", row)
    assert "אב" in folder.predictions.read_text(encoding="utf-8")
    assert refused("evaluation", {**found, "rows": 0})
    assert refused("evaluation", {**found, "scores": {"cer": None}})
    assert refused("evaluation", {name: value for name, value in found.items() if name != "worst"})
    assert refused("evaluation", {**found, "decoding": {**found["decoding"], "method": "sampling"}})
    assert refused("evaluation", {**found, "worst": [{**found["worst"][0], "edits": []}]})
    assert refused("evaluation", {**found, "unknown": 1})
    assert refused("prediction", {"prompt": "a"})


class TestReading:
    def test_no_file_is_no_records(self, tmp_path):
        assert list(read_lines(tmp_path / "absent.jsonl")) == []

    @pytest.mark.parametrize("tail", ['{"a": ', '{"a": "caf\xc3', "{", '{"a": 1', "\n", "", "\n\n"])
    def test_a_last_line_that_was_cut_off_is_passed_over(self, tmp_path, tail):
        path = tmp_path / "a.jsonl"
        path.write_bytes(b'{"n": 1}\n{"n": 2}\n' + tail.encode("latin-1"))
        assert [line["n"] for line in read_lines(path)] == [1, 2]

    @pytest.mark.parametrize("bad", ['{"n": ', "nonsense", "\x00\x00"])
    def test_a_bad_line_in_the_middle_is_refused(self, tmp_path, bad):
        path = tmp_path / "a.jsonl"
        path.write_text(f'{{"n": 1}}\n{bad}\n{{"n": 2}}\n')
        with pytest.raises(SparksmithError, match=r"a\.jsonl, line 2, is not JSON"):
            list(read_lines(path))

    def test_only_a_newline_ends_a_line(self, folder, recorder):
        recorder.event("warning", message="a\u2028b\x85c\nd")
        (line,) = read_lines(folder.events)
        assert line["message"] == "a\u2028b\x85c\nd"

    @pytest.mark.parametrize("cut", ['{"version": 1, "ki', "x"])
    def test_going_on_after_a_cut_line_leaves_a_file_that_can_be_read(self, folder, cut):
        folder.events.write_text('{"n": 1}\n' + cut)
        folder.metrics.write_text(cut)
        recorder = Recorder(folder)
        recorder.event("job_started", pid=1)
        recorder.metric(1, loss=0.5)
        recorder.close()
        assert [line.get("n", line.get("kind")) for line in read_lines(folder.events)] == [1, "job_started"]
        assert [line["step"] for line in read_lines(folder.metrics)] == [1]

    def test_going_on_keeps_what_is_whole(self, folder):
        for number in range(3):
            recorder = Recorder(folder)
            recorder.event("warning", message=str(number))
            recorder.close()
        assert [line["message"] for line in read_lines(folder.events)] == ["0", "1", "2"]

    @given(
        st.lists(st.dictionaries(st.text(max_size=4), st.text(max_size=6) | st.integers(), min_size=1), max_size=4),
        st.integers(0, 200),
    )
    def test_a_file_cut_anywhere_gives_its_whole_lines(self, tmp_path_factory, records, cut):
        path = tmp_path_factory.getbasetemp() / "cut.jsonl"
        whole = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
        path.write_bytes(whole[:cut])
        found = list(read_lines(path))
        assert found == records[: len(found)]
        assert len(found) >= whole[:cut].count(b"\n")


def test_run_ids_sort_by_time_and_do_not_collide():
    early, late = new_run_id(lambda: 1_000_000_000.0), new_run_id(lambda: 1_000_000_001.0)
    assert early.startswith("20010909-014640-")
    assert early < late
    assert len({new_run_id(lambda: 0.0) for _ in range(20)}) > 15
    check("manifest", {"version": 1, "run": early, "created": 0, "sparksmith": "0", "state": "planned"})
