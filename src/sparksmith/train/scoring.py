"""Scores of the held-out part, while a run trains and at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sparksmith.data.encode import Encoder
from sparksmith.data.examples import Example
from sparksmith.recipe.plan import Plan


class Scoring:
    """Scores a model when asked. `evaluate` is the one that the Job's entry hands in (`train/job.py`, `Helpers`)."""

    def __init__(
        self, evaluate: Callable[..., Any], model: Any, encoder: Encoder, examples: Sequence[Example], plan: Plan,
        stopped: Callable[[], bool],
    ) -> None:  # fmt: skip
        self.evaluate = evaluate
        self.facts = (model, encoder, examples, plan)
        self.stopped = stopped
        self.newest: tuple[int, Any] | None = None

    def __call__(self, step: int) -> dict[str, float] | None:
        """The rates of the model as it is, by their names in metrics.jsonl, or None where somebody asked to stop."""
        evaluation = self.evaluate(*self.facts, f"at step {step:,}", self.stopped)
        if evaluation is None:
            return None
        self.newest = (step, evaluation)
        rates = evaluation.scores.to_json().items()
        return {f"eval_{name}": figures["rate"] for name, figures in rates if figures is not None}

    def last(self, step: int) -> Any:
        """The evaluation at the run's end, which is the one of its last step where that was made."""
        if self.newest is not None and self.newest[0] == step:
            return self.newest[1]
        return self.evaluate(*self.facts, "after training")
