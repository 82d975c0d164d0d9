"""Shorthands for tests: what a command line asks for, machines, and data that nobody has to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparksmith.cli.options import given_flags
from sparksmith.cli.train import train
from sparksmith.machine.collect import Machine
from sparksmith.machine.gpu import Gpu
from sparksmith.machine.memory import Memory
from sparksmith.recipe.plan import DataFacts
from sparksmith.recipe.read import Request
from sparksmith.recipe.settings import Settings, resolve

GIB = 1024**3
H200 = Gpu("NVIDIA H200", (9, 0), "580.95.05", 143771 * 1024**2)
GB10 = Gpu("NVIDIA GB10", (12, 1), "580.95.05", None)
T4 = Gpu("Tesla T4", (7, 5), "580.95.05", 15360 * 1024**2)


def machine(*gpus: Gpu, cores: int = 20) -> Machine:
    """A machine with these GPUs."""
    return Machine("aarch64", cores, Memory(128 * GIB, 120 * GIB, 0), gpus)


MACHINES = {"cpu": machine(), "h200": machine(H200), "gb10": machine(GB10), "t4": machine(T4)}


def facts(rows: int = 1000, longest: int = 20, name: str = "data.tsv") -> DataFacts:
    """A data file of so many rows."""
    return DataFacts(Path("/data") / name, "0" * 64, rows, "tsv", longest)


def parameters_of(*words: str) -> dict[str, Any]:
    """What click makes of `sparksmith train WORDS`."""
    with train.make_context("train", list(words)) as context:
        return dict(context.params)


def flags_of(*words: str) -> dict[str, Any]:
    """The recipe keys that these words of a command line name."""
    return given_flags(parameters_of(*words))


def settings_of(*words: str, **recipe: Any) -> Settings:
    """The settings of `sparksmith train WORDS` over a recipe of these keys."""
    return resolve(Request(recipe, "recipe"), flags_of(*words))
