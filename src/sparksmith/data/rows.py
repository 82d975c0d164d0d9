"""Rows with named columns, of JSONL and of parquet: each becomes an example, or words for what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

from sparksmith.data.examples import Example, Message, pair

ROLES = ("system", "user", "assistant", "tool")


def parse_json_lines(text: str, columns: tuple[str, str] | None, problems: list[str]) -> list[Example]:
    """The examples of JSON Lines; what is wrong with a line goes to `problems`."""
    examples = []
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as error:
            problems.append(f"line {line}: not JSON: {error}")
            continue
        made = parse_row(line, row, columns)
        if "\\u" in content and isinstance(made, Example) and not _is_whole(made):
            made = "half of a surrogate pair, which is no character"
        if isinstance(made, str):
            problems.append(f"line {line}: {made}")
        else:
            examples.append(made)
    return examples


def first_names(text: str) -> list[str]:
    """The names in the first line of JSON Lines; none where it is no object."""
    try:
        row = json.loads(text.strip().split("\n", 1)[0])
    except (ValueError, RecursionError):
        return []
    return list(map(str, row)) if isinstance(row, dict) else []


def parse_row(line: int, row: Any, columns: tuple[str, str] | None) -> Example | str:
    """An example, or what is wrong with the row. `columns` are the names of prompt and response."""
    if not isinstance(row, dict):
        return f"{type(row).__name__} instead of an object"
    if columns is not None:
        return _parse_columns(line, row, columns)
    if "messages" in row:
        return _parse_messages(line, row["messages"])
    if "prompt" in row and "response" in row and "completion" not in row:
        row = {**row, "completion": row["response"]}
    if "prompt" in row and "completion" in row:
        cells = (row["prompt"], row["completion"])
        if not all(isinstance(cell, str) for cell in cells):
            return "prompt and completion are text; a conversation goes into `messages`"
        if empty := [name for name in ("prompt", "completion") if not row[name].strip()]:
            return f"{' and '.join(empty)} is empty"
        return pair(line, *cells)
    if "text" in row:
        if not isinstance(row["text"], str) or not row["text"].strip():
            return "text is empty" if isinstance(row["text"], str) else "text is not text"
        return Example(line, "text", text=row["text"])
    return f"none of prompt/completion, messages, text; it has {', '.join(map(str, list(row)[:6])) or 'nothing'}"


def _is_whole(example: Example) -> bool:
    """Whether its text can be written as UTF-8: JSON's escapes can spell what is no text."""
    try:
        "".join([example.text, *(turn.content for turn in example.messages)]).encode()
    except UnicodeEncodeError:
        return False
    return True


def _parse_columns(line: int, row: dict[str, Any], columns: tuple[str, str]) -> Example | str:
    for name in columns:
        if name not in row:
            return f"it has no {name}; it has {', '.join(map(str, list(row)[:6])) or 'nothing'}"
        if not isinstance(row[name], str):
            return f"{name} is {'null' if row[name] is None else type(row[name]).__name__}; text is wanted"
        if not row[name].strip():
            return f"{name} is empty"
    return pair(line, row[columns[0]], row[columns[1]])


def _parse_messages(line: int, value: Any) -> Example | str:
    if not isinstance(value, list) or not value:
        return "messages is not a list of turns"
    turns = []
    for number, turn in enumerate(value, start=1):
        if (
            not isinstance(turn, dict)
            or not isinstance(turn.get("role"), str)
            or not isinstance(turn.get("content"), str)
        ):
            return f"turn {number} has no role or no content"
        if turn["role"] not in ROLES:
            return f"turn {number} has the role {turn['role']!r}; the roles are {', '.join(ROLES)}"
        if not turn["content"].strip():
            return f"turn {number} is empty"
        turns.append(Message(turn["role"], turn["content"]))
    if turns[-1].role != "assistant":
        return f"the last turn is the {turns[-1].role}'s; there is no response to learn"
    if len(turns) < 2:
        return "one turn only; there is no prompt"
    return Example(line, "messages", tuple(turns))
