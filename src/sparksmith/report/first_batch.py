"""The first batch as the model sees it: what the loss does not count is dimmed, or bracketed without colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.text import Text

LONGEST = 400  # characters of one part that are shown


def show_first_batch(rows: Sequence[Sequence[tuple[str, bool]]], stream: TextIO) -> None:
    """Each row is its parts in order: (text, whether the loss counts it)."""
    console = Console(file=stream, highlight=False, soft_wrap=True)
    plain = not console.is_terminal or console.no_color
    console.print("the first examples (the loss counts what is " + ("outside the brackets):" if plain else "bright):"))
    for row in rows:
        line = Text("  ")
        for text, counted in row:
            shown = (text if len(text) <= LONGEST else text[: LONGEST // 2] + " ... " + text[-LONGEST // 2 :]).replace(
                "\n", "\\n"
            )
            if counted:
                line.append(shown, style="bold green")
            else:
                line.append(f"[{shown}]" if plain else shown, style="dim")
        console.print(line)
