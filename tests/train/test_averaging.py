"""The weights' average: worked out by hand, in a checkpoint, after a resume, and in what is evaluated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from jobs_here import MAY_DIFFER, carry_out
from plans import PAIRS, make_plan, write_pairs
from small_models import save_small_gemma
from sparksmith.data.read import read_data
from sparksmith.evaluate.dataset import evaluate
from sparksmith.evaluate.find import find_model
from sparksmith.evaluate.load import load_ready
from sparksmith.runs.checkpoints import checkpoint_folders, find_faults, read_seal
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import read_lines
from sparksmith.train.averaging import WEIGHTS, WeightAverage

effects = [
    pytest.mark.effects,  # collecting the machine asks nvidia-smi
    pytest.mark.filterwarnings("ignore"),  # the libraries' own
]


class Tied(torch.nn.Module):
    """A weight under two names, and one that does not train."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(1, 2, bias=False)
        self.second = torch.nn.Linear(1, 2, bias=False)
        self.second.weight = self.first.weight
        self.frozen = torch.nn.Parameter(torch.tensor([5.0]), requires_grad=False)

    def set(self, *values: float) -> None:
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor(values)[:, None])


def follow(average: WeightAverage, model: Tied, *steps: tuple[float, float]) -> None:
    for step, values in enumerate(steps, 1):
        model.set(*values)
        average.on_step_end(None, SimpleNamespace(global_step=step), None)


def test_the_average_by_hand():
    """Two steps wide, it keeps a half: (4 + 2) / 0.75 after 8 and 8, and so on."""
    model = Tied()
    average = WeightAverage(model, 0.4, 5)
    assert average.keep == 0.5 and len(average.average) == 1
    for step, (weight, expected) in enumerate(
        [(8.0, 8.0), (4.0, (0.25 * 8 + 0.5 * 4) / 0.75), (2.0, (0.125 * 8 + 0.25 * 4 + 0.5 * 2) / 0.875)], 1
    ):
        model.set(weight, -weight)
        average.on_step_end(None, SimpleNamespace(global_step=step), None)
        assert average.average[0].flatten().tolist() == pytest.approx([expected, -expected])
    assert model.first.weight.flatten().tolist() == [2.0, -2.0]


@pytest.mark.parametrize("window", [1e-6, 0.1, 0.3, 1 - 1e-6])
def test_after_the_first_step_it_is_the_weights(window):
    model = Tied()
    average = WeightAverage(model, window, 1000)
    follow(average, model, (0.1, 1 / 3))
    assert torch.equal(average.average[0], model.first.weight)


def test_a_window_of_no_more_than_a_step_is_the_weights():
    model = Tied()
    average = WeightAverage(model, 0.01, 10)
    follow(average, model, (0.1, 0.2), (1 / 3, 0.7), (1 / 7, 0.9))
    assert torch.equal(average.average[0], model.first.weight)


def test_in_place_and_back_again():
    model = Tied()
    average = WeightAverage(model, 0.4, 5)
    follow(average, model, (1.1, 3.3), (2.2, 7.7))
    weight, mean = model.first.weight, average.average[0]
    trained, averaged = weight.detach().clone(), mean.clone()
    assert not torch.equal(trained, averaged)
    with average.in_place():
        assert torch.equal(weight, averaged) and model.second.weight is weight
        assert model.frozen.item() == 5.0
    assert torch.equal(weight, trained) and torch.equal(mean, averaged)
    with pytest.raises(KeyError), average.in_place():
        raise KeyError
    assert torch.equal(weight, trained) and torch.equal(mean, averaged)
    average.finish()
    assert torch.equal(weight, averaged)


def test_tied_weights_are_saved_once_and_loaded(tmp_path):
    model = Tied()
    average = WeightAverage(model, 0.4, 5)
    follow(average, model, (1.1, 3.3), (2.2, 7.7))
    average.save(tmp_path)
    assert list(load_file(tmp_path / WEIGHTS)) == ["first.weight"]
    other = Tied()
    again = WeightAverage(other, 0.4, 5)
    other.set(*average.average[0].flatten().tolist())  # as if from the checkpoint's model
    again.load(tmp_path)
    assert torch.equal(other.first.weight, model.first.weight) and other.second.weight is other.first.weight
    assert torch.equal(again.average[0], average.average[0])


def test_a_checkpoint_without_an_average_begins_one(tmp_path):
    model = Tied()
    average = WeightAverage(model, 0.4, 5)
    model.set(3.0, 4.0)
    average.load(tmp_path)
    assert torch.equal(average.average[0], model.first.weight)


