"""A run or a model is found, loaded and asked; what does not belong together is refused with a hint."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from answering import make_run
from plans import PAIRS
from small_models import save_small_gemma, save_small_qwen
from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import write_json
from sparksmith.data.examples import Message, pair
from sparksmith.evaluate.dataset import Reply, evaluate, evaluate_plan, predict
from sparksmith.evaluate.find import find_model
from sparksmith.evaluate.load import choose_device, load_base, load_ready
from sparksmith.model import make
from sparksmith.runs.checkpoints import STATE, find_faults, seal_checkpoint
from sparksmith.runs.layout import RunFolder

EXAMPLES = [pair(line, prompt, response) for line, (prompt, response) in enumerate(PAIRS, start=3)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("answers"), spaces_separate="words", max_new_tokens=9, eval_batch_size=8)


@pytest.fixture
def run(made, tmp_path):
    """A copy that a test may spoil."""
    return RunFolder(shutil.copytree(made.path, tmp_path / "run"))


@pytest.fixture(scope="module")
def ready(made):
    return load_ready(find_model(str(made.path)))


def ask(ready, examples=EXAMPLES, **options):
    options = {
        "separated": ready.separated, "max_new_tokens": ready.max_new_tokens, "batch_size": ready.batch_size,
        "precision": ready.precision, **options,
    }  # fmt: skip
    return evaluate(ready.model, ready.encoder, examples, **options)


def test_a_run_answers_as_its_plan_says(ready, made):
    assert (ready.name, ready.separated, ready.max_new_tokens) == ("run/checkpoint-1", "words", 9)
    assert (ready.batch_size, ready.precision) == (8, "fp32")
    found = find_model(str(made.path / "checkpoint-1"))
    assert (found.name, found.source) == ("run/checkpoint-1", str(made.path / "checkpoint-1"))
    assert found == find_model(str(made.path))
    given = load_ready(found, separated="phones", max_new_tokens=3, batch_size=2, system_prompt="Do.", separator=" ")
    assert (given.separated, given.max_new_tokens, given.batch_size) == ("phones", 3, 2)
    assert (given.encoder.system_prompt, given.encoder.separator) == ("Do.", " ")


def test_an_evaluation_tells_how_it_was_made(ready):
    seen = []
    result = ask(ready, on_batch=seen.append)
    assert len(result.predictions) == len(EXAMPLES) and len(set(result.predictions)) > len(EXAMPLES) // 2
    decoding = result.decoding
    assert (decoding.method, decoding.batch_size, decoding.max_new_tokens, decoding.precision) == (
        "greedy",
        8,
        9,
        "fp32",
    )
    assert seen == [8, 16, 22]
    assert result.too_long == () and result.seconds > 0
    again = ask(ready, batch_size=1)
    assert (again.predictions, again.scores, again.cut_off) == (result.predictions, result.scores, result.cut_off)


def test_answers_that_were_cut_off_are_counted(ready, monkeypatch):
    whole = ask(ready)
    first = ready.encoder.tokenizer(whole.predictions[0])["input_ids"][0]
    monkeypatch.setattr(ready.encoder, "_stop_ids", [10**6], raising=False)
    assert ask(ready).cut_off == len(EXAMPLES)
    monkeypatch.setattr(ready.encoder, "_stop_ids", [first])
    stopped = ask(ready)
    assert stopped.predictions[0] == "" and stopped.cut_off < len(EXAMPLES)


def test_prompts_that_are_too_long_are_told_and_scored_as_empty(ready):
    said = []
    examples = [EXAMPLES[0], pair(90, PAIRS[1][0] * 60, PAIRS[1][1]), EXAMPLES[2]]
    result = ask(ready, examples, on_warning=said.append)
    assert result.too_long == (90,)
    assert result.predictions[1] == "" and result.predictions[0] == ask(ready, [EXAMPLES[0]]).predictions[0]
    assert result.scores.exact_match.total == 3
    assert said == ["1 of 3 prompts fill the model's 137 tokens (lines 90): not answered, and scored as empty"]


def test_a_job_tells_its_progress_and_writes_its_warnings(ready, made, monkeypatch):
    told, written = [], []
    recorder = SimpleNamespace(tell=told.append, event=lambda kind, **facts: written.append((kind, facts)))
    plan = find_model(str(made.path)).plan
    long = pair(90, PAIRS[1][0] * 60, PAIRS[1][1])
    result = evaluate_plan(ready.model, ready.encoder, [*EXAMPLES[:8], long], plan, "after training", recorder=recorder)
    assert result.too_long == (90,)
    assert told == [{"kind": "evaluating", "when": "after training", "done": 9, "rows": 9}]
    ((kind, facts),) = written
    assert kind == "warning" and "not answered" in facts["message"]


def test_a_request_to_stop_ends_it_before_the_last_answer_and_not_after(ready, made):
    """Three batches of 4: asked after the first two, which is where it may end."""
    plan = find_model(str(made.path)).plan.model_copy(update={"eval_batch_size": 4})
    recorder = SimpleNamespace(tell=lambda line: None)

    def result(answers):
        return evaluate_plan(
            ready.model, ready.encoder, EXAMPLES[:12], plan, "at step 2", recorder=recorder,
            stopped=lambda: next(answers),
        )  # fmt: skip

    assert result(iter([True])) is None
    assert result(iter([False, True])) is None
    assert len(result(iter([False, False])).predictions) == 12


def test_replies_say_how_they_ended(ready):
    prompts = [ready.encoder.encode_prompt([Message("user", text)]) for text in (PAIRS[0][0], PAIRS[1][0] * 60)]
    replies, fitted = predict(
        ready.model, ready.encoder, prompts, max_new_tokens=2, batch_size=4, precision="fp32"
    )  # fmt: skip
    assert replies[1] == Reply("", "too_long")
    assert replies[0].end in {"cut", "stop"} and replies[0].text
    assert fitted == 4


def test_bf16_is_said_and_computed_in(ready):
    result = ask(ready, precision="bf16")
    assert result.decoding.precision == "bf16"
    assert len(result.predictions) == len(EXAMPLES)
    with torch.autocast("cpu", torch.bfloat16):
        assert ask(ready).predictions == result.predictions


def test_a_plain_model_answers_too(tmp_path):
    folder = save_small_qwen(tmp_path / "model", template=None)
    ready = load_ready(find_model(str(folder)), separator=" -> ")
    assert (ready.name, ready.separated, ready.max_new_tokens, ready.batch_size) == (str(folder), None, 256, 32)
    assert ready.encoder.separator == " -> " and load_ready(find_model(str(folder))).encoder.separator == "\n"
    assert len(ask(ready, EXAMPLES[:2], max_new_tokens=3).predictions) == 2


def test_an_adapter_answers_on_the_base_that_the_run_keeps(tmp_path):
    run = make_run(tmp_path / "adapter", full_finetuning="false", lora_r=4, max_new_tokens=9)
    moved = run.path.rename(tmp_path / "moved")  # the adapter's own path to its base is stale
    found = find_model(str(moved))
    ready = load_ready(found)
    assert hasattr(ready.model, "get_base_model")
    trained, base = ask(ready), ask(load_base(found, ready))
    assert trained.predictions != base.predictions
    with ready.model.disable_adapter():
        assert ask(ready).predictions == base.predictions


def test_the_base_of_tiny_is_made_again_from_the_seed(made, ready):
    found = find_model(str(made.path))
    base = load_base(found, ready)
    fresh = make.make_model(found.plan, ready.encoder.tokenizer, made.base)
    assert all(torch.equal(one, two) for one, two in zip(base.model.parameters(), fresh.parameters(), strict=True))
    assert (base.separated, base.max_new_tokens, base.name) == ("words", 9, "tiny")


def test_the_base_of_another_model_is_loaded_and_asked_alike(tmp_path):
    folder = save_small_qwen(tmp_path / "model")
    run = make_run(tmp_path / "whole", model=str(folder), full_finetuning="true", system_prompt="Do.", max_new_tokens=9)
    found = find_model(str(run.path))
    ready = load_ready(found)
    base = load_base(found, replace(ready, model=None))
    assert base.encoder.system_prompt == "Do."
    plain = load_ready(find_model(str(folder)), system_prompt="Do.", max_new_tokens=9)
    assert ask(base).predictions == ask(plain).predictions != ask(ready).predictions


# What is wrong with a folder is told before torch is needed.


def refused(name, *parts):
    with pytest.raises(SparksmithError) as raised:
        find_model(str(name))
    assert raised.value.hint
    for part in parts:
        assert part in f"{raised.value.message}\n{raised.value.hint}"


def test_a_run_whose_newest_checkpoint_is_broken_answers_with_the_one_before(run):
    shutil.copytree(run.path / "checkpoint-1", run.path / "checkpoint-2")
    seal_checkpoint(run.path / "checkpoint-2", 2)
    (run.path / "checkpoint-2/model.safetensors").unlink()
    found = find_model(str(run.path))
    assert found.name == "run/checkpoint-1"
    assert found.notes == ("checkpoint-2 is passed over, it is not whole: model.safetensors is missing",)
    refused(run.path / "checkpoint-2", "is not whole: model.safetensors is missing", "another one", "checkpoint-1")
    shutil.rmtree(run.path / "checkpoint-1")
    refused(run.path, "has no whole checkpoint", "--resume_from_checkpoint")
    shutil.rmtree(run.path / "checkpoint-2")
    refused(run.path, "has no checkpoint yet", "let it train to its first save")


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda data: data[:-3] + b"???", "is not what was saved (another SHA-256)"),
        (lambda data: b"\xff" * 8 + data[8:], "is not what was saved (another SHA-256)"),
        (lambda data: data[:100], "has 100 bytes instead of"),
    ],
)
@pytest.mark.parametrize("sealed", [True, False])
def test_damaged_weights_are_passed_over(run, spoil, fault, sealed):
    shutil.copytree(run.path / "checkpoint-1", run.path / "checkpoint-2")
    seal_checkpoint(run.path / "checkpoint-2", 2)
    weights = run.path / "checkpoint-2/model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(spoil(good))
    if not sealed:  # of plain Transformers: only the header and the size can be known
        (run.path / "checkpoint-2/sparksmith.json").unlink()
        changed = spoil(good)
        if len(changed) == len(good) and changed[:8] == good[:8]:
            assert find_model(str(run.path)).name == "run/checkpoint-2"
            return
        fault = "has a header that is damaged"
    found = find_model(str(run.path))
    assert found.name == "run/checkpoint-1"
    (note,) = found.notes
    assert note.startswith(f"checkpoint-2 is passed over, it is not whole: model.safetensors {fault}")
    refused(run.path / "checkpoint-2", f"is not whole: model.safetensors {fault}", "another one", "checkpoint-1")


def test_weights_that_were_sealed_when_they_were_damaged_are_passed_over(run):
    shutil.copytree(run.path / "checkpoint-1", run.path / "checkpoint-2")
    (run.path / "checkpoint-2/model.safetensors").write_bytes(b"nothing")
    seal_checkpoint(run.path / "checkpoint-2", 2)
    assert find_model(str(run.path)).notes == (
        "checkpoint-2 is passed over, it is not whole: model.safetensors has a header that is damaged",
    )


def test_what_only_training_needs_may_be_deleted(run):
    checkpoint = run.path / "checkpoint-1"
    names = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "rng_state_0.pth", "before_averaging.safetensors")
    for name in names:
        (checkpoint / name).write_bytes(b"0")
    seal_checkpoint(checkpoint, 1)
    for name in (*names, "trainer_state.json"):
        (checkpoint / name).unlink()
    assert find_model(str(run.path)).notes == ()
    assert find_faults(checkpoint, hashes=False) == [f"{name} is missing" for name in sorted((*names, STATE))]


def test_a_checkpoint_of_plain_transformers_is_taken_by_its_weights(run):
    (run.path / "checkpoint-1/sparksmith.json").unlink()
    assert find_model(str(run.path)).notes == ()
    (run.path / "checkpoint-1/model.safetensors").unlink()
    refused(run.path / "checkpoint-1", "it has no weights")


def test_a_plan_that_cannot_be_read(run):
    content = json.loads(run.plan.read_text())
    write_json(run.plan, {**content, "version": 99})
    refused(run.path, "plan.json is of version 99, this is 1")
    write_json(run.plan, {**content, "seed": "seven"})
    refused(run.path, "plan.json is no plan: seed: Input should be a valid integer")
    write_json(run.plan, [1])
    refused(run.path, "plan.json is no plan: it holds no object")
    run.plan.write_text(json.dumps(content)[:100])
    refused(run.path, "plan.json cannot be read as JSON", f"sparksmith predict {run.path / 'checkpoint-1'} TEXT")


def test_the_checkpoints_of_a_run_without_a_plan_still_answer(run):
    content = run.plan.read_text()
    run.plan.write_text(content[:100])
    found = find_model(str(run.path / "checkpoint-1"))
    assert found.plan is None
    assert "plan.json cannot be read as JSON" in found.notes[0] and "as a plain model" in found.notes[0]
    assert len(ask(load_ready(found)).predictions) == len(EXAMPLES)
    run.plan.unlink()
    refused(run.path, "has lost its plan.json", "checkpoint-1 TEXT")


def test_an_adapter_on_a_base_that_is_damaged(tmp_path):
    run = make_run(tmp_path / "a run", full_finetuning="false", lora_r=4)
    assert find_model(str(run.path)).name == "run/checkpoint-1"
    weights = run.base / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    for name in (run.path, run.path / "checkpoint-1"):
        refused(name, "model.safetensors is not what was saved", f"rm -r '{run.base}'; sparksmith train --output_dir")


def test_an_adapter_without_its_base(tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    write_json(folder / "adapter_config.json", {"base_model_name_or_path": str(tmp_path / "gone")})
    refused(folder, "and that folder does not exist", "base_model_name_or_path")
    write_json(folder / "adapter_config.json", {})
    refused(folder, "does not name the model")


def unloadable(name, *parts):
    with pytest.raises(SparksmithError) as raised:
        load_ready(find_model(str(name)))
    assert raised.value.hint
    for part in parts:
        assert part in raised.value.message


def test_a_checkpoint_with_another_models_configuration(tmp_path):
    folder = save_small_qwen(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", {**config, "num_hidden_layers": 3, "layer_types": ["full_attention"] * 3})
    unloadable(folder, "lacks 11 of its model's weights, such as model.layers.2.", "its config.json is another model's")
    write_json(folder / "config.json", {**config, "hidden_size": 32})
    unloadable(folder, "cannot be loaded")
    (folder / "model.safetensors").write_bytes(b"nothing")
    refused(folder, "is not whole: model.safetensors has a header that is damaged")


def test_an_adapter_of_another_model(tmp_path):
    run = make_run(tmp_path / "adapter", full_finetuning="false", lora_r=4)
    shutil.rmtree(run.base)
    save_small_gemma(run.base)
    unloadable(run.path, "does not fit on", "size mismatch")


def test_a_tokenizer_of_another_model(run, tmp_path):
    other = save_small_qwen(tmp_path / "other")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(other / name, run.path / "checkpoint-1" / name)
    seal_checkpoint(run.path / "checkpoint-1", 1)
    with pytest.raises(SparksmithError, match=r"the tokenizer gives token .* they do not belong together"):
        ask(load_ready(find_model(str(run.path))))


def test_devices(monkeypatch):
    assert choose_device("auto", "auto") == ("cpu", "fp32")
    assert choose_device("cpu", "bf16") == ("cpu", "bf16")
    with pytest.raises(SparksmithError, match="sees no GPU"):
        choose_device("cuda", "auto")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: False)
    assert choose_device("auto", "auto") == ("cuda", "fp32")
    with pytest.raises(SparksmithError, match="this GPU has no bfloat16"):
        choose_device("auto", "bf16")
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: True)
    assert choose_device("auto", "auto") == ("cuda", "bf16")
    assert choose_device("auto", "fp32") == ("cuda", "fp32")


def test_weights_that_the_gpu_cannot_hold(made, monkeypatch):
    def full(self, *arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("torch.nn.Module.to", full)
    unloadable(made.path, "the GPU's memory does not suffice for the model's weights")
