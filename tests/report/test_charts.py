"""Axes, curves, histograms and the chart in the terminal, with figures worked out by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparksmith.report.axes import format_number, linear_axis, log_axis, round_step
from sparksmith.report.charts import MOST_POINTS, Mark, Series, histogram, line_chart, spread, thin, trend
from sparksmith.report.terminal_chart import draw_chart, loss_chart


def labels(axis):
    return [label for _, label in axis.ticks]


class TestAxes:
    @pytest.mark.parametrize(
        ("least", "step"), [(0.7, 1), (1, 1), (1.1, 2), (2.5, 5), (6, 10), (0.012, 0.02), (3e-6, 5e-6), (1234, 2000)]
    )
    def test_steps_are_round(self, least, step):
        assert round_step(least) == pytest.approx(step)

    def test_ticks_at_round_numbers(self):
        axis = linear_axis(0.61, 2.85)  # 0.61 is under a third of 2.85, so it begins at 0; a fifth of 2.85 is 0.57
        assert (axis.low, axis.high, labels(axis)) == (0, 3, ["0", "1", "2", "3"])

    def test_a_range_far_from_zero_does_not_begin_there(self):
        axis = linear_axis(21.2, 22.9)
        assert (axis.low, axis.high) == (21, 23)
        assert labels(axis) == ["21.0", "21.5", "22.0", "22.5", "23.0"]
        assert linear_axis(21.2, 22.9, zero=True).low == 0

    def test_every_label_has_the_same_decimals(self):
        assert labels(linear_axis(0, 0.003)) == ["0", "0.001", "0.002", "0.003"]
        assert labels(linear_axis(0, 2e-5)) == ["0", "5e-6", "1e-5", "1.5e-5", "2e-5"]
        assert labels(linear_axis(0, 40_000)) == ["0", "10k", "20k", "30k", "40k"]

    def test_one_value_gets_room(self):
        assert (linear_axis(0, 0).low, linear_axis(0, 0).high) == (0, 1)
        axis = linear_axis(5, 5)
        assert axis.low < 5 < axis.high
        assert linear_axis(-2, -2).low < -2 < linear_axis(-2, -2).high

    def test_a_value_is_placed(self):
        assert linear_axis(0, 4).place(1) == 0.25
        axis = log_axis(1, 100)
        assert axis.place(10) == pytest.approx(0.5)
        assert labels(axis) == ["1", "3", "10", "30", "100"]

    def test_a_log_axis_of_less_than_a_decade_has_round_steps(self):
        assert labels(log_axis(1.0, 2.9)) == ["1.0", "1.5", "2.0", "2.5", "3.0"]  # 0.96 to 3.03, with 4% at either end

    @pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (2, 2)])
    def test_no_log_axis_where_there_is_no_factor(self, low, high):
        assert log_axis(low, high) is None

    @given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
    def test_what_is_shown_lies_inside_and_has_ticks(self, low, width):
        axis = linear_axis(low, low + width)
        assert 2 <= len(axis.ticks) <= 8
        assert -1e-6 <= axis.place(low) <= axis.place(low + width) <= 1 + 1e-6

    @pytest.mark.parametrize(
        ("value", "words"),
        [(0, "0"), (3e-5, "3e-5"), (1.25e-4, "1.25e-4"), (0.25, "0.25"), (1.5, "1.5"), (120, "120"), (7700, "7,700"),
         (12_000, "12k"), (3.4e6, "3.4M"), (-0.5, "-0.5")],
    )  # fmt: skip
    def test_numbers_as_people_read_them(self, value, words):
        assert format_number(value) == words


def points_of(path):
    """The coordinates in a path: [[(x, y), ...] for every part]."""
    return [[tuple(map(float, pair.split())) for pair in part.split("L")] for part in path.split("M") if part]


class TestCurves:
    def test_coordinates(self):
        chart = line_chart("loss", "Loss", [Series("train", [(0, 4.0), (50, 2.0), (100, 0.0)], "trained")])
        curve = chart.plots[0].curves[0]
        assert points_of(curve.path) == [[(0, 0), (500, 500), (1000, 1000)]]
        assert (curve.across, curve.down, curve.label) == (100, 100, "train 0")

    def test_a_gap_stays_a_gap_and_a_lone_point_is_a_dot(self):
        points = [(0, 1.0), (1, 2.0), (2, None), (3, 1.0), (4, math.nan), (5, 0.0), (6, math.inf), (7, 1.0), (8, 2.0)]
        curve = line_chart("a", "A", [Series("", points, "trained")]).plots[0].curves[0]
        assert [len(part) for part in points_of(curve.path)] == [2, 2]
        assert curve.dots.count("M") == 2

    def test_one_point_is_a_dot(self):
        chart = line_chart("a", "A", [Series("", [(7, 0.5)], "trained")])
        assert chart.plots[0].curves[0].path == ""
        assert chart.plots[0].curves[0].dots.count("M") == 1

    def test_a_constant_curve_lies_inside(self):
        chart = line_chart("a", "A", [Series("", [(0, 3.0), (10, 3.0)], "trained")])
        assert all(0 < y < 1000 for part in points_of(chart.plots[0].curves[0].path) for _, y in part)

    @pytest.mark.parametrize("points", [[], [(0, None)], [(1, math.nan), (2, None)]])
    def test_nothing_to_draw(self, points):
        assert line_chart("a", "A", [Series("", points, "trained")]) is None

    def test_log_only_where_all_is_above_zero(self):
        above = line_chart("a", "A", [Series("", [(0, 10.0), (1, 0.1)], "trained")], log=True)
        assert [plot.scale for plot in above.plots] == ["linear", "log"]
        assert above.plots[1].curves[0].down == pytest.approx(96.3, abs=0.1)  # 4% of padding on 1.08 ranges
        to_zero = line_chart("a", "A", [Series("", [(0, 10.0), (1, 0.0)], "trained")], log=True)
        assert [plot.scale for plot in to_zero.plots] == ["linear"]

    def test_marks_outside_are_left_out(self):
        marks = [Mark(5, "saved", "saved", line=False), Mark(50, "saved", "saved", line=False)]
        chart = line_chart("a", "A", [Series("", [(0, 1.0), (10, 2.0)], "trained")], marks=marks)
        assert [at for at, _ in chart.plots[0].marks] == [50.0]

    def test_percentages(self):
        chart = line_chart("a", "A", [Series("PER", [(0, 0.4), (10, 0.125)], "trained")], percent=True, zero=True)
        assert [label for _, label in chart.plots[0].y_ticks] == ["0%", "10%", "20%", "30%", "40%"]
        assert chart.plots[0].curves[0].label == "PER 12.5%"

    def test_a_label_may_say_the_peak(self):
        points = [(0, 0.001), (5, 0.003), (10, 1e-10)]
        chart = line_chart("a", "Rate", [Series("", points, "trained")], zero=True, peak=True)
        curve = chart.plots[0].curves[0]
        assert (curve.label, curve.down, curve.ends_early) == ("peak 0.003", 0, False)
        assert chart.summary == "Rate: 0.001 at step 0, about 0 at step 10"
        assert chart.plots[0].data["nothing"] == pytest.approx(3e-7)  # for the readout

    def test_the_label_of_a_curve_that_ends_early_stands_right_of_the_plot(self):
        short, long = Series("A", [(0, 1.0), (5, 0.5)], "run-0"), Series("B", [(0, 1.0), (10, 0.2)], "run-1")
        first, second = line_chart("a", "A", [short, long]).plots[0].curves
        assert (first.across, first.ends_early) == (50, True)
        assert (second.across, second.ends_early) == (100, False)

    def test_many_curves_have_fewer_points_each(self):
        series = [Series(str(at), [(x, float(x % 7)) for x in range(5000)], "run-0") for at in range(8)]
        chart = line_chart("a", "A", series)
        assert {len(one["points"]) for one in chart.series} <= set(range(140, 151))

    def test_who_does_not_see_it_is_told(self):
        chart = line_chart("a", "Loss", [Series("train", [(1, 4.0), (9, 2.5)], "trained")])
        assert chart.summary == "Loss: train 4 at step 1, 2.5 at step 9"


class TestThinning:
    def test_few_points_stay(self):
        points = [(x, float(x)) for x in range(MOST_POINTS)]
        assert thin(points) == points

    def test_extremes_and_ends_stay(self):
        points = [(x, 1.0 + (x % 7) / 100) for x in range(10_000)]
        points[4321], points[8765] = (4321, 99.0), (8765, -99.0)
        kept = thin(points)
        assert len(kept) <= MOST_POINTS
        assert {(4321, 99.0), (8765, -99.0), points[0], points[-1]} <= set(kept)
        assert [x for x, _ in kept] == sorted({x for x, _ in kept})

    def test_gaps_stay(self):
        points = [(x, None if 4000 <= x < 6000 else 1.0) for x in range(10_000)]
        kept = thin(points)
        assert any(y is None for _, y in kept)
        assert len(kept) <= MOST_POINTS

    def test_the_page_is_told(self):
        points = [(x, float(x)) for x in range(2000)]
        chart = line_chart("a", "A", [Series("", points, "trained")])
        assert chart.thinned == "600 of 2,000"
        assert len(points_of(chart.plots[0].curves[0].path)[0]) == 600

    def test_a_mean_over_many_points(self):
        points = [(x, float(x % 2)) for x in range(800)]  # ten a stretch, half of them 1
        assert trend(points)[:2] == [(4.5, 0.5), (14.5, 0.5)]
        assert len(trend(points)) == 80
        chart = line_chart("a", "A", [Series("", points, "trained")])
        assert chart.has_trend
        assert len(points_of(chart.plots[0].curves[0].trend)[0]) == 80

    def test_no_mean_over_few(self):
        points = [(x, 1.0 if x % 3 else None) for x in range(250)]
        assert trend(points) == []
        assert not line_chart("a", "A", [Series("", points, "trained")]).has_trend

    @given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=30, max_size=200))
    def test_the_lowest_and_the_highest_of_any_curve(self, ys):
        points = list(enumerate(ys))
        kept = thin(points, 20)
        known = [y for y in ys if y is not None]
        assert len(kept) <= 20
        if known:
            assert {min(known), max(known)} <= {y for _, y in kept}


class TestLabels:
    def test_apart_already(self):
        assert spread([10, 50, 90], 5) == [10, 50, 90]

    def test_moved_apart_around_their_middle(self):
        # in their order they would stand at 49, 50, 50: the middle one at their mean, 49.67
        assert spread([50, 50, 49], 5) == [49.67, 54.67, 44.67]

    def test_groups_that_grow_into_each_other_are_one(self):
        # 20 and 20 would stand at 15 and 25, 28 is then 3 from the last: all three around 22.67
        assert spread([20, 20, 28], 10) == [12.67, 22.67, 32.67]

    def test_never_above_the_chart(self):
        assert spread([0, 0, 1], 4) == [0, 4, 8]

    @given(st.lists(st.floats(0, 100), max_size=8), st.floats(1, 14))
    def test_never_over_each_other(self, places, gap):
        moved = sorted(spread(places, gap))
        assert all(0 <= place <= 100.01 for place in moved)
        assert all(after - before >= gap - 0.02 for before, after in pairwise(moved))

    def test_never_below_the_chart(self):
        assert spread([99, 100, 98], 4) == [96, 100, 92]


class TestHistogram:
    def test_bars_and_the_limit(self):
        drawn = histogram([(0, 10, 5), (10, 20, 20), (20, 30, 1)], "tokens", limit=24)
        assert [bar[:3] for bar in drawn.bars] == [(0.0, 33.33, 25.0), (33.33, 33.33, 100.0), (66.67, 33.33, 5.0)]
        assert [bar[3] for bar in drawn.bars[1:]] == ["10 to 19 tokens: 20 rows", "20 to 29 tokens: 1 row"]
        assert (drawn.most, drawn.line) == (20, 80.0)
        assert drawn.x_ticks == ((0.0, "0"), (33.33, "10"), (66.67, "20"), (100.0, "30"))

    def test_the_axis_ends_where_the_data_does(self):
        bins = [(4 + 2 * at, 6 + 2 * at, count) for at, count in enumerate([0, 3, 5, 0, 2, 0, 0])]
        drawn = histogram(bins, "tokens")
        assert [bar[0] for bar in drawn.bars] == [0, 25, 50, 75]  # 6 to 13; the gap inside stays
        assert [label for _, label in drawn.x_ticks] == ["6", "8", "10", "12", "14"]

    def test_bars_of_one_number_have_it_at_their_middle(self):
        drawn = histogram([(at, at + 1, 3) for at in range(1, 5)], "tokens")
        assert drawn.x_ticks == ((12.5, "1"), (37.5, "2"), (62.5, "3"), (87.5, "4"))
        assert drawn.bars[0][3] == "1 token: 3 rows"

    def test_a_long_tail_does_not_press_the_rest_together(self):
        drawn = histogram([(0, 10, 5), (10, 20, 20), (20, 30, 7), (30, 5000, 2)], "tokens", limit=256)
        assert {bar[1] for bar in drawn.bars} == {25.0}
        assert drawn.x_ticks == ((0.0, "0"), (25.0, "10"), (50.0, "20"), (75.0, "30+"))
        assert drawn.bars[-1][3] == "30 to 4,999 tokens: 2 rows"
        assert drawn.line is None  # somewhere in the tail

    def test_a_limit_beyond_is_not_drawn(self):
        assert histogram([(0, 10, 5)], "tokens", limit=512).line is None

    @pytest.mark.parametrize("bins", [[], [(0, 5, 0)]])
    def test_nothing_counted(self, bins):
        assert histogram(bins, "tokens") is None


class TestTerminal:
    def test_a_straight_line_in_braille(self):
        rows = draw_chart([(0, 1.0), (10, 0.0)], width=20, rows=4)
        assert len(rows) == 6
        assert max(map(len, rows)) <= 20
        # 13 columns are 26 dots: down 15 in 25 steps, so the first six dots lie 0, 1, 1, 2, 2, 3 from above
        assert rows[0].endswith("│⠑⠢⢄")
        assert rows[-1].split() == ["0", "step", "10"]

    def test_plain_characters(self):
        rows = draw_chart([(0, 1.0), (5, 0.5), (10, 0.0)], [(10, 0.5)], width=40, unicode=False)
        assert "".join(rows).isascii()
        assert sum(row.count("o") for row in rows) == 1

    def test_last_values_stand_above(self):
        rows = loss_chart([(1, 3.0), (2, 1.25)], [(2, 1.5)])
        assert rows[0] == "⠒⠒ loss 1.25   o held out 1.5"
        assert all(len(row) <= 80 for row in rows)

    @pytest.mark.parametrize("curve", [[(5, 2.0)], [(0, 1.0), (9, 1.0)], [(0, None), (1, 2.0), (2, math.nan)]])
    def test_one_point_a_constant_and_gaps(self, curve):
        drawn = "".join(draw_chart(curve))
        assert any(0x2800 < ord(character) < 0x2900 for character in drawn)

    @pytest.mark.parametrize("curve", [[], [(0, None)], [(3, math.inf)]])
    def test_nothing_to_draw(self, curve):
        assert loss_chart(curve, []) == []

    @given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.integers(20, 120))
    def test_never_wider(self, ys, width):
        assert all(len(row) <= width for row in draw_chart(list(enumerate(ys)), width=width))