def planned(folder: Path, shape: str, **flags):
    data = str(write_pairs(folder))
    if shape == "LoRA":
        flags |= {"model": str(save_small_gemma(folder / "gemma")), "lora_r": 4, "lora_dropout": 0.1}
    else:
        flags |= {"tiny_hidden_size": 32, "tiny_layers": 2, "dropout": 0.1, "attention_dropout": 0.1}
    flags = {
        "data_file": data, "eval_file": data, "max_steps": 6, "save_steps": 3, "eval_steps": 3, "logging_steps": 2,
        "batch_size": 8, "micro_batch_size": 4, "learning_rate": 1e-2, "save_total_limit": 9, "ema_window": 0.5,
        "response_noise": 0.2, "max_new_tokens": 4, "spaces_separate": "words", **flags,
    }  # fmt: skip
    return make_plan(folder, **flags)


def watch(monkeypatch) -> list[dict[str, torch.Tensor]]:
    """The weights after each step of the next run, as training has them."""
    steps: list[dict[str, torch.Tensor]] = []
    original = WeightAverage.on_step_end

    def keep(self, *arguments, **options):
        steps.append({name: p.detach().clone() for name, p in self.trained.items()})
        original(self, *arguments, **options)

    monkeypatch.setattr(WeightAverage, "on_step_end", keep)
    return steps


def model_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    (file,) = [checkpoint / n for n in ("model.safetensors", "adapter_model.safetensors") if (checkpoint / n).exists()]
    return load_file(file)


def lines_of(folder: RunFolder) -> list[dict]:
    return [{k: v for k, v in line.items() if k not in MAY_DIFFER} for line in read_lines(folder.metrics)]


def answers_of(folder: RunFolder) -> list[str]:
    return [line["prediction"] for line in read_lines(folder.predictions)]


@pytest.fixture(scope="module", params=["full", "LoRA"])
def whole(request, tmp_path_factory):
    """A run that nobody disturbed: its plan, its folder, and the weights after each step."""
    with pytest.MonkeyPatch.context() as patch:
        steps = watch(patch)
        plan = planned(tmp_path_factory.mktemp("whole"), request.param)
        return plan, carry_out(plan), steps


class TestRuns:
    pytestmark = effects

    def test_a_checkpoint_holds_the_average_and_beside_it_the_weights(self, whole):
        plan, folder, steps = whole
        assert len(steps) == 6
        keep = 1 - 1 / (0.5 * 6)
        for number in (3, 6):
            checkpoint = folder.path / f"checkpoint-{number}"
            trained = load_file(checkpoint / WEIGHTS)
            assert trained.keys() == steps[number - 1].keys()
            assert all(torch.equal(trained[name], steps[number - 1][name]) for name in trained)
            average = model_of(checkpoint)
            shares = [(1 - keep) * keep ** (number - at) / (1 - keep**number) for at in range(1, number + 1)]
            assert sum(shares) == pytest.approx(1)
            assert len(average) == len(trained)
            for name in trained:
                saved = average[name if plan.full_finetuning else name.replace(".default", "")]
                mean = sum(share * step[name].double() for share, step in zip(shares, steps, strict=False))
                torch.testing.assert_close(saved.double(), mean, rtol=1e-5, atol=1e-7)
                assert not torch.equal(saved, trained[name])
            assert WEIGHTS in read_seal(checkpoint).files and find_faults(checkpoint, hashes=True) == []

    def test_a_damaged_average_is_a_broken_checkpoint(self, whole, tmp_path):
        copy = shutil.copytree(whole[1].path / "checkpoint-6", tmp_path / "checkpoint-6")
        content = bytearray((copy / WEIGHTS).read_bytes())
        content[-1] ^= 1
        (copy / WEIGHTS).write_bytes(content)
        assert any(WEIGHTS in fault for fault in find_faults(copy, hashes=True))
        (copy / WEIGHTS).unlink()
        assert any(WEIGHTS in fault for fault in find_faults(copy, hashes=False))

    def test_other_tools_load_the_average(self, whole):
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        plan, folder, _ = whole
        checkpoint = folder.path / "checkpoint-6"
        average = model_of(checkpoint)
        if plan.full_finetuning:
            loaded = AutoModelForCausalLM.from_pretrained(checkpoint).state_dict()
        else:
            model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(plan.model), checkpoint)
            loaded = {name.replace(".default", ""): tensor for name, tensor in model.state_dict().items()}
        assert all(torch.equal(loaded[name], tensor) for name, tensor in average.items())

    def resumed(self, whole, folder: Path, *, without: str | None) -> RunFolder:
        plan, before, _ = whole
        shutil.copytree(before.path, folder)
        if without:
            shutil.rmtree(folder / without)
        (folder / "evaluation.json").unlink()
        (folder / "predictions.jsonl").unlink()
        return carry_out(plan.model_copy(update={"output_dir": str(folder), "resume_from_checkpoint": "latest"}))

    def test_a_resumed_run_is_the_run_that_nobody_disturbed(self, whole, tmp_path):
        before = whole[1]
        folder = self.resumed(whole, tmp_path / "run", without="checkpoint-6")
        assert "resumed" in [event["kind"] for event in read_lines(folder.events)]
        seals = [read_seal(run.path / "checkpoint-6").files for run in (before, folder)]
        weights = "model.safetensors" if whole[0].full_finetuning else "adapter_model.safetensors"
        for name in (weights, WEIGHTS, "optimizer.pt", "scheduler.pt", "rng_state.pth"):
            assert seals[0][name] == seals[1][name], name
        assert lines_of(folder) == lines_of(before)
        assert answers_of(folder) == answers_of(before)

    def test_what_is_evaluated_is_what_the_checkpoint_holds(self, whole, tmp_path):
        """At the last step of the run, in a run of which only the evaluation was left, and by `eval`."""
        plan, before, _ = whole
        scores = json.loads(before.evaluation.read_text())["scores"]
        again = self.resumed(whole, tmp_path / "run", without=None)
        assert "training_started" not in [e["kind"] for e in list(read_lines(again.events))[-8:]]
        assert answers_of(again) == answers_of(before)
        assert json.loads(again.evaluation.read_text())["scores"] == scores
        ready = load_ready(find_model(str(before.path)), device="cpu", precision=plan.precision)
        evaluation = evaluate(
            ready.model, ready.encoder, read_data(Path(plan.eval_data.path)).examples, separated=ready.separated,
            max_new_tokens=ready.max_new_tokens, batch_size=ready.batch_size, precision=ready.precision,
        )  # fmt: skip
        assert list(evaluation.predictions) == answers_of(before)
        assert evaluation.scores.to_json() == scores


