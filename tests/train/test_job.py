"""The Job in this process: what it writes, that its order and losses do not depend on how a batch is divided, and that
its checkpoints are plain folders that other tools load."""

from __future__ import annotations

import json
import shutil

import jsonschema
import pytest
import torch

from jobs_here import carry_out, prepare
from plans import PAIRS, make_plan, write_pairs
from small_models import save_small_gemma, save_small_qwen
from sparksmith.base.files import write_json
from sparksmith.runs.checkpoints import checkpoint_folders, find_faults
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import read_lines, schema
from sparksmith.train.__main__ import main as job

pytestmark = [
    pytest.mark.effects,  # collecting the machine asks nvidia-smi
    pytest.mark.filterwarnings("ignore"),  # the libraries' own
]


def losses(folder: RunFolder) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in read_lines(folder.metrics) if "loss" in line}


def test_the_guides_quick_test(tmp_path):
    """Two lines, 10 steps, a save every 5: plain Transformers folders."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    plan = make_plan(tmp_path, data_file=str(write_pairs(tmp_path, 2)), max_steps=10, save_steps=5, batch_size=2)
    folder = carry_out(plan)
    assert [path.name for path in checkpoint_folders(folder.path)] == ["checkpoint-5", "checkpoint-10"]
    for checkpoint in checkpoint_folders(folder.path):
        model = AutoModelForCausalLM.from_pretrained(checkpoint)
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        assert model.config.vocab_size == len(tokenizer)
        assert tokenizer.apply_chat_template([{"role": "user", "content": "שלום"}], add_generation_prompt=True)[
            "input_ids"
        ]
        for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"):
            assert (checkpoint / name).is_file(), name


def test_every_line_of_a_run_keeps_to_its_schema(tmp_path):
    data = write_pairs(tmp_path)
    plan = make_plan(
        tmp_path, eval_file=str(data), data_file=str(data), max_steps=6, save_steps=3, eval_steps=3, logging_steps=2,
        batch_size=4, spaces_separate="words",
    )  # fmt: skip
    folder = carry_out(plan)
    for name, path in (("event", folder.events), ("metric", folder.metrics), ("prediction", folder.predictions)):
        records = list(read_lines(path))
        assert records
        for record in records:
            jsonschema.validate(record, schema(name))
    jsonschema.validate(json.loads(folder.manifest.read_text()), schema("manifest"))
    evaluation = json.loads(folder.evaluation.read_text())
    jsonschema.validate(evaluation, schema("evaluation"))
    assert (
        evaluation["rows"] == len(PAIRS)
        and evaluation["untrained"]["wer"]["total"] == evaluation["scores"]["wer"]["total"]
    )
    kinds = [event["kind"] for event in read_lines(folder.events)]
    assert kinds[0] == "job_started" and kinds[-1] == "job_finished" and kinds.count("checkpoint_saved") == 2
    assert json.loads(folder.manifest.read_text())["state"] == "finished"
    assert [line["step"] for line in read_lines(folder.metrics) if "eval_loss" in line] == [3, 6]
    first = next(line for line in read_lines(folder.metrics) if "loss" in line)
    assert first["tokens_per_second"] > 0 and first["memory_available_bytes"] > 2**20


def test_the_division_of_a_batch_changes_nothing(tmp_path, monkeypatch):
    """Effective batch 8 as 8x1, 4x2 and 2x4: the same examples in the same steps, the same losses within fp32 noise."""
    from sparksmith.train import trainer as module

    seen: dict[str, list[tuple[int, ...]]] = {}
    curves = {}
    for micro in (8, 4, 2):
        folder = tmp_path / str(micro)
        folder.mkdir()
        plan = make_plan(folder, batch_size=8, micro_batch_size=micro, max_steps=7, logging_steps=1, learning_rate=1e-3)
        batches: list[tuple[int, list[list[int]]]] = []
        original = module.FineTuner.compute_loss

        def keep(self, model, inputs, *arguments, batches=batches, original=original, **options):
            batches.append((self.state.global_step, inputs["input_ids"].tolist()))
            return original(self, model, inputs, *arguments, **options)

        monkeypatch.setattr(module.FineTuner, "compute_loss", keep)
        curves[micro] = losses(carry_out(plan))
        monkeypatch.setattr(module.FineTuner, "compute_loss", original)
        steps: dict[int, list[tuple[int, ...]]] = {}
        for step, rows in batches:
            steps.setdefault(step, []).extend(tuple(token for token in row if token) for row in rows)
        seen[micro] = [tuple(sorted(rows)) for _, rows in sorted(steps.items())]
    assert len(seen[8]) == 7 and sum(map(len, seen[8][:3])) == len(PAIRS)  # 22 examples: batches of 8, 8 and 6
    assert seen[8] == seen[4] == seen[2]
    for micro in (4, 2):
        assert curves[micro].keys() == curves[8].keys() == set(range(1, 8))
        for step, loss in curves[8].items():
            assert curves[micro][step] == pytest.approx(loss, rel=1e-4), (micro, step)


def test_transformers_own_resume_ends_at_the_same_weights(tmp_path):
    from safetensors.torch import load_file

    plan = make_plan(tmp_path, max_steps=6, save_steps=3, batch_size=4, dropout=0.1)
    whole = load_file(carry_out(plan).path / "checkpoint-6/model.safetensors")
    again = plan.model_copy(
        update={"output_dir": str(tmp_path / "second"), "resume_from_checkpoint": str(tmp_path / "run/checkpoint-3")}
    )
    resumed = load_file(carry_out(again).path / "checkpoint-6/model.safetensors")
    assert whole.keys() == resumed.keys()
    for name, weight in whole.items():
        assert torch.equal(resumed[name], weight), name


def test_lora_on_a_small_gemma_with_conversations(tmp_path):
    """Messages in JSONL through Gemma's chat template: the adapter is a plain PEFT folder and has learned."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    gemma = save_small_gemma(tmp_path / "a small gemma")
    data = tmp_path / "messages.jsonl"
    rows = [
        {"messages": [{"role": "user", "content": p}, {"role": "assistant", "content": r}]} for p, r in PAIRS
    ]  # fmt: skip
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    plan = make_plan(
        tmp_path, data_file=str(data), model=str(gemma), lora_r=8, lora_alpha=16, learning_rate=5e-3, max_steps=30,
        logging_steps=5, system_prompt="Answer in IPA.",
    )  # fmt: skip
    folder = carry_out(plan)
    curve = losses(folder)
    assert curve[30] < curve[5] - 0.5
    checkpoint = folder.path / "checkpoint-30"
    assert json.loads((checkpoint / "adapter_config.json").read_text())["base_model_name_or_path"] == str(gemma)
    assert not (checkpoint / "model.safetensors").exists()
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(gemma), checkpoint)
    assert any("lora_B" in name and parameter.abs().sum() > 0 for name, parameter in model.named_parameters())


