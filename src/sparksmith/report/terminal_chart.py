"""A chart of characters: curves as dots of braille, or plain ones where the terminal has no Unicode."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sparksmith.report.axes import format_number, linear_axis

Point = tuple[float, float | None]
ROWS = 12
# the bits of a braille character (Unicode 17, Braille Patterns): columns of two, rows of four
BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def draw_chart(
    curve: Sequence[Point], points: Sequence[Point] = (), *, width: int = 80, rows: int = ROWS, unicode: bool = True
) -> list[str]:
    """A curve of dots with single points as `o` over it; lines of at most `width` columns, none without a point."""
    line, single = _finite(curve), _finite(points)
    if not line and not single:
        return []
    ys = [y for _, y in line + single]
    axis = linear_axis(min(ys), max(ys))
    labels = {rows - 1 - round(axis.place(value) * (rows - 1)): label for value, label in axis.ticks}
    margin = max(map(len, labels.values())) + 2
    last = max(x for x, _ in line + single)
    first = min(0.0, *(x for x, _ in line + single))
    columns = max(10, width - margin - 2)
    cells = [[0] * columns for _ in range(rows)]
    across = (2 * columns - 1) / ((last - first) or 1.0)

    def place(x: float, y: float) -> tuple[int, int]:
        return round((x - first) * across), round((1 - axis.place(y)) * (4 * rows - 1))

    spots = [place(x, y) for x, y in line]
    for (x0, y0), (x1, y1) in zip(spots, spots[1:] or spots, strict=False):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(steps + 1):
            x, y = round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps)
            cells[y // 4][x // 2] |= BITS[y % 4][x % 2]
    text = [[chr(0x2800 + cell) if unicode else "." if cell else " " for cell in row] for row in cells]
    if unicode:
        text = [[" " if character == "\u2800" else character for character in row] for row in text]
    for x, y in (place(x, y) for x, y in single):
        text[y // 4][x // 2] = "o"
    bar = "│" if unicode else "|"
    drawn = [f"{labels.get(at, ''):>{margin - 1}} {bar}{''.join(row)}".rstrip() for at, row in enumerate(text)]
    foot, corner = ("─", "└") if unicode else ("-", "+")
    begin, end = (format_step(value) for value in (first, last))
    return [
        *drawn,
        " " * margin + corner + foot * columns,
        " " * (margin + 1) + begin + f"step {end}".rjust(columns - len(begin)),
    ]


def format_step(step: float) -> str:
    return f"{step:,.0f}"


def loss_chart(
    loss: Sequence[Point], eval_loss: Sequence[Point], *, width: int = 80, unicode: bool = True
) -> list[str]:
    """The loss and the held-out loss of a run with their last values; no line where there is nothing to draw."""
    chart = draw_chart(loss, eval_loss, width=width, unicode=unicode)
    if not chart:
        return []
    words = []
    dots = "⠒⠒" if unicode else ".."
    for sign, name, points in ((dots, "loss", _finite(loss)), ("o", "held out", _finite(eval_loss))):
        if points:
            words.append(f"{sign} {name} {format_number(points[-1][1])}")
    return ["   ".join(words), *chart]


def _finite(points: Sequence[Point]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if y is not None and math.isfinite(y) and math.isfinite(x)]
