"""resume, runs, logs and stop, as they are typed."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest

from records import write_checkpoint, write_run
from sparksmith.jobs.identity import own_identity
from sparksmith.jobs.lock import hold_folder
from sparksmith.recipe.plan import Plan
from sparksmith.runs.checkpoints import checkpoint_folders
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import schema
from sparksmith.runs.register import register, registered
from typed import check_refusal


@pytest.fixture
def type_in(type_without_torch):
    return type_without_torch


def plan_of(folder):
    return Plan.model_validate_json(folder.plan.read_text(encoding="utf-8"))


class TestGoingOn:
    def test_without_a_recipe_the_run_is_what_it_was(self, type_in, begun, tmp_path, monkeypatch):
        before = plan_of(begun)
        created = json.loads(begun.manifest.read_text())["created"]
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        for _ in range(2):  # and again, from what the first has written
            code, _, err = type_in("train --output_dir ../outputs --resume_from_checkpoint --max_steps 40")
            assert code == 0, err
        now = plan_of(begun)
        same = {name for name in Plan.model_fields if getattr(before, name) == getattr(now, name)}
        assert {"seed", "model", "batch_size", "learning_rate", "train_data", "eval_data", "system_prompt"} <= same
        assert (now.max_steps, now.resume_from_checkpoint) == (40, "latest")
        assert len(registered()) == 1
        assert registered()[0].created == created

    def test_more_steps_are_told(self, type_in, begun):
        code, _, err = type_in("train --resume_from_checkpoint --max_steps 40 --save_steps 3")
        assert code == 0
        assert "changed: max_steps: 20 in the run, 40 now" in err
        assert "changed: save_steps: 500 in the run, 3 now" in err
        assert "note: the learning rate falls to zero at step 40 instead of 20: at step 10" in err

    @pytest.mark.parametrize(("flags", "words"), [
        ("--seed 8", "seed: 7 in the run, 8 now"), ("--batch_size 3", "batch_size: 2 in the run, 3 now"),
        ("--learning_rate 1", "learning_rate: 0.002 in the run, 1.0 now"), ("--data_file other.tsv", "data_file: "),
        ("--tiny_layers 2", "tiny_layers: 4 in the run, 2 now"), ("--model unsloth/gemma-3-270m-it", "model: tiny"),
    ])  # fmt: skip
    def test_another_run_is_refused_with_the_difference(self, type_in, begun, flags, words):
        before = begun.plan.read_text()
        code, _, err = type_in(f"train --resume_from_checkpoint {flags}")
        assert code == 1
        assert "error: this would not be the same run:" in err
        assert words in err
        assert "another --output_dir" in err
        assert begun.plan.read_text() == before

    def test_changed_data_is_refused(self, type_in, begun, tmp_path):
        (tmp_path / "data.tsv").write_text("cat\tk æ t\n", encoding="utf-8")
        code, _, err = type_in("train --resume_from_checkpoint")
        assert code == 1
        assert re.search(r"data_file: 3 rows, \w{8} \(.* in the run, 1 row, \w{8} \(.* now", err)

    def test_a_named_checkpoint_belongs_to_its_run(self, type_in, begun, tmp_path, monkeypatch):
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert type_in("train --resume_from_checkpoint ../outputs/checkpoint-10")[0] == 0
        assert plan_of(begun).output_dir == str(begun.path)
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_the_division_of_a_batch_is_kept(self, type_in, begun):
        assert type_in("train --resume_from_checkpoint --micro_batch_size 1 --gradient_accumulation_steps 2")[0] == 0
        assert type_in("train --model tiny --data_file data.tsv --eval_file other.tsv --max_steps 20 --batch_size 2 "
                       "--seed 7 --resume_from_checkpoint")[0] == 0  # fmt: skip
        plan = plan_of(begun)
        assert (plan.micro_batch_size, plan.gradient_accumulation_steps) == (1, 2)
        (choice,) = [choice for choice in plan.choices if choice.name == "micro_batch_size"]
        assert (choice.value, choice.why) == (1, "as the run was")

    def test_a_system_prompt_is_kept(self, type_in, tmp_path):
        (tmp_path / "prompt.txt").write_text("Be brief.")
        assert type_in("train --model some/chat --data_file data.tsv --system_prompt_file prompt.txt")[0] == 0
        (tmp_path / "prompt.txt").unlink()
        code, _, err = type_in("train --resume_from_checkpoint")
        assert code == 0, err
        assert plan_of(RunFolder(tmp_path / "outputs")).system_prompt == "Be brief."


BAD = [
    ("train --resume_from_checkpoint", 1, "there is no run in", "--output_dir FOLDER"),
    ("train --output_dir absent --resume_from_checkpoint", 1, "there is no run in", "sparksmith runs"),
    (
        "train --output_dir run --resume_from_checkpoint run/checkpoint-6",
        1,
        "does not exist",
        "--resume_from_checkpoint",
    ),
    (
        "train --output_dir run --resume_from_checkpoint run",
        1,
        "run is a run, not a checkpoint",
        "--output_dir run --res",
    ),
    ("train --output_dir run --resume_from_checkpoint run/checkpoint-5", 1, "optimizer.pt is missing", "checkpoint-4"),
    ("train --output_dir old --resume_from_checkpoint", 1, "is not of this version", "manifest.json"),
    ("train --output_dir cut --resume_from_checkpoint", 1, "settings.json cannot be read as JSON", "--output_dir"),
    ("runs nonsense", 2, "No such command 'nonsense'", "sparksmith runs --help"),
    ("runs show", 2, "Missing argument 'RUN'", "runs show --help"),
    ("runs show absent", 1, "absent does not exist", "runs: cut, foreign, garbled, old, run"),
    ("runs show data.tsv", 1, "data.tsv is no run", "runs: cut"),
    ("runs --jsno", 2, "No such option", "runs --help"),
    ("logs", 2, "Missing argument 'RUN'", "logs --help"),
    ("logs absent", 1, "absent does not exist", "runs: cut"),
    ("logs garbled", 1, "line 1, is not JSON", "sed -n 1p"),
    ("stop", 2, "Missing argument 'RUN'", "stop --help"),
    ("stop absent", 1, "absent does not exist", "run"),
    ("stop run", 1, "no job runs in", "sparksmith runs show run"),
    ("stop run extra", 2, "unexpected extra argument", "stop --help"),
    ("clean absent", 1, "absent does not exist", "run"),
    ("clean run/checkpoint-4", 1, "is a checkpoint; clean deletes whole runs", "rm -r run/checkpoint-4"),
    ("clean foreign", 1, "no manifest.json of Sparksmith's", "ls"),
    ("clean run", 1, "nobody answered", "clean --yes"),
    ("clean --all", 2, "No such option", "clean --help"),
]


@pytest.mark.parametrize(("words", "code", "message", "hint"), BAD, ids=[row[0] for row in BAD])
def test_bad_inputs(type_in, tmp_path, words, code, message, hint):
    folder = write_run(tmp_path / "run", "running")
    write_checkpoint(folder.path, 4)
    (write_checkpoint(folder.path, 5) / "optimizer.pt").unlink()
    write_run(tmp_path / "old").settings.write_text('{"version": 0}')
    write_run(tmp_path / "cut").settings.write_text('{"version"')
    write_run(tmp_path / "garbled").events.write_text('nonsense\n{"kind": "x", "time": 1}\n')
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/manifest.json").write_text('{"name": "a web page"}')
    found, out, err = type_in(words)
    check_refusal((found, out, err), code, message, hint, out=out)  # clean lists before it asks
    assert len(checkpoint_folders(folder.path)) == 2


def test_a_running_job_is_not_started_again_nor_deleted(type_in, begun):
    with hold_folder(begun.path):
        for words in ("train --resume_from_checkpoint", "clean outputs --yes"):
            code, _, err = type_in(words)
            assert (code, "a job is running in" in err, "sparksmith stop" in err) == (1, True, True)


def test_a_runs_figures_as_json(type_in, tmp_path):
    assert json.loads(type_in("runs --json")[1]) == {"version": 1, "runs": []}
    assert "no runs yet" in type_in("runs")[2]
    states = {"finished": {"exit_code": 0}, "stopped": {"message": "[red]Ctrl+C[/]"}, "running": {}}
    for number, (state, facts) in enumerate(states.items()):
        folder = write_run(tmp_path / f"[b] {state}", state, **facts)
        register(f"run-{state}", folder, float(number))
    register("run-gone", RunFolder(tmp_path / "gone"), 9.0)
    validator = jsonschema.Draft202012Validator(schema("status"))
    listed = json.loads(type_in("runs --json")[1])
    validator.validate(listed)
    assert [row["state"] for row in listed["runs"]] == ["gone", "died", "stopped", "finished"]
    one = json.loads(type_in(f"runs show '{tmp_path}/[b] stopped' --json")[1])
    validator.validate(one)
    assert one.keys() - {"version"} == listed["runs"][0].keys() - {"run", "created"}
    assert one["resume"].startswith("sparksmith train --output_dir '")
    assert not validator.is_valid({"version": 1})
    _, out, err = type_in("runs")
    assert [line.split()[2] if line.startswith("[b]") else line.split()[1] for line in out.splitlines()[1:]] == [
        "gone", "died", "stopped", "finished"
    ]  # fmt: skip
    assert "[red]Ctrl+C[/]" in out
    assert "runs show RUN" in err


def test_runs_show(type_in, begun):
    code, out, _ = type_in("runs show outputs")
    assert code == 0
    assert "checkpoint-10" in out
    assert "follow  sparksmith logs -f outputs" in out


def test_a_run_that_was_never_started(type_in, begun, monkeypatch):
    assert "planned: its job is being started" in type_in("runs show outputs")[1]
    monkeypatch.setattr("sparksmith.jobs.status.STARTING_SECONDS", 0.0)
    _, out, _ = type_in("runs show outputs")
    assert "planned: it was never started" in out
    assert f"go on  sparksmith train --output_dir {begun.path} --resume_from_checkpoint" in out


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ((), "it loads the libraries and the data"),
        (("job_started",), "it loads the libraries and the data"),
        (("job_started", "data_read"), "it loads the model"),
        (("job_started", "data_read", "model_ready", "warning"), "the model is loaded"),
        (("job_started", "training_started"), "it trains; no point"),
    ],
)
def test_a_job_before_its_first_step(type_in, tmp_path, kinds, words):
    folder = write_run(tmp_path / "run", "running", process=own_identity().to_json())
    folder.events.write_text("".join(json.dumps({"kind": kind, "time": 1}) + "\n" for kind in kinds))
    assert f"running: {words}" in type_in("runs show run")[1]
    folder.metrics.write_text('{"step": 3, "loss": 0.5}\n')
    assert "state  running\n" in type_in("runs show run")[1]


def test_a_job_that_is_starting(type_in, tmp_path):
    folder = write_run(tmp_path / "run", "planned")
    with hold_folder(folder.path):
        _, out, _ = type_in("runs show run")
        assert "running: its job is starting" in out and "logs -f run" in out
        check_refusal(type_in("stop run"), 1, "is only starting, and cannot hear yet", "sparksmith stop run")
        code, _, err = type_in("eval run data.tsv")
        assert (code, "the run run has no checkpoint yet" in err, "sparksmith logs -f" in err) == (1, True, True)


def test_a_folder_is_listed_once(type_in, tmp_path):
    folder = write_run(tmp_path / "again")
    for number in range(3):
        register(f"run-{number}", folder, float(number))
    register("link", RunFolder(tmp_path / "sub/../again"), 0.5)
    register("other", write_run(tmp_path / "other"), 1.5)
    listed = json.loads(type_in("runs --json")[1])["runs"]
    assert [(row["run"], row["folder"]) for row in listed] == [
        ("run-2", str(folder.path)), ("other", str(tmp_path / "other")),
    ]  # fmt: skip
    assert type_in("clean again --yes")[0] == 0
    assert [run.run for run in registered()] == ["other"]  # none of its older entries comes back


def test_damage_is_shown(type_in, tmp_path):
    folder = write_run(tmp_path / "run", "stopped")
    write_checkpoint(folder.path, 4)
    folder.plan.write_text('{"max_st')
    folder.metrics.write_text("nonsense\n")
    _, out, _ = type_in("runs show run")
    assert "damaged  plan.json cannot be read: it is cut off or not JSON" in out
    assert "damaged  metrics.jsonl is not JSON in line 1" in out
    assert f"left  it cannot go on; its checkpoints still answer: sparksmith predict {folder.path}/checkpoint-4" in out
    assert "--resume_from_checkpoint" not in out
    shown = json.loads(type_in("runs show run --json")[1])
    jsonschema.validate(shown, schema("status"))
    assert shown["resume"] is None and len(shown["damaged"]) == 3  # settings.json was never there


def test_the_scores_are_shown(type_in, tmp_path):
    folder = write_run(tmp_path / "run")
    assert "scores  " not in type_in("runs show run")[1]
    rates = {name: {"rate": 0.25, "errors": 1, "total": 4, "low": 0.1, "high": 0.5} for name in ("cer", "exact_match")}
    folder.evaluation.write_text(json.dumps({"version": 1, "scores": rates}))
    assert "scores  Exact match 25.0% (10.0 to 50.0%), CER 25.0% (10.0 to 50.0%)\n" in type_in("runs show run")[1]
    rates |= {"wer": {"rate": 0.5}, "per": None}
    folder.evaluation.write_text(json.dumps({"version": 1, "scores": rates}))
    assert "scores  WER 50.0%, Exact match 25.0% (10.0 to 50.0%)\n" in type_in("runs show run")[1]
    for damaged in ("", "[1]", '{"scores": 3}', '{"scores": {"wer": {"rate": "x"}}}'):
        folder.evaluation.write_text(damaged)
        assert "scores  " not in type_in("runs show run")[1]


def test_the_best_checkpoint_is_shown_with_its_metric(type_in, tmp_path):
    folder = write_run(tmp_path / "run")
    folder.plan.write_text('{"max_steps": 20, "metric_for_best_model": "wer"}')
    write_checkpoint(folder.path, 10, eval_loss=0.9, eval_wer=0.25)
    assert "by WER" not in type_in("runs show run")[1]  # the only one
    write_checkpoint(folder.path, 20, eval_loss=0.5, eval_wer=0.5)
    assert "best  checkpoint-10, by WER 25.0% on the held-out part" in type_in("runs show run")[1]


class TestWhereARunGoes:
    def test_outputs_where_it_is_free(self, type_in, tmp_path):
        assert type_in("train --model tiny --data_file data.tsv")[0] == 0
        assert RunFolder(tmp_path / "outputs").is_run()

    def test_beside_the_runs_that_outputs_holds(self, type_in, tmp_path):
        write_run(tmp_path / "outputs/g2p-hebrew-1")
        for _ in range(2):
            assert type_in("train --model tiny --data_file data.tsv")[0] == 0
        assert not RunFolder(tmp_path / "outputs").is_run()
        assert sorted(path.name for path in (tmp_path / "outputs").iterdir()) == ["g2p-hebrew-1", "sft-1", "sft-2"]
        code, _, err = type_in("train --resume_from_checkpoint")
        assert code == 1
        assert "there is no run in" in err and "but it holds some" in err
        assert "runs: outputs/g2p-hebrew-1, outputs/sft-1, outputs/sft-2" in err
        assert type_in("train sft --model tiny --data_file data.tsv --resume_from_checkpoint")[0] == 0  # sft-2

    def test_a_recipe_without_a_name(self, type_in, tmp_path):
        write_run(tmp_path / "outputs/g2p-hebrew-1")
        (tmp_path / "my.yaml").write_text("model: tiny\ndata_file: data.tsv\n")
        assert type_in("train my.yaml")[0] == 0
        assert RunFolder(tmp_path / "outputs/run-1").is_run()

    def test_a_folder_that_was_named_is_taken(self, type_in, tmp_path):
        write_run(tmp_path / "outputs/g2p-hebrew-1")
        assert type_in("train --model tiny --data_file data.tsv --output_dir outputs")[0] == 0
        assert RunFolder(tmp_path / "outputs").is_run()


@pytest.mark.parametrize("words", ["--resume_from_checkpoint", "--output_dir new"])
def test_a_folder_that_is_read_only(type_in, begun, monkeypatch, words):
    def refuse(*arguments, **options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("sparksmith.base.files.tempfile.mkstemp", refuse)
    before = begun.plan.read_text()
    code, _, err = type_in(f"train --model tiny --data_file data.tsv --eval_file other.tsv --max_steps 20 "
                           f"--batch_size 2 --seed 7 {words}")  # fmt: skip
    assert code == 1
    assert "cannot be written: Read-only file system" in err and "hint: " in err
    assert begun.plan.read_text() == before


def test_a_running_one_is_shown_with_its_process(type_in, tmp_path):
    own = own_identity()
    write_run(tmp_path / "a run", "running", process=own.to_json())
    _, out, _ = type_in("runs show 'a run'")
    assert f"process  {own.pid}" in out
    assert "sparksmith logs -f 'a run'" in out


def test_the_log_of_a_finished_run(type_in, tmp_path):
    folder = write_run(tmp_path / "run")
    folder.events.write_text('{"kind": "training_started", "time": 100, "step": 0, "max_steps": 30}\n')
    lines = [
        {
            "time": 100 + 20 * step,
            "step": step,
            "loss": 1 / step,
            "tokens_per_second": 5.0,
            "memory_available_bytes": 2**30,
        }
        for step in (1, 2, 3)
    ]
    folder.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for words in ("logs run", "logs -f run"):
        code, out, err = type_in(words)
        assert (code, err) == (0, "finished\n")
        shown = [line.split("  ") for line in out.splitlines()]
        assert [line[0] for line in shown] == ["step 1/30", "step 2/30", "step 3/30"]  # by the run's clock
        assert shown[-1][-1] == "9 min 00 s left"


def test_the_log_of_a_run_that_died(type_in, tmp_path):
    folder = write_run(tmp_path / "run", "running")
    (folder.path / "job.log").write_text("Killed")
    code, out, err = type_in("logs -f run")
    assert (code, out) == (0, "")
    assert err.startswith("died: its process ended without a word")
    assert f"hint: tail {folder.path}/job.log" in err


def test_a_job_that_never_spoke_is_not_waited_for(type_in, tmp_path, monkeypatch):
    write_run(tmp_path / "run", "planned")
    monkeypatch.setattr("sparksmith.jobs.status.STARTING_SECONDS", 0.0)
    assert type_in("logs -f run")[2].startswith("planned: it was never started")