def test_prompt_and_completion_without_a_template(tmp_path):
    qwen = save_small_qwen(tmp_path / "qwen", template=None)
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"prompt": p, "completion": r}) + "\n" for p, r in PAIRS))
    folder = carry_out(
        make_plan(tmp_path, data_file=str(data), model=str(qwen), full_finetuning=True, max_steps=4, logging_steps=2)
    )
    assert (folder.path / "checkpoint-4/model.safetensors").is_file()


def test_the_loss_on_the_held_out_part_does_not_depend_on_the_batch(tmp_path):
    values = []
    for micro in (1, 8):
        folder = tmp_path / str(micro)
        folder.mkdir()
        data = str(write_pairs(folder))
        plan = make_plan(
            folder, data_file=data, eval_file=data, batch_size=8, micro_batch_size=micro, max_steps=1, eval_steps=1
        )
        values += [line["eval_loss"] for line in read_lines(carry_out(plan).metrics) if "eval_loss" in line]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_examples_over_the_limit_are_told_and_left_out(tmp_path):
    data = tmp_path / "data.tsv"
    data.write_text(write_pairs(tmp_path).read_text() + "א" * 300 + "\ta\n")
    folder = carry_out(make_plan(tmp_path, data_file=str(data), max_steps=1))
    told = [event["message"] for event in read_lines(folder.events) if event["kind"] == "warning"]
    assert told == ["1 of 23 examples of data_file are longer than 128 tokens (lines 23) and are left out"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"too_long": "error", "max_length": 8}, "longer than 8 tokens"),
        ({"device": "cuda", "precision": "fp32"}, "sees no GPU"),
        ({"dropout": 0.5, "model": "./nowhere"}, "does not exist"),
    ],
)
def test_what_goes_wrong_is_recorded_and_told(tmp_path, capfd, change, expected):
    plan = make_plan(tmp_path, max_steps=1).model_copy(update=change)
    folder = prepare(plan)
    assert job([str(folder.path)]) == 1
    last = list(read_lines(folder.events))[-1]
    assert last["kind"] == "job_failed" and expected in last["message"] and last["hint"]
    error = capfd.readouterr().err
    assert expected in error and "Traceback" not in error and "hint:" in error
    assert json.loads(folder.manifest.read_text())["state"] == "failed"


