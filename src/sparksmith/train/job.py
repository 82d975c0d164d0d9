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
from sparksmith.data.check import data_facts
from sparksmith.data.collate import Collator
from sparksmith.data.encode import Encoder
from sparksmith.data.examples import Example
from sparksmith.model import make
from sparksmith.model.device import check_cuda
from sparksmith.recipe.plan import Plan
from sparksmith.runs.checkpoints import (
    SEAL,
    check_checkpoint,
    checkpoint_folders,
    last_whole_checkpoint,
    read_seal,
    read_step,
    remove_leftovers,
    seal_checkpoint,
)
from sparksmith.runs.damage import check_base
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import Recorder, drop_metrics_after, write_data, write_manifest
from sparksmith.train.arguments import training_arguments
from sparksmith.train.callbacks import ObeyStop, Record
from sparksmith.train.rows import encode_rows, load_file
from sparksmith.train.saving import Saver
from sparksmith.train.scoring import Scoring
from sparksmith.train.stop import Stop
from sparksmith.train.trainer import FineTuner

# The records that only the Job writes whole, each beside itself first (base/files.py).
BEGUN = re.compile(
    r"\.(manifest\.json|metrics\.jsonl|evaluation\.json|predictions\.jsonl|untrained\.json|data\.json|report\.html)"
    r"\.[a-z0-9_]{8}"
)
SHOWN_ROWS = 3  # examples of the first batch that are shown


@dataclass(frozen=True)
class Helpers:
    """What the Job's entry hands in. `evaluate(model, encoder, examples, plan, when, stopped)` returns scores and
    predictions, or None where `stopped` was given and came true; `recall_untrained(examples)` those that this run's
    untrained model once had, or None."""

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
    if plan.device == "cuda":
        check_cuda()  # the plan was made by nvidia-smi's word
    else:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    from transformers import set_seed

    for path in remove_leftovers(folder.path):
        recorder.event(
            "warning", message=f"{path.name} was left by a save or deletion that was cut off, and is deleted"
        )
    remove_begun_records(folder)
    set_seed(plan.seed)
    train_file = load_file(plan, plan.train_data)
    eval_file = load_file(plan, plan.eval_data) if plan.eval_data else None
    train_examples, eval_examples = train_file.examples, eval_file.examples if eval_file else ()
    checkpoint = find_checkpoint(plan, folder, recorder)
    step = (read_step(checkpoint) or 0) if checkpoint else 0  # a checkpoint without a step was refused before
    check_base(folder)
    saved = checkpoint if checkpoint and plan.full_finetuning else folder.base if folder.base.is_dir() else None
    tokenizer = make.make_tokenizer(
        plan, [turn.content for e in train_examples for turn in e.messages[:-1]],
        [e.response for e in train_examples], saved,
    )  # fmt: skip
    encoder = Encoder(tokenizer, system_prompt=plan.system_prompt, separator=plan.separator, train_on=plan.train_on)
    train_rows, train_lengths = encode_rows(encoder, train_examples, plan, recorder, "data_file")
    eval_rows, eval_lengths = (
        encode_rows(encoder, eval_examples, plan, recorder, "eval_file") if eval_file else (None, None)
    )
    lengths = (train_lengths, eval_lengths)
    write_data(folder.path, data_facts(train_file, eval_file, max_length=plan.max_length, token_lengths=lengths))
    recorder.event("data_read", train_rows=len(train_rows), eval_rows=len(eval_rows or ()))
    model = make.make_model(plan, tokenizer, folder.base, lambda made: seal_checkpoint(made, 0))
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
    scoring = Scoring(helpers.evaluate, model, encoder, scored, plan, lambda: stop.reason is not None)
    record = Record(recorder, helpers.available_bytes)
    saver = Saver(
        folder.path, plan.save_total_limit, recorder, helpers.available_bytes, best_by=plan.metric_for_best_model
    )
    trainer = FineTuner(
        plan, model=model, tokenizer=tokenizer, collator=TrainCollator(tokenizer.pad_token_id), train_rows=train_rows,
        eval_rows=eval_rows, arguments=training_arguments(plan, folder.path), callbacks=[record, ObeyStop(stop)],
        saver=saver, stop=stop, score=scoring if scored else None,
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
    if trainer.average is not None:
        trainer.average.finish()
    whole = saver.saved_step == step or (step >= plan.max_steps and saver.trouble is None)
    stop.all_saved = whole
    if stop.reason is not None:
        return Outcome(True, whole, step)
    if saver.trouble is not None:
        raise SparksmithError(
            f"the training is done, but its last checkpoint could not be saved: {saver.trouble}",
            "make room, then go on from the newest checkpoint with --resume_from_checkpoint",
        )
    trained = scoring.last(step) if scored else None
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
