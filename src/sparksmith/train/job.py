"""Carry out a plan: data, model, training, evaluation. What it is not allowed to import is handed in."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import sha256_of
from sparksmith.data.collate import Collator, labels_of
from sparksmith.data.encode import Encoded, Encoder
from sparksmith.data.examples import Example
from sparksmith.data.read import read_data
from sparksmith.model import make
from sparksmith.recipe.plan import Plan, PlannedData
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import Recorder, write_manifest
from sparksmith.train.arguments import training_arguments
from sparksmith.train.callbacks import Record, StopOnSignal
from sparksmith.train.trainer import FineTuner

SHOWN_ROWS = 3  # examples of the first batch that are shown


@dataclass(frozen=True)
class Helpers:
    """What the Job's entry hands in. `evaluate(model, encoder, examples, plan)` returns scores and predictions."""

    evaluate: Callable[..., Any]
    available_bytes: Callable[[], int]
    show_first_batch: Callable[[Sequence[Sequence[tuple[str, bool]]]], None]


@dataclass(frozen=True)
class Outcome:
    """What came of it. The evaluations are None without an eval_file that can be scored."""

    stopped_by: int | None
    untrained: Any
    trained: Any
    eval_examples: tuple[Example, ...]


class TrainCollator(Collator):
    """The collator, which also tells how many tokens are no padding."""

    def __call__(self, rows):
        return {**super().__call__(rows), "tokens": sum(len(row["input_ids"]) for row in rows)}


def carry_out(plan: Plan, folder: RunFolder, recorder: Recorder, helpers: Helpers, stop: StopOnSignal) -> Outcome:
    """Train as planned and evaluate. Raises `SparksmithError` for what the user can mend."""
    check_device(plan)
    from transformers import set_seed

    set_seed(plan.seed)
    train_examples = load_examples(plan, plan.train_data)
    eval_examples = load_examples(plan, plan.eval_data) if plan.eval_data else ()
    checkpoint = find_checkpoint(plan, folder, recorder)
    saved = checkpoint if checkpoint and plan.full_finetuning else folder.base if folder.base.is_dir() else None
    tokenizer = make.make_tokenizer(
        plan, [turn.content for e in train_examples for turn in e.messages[:-1]],
        [e.response for e in train_examples], saved,
    )  # fmt: skip
    encoder = Encoder(tokenizer, system_prompt=plan.system_prompt, separator=plan.separator, train_on=plan.train_on)
    train_rows = encode_rows(encoder, train_examples, plan, recorder, "data_file")
    eval_rows = encode_rows(encoder, eval_examples, plan, recorder, "eval_file") if eval_examples else None
    recorder.event("data_read", train_rows=len(train_rows), eval_rows=len(eval_rows or ()))
    model = make.make_model(plan, tokenizer, folder.base)
    total, trains = make.count_parameters(model)
    write_manifest(folder, parameters=total, trainable_parameters=trains)
    recorder.event("model_ready", parameters=total, trainable_parameters=trains, vocabulary=len(tokenizer))

    scored = tuple(example for example in eval_examples if example.can_be_scored)
    untrained = None
    if plan.evaluate_untrained and scored and checkpoint is None:
        untrained = helpers.evaluate(model, encoder, scored, plan, "before training")
        set_seed(plan.seed)
    record = Record(recorder, helpers.available_bytes)
    trainer = FineTuner(
        plan, model=model, tokenizer=tokenizer, collator=TrainCollator(tokenizer.pad_token_id), train_rows=train_rows,
        eval_rows=eval_rows, arguments=training_arguments(plan, folder.path), callbacks=[record, stop],
    )  # fmt: skip
    record.tokens_seen = lambda: trainer.tokens_seen
    show_batch(trainer, tokenizer, plan, helpers)
    began = time.monotonic()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    seconds = time.monotonic() - began
    recorder.event("training_finished", step=trainer.state.global_step, seconds=seconds, tokens=trainer.tokens_seen)
    if stop.asked is not None:
        return Outcome(stop.asked, untrained, None, scored)
    trained = helpers.evaluate(model, encoder, scored, plan, "after training") if scored else None
    return Outcome(None, untrained, trained, scored)


