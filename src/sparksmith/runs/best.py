"""The best checkpoint of a run: by the score that its task is about, as far as it was measured when it was saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import read_json
from sparksmith.base.units import format_percent
from sparksmith.runs.checkpoints import read_seal, whole_checkpoints
from sparksmith.runs.layout import RunFolder

CALLED = {"loss": "loss", "wer": "WER", "per": "PER", "cer": "CER", "exact_match": "exact match"}
HIGHER_IS_BETTER = {"exact_match"}


@dataclass(frozen=True)
class Best:
    """A checkpoint, the figure of the held-out part that makes it the best, and of how many measured ones."""

    path: Path
    metric: str
    value: float
    measured: int

    def describe(self) -> str:
        """WER 7.1%, or loss 0.6123."""
        shown = f"{self.value:.4f}" if self.metric == "loss" else format_percent(self.value)
        return f"{CALLED[self.metric]} {shown}"


def find_best(run: Path, metric: str) -> Best | None:
    """The best whole checkpoint by a metric, or by the loss where one of them was sealed without that metric.

    Of equal ones the one with the lower loss, then the later one. None where nothing was measured.
    """
    known = []
    for path in whole_checkpoints(run):
        seal = read_seal(path)
        figures = {name: seal.facts.get(f"eval_{name}") for name in CALLED} if seal else {}
        if isinstance(figures.get("loss"), float):
            known.append((path, figures))
    if not known:
        return None
    if not all(isinstance(figures.get(metric), float) for _, figures in known):
        metric = "loss"
    sign = -1 if metric in HIGHER_IS_BETTER else 1
    path, figures = min(reversed(known), key=lambda one: (sign * one[1][metric], one[1]["loss"]))
    return Best(path, metric, figures[metric], len(known))


def metric_of(folder: RunFolder) -> str:
    """What a run's plan calls the best by; plans before there was a choice meant the loss."""
    try:
        plan = read_json(folder.plan)
    except SparksmithError:
        return "loss"
    metric = plan.get("metric_for_best_model") if isinstance(plan, dict) else None
    return metric if isinstance(metric, str) and metric in CALLED else "loss"
