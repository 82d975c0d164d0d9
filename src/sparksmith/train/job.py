"""Carry out a plan: data, model, training, evaluation. What it is not allowed to import is handed in."""

from __future__ import annotations

import os
import re
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
from sparksmith.runs.checkpoints import (
    SEAL,
    check_checkpoint,
    checkpoint_folders,
    last_whole_checkpoint,
    read_seal,
    read_step,
    remove_leftovers,
)
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import Recorder, drop_metrics_after, write_manifest
from sparksmith.train.arguments import training_arguments
from sparksmith.train.callbacks import ObeyStop, Record
from sparksmith.train.saving import Saver
from sparksmith.train.stop import Stop
from sparksmith.train.trainer import FineTuner

# The records that only the Job writes whole, each beside itself first (base/files.py).
BEGUN = re.compile(
    r"\.(manifest\.json|metrics\.jsonl|evaluation\.json|predictions\.jsonl|untrained\.json)\.[a-z0-9_]{8}"
)
SHOWN_ROWS = 3  # examples of the first batch that are shown


@dataclass(frozen=True)
class Helpers:
    """What the Job's entry hands in. `evaluate(model, encoder, examples, plan, when)` returns scores and predictions;
    `recall_untrained(examples)` those that this run's untrained model once had, or None."""

    evaluate: Callable[..., Any]
    recall_untrained: Callable[[Sequence[Example]], Any]
    available_bytes: Callable[[], int]
    show_first_batch: Callable[[Sequence[Sequence[tuple[str, bool]]]], None]


@dataclass(frozen=True)
class Outcome:
    """What came of it. `stopped` where somebody asked; the evaluations are None without an eval_file to score."""

    stopped: bool
    saved: bool
    step: int
    untrained: Any = None
    trained: Any = None
    eval_examples: tuple[Example, ...] = ()


class TrainCollator(Collator):
    """The collator, which also tells how many tokens are no padding, and which lines the examples come from."""

    def __call__(self, rows):
        tokens = sum(len(row["input_ids"]) for row in rows)
        return {**super().__call__(rows), "tokens": tokens, "lines": [row["line"] for row in rows]}


def carry_out(plan: Plan, folder: RunFolder, recorder: Recorder, helpers: Helpers, stop: Stop) -> Outcome:
    """Train as planned and evaluate.

    Raises `SparksmithError` for what the user can mend, `StopNow` where somebody asked to stop with nothing to save.
    """
    check_device(plan)
    from transformers import set_seed

    for path in remove_leftovers(folder.path):
        recorder.event(
            "warning", message=f"{path.name} was left by a save or deletion that was cut off, and is deleted"
        )
    remove_begun_records(folder)
    set_seed(plan.seed)
    train_examples = load_examples(plan, plan.train_data)
    eval_examples = load_examples(plan, plan.eval_data) if plan.eval_data else ()
    checkpoint = find_checkpoint(plan, folder, recorder)
    step = (read_step(checkpoint) or 0) if checkpoint else 0  # a checkpoint without a step was refused before
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
    if plan.evaluate_untrained and scored:
        if checkpoint is not None:
            untrained = helpers.recall_untrained(scored)
        else:
            untrained = helpers.evaluate(model, encoder, scored, plan, "before training")
            set_seed(plan.seed)
    record = Record(recorder, helpers.available_bytes)
    saver = Saver(folder.path, plan.save_total_limit, recorder, helpers.available_bytes)
    trainer = FineTuner(
        plan, model=model, tokenizer=tokenizer, collator=TrainCollator(tokenizer.pad_token_id), train_rows=train_rows,
        eval_rows=eval_rows, arguments=training_arguments(plan, folder.path), callbacks=[record, ObeyStop(stop)],
        saver=saver,
        stop=stop,
    )  # fmt: skip
    record.trainer = trainer
    if checkpoint is None:
        drop_metrics_after(folder, -1)  # of a process that was killed before it saved anything
        recorder.restart_metrics()
        show_batch(trainer, tokenizer, plan, helpers)
    else:
        resume_from(trainer, checkpoint, folder, recorder)
    began = time.monotonic()
    if step >= plan.max_steps:  # trained to the end before; what is left is the evaluation
        trainer._load_from_checkpoint(str(checkpoint))
    else:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        step = trainer.state.global_step
        recorder.event(
            "training_finished", step=step, seconds=time.monotonic() - began, tokens=trainer.tokens_seen
        )  # fmt: skip
    whole = saver.saved_step == step or (step >= plan.max_steps and saver.trouble is None)
    stop.all_saved = whole
    if stop.reason is not None:
        return Outcome(True, whole, step)
    if saver.trouble is not None:
        raise SparksmithError(
            f"the training is done, but its last checkpoint could not be saved: {saver.trouble}",
            "make room, then go on from the newest checkpoint with --resume_from_checkpoint",
        )
    trained = helpers.evaluate(model, encoder, scored, plan, "after training") if scored else None
    return Outcome(False, True, step, untrained, trained, scored)


