"""Examples become tokens, with the tokens that the loss counts marked.

The chat template is the tokenizer's own. Where it marks the assistant's part (`{% generation %}`), the marks are used;
elsewhere a response is found by rendering the turns before it and the turns up to it. Prefix and response are tokenized
apart, so that what the model is asked at inference is, token for token, what it was trained to continue.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sparksmith.base.errors import SparksmithError
from sparksmith.data.examples import Example, Message

GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
CHUNK = 1000  # examples tokenized in one call
ANSWER = "unmistakable"  # stands in no template, so that what follows an answer can be found


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of one example, and for each whether the loss counts it. Both have the same length."""

    input_ids: list[int]
    counted: list[bool]


@dataclass(frozen=True, slots=True)
class Segment:
    text: str
    counted: bool


class Encoder:
    """One tokenizer, one way of asking. `tokenizer` is a Transformers tokenizer."""

    def __init__(
        self, tokenizer: Any, *, system_prompt: str | None, separator: str, train_on: str = "responses"
    ) -> None:
        self.tokenizer = tokenizer
        self.system_prompt = system_prompt
        self.separator = separator
        self.train_on = train_on
        self.template: str | None = tokenizer.chat_template
        self.turns_not_found = 0
        if system_prompt is not None and self.template is None:
            raise SparksmithError(
                "a system prompt was given, and this model's tokenizer has no chat template to put it in",
                "leave the system prompt out, or choose a chat model",
            )

    def encode(self, examples: Sequence[Example]) -> Iterator[Encoded]:
        """Each example's tokens. Raises `SparksmithError` where the template refuses an example."""
        if self.template is not None and GENERATION.search(self.template):
            yield from map(self._encode_marked, examples)
            return
        for start in range(0, len(examples), CHUNK):
            rendered = [self.segments(example) for example in examples[start : start + CHUNK]]
            flat = [segment.text for segments in rendered for segment in segments]
            ids = iter(self.tokenizer(flat, add_special_tokens=False)["input_ids"])
            for example, segments in zip(examples[start : start + CHUNK], rendered, strict=True):
                yield self._join(example, [(next(ids), segment.counted) for segment in segments])

    def _join(self, example: Example, parts: list[tuple[list[int], bool]]) -> Encoded:
        tokens: list[int] = self._beginning() if self.template is None or example.kind == "text" else []
        counted = [False] * len(tokens)
        for ids, count in parts:
            tokens += ids
            counted += [count or self.train_on == "all"] * len(ids)
        end = self.tokenizer.eos_token_id
        if end is not None and (not tokens or tokens[-1] not in self.stop_ids()):
            tokens.append(end)
            counted.append(True)
        return Encoded(tokens, counted)

    def _beginning(self) -> list[int]:
        """The token that this tokenizer puts before every text, if it does."""
        begin = self.tokenizer.bos_token_id
        return [begin] if begin is not None and self.tokenizer("")["input_ids"][:1] == [begin] else []

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """The tokens that the response follows: exactly those of training."""
        if self.template is None:
            text = "".join(message.content for message in messages) + self.separator
            return self._beginning() + list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        text = self._render(self._with_system(messages), ask=True)
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def stop_ids(self) -> list[int]:
        """The tokens that end a response: the tokenizer's end, and what the template puts after an answer."""
        if not hasattr(self, "_stop_ids"):
            ids = [self.tokenizer.eos_token_id] if self.tokenizer.eos_token_id is not None else []
            if self.template is not None:
                turns = [Message("user", "a"), Message("assistant", ANSWER)]
                tail = self._render(turns, ask=False).partition(ANSWER)[2]
                special = set(self.tokenizer.all_special_ids) | set(self.tokenizer.added_tokens_decoder)
                ids += [i for i in self.tokenizer(tail, add_special_tokens=False)["input_ids"][:1] if i in special]
            self._stop_ids = list(dict.fromkeys(ids))
        return self._stop_ids

    def segments(self, example: Example) -> list[Segment]:
        """The example's text in pieces, each counted or not. Concatenated, they are what the template renders."""
        if example.kind == "text":
            return [Segment(example.text, True)]
        if self.template is None:
            if example.kind == "messages":
                raise SparksmithError(
                    f"line {example.line} is a conversation, and this model's tokenizer has no chat template",
                    "choose a chat model, or put prompt and completion into the file",
                )
            return [Segment(example.prompt + self.separator, False), Segment(example.response, True)]
        turns = self._with_system(example.messages)
        line = example.line
        whole = self._render(turns, ask=False, line=line).rstrip()
        segments: list[Segment] = []
        done = 0
        for at, turn in enumerate(turns):
            if turn.role != "assistant":
                continue
            before = self._render(turns[:at], ask=True, line=line)
            upto = self._render(turns[: at + 1], ask=False, line=line).rstrip()
            if not (upto.startswith(before) and whole.startswith(upto)):
                if at < len(turns) - 1:
                    self.turns_not_found += 1  # some templates rewrite earlier answers
                    continue
                if self.train_on == "all":
                    return [Segment(whole, True)]
                raise SparksmithError(
                    f"line {example.line}: the response cannot be found in what this model's chat template makes of it",
                    "--train_on all counts every token",
                )
            segments += [Segment(whole[done : len(before)], False), Segment(upto[len(before) :], True)]
            done = len(upto)
        return [segment for segment in segments if segment.text]

    def _with_system(self, messages: Sequence[Message]) -> list[Message]:
        if self.system_prompt is None or messages[0].role == "system":
            return list(messages)
        return [Message("system", self.system_prompt), *messages]

    def _render(self, messages: Sequence[Message], *, ask: bool, line: int | None = None) -> str:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            text: str = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=ask)
        except Exception as error:  # jinja's own errors, and what templates raise
            raise self._refused(error, line) from error
        return text

    def _refused(self, error: Exception, line: int | None) -> SparksmithError:
        where = f"line {line}: " if line is not None else ""
        return SparksmithError(
            f"{where}the model's chat template refuses this conversation: {error}",
            "leave the system prompt out" if self.system_prompt else "mend that line, or take it out of the data",
        )

    def _encode_marked(self, example: Example) -> Encoded:
        if example.kind == "text":
            ids = list(self.tokenizer(example.text, add_special_tokens=False)["input_ids"])
            return self._join(example, [(ids, True)])
        turns = [{"role": turn.role, "content": turn.content} for turn in self._with_system(example.messages)]
        try:
            made = self.tokenizer.apply_chat_template(
                turns, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
            )
        except Exception as error:  # as in _render
            raise self._refused(error, example.line) from error
        marks = made["assistant_masks"]
        if not any(marks):
            raise SparksmithError(f"line {example.line}: the chat template marks no token as the assistant's")
        last = max(at for at, mark in enumerate(marks) if mark)
        ids = list(made["input_ids"])[: last + 1]
        return self._join(example, [([token], bool(mark)) for token, mark in zip(ids, marks, strict=False)])
