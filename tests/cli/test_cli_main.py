"""The command: what it prints where, and how a run is begun."""

from __future__ import annotations

import json

import click
import pytest
import yaml
from jsonschema import Draft202012Validator

from asked import GB10, machine
from sparksmith import __version__
from sparksmith.cli.main import VERBS, cli
from sparksmith.cli.options import flag_names
from sparksmith.recipe.plan import Plan
from sparksmith.recipe.schema import json_schema
from sparksmith.recipe.shipped import recipe_names, recipe_text
from sparksmith.runs.records import schema
from typed import type_words


@pytest.fixture
def type_in(tmp_path, monkeypatch, capsys):
    """Type words in a folder that holds data.tsv; returns (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.tsv").write_text("cat\tk æ t\ndog\td ɒ ɡ\n", encoding="utf-8")
    monkeypatch.setattr("sparksmith.machine.collect.collect", lambda: machine(GB10))

    def run(*words):
        return type_words(monkeypatch, capsys, words)

    return run


def test_help_lists_every_verb(type_in):
    code, out, err = type_in("--help")
    assert (code, err) == (0, "")
    for verb, (_, _, text) in VERBS.items():
        assert f"  {verb} " in out
        assert text in " ".join(out.split())


def test_version(type_in):
    assert type_in("--version") == (0, f"sparksmith, version {__version__}\n", "")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(type_in, verb):
    for spelling in ("--help", "-h"):
        code, out, err = type_in(verb, spelling)
        assert (code, err) == (0, "")
        assert out.startswith(f"Usage: sparksmith {verb}")


def test_the_help_of_train_shows_every_flag_once(type_in):
    _, out, _ = type_in("train", "--help")
    shown = [line.split()[0] for line in out[out.index("\nData:") :].splitlines() if line.startswith("  --")]
    assert [word for word in shown if word[2:] in flag_names()] == [f"--{name}" for name in flag_names()]
    assert "(also --per_device_train_batch_size)" in " ".join(out.split())


def test_the_verbs_are_commands():
    context = click.Context(cli)
    assert all(isinstance(cli.get_command(context, verb), click.Command) for verb in cli.list_commands(context))
    assert cli.get_command(context, "nonsense") is None


def test_recipe_list(type_in):
    code, out, err = type_in("recipe", "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == recipe_names()
    assert "recipe show NAME" in err  # talk
    code, out, err = type_in("recipe", "list", "--json")
    assert (code, err) == (0, "")
    listed = json.loads(out)
    assert listed["version"] == 1
    assert [row["name"] for row in listed["recipes"]] == recipe_names()


def test_recipe_show_is_a_file_to_copy(type_in):
    code, out, err = type_in("recipe", "show", "sft")
    assert (code, err) == (0, "")
    assert out == recipe_text("sft")
    assert yaml.safe_load(out)["name"] == "sft"


def test_recipe_schema(type_in):
    code, out, err = type_in("recipe", "schema")
    assert (code, err) == (0, "")
    assert json.loads(out) == json_schema()


def test_a_dry_run_prints_the_plan_and_writes_nothing(type_in, tmp_path):
    code, out, err = type_in("train", "--data_file", "data.tsv", "--dry-run", "--seed", "9")
    assert code == 0
    assert "nothing was started or written" in err
    rows = {
        line.split()[0]: line for line in out.splitlines() if line.startswith("  ") and line.split()[0] in flag_names()
    }
    assert set(rows) == set(flag_names())
    assert rows["seed"].split() == ["seed", "9", "flag"]
    assert "NVIDIA GB10" in rows["device"]
    assert [path.name for path in tmp_path.iterdir()] == ["data.tsv"]


def test_a_dry_run_as_json_is_the_plan_and_what_was_seen_of_the_data(type_in, tmp_path):
    code, out, err = type_in("train", "--data_file", "data.tsv", "--dry-run", "--json", "--output_dir", "run-{n}")
    assert (code, err) == (0, "")
    shown = json.loads(out)
    assert set(shown) == {"version", "plan", "data"} and shown["version"] == 1
    Draft202012Validator(schema("data")).validate(shown["data"])
    plan = Plan.model_validate(shown["plan"])
    assert plan.train_data.path == str(tmp_path / "data.tsv")
    assert plan.train_data.rows == 2
    assert plan.output_dir == str(tmp_path / "run-1")
    assert plan.device == "cuda"


@pytest.fixture
def started(monkeypatch):
    """The folders of the Jobs that would have been started."""
    folders = []

    def run_job(folder):
        folders.append(folder)
        return 0

    monkeypatch.setattr("sparksmith.jobs.start.run_job", run_job)
    monkeypatch.setattr("sparksmith.cli.train.check_torch", lambda: None)
    return folders


def test_a_run_is_written_and_then_started(type_in, started, tmp_path):
    recipe = tmp_path / "my recipe.yaml"
    recipe.write_text(
        "name: mine\ndata_file: data.tsv\nsystem_prompt: HF_TOKEN=hush\noutput_dir: run-{n}\n", encoding="utf-8"
    )
    assert type_in("train", "my recipe.yaml", "--max_steps", "5")[0] == 0
    run = tmp_path / "run-1"
    assert started == [run]
    records = ["data.json", "manifest.json", "plan.json", "recipe.yaml", "settings.json"]
    assert sorted(path.name for path in run.iterdir()) == records
    plan = Plan.model_validate_json((run / "plan.json").read_text(encoding="utf-8"))
    assert (plan.max_steps, plan.output_dir, plan.name) == (5, str(run), "mine")
    manifest = json.loads((run / "manifest.json").read_text())
    assert (manifest["state"], manifest["name"]) == ("planned", "mine")
    assert manifest["command"] == ["sparksmith", "train", "my recipe.yaml", "--max_steps", "5"]
    settings = json.loads((run / "settings.json").read_text())
    assert settings["origins"]["max_steps"]["source"] == "flag"
    assert "hush" not in (run / "recipe.yaml").read_text()
    # the next one is another run
    assert type_in("train", "my recipe.yaml")[0] == 0
    assert started == [run, tmp_path / "run-2"]


def test_a_fresh_run_does_not_write_into_another(type_in, started, tmp_path):
    assert type_in("train", "--data_file", "data.tsv")[0] == 0
    (tmp_path / "outputs/checkpoint-5").mkdir()
    before = (tmp_path / "outputs/plan.json").read_text()
    code, out, err = type_in("train", "--data_file", "data.tsv", "--seed", "1")
    assert (code, out) == (1, "")
    assert "outputs holds a run already" in err
    assert "--resume_from_checkpoint" in err
    assert "--output_dir OTHER" in err
    assert (tmp_path / "outputs/plan.json").read_text() == before
    assert len(started) == 1
    assert type_in("train", "--data_file", "data.tsv", "--resume_from_checkpoint")[0] == 0
    assert len(started) == 2
    run = json.loads((tmp_path / "outputs/manifest.json").read_text())
    assert run["state"] == "planned"


def test_what_an_earlier_try_left_without_a_checkpoint_is_no_obstacle(type_in, started, tmp_path):
    """A model that could not be loaded, or Ctrl+C before the first save, leaves records only: nothing to lose."""
    assert type_in("train", "--data_file", "data.tsv")[0] == 0
    (tmp_path / "outputs/g2p-word-1").mkdir()  # another run's folder inside
    (tmp_path / "outputs/mine.txt").write_text("mine")
    first = json.loads((tmp_path / "outputs/manifest.json").read_text())["run"]
    assert type_in("train", "--data_file", "data.tsv", "--seed", "1")[0] == 0
    assert json.loads((tmp_path / "outputs/manifest.json").read_text())["run"] != first
    assert json.loads((tmp_path / "outputs/plan.json").read_text())["seed"] == 1
    assert (tmp_path / "outputs/g2p-word-1").is_dir() and (tmp_path / "outputs/mine.txt").read_text() == "mine"


def test_a_checkpoint_that_is_none(type_in, started, tmp_path):
    code, _, err = type_in("train", "--data_file", "data.tsv", "--resume_from_checkpoint", "checkpoint-5")
    assert code == 1
    assert "the checkpoint checkpoint-5 does not exist" in err
    (tmp_path / "checkpoint-5").mkdir()
    code, _, err = type_in("train", "--data_file", "data.tsv", "--resume_from_checkpoint", "checkpoint-5")
    assert code == 1
    assert "is not a whole checkpoint: trainer_state.json is missing; optimizer.pt is missing" in err
    assert "hint: start afresh with another --output_dir" in err
    for name in ("trainer_state.json", "optimizer.pt", "scheduler.pt"):
        (tmp_path / "checkpoint-5" / name).write_text("{}")
    (tmp_path / "checkpoint-5/model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    code, _, err = type_in("train", "--data_file", "data.tsv", "--resume_from_checkpoint", "checkpoint-5")
    assert (code, "trainer_state.json says no step" in err) == (1, True)
    (tmp_path / "checkpoint-5/trainer_state.json").write_text('{"global_step": 5}')
    assert type_in("train", "--data_file", "data.tsv", "--resume_from_checkpoint", "checkpoint-5")[0] == 0
    plan = json.loads((tmp_path / "outputs/plan.json").read_text())
    assert plan["resume_from_checkpoint"] == str(tmp_path / "checkpoint-5")


def test_a_folder_that_cannot_be_made(type_in, started):
    code, _, err = type_in("train", "--data_file", "data.tsv", "--output_dir", "data.tsv/run")
    assert code == 1
    assert "cannot be made" in err
    assert "hint: --output_dir FOLDER" in err
    assert started == []


def test_without_torch_the_hint_is_the_command_that_makes_an_environment(type_in, monkeypatch, tmp_path):
    monkeypatch.setattr("sparksmith.cli.environment.has_module", lambda name: False)
    code, _, err = type_in("train", "--data_file", "data.tsv")
    assert code == 1
    assert err.splitlines()[-2].startswith("error: ")
    assert "torch, transformers, trl" in err.splitlines()[-2]
    assert "hint: in a clone of Sparksmith: make" in err
    assert not (tmp_path / "outputs").exists()


def test_the_jobs_exit_code_is_the_commands(type_in, monkeypatch, started):
    monkeypatch.setattr("sparksmith.jobs.start.run_job", lambda folder: 130)
    assert type_in("train", "--data_file", "data.tsv")[0] == 130


def test_recipes_are_listed_with_what_they_want(type_in):
    _, out, _ = type_in("recipe", "list")
    lines = {line.split()[0]: line for line in out.splitlines()}
    wants = "(wants --data_file, and --eval_file to be scored)"
    assert [name for name, line in lines.items() if line.endswith(wants)] == ["g2p-word", "sft"]
    described = json.loads(type_in("recipe", "list", "--json")[1])["recipes"]
    assert not any("--" in row["description"] for row in described)  # which stands under the title of a run's page
