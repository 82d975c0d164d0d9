"""What every format becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["pair", "messages", "text"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `role` is system, user, assistant or tool."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Example:
    """One row: a prompt with its response, a conversation, or plain text. `line` counts from 1 in its file."""

    line: int
    kind: Kind
    messages: tuple[Message, ...] = ()
    text: str = ""

    @property
    def response(self) -> str:
        """What the model should answer last; the whole text where there are no turns."""
        return self.messages[-1].content if self.messages else self.text

    @property
    def prompt(self) -> str:
        """The last turn before the response."""
        return self.messages[-2].content if len(self.messages) > 1 else ""

    @property
    def can_be_scored(self) -> bool:
        """Whether there is a prompt to give and a response to compare with."""
        return len(self.messages) > 1 and self.messages[-1].role == "assistant"


def pair(line: int, prompt: str, response: str) -> Example:
    """An example out of two columns."""
    return Example(line, "pair", (Message("user", prompt), Message("assistant", response)))