def loss_of(checkpoint: Path, data: Path, *, trained: bool = False) -> float:
    """The loss of a checkpoint's model on a file; with `trained` that of the weights beside it."""
    from sparksmith.data.collate import Collator, labels_of
    from sparksmith.data.encode import Encoder
    from sparksmith.model.load import load_model, load_tokenizer
    from sparksmith.model.loss import response_loss

    model = load_model(str(checkpoint), dtype=torch.float32).eval()
    if trained:
        model.load_state_dict(load_file(checkpoint / WEIGHTS), strict=False)
    tokenizer = load_tokenizer(str(checkpoint))
    encoder = Encoder(tokenizer, system_prompt=None, separator="\n")
    made = encoder.encode(read_data(data).examples)
    rows = [{"input_ids": e.input_ids, "labels": labels_of(e.input_ids, e.counted)} for e in made]
    with torch.no_grad():
        return response_loss(model, Collator(tokenizer.pad_token_id)(rows))[0].item()


@pytest.mark.effects
@pytest.mark.filterwarnings("ignore")
def test_the_held_out_loss_is_the_averages_and_chooses_what_is_kept(tmp_path):
    """The held-out part has the wrong answers: what is learnt by heart makes its loss rise again."""
    wrong = tmp_path / "eval.tsv"
    wrong.write_text("".join(f"{prompt}\t{PAIRS[at - 3][1]}\n" for at, (prompt, _) in enumerate(PAIRS)))
    plan = planned(
        tmp_path, "full", eval_file=str(wrong), max_steps=80, save_steps=20, eval_steps=20, save_total_limit=1,
        learning_rate=0.02, ema_window=0.3,
    )  # fmt: skip
    folder = carry_out(plan)
    losses = {line["step"]: line["eval_loss"] for line in read_lines(folder.metrics) if "eval_loss" in line}
    assert list(losses) == [20, 40, 60, 80]
    best = min(losses, key=lambda step: losses[step])
    assert best < 80
    kept = {int(path.name.split("-")[1]): path for path in checkpoint_folders(folder.path)}
    assert set(kept) == {best, 80}
    for step, checkpoint in kept.items():
        assert read_seal(checkpoint).facts["eval_loss"] == losses[step]
        assert loss_of(checkpoint, wrong) == pytest.approx(losses[step], rel=1e-5)
        assert loss_of(checkpoint, wrong, trained=True) != pytest.approx(losses[step], rel=1e-3)


@pytest.mark.effects
@pytest.mark.filterwarnings("ignore")
def test_without_a_window_there_is_no_average(tmp_path):
    folder = carry_out(planned(tmp_path, "full", ema_window=0.0))
    assert not (folder.path / "checkpoint-6" / WEIGHTS).exists()
