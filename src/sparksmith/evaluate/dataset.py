"""Greedy predictions for every row of a dataset, and their scores."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import read_json, write_json
from sparksmith.data.encode import Encoder
from sparksmith.data.examples import Example
from sparksmith.model.generate import generate_greedy
from sparksmith.recipe.plan import Plan
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import Recorder, write_evaluation
from sparksmith.score.phones import Separated
from sparksmith.score.rates import Scores, score

UNTRAINED = "untrained.json"  # beside the run's records: what a resume would have to predict again


@dataclass(frozen=True)
class Evaluation:
    """Predictions in the examples' order, what they are worth, and how long they took."""

    predictions: tuple[str, ...]
    scores: Scores
    seconds: float

    def write(self, folder: RunFolder, plan: Plan, examples: Sequence[Example], untrained: Evaluation | None) -> None:
        """evaluation.json and predictions.jsonl of the run."""
        assert plan.eval_data is not None
        rows = []
        for at, example in enumerate(examples):
            row = {"prompt": example.prompt, "reference": example.response, "prediction": self.predictions[at]}
            if untrained:
                row["untrained"] = untrained.predictions[at]
            rows.append(row)
        summary = {
            "model": plan.model, "data": plan.eval_data.path, "rows": len(examples), "seconds": self.seconds,
            "scores": self.scores.to_json(), "untrained": untrained.scores.to_json() if untrained else None,
        }  # fmt: skip
        write_evaluation(folder.path, summary, rows)

    def keep(self, folder: RunFolder) -> None:
        """Write down what the untrained model predicted, for the end of a run that is resumed before it."""
        write_json(folder.path / UNTRAINED, {"seconds": self.seconds, "predictions": self.predictions})


def recall_untrained(folder: RunFolder, examples: Sequence[Example], plan: Plan) -> Evaluation | None:
    """What was kept of the untrained model, or None where nothing was, or it does not belong to these examples."""
    try:
        kept = read_json(folder.path / UNTRAINED)
        predictions, seconds = tuple(map(str, kept["predictions"])), float(kept["seconds"])
    except (SparksmithError, KeyError, TypeError, ValueError):
        return None
    if len(predictions) != len(examples):
        return None
    scores = score([example.response for example in examples], predictions, plan.spaces_separate)
    return Evaluation(predictions, scores, seconds)


def evaluate(
    model: Any,
    encoder: Encoder,
    examples: Sequence[Example],
    *,
    separated: Separated | None,
    max_new_tokens: int,
    batch_size: int,
    bf16: bool,
    on_batch: Callable[[int], None] | None = None,
) -> Evaluation:
    """Predict and score every example; each must have a prompt and a response."""
    began = time.monotonic()
    predictions = predict(
        model, encoder, [encoder.encode_prompt(example.messages[:-1]) for example in examples],
        max_new_tokens=max_new_tokens, batch_size=batch_size, bf16=bf16, on_batch=on_batch,
    )  # fmt: skip
    scores = score([example.response for example in examples], predictions, separated)
    return Evaluation(tuple(predictions), scores, time.monotonic() - began)


def predict(
    model: Any,
    encoder: Encoder,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_size: int,
    bf16: bool,
    on_batch: Callable[[int], None] | None = None,
) -> list[str]:
    """The decoded greedy answer to each prompt of token ids."""
    import torch

    device = next(model.parameters()).device.type
    precision = torch.autocast(device, torch.bfloat16) if bf16 else contextlib.nullcontext()
    with precision:
        answers = generate_greedy(
            model, prompts, pad_id=encoder.tokenizer.pad_token_id, stop_ids=encoder.stop_ids(),
            max_new_tokens=max_new_tokens, batch_size=batch_size, on_batch=on_batch,
        )  # fmt: skip
    return [text.strip() for text in encoder.tokenizer.batch_decode(answers, skip_special_tokens=True)]


def evaluate_plan(
    model: Any, encoder: Encoder, examples: Sequence[Example], plan: Plan, when: str, *, recorder: Recorder
) -> Evaluation:
    """The evaluation that a Job makes, told to the progress line as it goes."""

    def tell(done: int) -> None:
        for sink in recorder.sinks:
            sink({"kind": "evaluating", "when": when, "done": done, "rows": len(examples)})

    return evaluate(
        model, encoder, examples, separated=plan.spaces_separate, max_new_tokens=plan.max_new_tokens,
        batch_size=plan.eval_batch_size, bf16=plan.precision == "bf16", on_batch=tell,
    )  # fmt: skip
