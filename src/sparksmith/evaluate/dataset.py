"""Greedy answers to every row of a dataset, and their scores."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sparksmith.base.errors import SparksmithError
from sparksmith.data.encode import Encoder
from sparksmith.data.examples import Example
from sparksmith.evaluate.result import Decoding, Evaluation, make_evaluation
from sparksmith.model.generate import generate_greedy, longest_sequence
from sparksmith.recipe.plan import Plan
from sparksmith.runs.records import Recorder
from sparksmith.score.phones import Separated

Precision = Literal["fp32", "bf16"]
SHOWN_LINES = 10


@dataclass(frozen=True, slots=True)
class Reply:
    """A decoded answer, and how it ended: at a stop token, cut off, or not begun as the prompt is too long."""

    text: str
    end: Literal["stop", "cut", "too_long"]


def evaluate(
    model: Any,
    encoder: Encoder,
    examples: Sequence[Example],
    *,
    separated: Separated | None,
    max_new_tokens: int,
    batch_size: int,
    precision: Precision,
    on_batch: Callable[[int], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> Evaluation:
    """Answer and score every example; each must have a prompt and a response.

    A prompt that is too long for the model is told to `on_warning` and scored as an empty answer.
    """
    began = time.monotonic()
    replies, fitted = predict(
        model, encoder, [encoder.encode_prompt(example.messages[:-1]) for example in examples],
        max_new_tokens=max_new_tokens, batch_size=batch_size, precision=precision, on_batch=on_batch,
        on_warning=on_warning,
    )  # fmt: skip
    too_long = [
        example.line for example, reply in zip(examples, replies, strict=True) if reply.end == "too_long"
    ]  # fmt: skip
    if too_long and on_warning:
        shown = ", ".join(map(str, too_long[:SHOWN_LINES])) + (" ..." if len(too_long) > SHOWN_LINES else "")
        on_warning(
            f"{len(too_long)} of {len(examples)} prompts fill the model's {longest_sequence(model):,} tokens "
            f"(lines {shown}): not answered, and scored as empty"
        )
    return make_evaluation(
        examples, [reply.text for reply in replies], separated, seconds=time.monotonic() - began,
        decoding=Decoding("greedy", fitted, max_new_tokens, precision), too_long=too_long,
        cut_off=sum(reply.end == "cut" for reply in replies),
    )  # fmt: skip


def predict(
    model: Any,
    encoder: Encoder,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_size: int,
    precision: Precision,
    on_batch: Callable[[int], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> tuple[list[Reply], int]:
    """The greedy reply to each prompt of token ids, and how many at once fitted into the memory.

    Raises `SparksmithError` where the tokenizer is not the model's, or one answer alone is too much for the memory.
    """
    check_vocabulary(model, prompts)
    with computing_in(model, precision):
        made = generate_greedy(
            model, prompts, pad_id=encoder.tokenizer.pad_token_id, stop_ids=encoder.stop_ids(),
            max_new_tokens=max_new_tokens, batch_size=batch_size, on_batch=on_batch, on_warning=on_warning,
        )  # fmt: skip
    texts = encoder.tokenizer.batch_decode([answer.tokens for answer in made.answers], skip_special_tokens=True)
    replies = [Reply(text.strip(), answer.end) for text, answer in zip(texts, made.answers, strict=True)]
    return replies, made.batch_size


def check_vocabulary(model: Any, prompts: Sequence[Sequence[int]]) -> None:
    """Raises `SparksmithError` where a prompt has a token that the model does not know.

    The sizes tell nothing: Gemma 3's tokenizer has one token more than its text models.
    """
    highest = max((max(prompt, default=0) for prompt in prompts), default=0)
    known = model.get_input_embeddings().weight.shape[0]
    if highest >= known:
        raise SparksmithError(
            f"the tokenizer gives token {highest:,} and the model knows {known:,}: they do not belong together",
            "another checkpoint of the run, or the model's folder with the tokenizer that it was saved with",
        )


def computing_in(model: Any, precision: Precision) -> contextlib.AbstractContextManager[Any]:
    """Matrix products in bfloat16, as in training, or everything as the weights are."""
    import torch

    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(next(model.parameters()).device.type, torch.bfloat16)


class _Stopped(Exception):
    """Somebody asked to stop while answers were generated."""


def evaluate_plan(
    model: Any,
    encoder: Encoder,
    examples: Sequence[Example],
    plan: Plan,
    when: str,
    *,
    recorder: Recorder,
    stopped: Callable[[], bool] | None = None,
) -> Evaluation | None:
    """The evaluation that a Job makes, told to the progress line as it goes.

    None where `stopped` came true before the last answer; it is asked after each batch but the last.
    """

    def tell(done: int) -> None:
        recorder.tell({"kind": "evaluating", "when": when, "done": done, "rows": len(examples)})
        if stopped is not None and done < len(examples) and stopped():
            raise _Stopped

    try:
        return evaluate(
            model, encoder, examples, separated=plan.spaces_separate, max_new_tokens=plan.max_new_tokens,
            batch_size=plan.eval_batch_size, precision=plan.precision, on_batch=tell,
            on_warning=lambda message: recorder.event("warning", message=message),
        )  # fmt: skip
    except _Stopped:
        return None
