"""The recipes that come with Sparksmith, by name, and the samples of data beside them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from sparksmith.base.errors import SparksmithError, perhaps
from sparksmith.recipe.read import Request, parse_recipe, read_recipe

DATA_ENDINGS = {".tsv", ".csv", ".jsonl", ".ndjson", ".parquet"}
SAMPLE = "sample:"  # a data_file of this form is a file in data/samples


def recipe_names() -> list[str]:
    """The names of the shipped recipes."""
    folder = files("sparksmith.recipe") / "recipes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def recipe_text(name: str) -> str:
    """A shipped recipe as it stands. Raises `SparksmithError` for an unknown name."""
    names = recipe_names()
    if name not in names:
        raise SparksmithError(f"there is no recipe {name}{perhaps(name, names)}", f"the recipes are {', '.join(names)}")
    return (files("sparksmith.recipe") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")


def find_recipe(name_or_path: str) -> Request:
    """A shipped recipe by name, or a file of the user's. Raises `SparksmithError` where it is neither."""
    path = Path(name_or_path)
    if path.suffix in DATA_ENDINGS:
        raise SparksmithError(f"{name_or_path} is data, not a recipe", f"sparksmith train --data_file {name_or_path}")
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        return read_recipe(path)
    names = recipe_names()
    if name_or_path not in names:
        raise SparksmithError(
            f"{name_or_path} is neither a file nor a shipped recipe{perhaps(name_or_path, names)}",
            f"the shipped recipes are {', '.join(names)}; a file of your own ends in .yaml",
        )
    return parse_recipe(recipe_text(name_or_path), f"recipe {name_or_path}")


def locate_data(name: str) -> Path:
    """The path of a data file: `sample:...` is one that comes with Sparksmith."""
    if name.startswith(SAMPLE):
        return Path(str(files("sparksmith.data") / "samples")) / name.removeprefix(SAMPLE)
    return Path(name).expanduser()
