"""How sure a rate is: percentile bootstrap over the rows of a dataset.

Rows are drawn with replacement, as many as there are, 1,000 times; the interval holds the middle 95% of the rates. Rows
and not phones are drawn, because the errors of a row come together. Known as the cluster or block bootstrap (Bisani and
Ney, ICASSP 2004, for word error rates).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

RESAMPLES = 1000
SEED = 20261121
SHARE = 0.95


def bootstrap_interval(rows: Iterable[tuple[int, int]]) -> tuple[float, float]:
    """(low, high) of the rate whose rows have these (errors, total).

    It depends on the rows, not on their order. Resamples without a single unit have no rate and are left out; without a
    unit in any row both ends are 0.
    """
    # How often each kind of row is drawn is multinomial, which is the same as drawing rows, and much quicker: the rows
    # of a dataset are of few kinds.
    kinds = sorted(Counter(rows).items())
    if not any(total for (_, total), _ in kinds):
        return 0.0, 0.0
    if len(kinds) == 1:
        (errors, total), _ = kinds[0]
        return errors / total, errors / total
    import numpy as np

    counts = np.array([count for _, count in kinds], dtype=np.int64)
    units = np.array([pair for pair, _ in kinds], dtype=np.int64)
    # RandomState and not Generator: its stream is promised never to change (NEP 19), so neither does an interval.
    drawn = np.random.RandomState(SEED).multinomial(int(counts.sum()), counts / counts.sum(), size=RESAMPLES)
    errors, totals = (drawn @ units).T
    filled = totals > 0
    low, high = np.quantile(errors[filled] / totals[filled], [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return float(low), float(high)