def test_changed_data_is_refused(tmp_path):
    plan = make_plan(tmp_path, max_steps=1)
    write_pairs(tmp_path, 3)
    folder = prepare(plan)
    assert job([str(folder.path)]) == 1
    assert "has changed since the plan was made" in list(read_lines(folder.events))[-1]["message"]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["a", "b"], ["."]])
def test_the_entry_takes_one_folder_with_a_plan(arguments, capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert job(arguments) in {1, 2}
    assert "hint:" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda plan: {**plan, "version": 99}, "plan.json is of version 99, this is 1"),
        (
            lambda plan: {**plan, "max_steps": "many"},
            "plan.json is no plan: max_steps: Input should be a valid integer",
        ),
        (lambda plan: [plan], "plan.json is no plan: it holds no object"),
        (lambda plan: None, "plan.json is no plan: it holds no object"),
    ],
)
def test_a_plan_that_is_none_of_this_version(tmp_path, capfd, spoil, message):
    folder = prepare(make_plan(tmp_path))
    write_json(folder.plan, spoil(json.loads(folder.plan.read_text())))
    assert job([str(folder.path)]) == 1
    error = capfd.readouterr().err
    assert message in error and "hint: start the run again with sparksmith train" in error
    assert "Traceback" not in error


def test_the_base_of_an_adapter_is_sealed_and_a_damaged_one_is_not_trained_on(tmp_path, capfd):
    """Its tokenizer is what a resume would read; taken away as the hint says, the model is made again."""
    plan = make_plan(tmp_path, full_finetuning="false", lora_r=4, max_steps=2, save_steps=1)
    folder = carry_out(plan)
    assert find_faults(folder.base, hashes=True) == []
    weights = (folder.base / "model.safetensors").read_bytes()
    tokenizer = folder.base / "tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes()[:-1] + b" ")
    shutil.rmtree(folder.path / "checkpoint-2")
    resumed = plan.model_copy(update={"resume_from_checkpoint": "latest"})
    assert job([str(prepare(resumed).path)]) == 1
    error = capfd.readouterr().err
    assert "tokenizer.json is not what was saved" in error and "hint: a resume makes it again: rm -r" in error
    shutil.rmtree(folder.base)
    carry_out(resumed)
    assert (folder.base / "model.safetensors").read_bytes() == weights
    assert find_faults(folder.path / "checkpoint-2", hashes=True) == find_faults(folder.base, hashes=True) == []


def test_the_log_of_libraries_stays_out(tmp_path, capfd):
    carry_out(make_plan(tmp_path, max_steps=2, logging_steps=1))
    error = capfd.readouterr().err
    assert "Warning" not in error and "it/s" not in error
    assert "model shards" not in error and "step 2/2" in error and "[<|user|>" in error
