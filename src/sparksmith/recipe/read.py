"""Read a recipe file, and say everything that is wrong with it at once, with line numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sparksmith.base.errors import SparksmithError, describe_problems, perhaps
from sparksmith.recipe.aliases import ALIASES, REFUSED, canonical
from sparksmith.recipe.schema import Recipe


@dataclass(frozen=True)
class Request:
    """What somebody asked for: keys with their values, unresolved, and where each was written."""

    values: Mapping[str, Any] = field(default_factory=dict)
    origin: str = "no recipe"
    text: str = ""  # the recipe file as it stands


def read_recipe(path: Path) -> Request:
    """Read and check a YAML file. Raises `SparksmithError` with every problem and its line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SparksmithError(f"the recipe {path} does not exist", "sparksmith recipe list") from None
    except UnicodeDecodeError as error:
        raise SparksmithError(f"the recipe {path} is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise SparksmithError(f"the recipe {path} cannot be read: {error.strerror}") from None
    return parse_recipe(text, str(path))


def parse_recipe(text: str, origin: str) -> Request:
    """The same for text; `origin` is what the message calls it."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise SparksmithError(
            f"{origin}{where}: not YAML: {getattr(error, 'problem', None) or error}", "sparksmith recipe show sft"
        ) from None
    if node is None:
        return Request({}, origin, text)
    if not isinstance(node, yaml.MappingNode):
        raise SparksmithError(f"{origin}: a recipe is `key: value` lines", "sparksmith recipe show sft")
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    problems: list[tuple[int, str]] = []
    loader = yaml.SafeLoader("")
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        written = str(key_node.value)
        name = canonical(written)
        if name in values:
            problems.append((line, f"{written}: given twice (first on line {lines[name]})"))
            continue
        lines[name] = line
        try:
            values[name] = loader.construct_object(value_node, deep=True)
        except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that does not exist
            problems.append((line, f"{written}: {getattr(error, 'problem', error)}"))
    problems += [(lines[name], problem) for name, problem in find_problems(values)]
    if problems:
        shown = [f"line {line}: {problem}" for line, problem in sorted(problems)]
        raise SparksmithError(
            describe_problems(f"{origin} has {len(shown)} mistake{'s' if len(shown) > 1 else ''}:", shown),
            "sparksmith recipe schema lists every key; sparksmith recipe show sft is a complete one",
        )
    return Request(values, origin, text)


def find_problems(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(key, what is wrong) for every key that does not exist or whose value the schema refuses."""
    known = [*Recipe.model_fields, *ALIASES]
    problems = []
    for name in values:
        if name in REFUSED:
            problems.append((name, f"{name}: not possible: {REFUSED[name]}"))
        elif name not in Recipe.model_fields:
            problems.append((name, f"{name}: no such key{perhaps(name, known)}"))
    kept = {name: value for name, value in values.items() if name in Recipe.model_fields}
    try:
        Recipe.model_validate(kept)
    except ValidationError as error:
        seen: dict[str, str] = {}
        for entry in error.errors(include_url=False):
            name = str(entry["loc"][0])
            message = _plain(name, entry)
            seen[name] = f"{seen[name]}, or {message}" if name in seen else message
        problems += [(name, f"{name}: {values[name]!r} is not possible: {message}") for name, message in seen.items()]
    return problems


def _plain(name: str, entry: Any) -> str:
    """Pydantic's message in the words of this tool."""
    expected = entry.get("ctx", {}).get("expected")
    if entry["type"] == "literal_error" and expected:
        return f"it is one of {expected.replace(' or ', ', ')}" if expected.count("'") > 2 else f"{expected}"
    if entry["type"] in {"int_parsing", "int_type", "int_from_float"}:
        return "it is a whole number"
    if entry["type"] in {"float_parsing", "float_type"}:
        return "it is a number"
    if entry["type"] in {"bool_parsing", "bool_type"}:
        return "it is true or false"
    message: str = entry["msg"]
    return message.replace("Input should be", "it should be")
