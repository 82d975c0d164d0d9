"""Write doctor/schemas/facts.json from the types of the facts. With --check only say whether it is current."""

from __future__ import annotations

import json
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from sparksmith.machine.facts import FACTS_VERSION, MachineFacts

SCHEMA = Path(__file__).resolve().parent.parent / "src/sparksmith/doctor/schemas/facts.json"
SIMPLE = {type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string"}
UNKNOWN = {
    "description": "the reason for each field that is null, by its name",
    "type": "object",
    "additionalProperties": {"type": "string"},
}


def page() -> str:
    """The whole schema as JSON."""
    facts = of_table(MachineFacts)
    properties = {"version": {"const": FACTS_VERSION}, **facts["properties"]}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sparksmith doctor --facts --json",
        "description": "What was observed of a machine, by subject; a field that is null could not be known, and "
        "`unknown` beside it says why. Names of the host and the user, home folders, addresses, URLs and secrets are "
        "taken out. Made by scripts/facts_schema.py; do not edit.",
        **facts,
        "required": list(properties),
        "properties": properties,
        "$defs": {"unknown": UNKNOWN},
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def of_table(table: type) -> dict[str, Any]:
    """A dataclass, every field of which has to be there; `private` is never shown."""
    hints = typing.get_type_hints(table)
    names = [one.name for one in fields(table) if one.name != "private"]
    properties = {name: {"$ref": "#/$defs/unknown"} if name == "unknown" else of_type(hints[name]) for name in names}
    return {"type": "object", "additionalProperties": False, "required": names, "properties": properties}


def of_type(kind: Any) -> dict[str, Any]:
    """A field's type, as `MachineFacts.to_json` writes it."""
    outer, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind in SIMPLE:
        return {"type": SIMPLE[kind]}
    if is_dataclass(kind) and isinstance(kind, type):
        return of_table(kind)
    if outer is typing.Literal:
        return {"enum": list(inner)}
    if outer in (types.UnionType, typing.Union):
        parts = [of_type(one) for one in inner]
        simple = [part["type"] for part in parts if set(part) == {"type"}]
        others = [part for part in parts if set(part) != {"type"}]
        return {"anyOf": [{"type": simple}, *others]} if others else {"type": simple}
    if outer is tuple and inner[-1] is Ellipsis:
        return {"type": "array", "items": of_type(inner[0])}
    if outer is tuple:
        size = len(inner)
        return {"type": "array", "prefixItems": [of_type(one) for one in inner], "minItems": size, "maxItems": size}
    if outer is frozenset:
        return {"type": "array", "items": of_type(inner[0])}
    if outer is not None and issubclass(outer, Mapping):
        return {"type": "object", "additionalProperties": of_type(inner[1])}
    raise TypeError(f"facts hold no {kind}")


def main() -> None:
    if "--check" in sys.argv:
        if not SCHEMA.is_file() or SCHEMA.read_text(encoding="utf-8") != page():
            raise SystemExit(f"{SCHEMA.name} is not what the facts are: python scripts/facts_schema.py")
        return
    SCHEMA.write_text(page(), encoding="utf-8")
    print(SCHEMA.relative_to(SCHEMA.parent.parent.parent.parent.parent))


if __name__ == "__main__":
    main()