def check_device(plan: Plan) -> None:
    """The plan was made by nvidia-smi's word; torch has the last. Raises `SparksmithError` where it sees no GPU."""
    import torch

    if plan.device == "cuda" and not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        raise SparksmithError(
            f"the plan is for the GPU, and torch {torch.__version__} ({built}) sees none",
            "--device cpu, or install the torch of the `train` stack: make",
        )
    if plan.device == "cpu":
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


def load_examples(plan: Plan, data: PlannedData) -> tuple[Example, ...]:
    """The planned file's examples. Raises `SparksmithError` where the file is not the planned one any more."""
    path = Path(data.path)
    file = read_data(path, data.format, plan.header)
    if sha256_of(path) != data.sha256:
        raise SparksmithError(
            f"{path} has changed since the plan was made", "start the run again with sparksmith train"
        )
    return file.examples


def encode_rows(encoder: Encoder, examples: Sequence[Example], plan: Plan, recorder: Recorder, name: str) -> Any:
    """A dataset of input_ids and labels; what is too long is dropped and told, or refused, as the plan says."""
    from datasets import Dataset

    kept: list[Encoded] = []
    too_long: list[int] = []
    for example, encoded in zip(examples, encoder.encode(examples), strict=True):
        (kept.append(encoded) if len(encoded.input_ids) <= plan.max_length else too_long.append(example.line))
    if too_long:
        lines = ", ".join(map(str, too_long[:10])) + (" ..." if len(too_long) > 10 else "")
        message = f"{len(too_long)} of {len(examples)} examples of {name} are longer than {plan.max_length} tokens"
        message += f" (lines {lines})"
        if plan.too_long == "error" or not kept:
            raise SparksmithError(
                message, "a larger --max_length, or --too_long drop" if kept else "a larger --max_length"
            )
        recorder.event("warning", message=message + " and are left out")
    if encoder.turns_not_found:
        recorder.event(
            "warning",
            message=f"{encoder.turns_not_found} earlier answers are rewritten by the chat template and not counted",
        )
        encoder.turns_not_found = 0
    return Dataset.from_dict(
        {
            "input_ids": [encoded.input_ids for encoded in kept],
            "labels": [labels_of(encoded.input_ids, encoded.counted) for encoded in kept],
        }
    )


def show_batch(trainer: FineTuner, tokenizer: Any, plan: Plan, helpers: Helpers) -> None:
    """The first examples as the model sees them, with the part that the loss does not count told apart."""
    order = list(iter(trainer._get_train_sampler()))
    shown = []
    for index in order[: min(SHOWN_ROWS, plan.batch_size)]:
        row = trainer.train_dataset[index]
        runs: list[tuple[list[int], bool]] = []
        for token, label in zip(row["input_ids"], row["labels"], strict=True):
            counted = label != -100
            if runs and runs[-1][1] == counted:
                runs[-1][0].append(token)
            else:
                runs.append(([token], counted))
        shown.append([(tokenizer.decode(ids), counted) for ids, counted in runs])
    helpers.show_first_batch(shown)


def find_checkpoint(plan: Plan, folder: RunFolder, recorder: Recorder) -> Path | None:
    """The checkpoint to go on from, or None for a fresh start. Raises `SparksmithError` where the named one is none."""
    if plan.resume_from_checkpoint is None:
        return None
    if plan.resume_from_checkpoint != "latest":
        path = Path(plan.resume_from_checkpoint)
        if not (path / "trainer_state.json").is_file():
            raise SparksmithError(f"{path} is no checkpoint: it has no trainer_state.json", f"ls {path.parent}")
        return path
    found = [path for path in folder.checkpoints() if (path / "trainer_state.json").is_file()]
    if not found:
        recorder.event("warning", message=f"there is no checkpoint in {folder.path} yet: starting from the beginning")
        return None
    return found[-1]
