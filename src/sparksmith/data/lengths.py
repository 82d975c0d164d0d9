"""How long the examples of a file are: a few figures and a histogram."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, Literal

MOST_BINS = 30
FEWEST_BINS = 12
LONG_TAIL = 3  # times the 95th percentile; what is longer shares the last bin


def summarize_lengths(
    lengths: Sequence[int], *, unit: Literal["tokens", "characters"], max_length: int
) -> dict[str, Any]:
    """Shortest, median, 95th percentile, longest, how many are over `max_length`, and the histogram.

    A percentile is the smallest length that so many are not over. Only tokens are compared with `max_length`.
    """
    ordered = sorted(lengths)
    return {
        "unit": unit,
        "max_length": max_length,
        "over": sum(length > max_length for length in ordered) if unit == "tokens" else 0,
        "shortest": ordered[0],
        "median": ordered[(len(ordered) - 1) // 2],
        "p95": ordered[-(-len(ordered) * 95 // 100) - 1],
        "longest": ordered[-1],
        "histogram": make_histogram(ordered),
    }


def make_histogram(ordered: Sequence[int]) -> list[dict[str, int]]:
    """12 to 30 bins of one width, a round number, of lengths in ascending order; `to` is exclusive.

    Where a few are far longer than the rest, the last bin is wider and holds them all.
    """
    shortest, longest = ordered[0], ordered[-1]
    p95 = ordered[-(-len(ordered) * 95 // 100) - 1]
    last = min(longest, max(LONG_TAIL * p95, shortest + MOST_BINS))
    width = next(width for width in _round_numbers() if last // width - shortest // width + 1 <= MOST_BINS)
    begin = shortest // width * width
    bins = max(FEWEST_BINS, last // width - shortest // width + 1)
    counts = Counter(min((length - begin) // width, bins - 1) for length in ordered)
    made = [{"from": begin + at * width, "to": begin + (at + 1) * width, "count": counts[at]} for at in range(bins)]
    made[-1]["to"] = max(made[-1]["to"], longest + 1)
    return made


def _round_numbers() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50, ..."""
    for power in count():
        for first in (1, 2, 5):
            yield first * 10**power
