"""Greedy generation, batched: what one by one would give, many times as fast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from sparksmith.base.errors import SparksmithError


@dataclass(frozen=True, slots=True)
class Answer:
    """The tokens of one answer without the stop token, and how it ended.

    `stop`: by a stop token. `cut`: it had as many tokens as were allowed, or as the model's length left room for.
    `too_long`: the prompt alone fills the model's length, nothing was generated.
    """

    tokens: list[int]
    end: Literal["stop", "cut", "too_long"]


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer for each prompt, in the prompts' order, and how many at once fitted into the memory."""

    answers: list[Answer]
    batch_size: int


@dataclass(slots=True)
class _Row:
    """An answer in the making. `room` is how many tokens it may have."""

    index: int
    room: int
    tokens: list[int]
    stopped: bool = False

    @property
    def done(self) -> bool:
        return self.stopped or len(self.tokens) >= self.room


def longest_sequence(model: Any) -> int | None:
    """How many tokens the model takes, prompt and answer together; None where its configuration sets no bound."""
    return getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)


def generate_greedy(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    pad_id: int,
    stop_ids: Sequence[int],
    max_new_tokens: int,
    batch_size: int,
    on_batch: Callable[[int], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> Generated:
    """The most likely continuation of each prompt. A prompt is never cut.

    Prompts of like length share a batch, the longest first, so that the first batch tells whether the memory suffices.
    An answer's length is bounded by `max_new_tokens` and by what its own prompt leaves of the model's length, never by
    its neighbours. `on_batch` is told how many prompts are done.

    Where CUDA's allocator raises `OutOfMemoryError`, the batch is halved for all that is left and `on_warning` told;
    `SparksmithError` where one answer alone is too much. This does not cover memory that GPU and CPU share (GB10),
    where the system swaps or freezes before the allocator raises, nor the CPU, where the kernel kills the process.
    """
    limit = longest_sequence(model)
    answers: list[Answer | None] = [None] * len(prompts)
    rooms = [max_new_tokens if limit is None else min(max_new_tokens, limit - len(prompt)) for prompt in prompts]
    fitting = [index for index in range(len(prompts)) if rooms[index] >= 1]
    order = sorted(fitting, key=lambda index: -len(prompts[index]))
    begin, at_once = 0, batch_size
    was_training = model.training
    model.eval()
    try:
        while begin < len(order):
            members = [_Row(index, rooms[index], []) for index in order[begin : begin + at_once]]
            try:
                _decode(model, prompts, members, pad_id, frozenset(stop_ids))
            except torch.OutOfMemoryError:
                exhausted = True  # the error's traceback holds the tensors; they go when this clause is left
            else:
                exhausted = False
            if exhausted:
                at_once = _halve(len(members), max(len(prompts[row.index]) for row in members), on_warning)
                continue
            for row in members:
                answers[row.index] = Answer(row.tokens, "stop" if row.stopped else "cut")
            begin += len(members)
            if on_batch:
                on_batch(len(prompts) - len(order) + begin)
    finally:
        model.train(was_training)
    return Generated([answer or Answer([], "too_long") for answer in answers], at_once)


def _halve(tried: int, longest: int, on_warning: Callable[[str], None] | None) -> int:
    """The next smaller batch, once the memory of the last one is given back."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if tried == 1:
        raise SparksmithError(
            f"out of memory with one answer at once, to a prompt of {longest:,} tokens",
            "--max_new_tokens with a smaller number, --device cpu, or end what else uses the GPU (nvidia-smi)",
        )
    if on_warning:
        on_warning(f"out of memory with {tried} answers at once: going on with {tried // 2}")
    return tried // 2


@torch.inference_mode()
def _decode(model: Any, prompts: Sequence[Sequence[int]], rows: list[_Row], pad_id: int, stops: frozenset[int]) -> None:
    """Fill in the rows' tokens. Prompts are padded on the left; once half of the rows are done, they leave the batch.

    Not `model.generate`, which computes each row until the longest is done and does more between two steps: 1,140
    answers a second against 1,450 (`tiny`, 64 at once, one CPU core, 2026-11-21). Every decoder that Transformers has
    SDPA attention for takes these arguments (5.17).
    """
    device = next(model.parameters()).device
    lengths = [len(prompts[row.index]) for row in rows]
    longest = max(lengths)
    input_ids = torch.full((len(rows), longest), pad_id)
    mask = torch.zeros((len(rows), longest), dtype=torch.int64)
    for at, row in enumerate(rows):
        input_ids[at, longest - lengths[at] :] = torch.tensor(list(prompts[row.index]))
        mask[at, longest - lengths[at] :] = 1
    input_ids, mask = input_ids.to(device), mask.to(device)
    padded = min(lengths) < longest  # without padding the causal mask is enough, and its kernels are faster
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = None
    while True:
        output = model(
            input_ids=input_ids, attention_mask=mask if padded else None, position_ids=positions,
            past_key_values=cache, use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        cache = output.past_key_values
        chosen = output.logits[:, -1].float().argmax(-1)
        del output
        for row, token in zip(rows, chosen.tolist(), strict=True):
            if row.done:
                continue
            if token in stops:
                row.stopped = True
            else:
                row.tokens.append(token)
        left = [at for at, row in enumerate(rows) if not row.done]
        if not left:
            return
        input_ids = chosen[:, None]
        positions = positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones((len(rows), 1))], dim=1)
        if len(left) <= len(rows) // 2 and _can_select(cache):
            kept = torch.tensor(left, device=device)
            cache.batch_select_indices(kept)
            input_ids, positions, mask = input_ids[kept], positions[kept], mask[kept]
            rows = [rows[at] for at in left]


def _can_select(cache: Any) -> bool:
    """Whether rows can be taken out of a cache; the states of linear attention cannot (Transformers 5.17)."""
    return all(hasattr(layer, "batch_select_indices") for layer in getattr(cache, "layers", [None]))


def stream_answer(
    model: Any,
    prompt: Sequence[int],
    streamer: Any,
    *,
    pad_id: int,
    stop_ids: Sequence[int],
    max_new_tokens: int,
    temperature: float = 0.0,
) -> None:
    """One answer, given to a Transformers streamer token by token: greedy, or sampled at a temperature above 0.

    The prompt must leave room in the model's length (`longest_sequence`); the answer ends where that does.
    """
    from transformers import GenerationConfig

    limit = longest_sequence(model)
    room = max_new_tokens if limit is None else min(max_new_tokens, limit - len(prompt))
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {}
    config = GenerationConfig(
        **{"do_sample": False, **sampling}, num_beams=1, max_new_tokens=room, pad_token_id=pad_id,
        eos_token_id=list(stop_ids),
    )  # fmt: skip
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model  # PEFT changes its layers in place
    # What a hub model's own configuration says of sampling has no place here.
    before, plain.generation_config = plain.generation_config, config
    input_ids = torch.tensor([list(prompt)], device=next(model.parameters()).device)
    try:
        with torch.inference_mode():
            plain.generate(
                input_ids=input_ids, attention_mask=torch.ones_like(input_ids), generation_config=config,
                streamer=streamer,
            )  # fmt: skip
    finally:
        plain.generation_config = before