def remove_begun_records(folder: RunFolder) -> None:
    """Delete the beginnings of records that a Job which was killed has left; the folder is held, so no other writes."""
    for path in folder.path.iterdir():
        if BEGUN.fullmatch(path.name):
            path.unlink(missing_ok=True)


def resume_from(trainer: FineTuner, checkpoint: Path, folder: RunFolder, recorder: Recorder) -> None:
    """Prepare to go on from a checkpoint: what it keeps besides the Trainer's state, and the curves cut to its step."""
    seal = read_seal(checkpoint)
    facts = seal.facts if seal else {}
    step = read_step(checkpoint) or 0
    window = facts.get("loss_window")
    trainer.carry_on(tokens_seen=int(facts.get("tokens_seen", 0)), loss_window=tuple(window) if window else None)
    trainer.saver.saved_step = step if checkpoint.parent == folder.path else None
    dropped = drop_metrics_after(folder, step)
    recorder.restart_metrics()
    recorder.event("resumed", step=step, path=str(checkpoint), metrics_made_again=dropped)


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
    columns = {"prompt_column": plan.prompt_column, "response_column": plan.response_column}
    file = read_data(path, data.format, plan.header, **columns)
    if sha256_of(path) != data.sha256:
        raise SparksmithError(
            f"{path} has changed since the plan was made", "start the run again with sparksmith train"
        )
    return file.examples


def encode_rows(encoder: Encoder, examples: Sequence[Example], plan: Plan, recorder: Recorder, name: str) -> Any:
    """A dataset of input_ids and labels; what is too long is dropped and told, or refused, as the plan says."""
    from datasets import Dataset

    kept: list[Encoded] = []
    lines: list[int] = []
    too_long: list[int] = []
    for example, encoded in zip(examples, encoder.encode(examples), strict=True):
        if len(encoded.input_ids) <= plan.max_length:
            kept.append(encoded)
            lines.append(example.line)
        else:
            too_long.append(example.line)
    if too_long:
        shown = ", ".join(map(str, too_long[:10])) + (" ..." if len(too_long) > 10 else "")
        message = f"{len(too_long)} of {len(examples)} examples of {name} are longer than {plan.max_length} tokens"
        message += f" (lines {shown})"
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
            "line": lines,
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
    """The checkpoint to go on from, every byte of it checked, or None for a fresh start.

    Raises `SparksmithError` where the named one is broken, or all of the run's are.
    """

    def warn(message: str) -> None:
        recorder.event("warning", message=message)

    if plan.resume_from_checkpoint is None:
        return None
    if plan.resume_from_checkpoint != "latest":
        path = Path(plan.resume_from_checkpoint)
        for note in check_checkpoint(path):
            warn(note)
        return path
    found = last_whole_checkpoint(folder.path, warn)
    if found is None:
        there = checkpoint_folders(folder.path)
        plain = [path for path in there if not (path / SEAL).exists()]
        if there and not plain:
            raise SparksmithError(
                f"none of the {len(there)} checkpoints in {folder.path} is what was saved",
                f"start afresh with another --output_dir; {folder.events} says what is wrong with each",
            )
        if not plain:
            warn(f"there is no whole checkpoint in {folder.path} yet: starting from the beginning")
            return None
        found = plain[-1]
        for note in check_checkpoint(found):
            warn(note)
    return found
