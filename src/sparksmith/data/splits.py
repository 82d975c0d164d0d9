"""Which files of a dataset's repository make up which split: what its card says, or else what their names say.

The rules are those of the `datasets` library (its manual, "Structure your repository"): configurations in the card's
YAML, and otherwise the words train, validation and test, with their synonyms, in the names of files and folders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from sparksmith.base.errors import SparksmithError, perhaps

ENDINGS = {
    ".parquet": ".parquet",
    ".jsonl": ".jsonl",
    ".ndjson": ".jsonl",
    ".json": ".jsonl",
    ".csv": ".csv",
    ".tsv": ".tsv",
}
SPLIT_WORDS = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
WORD = re.compile(rf"(?<![a-zA-Z])({'|'.join(sorted(SPLIT_WORDS, key=len, reverse=True))})(?![a-zA-Z])")
NO_DATA = {"dataset_infos.json", "dataset_info.json", "state.json", "croissant.json"}


def data_ending(file: str) -> str | None:
    """The ending of a data file's kind, a final .gz left out; None for other files."""
    path = PurePosixPath(file.removesuffix(".gz"))
    if path.name in NO_DATA or path.name.startswith("."):
        return None
    return ENDINGS.get(path.suffix.lower())


def choose_config(
    card: Mapping[str, Any], asked: str | None, repository: str
) -> tuple[str | None, Mapping[str, Any] | None]:
    """The name and the card's entry of a configuration: the one asked for, the default, or the only one.

    Both None where the card names none. Raises `SparksmithError` where that does not choose one.
    """
    listed = card.get("configs")
    entries = {
        str(entry["config_name"]): entry
        for entry in (listed if isinstance(listed, list) else ())
        if isinstance(entry, dict) and "config_name" in entry
    }
    if asked is not None:
        if asked in entries:
            return asked, entries[asked]
        there = f"; it has {', '.join(list(entries)[:12])}" if entries else ""
        raise SparksmithError(
            f"the dataset {repository} has no configuration {asked}{perhaps(asked, entries)}{there}",
            f"{repository}:{next(iter(entries))}/train" if entries else f"{repository}:train",
        )
    if not entries:
        return None, None
    marked = [name for name, entry in entries.items() if entry.get("default") is True or name == "default"]
    if marked or len(entries) == 1:
        name = marked[0] if marked else next(iter(entries))
        return (None if name == "default" else name), entries[name]
    raise SparksmithError(
        f"the dataset {repository} has {len(entries)} configurations: {', '.join(list(entries)[:12])}",
        f"choose one: {repository}:{next(iter(entries))}/train",
    )


def find_splits(files: Sequence[str], entry: Mapping[str, Any] | None, repository: str) -> dict[str, list[str]]:
    """The data files of each split. `entry` is the card's of one configuration, if it has any.

    Raises `SparksmithError` where the entry names no files, or by patterns that are none.
    """
    data = [file for file in files if data_ending(file) is not None]
    if entry is not None and entry.get("data_files"):
        matched = {
            split: [file for file in data if any(pattern.fullmatch(file) for pattern in patterns)]
            for split, patterns in _patterns(entry, repository).items()
        }
        return {split: found for split, found in matched.items() if found}
    if entry is not None and entry.get("data_dir"):
        data = [file for file in data if PurePosixPath(file).is_relative_to(str(entry["data_dir"]))]
    splits: dict[str, list[str]] = {}
    for file in data:
        word = _split_word(file)
        if word:
            splits.setdefault(word, []).append(file)
    return splits or ({"train": data} if data else {})


def _patterns(entry: Mapping[str, Any], repository: str) -> dict[str, list[re.Pattern[str]]]:
    """The patterns of each split, in every form that a card may give them in. Raises `SparksmithError`."""
    value = entry["data_files"]
    folder = str(entry.get("data_dir") or "").strip("/")
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list) and all(isinstance(one, dict) for one in value):
        items = [(one.get("split", "train"), one.get("path", ())) for one in value]
    else:
        items = [("train", value)]
    found: dict[str, list[re.Pattern[str]]] = {}
    for split, paths in items:
        named = [paths] if isinstance(paths, str) else paths
        if not isinstance(named, list | tuple) or not all(isinstance(path, str) for path in named):
            raise _bad_card(repository, split, f"its files are {json.dumps(paths, default=str)[:80]}")
        for path in named:
            whole = f"{folder}/{path}" if folder else path
            try:
                found.setdefault(str(split), []).append(_compile(whole.removeprefix("./")))
            except re.error as error:
                raise _bad_card(repository, split, f"{path} is no pattern ({error.msg})") from None
    return found


def _bad_card(repository: str, split: object, reason: str) -> SparksmithError:
    return SparksmithError(
        f"the card of the dataset {repository} does not say which files make up its split {split}: {reason}",
        f"hf download {repository} --repo-type dataset, and name the file",
    )


def _compile(pattern: str) -> re.Pattern[str]:
    """A glob as an expression: `*` and `?` stay inside a folder, `**` does not, `[...]` is one character."""
    expression = ""
    for piece in re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]*\])", pattern):
        plain = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        if piece in plain:
            expression += plain[piece]
        elif piece.startswith("[") and piece.endswith("]"):
            expression += piece.replace("[!", "[^")
        else:
            expression += re.escape(piece)
    return re.compile(expression)


def _split_word(file: str) -> str | None:
    """The split that a path names: in the file's own name, or in the folder nearest to it."""
    for part in reversed(PurePosixPath(file.removesuffix(".gz")).parts):
        if found := WORD.findall(part.lower()):
            return SPLIT_WORDS[found[0]]
    return None
