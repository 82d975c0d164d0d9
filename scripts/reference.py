"""Write docs/reference/recipe.md from the recipe's schema: `make docs`. With --check only say whether it is current."""

from __future__ import annotations

import sys
from pathlib import Path

from sparksmith.cli.options import metavar
from sparksmith.recipe.aliases import ALIASES, REFUSED
from sparksmith.recipe.schema import GROUPS, Recipe, group_of, why_of

PAGE = Path(__file__).resolve().parent.parent / "docs/reference/recipe.md"
HEAD = """# Recipe keys and training flags

Made by `make docs` from `recipe/schema.py`; do not edit. Each key is also a flag of `sparksmith train`: `max_steps` is
`--max_steps` and `--max-steps`. `auto` is decided by the plan, which says why (`sparksmith train --dry-run`).
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    for group in GROUPS:
        parts.append(f"\n## {group.capitalize()}\n\n| key | values | default | what it does |\n|---|---|---|---|\n")
        for name, field in Recipe.model_fields.items():
            if group_of(name) == group:
                parts.append(row(name, field.default, str(field.description)))
    parts.append("\n## Other names of the same keys\n\n| name | key |\n|---|---|\n")
    parts += [f"| `{alias}` | `{name}` |\n" for alias, name in ALIASES.items()]
    parts.append("\n## Flags that are refused\n\n| flag | why |\n|---|---|\n")
    parts += [f"| `--{name}` | {reason} |\n" for name, reason in REFUSED.items()]
    return "".join(parts)


def row(name: str, default: object, text: str) -> str:
    """One line of a table."""
    plain = str(default).lower() if isinstance(default, bool) else str(default).replace("\n", "\\n")
    shown = "" if default in (None, "") else f"`{plain}`"
    why = f" ({why_of(name)})" if why_of(name) else ""
    return f"| `{name}` | {metavar(name).replace('|', ', ')} | {shown} | {text}{why} |\n"


def main() -> None:
    if "--check" in sys.argv:
        if not PAGE.is_file() or PAGE.read_text() != page():
            raise SystemExit(f"{PAGE.name} is not what the schema says: make docs")
        return
    PAGE.write_text(page())
    print(PAGE.relative_to(PAGE.parent.parent.parent))


if __name__ == "__main__":
    main()
