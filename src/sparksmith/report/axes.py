"""Scales, ticks at round numbers, and the words for them: what every chart stands on. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, in equal steps or, with `log`, in equal factors; `ticks` are (value, label)."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high end."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear_axis(low: float, high: float, *, zero: bool = False, count: int = 5, round_ends: bool = True) -> Axis:
    """An axis over the values; it begins at 0 where it should or nearly does, and ends at ticks with `round_ends`."""
    if low >= 0 and (zero or low < 0.3 * high):
        low = 0.0
    if low == high:
        low, high = (low - 0.1 * abs(low), high + 0.1 * abs(high)) if low else (0.0, 1.0)
    step = round_step((high - low) / count)
    if round_ends:
        # a value that lies at a tick may be rounded past it, but never stands outside
        low, high = min(low, math.floor(low / step + 1e-9) * step), max(high, math.ceil(high / step - 1e-9) * step)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [number * step for number in range(first, last + 1)]
    return Axis(low, high, label_ticks(values, step))


def log_axis(low: float, high: float) -> Axis | None:
    """An axis in equal factors, or None where a value is not above 0 or all are the same."""
    if low <= 0 or high <= low:
        return None
    begin, end = math.log10(low), math.log10(high)
    pad = 0.04 * (end - begin)
    begin, end = begin - pad, end + pad
    factors: tuple[int, ...] = (1,) if end - begin > 3 else (1, 3) if end - begin > 2 else (1, 2, 5)
    values = [f * 10.0**e for e in range(math.floor(begin), math.floor(end) + 1) for f in factors]
    values = [value for value in values if begin <= math.log10(value) <= end]
    if len(values) < 3:  # less than a decade: round steps say more
        inner = linear_axis(10**begin, 10**end, round_ends=False)
        return Axis(10**begin, 10**end, tuple(tick for tick in inner.ticks if tick[0] >= 10**begin), log=True)
    return Axis(10**begin, 10**end, tuple((value, format_number(value)) for value in values), log=True)


def round_step(least: float) -> float:
    """The smallest 1, 2 or 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def label_ticks(values: list[float], step: float) -> tuple[tuple[float, str], ...]:
    """Each value with a label, all with the same number of decimals."""
    largest = max(map(abs, values), default=0.0)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    labels = []
    for value in values:
        if abs(value) < step / 1e6:
            labels.append("0")
        elif largest < 1e-3 or largest >= 1e4:
            labels.append(format_number(value))
        else:
            labels.append(f"{value:,.{decimals}f}")
    return tuple(zip(values, labels, strict=True))


def format_number(value: float) -> str:
    """Up to three digits: 0, 3e-5, 0.25, 1.5, 120, 12k, 3.4M."""
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-3:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if size >= (10 * factor if unit == "k" else factor):
            return f"{value / factor:.3g}{unit}"
    return f"{value:,.0f}" if size >= 1000 else f"{value:.3g}"
