"""The weights' exponential moving average: what is evaluated and saved, where a plan asks for it.

A checkpoint's model is the average, so that every tool that loads it gets what was evaluated; the weights that training
goes on from lie beside it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import safetensors.torch
import torch
from transformers import TrainerCallback

WEIGHTS = "before_averaging.safetensors"  # in a checkpoint: the trained weights, by the names of the parameters


class WeightAverage(TrainerCallback):
    """Follows what trains in a model. `window` is the average's width as a share of all steps, above 0 and below 1.

    It is corrected for its bias as Adam's moments are, so that nothing is left of the random beginning
    (https://arxiv.org/abs/1412.6980, section 3; read 2026-11-21).
    """

    def __init__(self, model, window: float, max_steps: int) -> None:
        self.trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.keep = 1 - 1 / max(1.0, window * max_steps)
        self.average = [p.detach().clone() for p in self.trained.values()]

    def on_step_end(self, args, state, control, **kwargs):
        share = (1 - self.keep) / (1 - self.keep**state.global_step)
        with torch.no_grad():
            torch._foreach_lerp_(self.average, list(self.trained.values()), share)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the average for its weights inside."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def finish(self) -> None:
        """The model keeps the average for its weights: training is over."""
        self._swap()

    def save(self, folder: Path) -> None:
        """Write the trained weights beside a saved average. Call it outside of `in_place`."""
        weights = {name: p.detach().contiguous() for name, p in self.trained.items()}
        safetensors.torch.save_file(weights, folder / WEIGHTS)

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint whose average the model has just been given.

        A checkpoint that was saved without an average begins one.
        """
        with torch.no_grad():
            for mean, parameter in zip(self.average, self.trained.values(), strict=True):
                mean.copy_(parameter)
            if (folder / WEIGHTS).is_file():
                saved = safetensors.torch.load_file(folder / WEIGHTS)
                for name, parameter in self.trained.items():
                    parameter.copy_(saved[name])

    def _swap(self) -> None:
        with torch.no_grad():
            for mean, parameter in zip(self.average, self.trained.values(), strict=True):
                kept = parameter.clone()
                parameter.copy_(mean)
                mean.copy_(kept)
