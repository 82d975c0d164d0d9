"""The geometry of the page's charts, made before any browser: paths, ticks, labels. Pure; the template draws them.

A path's coordinates are 0..1000 across and 0..1000 down; the template stretches them over whatever room there is, and
places ticks and labels by percentages, so that letters keep their size on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sparksmith.base.units import plural
from sparksmith.report.axes import Axis, format_number, label_ticks, linear_axis, log_axis, round_step

SIZE = 1000
MOST_POINTS = 600  # of a curve; more are not seen at this width
MOST_OF_A_CHART = 1200  # of all curves of one chart: a page of eight long runs is some 400 kB
CALM_POINTS = 200  # of a curve; above, its mean is drawn over it
TREND_POINTS = 80
LABEL_PIXELS = 15  # the height of a line of labels
ENDS_HERE = 99.0  # percent from the left: a curve that ends before has a dotted line from there to its label
LEAST_BETWEEN_TICKS = 8  # percent
NEARLY_NOTHING = 1e-4  # of a linear axis: what is smaller cannot be told from 0 on it

Point = tuple[float, float | None]


@dataclass(frozen=True)
class Series:
    """A curve: points in the order of x, y None where there is a gap. `colour` is a variable of the style sheet."""

    name: str
    points: Sequence[Point]
    colour: str


@dataclass(frozen=True)
class Mark:
    """Something that happened at `x`. Of one with `line`, a line goes through the chart; else a tick stands below."""

    x: float
    kind: str
    label: str
    line: bool


@dataclass(frozen=True)
class Curve:
    """A series as it is drawn. `dots` are points without a neighbour to be joined with; `trend` is the mean of a curve
    that has so many points that they lie over each other, or nothing. The label stands right of the plot at `down`;
    what it says was measured at `across` and `end`. All in percent from the left and from above."""

    name: str
    colour: str
    path: str
    dots: str
    trend: str
    across: float
    end: float
    down: float
    label: str
    peak: bool  # the label says the highest value, not the last

    @property
    def ends_early(self) -> bool:
        return self.across < ENDS_HERE and not self.peak


@dataclass(frozen=True)
class Plot:
    """One drawing. `data` is what the readout needs to know of its axes."""

    scale: str
    curves: tuple[Curve, ...]
    x_ticks: tuple[tuple[float, str], ...]  # percent from the left, label
    y_ticks: tuple[tuple[float, str], ...]  # percent from above, label
    marks: tuple[tuple[float, Mark], ...]
    data: dict[str, Any]


@dataclass(frozen=True)
class LineChart:
    """A chart: one plot, or two (linear and log) to choose from."""

    name: str
    title: str
    unit: str
    height: int
    plots: tuple[Plot, ...]
    series: list[dict[str, Any]]  # the points, for the readout
    summary: str  # for who does not see it
    thinned: str  # how many points are drawn where not all are

    @property
    def has_trend(self) -> bool:
        return any(curve.trend for curve in self.plots[0].curves)


def line_chart(
    name: str, title: str, series: Sequence[Series], *, unit: str = "", x_unit: str = "step", height: int = 150,
    zero: bool = False, log: bool = False, percent: bool = False, marks: Sequence[Mark] = (),
    span: tuple[float, float] | None = None, peak: bool = False,
) -> LineChart | None:  # fmt: skip
    """A chart of all series that have a point; None where none has.

    `span` is the least that x covers. With `peak` a curve is labelled with its highest value, else with its last.
    """
    kept = [one for one in (_finite(one) for one in series) if any(y is not None for _, y in one.points)]
    if not kept:
        return None
    total = max(len(one.points) for one in kept)
    limit = min(MOST_POINTS, MOST_OF_A_CHART // len(kept))
    drawn = [Series(one.name, thin(one.points, limit), one.colour) for one in kept]
    ys = [y for one in drawn for _, y in one.points if y is not None]
    xs = [x for one in drawn for x, _ in one.points]
    if span is not None:
        xs += span
    x_axis = linear_axis(min(xs), max(xs), zero=min(xs) < 0.2 * max(xs), round_ends=False)
    axes = [linear_axis(min(ys), max(ys), zero=zero)]
    if log and (other := log_axis(min(ys), max(ys))):
        axes.append(other)
    trends = [trend(one.points) for one in kept]
    plots = tuple(
        _plot(drawn, trends, x_axis, axis, height=height, percent=percent, marks=marks, x_unit=x_unit, peak=peak)
        for axis in axes
    )
    most = max(len(one.points) for one in drawn)
    thinned = f"{most:,} of {total:,}" if most < total else ""
    points = [
        {"name": one.name, "colour": one.colour, "points": [[x, _rounded(y)] for x, y in one.points if y is not None]}
        for one in drawn
    ]
    return LineChart(
        name, title, unit, height, plots, points, _summary(title, kept, percent, x_unit, axes[0].high), thinned
    )


def _finite(series: Series) -> Series:
    """What is no finite number becomes a gap."""
    points = [(x, y if y is not None and math.isfinite(y) else None) for x, y in series.points if math.isfinite(x)]
    return Series(series.name, points, series.colour)


def thin(points: Sequence[Point], limit: int = MOST_POINTS) -> Sequence[Point]:
    """At most `limit` points: the lowest and the highest of each stretch, the first and the last; gaps stay gaps."""
    if len(points) <= limit:
        return points
    stretches = max(1, (limit - 2) // (3 if any(y is None for _, y in points) else 2))  # of each two, and perhaps a gap
    inner = points[1:-1]
    kept = [points[0]]
    for number in range(stretches):
        part = inner[number * len(inner) // stretches : (number + 1) * len(inner) // stretches]
        known = [(y, at) for at, (_, y) in enumerate(part) if y is not None]
        gap = [at for at, (_, y) in enumerate(part) if y is None][:1]
        ends = {min(known)[1], max(known)[1]} if known else set()
        kept += [part[at] for at in sorted({*ends, *gap})]
    return [*kept, points[-1]]


def trend(points: Sequence[Point]) -> list[Point]:
    """The mean of each stretch of a curve with many points; none of one with few."""
    known = [(x, y) for x, y in points if y is not None]
    if len(known) <= CALM_POINTS:
        return []
    parts = [
        known[number * len(known) // TREND_POINTS : (number + 1) * len(known) // TREND_POINTS]
        for number in range(TREND_POINTS)
    ]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def _plot(
    series: Sequence[Series], trends: Sequence[list[Point]], x_axis: Axis, y_axis: Axis, *, height: int, percent: bool,
    marks: Sequence[Mark], x_unit: str, peak: bool,
) -> Plot:  # fmt: skip
    drawn = []
    for one, calm in zip(series, trends, strict=True):
        path, dots = _path(one.points, x_axis, y_axis)
        known = [(y, x) for x, y in one.points if y is not None]
        y, x = max(known) if peak else known[-1]
        label = f"{one.name} {'peak ' if peak else ''}{format_value(y, percent)}".strip()
        end = _percent(1 - y_axis.place(y))
        calm_path, _ = _path(calm, x_axis, y_axis)
        drawn.append(
            Curve(one.name, one.colour, path, dots, calm_path, _percent(x_axis.place(x)), end, end, label, peak)
        )
    downs = spread([curve.end for curve in drawn], LABEL_PIXELS / height * 100)
    curves = tuple(replace(curve, down=down) for curve, down in zip(drawn, downs, strict=True))
    y_ticks = tuple((_percent(1 - y_axis.place(value)), label) for value, label in y_axis.ticks)
    if percent:
        y_ticks = tuple(
            (at, f"{format_number(round(100 * value, 6))}%")
            for (at, _), (value, _) in zip(y_ticks, y_axis.ticks, strict=True)
        )
    seen = [(_percent(x_axis.place(mark.x)), mark) for mark in marks if x_axis.low <= mark.x <= x_axis.high]
    data = {
        "x": [x_axis.low, x_axis.high], "y": [y_axis.low, y_axis.high], "log": y_axis.log, "percent": percent,
        "unit": x_unit, "nothing": 0 if y_axis.log else NEARLY_NOTHING * y_axis.high,
    }  # fmt: skip
    x_ticks = tuple((_percent(x_axis.place(value)), label) for value, label in x_axis.ticks)
    return Plot("log" if y_axis.log else "linear", curves, x_ticks, y_ticks, tuple(seen), data)


def _path(points: Sequence[Point], x_axis: Axis, y_axis: Axis) -> tuple[str, str]:
    """(the joined points, the lone ones)."""
    joined: list[str] = []
    lone: list[str] = []
    part: list[str] = []

    def close() -> None:
        if len(part) == 1:
            lone.append(f"M{part[0]}h0")
        elif part:
            joined.append("M" + "L".join(part))
        part.clear()

    for x, y in points:
        if y is None:
            close()
            continue
        part.append(f"{_short(SIZE * x_axis.place(x))} {_short(SIZE * (1 - y_axis.place(y)))}")
    close()
    return "".join(joined), "".join(lone)


def spread(places: Sequence[float], gap: float) -> list[float]:
    """The places moved apart as little as can be, so that labels do not lie over each other; those that crowd stand
    around their middle. In percent, `gap` the least distance, inside 0 to 100 where there is room."""
    order = sorted(range(len(places)), key=lambda at: places[at])
    groups: list[tuple[float, int]] = []  # (where its first would stand, how many), as in an isotonic regression
    for number, at in enumerate(order):
        middle, count = places[at] - number * gap, 1
        while groups and groups[-1][0] > middle:
            before, many = groups.pop()
            middle, count = (before * many + middle * count) / (many + count), count + many
        groups.append((middle, count))
    lowest = max(0.0, 100 - (len(places) - 1) * gap)
    firsts = [min(max(first, 0.0), lowest) for first, count in groups for _ in range(count)]
    moved = [0.0] * len(places)
    for number, at in enumerate(order):
        moved[at] = round(firsts[number] + number * gap, 2)
    return moved


def format_value(value: float, percent: bool = False) -> str:
    """A figure beside a curve."""
    return f"{100 * value:.1f}%" if percent else format_number(value)


def _summary(title: str, series: Sequence[Series], percent: bool, x_unit: str, high: float) -> str:
    def words(value: float) -> str:
        return "about 0" if 0 < abs(value) < NEARLY_NOTHING * high else format_value(value, percent)

    parts = []
    for one in series:
        known = [(x, y) for x, y in one.points if y is not None]
        (x0, y0), (x1, y1) = known[0], known[-1]
        begin = f"{words(y0)} at {x_unit} {format_number(x0)}"
        parts.append(f"{one.name} {begin}, {words(y1)} at {x_unit} {format_number(x1)}".strip())
    return f"{title}: {'; '.join(parts)}"


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _percent(share: float) -> float:
    return round(100 * share, 2)


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


@dataclass(frozen=True)
class Histogram:
    """Bars: (percent from the left, width, height, what it says). `line` is where the limit lies, in percent."""

    bars: tuple[tuple[float, float, float, str], ...]
    x_ticks: tuple[tuple[float, str], ...]
    most: int
    line: float | None


def histogram(bins: Sequence[tuple[float, float, int]], unit: str, limit: float | None = None) -> Histogram | None:
    """Bars of (from, to, count) of whole numbers, `to` exclusive; a limit is drawn where it lies among them.

    The axis ends where the counts do. A last bin that is wider than the others, because it holds a long tail, is drawn
    as wide as they are, and its tick says so. None without a count.
    """
    most = max((count for _, _, count in bins), default=0)
    if most <= 0:
        return None
    filled = [at for at, (_, _, count) in enumerate(bins) if count]
    bins = bins[filled[0] : filled[-1] + 1]
    step = min(end - begin for begin, end, _ in bins)
    tail = bins[-1][1] - bins[-1][0] > step
    low, high = bins[0][0], bins[-1][0] + step
    middle = 0.5 if step == 1 else 0.0  # a bar of one number has it at its middle
    tick = round_step(max(1.0, (high - low) / 5))
    axis_ticks = label_ticks([at * tick for at in range(math.ceil(low / tick), math.floor(high / tick) + 1)], tick)

    def place(value: float) -> float:
        return _percent((value - low) / (high - low))

    bars = tuple(
        (
            place(begin), _percent(step / (high - low)), _percent(count / most),
            f"{_lengths(begin, end, unit)}: {plural(count, 'row')}",
        )
        for begin, end, count in bins
    )  # fmt: skip
    last = bins[-1][0]
    end = last if tail or middle else high
    ticks = [(place(value + middle), label) for value, label in axis_ticks if value <= end]
    if tail:
        ticks = [one for one in ticks if place(last) - one[0] > LEAST_BETWEEN_TICKS] + [(place(last), f"{last:,.0f}+")]
    line = place(limit) if limit is not None and low <= limit <= (last if tail else high) else None
    return Histogram(bars, tuple(ticks), most, line)


def _lengths(begin: float, end: float, unit: str) -> str:
    if end - begin > 1:
        return f"{begin:,.0f} to {end - 1:,.0f} {unit}"
    return plural(int(begin), unit.removesuffix("s"))
