"""A conversation with a model: the turns so far, and an answer that is shown as it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers import TextStreamer

from sparksmith.base.errors import SparksmithError
from sparksmith.data.examples import Message
from sparksmith.evaluate.dataset import check_vocabulary, computing_in
from sparksmith.evaluate.load import Ready
from sparksmith.model.generate import longest_sequence, stream_answer


class Screen(TextStreamer):  # type: ignore[misc]
    """Gives text to `write` as whole words are there; keeps the tokens, and leaves the stop token out."""

    def __init__(self, tokenizer: Any, stop_ids: list[int], write: Callable[[str], None]) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self.stop_ids = frozenset(stop_ids)
        self.write = write
        self.tokens: list[int] = []
        self.stopped = False

    def put(self, value: Any) -> None:
        if not self.next_tokens_are_prompt:
            self.stopped = self.stopped or int(value[0]) in self.stop_ids
            if self.stopped:
                return
            self.tokens += value.tolist()
        super().put(value)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        if text:
            self.write(text)

    @property
    def text(self) -> str:
        return str(self.tokenizer.decode(self.tokens, skip_special_tokens=True)).strip()


class Conversation:
    """The turns between a user and a model. With `single`, each line is asked by itself."""

    def __init__(self, ready: Ready, *, temperature: float = 0.0, single: bool = False) -> None:
        if ready.encoder.template is None:
            raise SparksmithError(
                f"the tokenizer of {ready.name} has no chat template, and so no turns to talk in",
                "sparksmith predict RUN TEXT",
            )
        self.ready = ready
        self.temperature = temperature
        self.single = single
        self.turns: list[Message] = []

    def clear(self) -> None:
        """Begin anew."""
        self.turns = []

    def answer(self, text: str, write: Callable[[str], None], notice: Callable[[str], None]) -> str:
        """The answer to the next line, given to `write` as it comes and kept for the next one.

        Where the conversation is longer than the model takes, its oldest turns are dropped, and `notice` is told.
        An interrupted answer is kept as far as it came. Raises `SparksmithError` where the line alone is too long.
        """
        asked = [*([] if self.single else self.turns), Message("user", text)]
        prompt, asked = self._fit(asked, notice)
        encoder, model = self.ready.encoder, self.ready.model
        check_vocabulary(model, [prompt])
        screen = Screen(encoder.tokenizer, encoder.stop_ids(), write)
        try:
            with computing_in(model, self.ready.precision):
                stream_answer(
                    model, prompt, screen, pad_id=encoder.tokenizer.pad_token_id, stop_ids=encoder.stop_ids(),
                    max_new_tokens=self.ready.max_new_tokens, temperature=self.temperature,
                )  # fmt: skip
        except KeyboardInterrupt:
            screen.end()
            raise
        finally:
            if screen.text:  # templates refuse a turn without content
                self.turns = [*asked, Message("assistant", screen.text)]
        if not screen.stopped:
            notice(f"the answer was cut off after {len(screen.tokens):,} tokens")
        return screen.text

    def _fit(self, asked: list[Message], notice: Callable[[str], None]) -> tuple[list[int], list[Message]]:
        """The prompt of as many of the last turns as leave room for a whole answer; of the last line alone, for one."""
        limit = longest_sequence(self.ready.model)
        dropped = 0
        while True:
            prompt = self.ready.encoder.encode_prompt(asked)
            if limit is None or len(prompt) + self.ready.max_new_tokens <= limit or len(asked) == 1:
                break
            asked = asked[2:]  # a question with its answer, so that turns go on alternating
            dropped += 1
        if limit is not None and len(prompt) >= limit:
            raise SparksmithError(
                f"this line has {len(prompt):,} tokens and the model takes {limit:,}", "a shorter line"
            )
        if dropped:
            first = "first question and its answer" if dropped == 1 else f"first {dropped} questions and answers"
            notice(f"the conversation is longer than the model takes: its {first} are forgotten")
        return prompt, asked
