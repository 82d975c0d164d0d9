"""The bootstrap interval: what holds of every one, and how often it holds the truth."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparksmith.score.intervals import RESAMPLES, bootstrap_interval
from sparksmith.score.rates import rate_of

rows_of = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=30)


@given(rows_of)
def test_it_lies_between_the_best_row_and_the_worst(rows):
    low, high = bootstrap_interval(rows)
    rates = [errors / total for errors, total in rows]
    assert min(rates) - 1e-12 <= low <= high <= max(rates) + 1e-12


@given(rows_of, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(rows, chance):
    shuffled = list(rows)
    chance.shuffle(shuffled)
    assert rate_of(shuffled) == rate_of(rows)


@given(st.integers(0, 9), st.integers(1, 9), st.lists(st.integers(1, 5), min_size=1, max_size=9))
def test_rows_of_one_rate_leave_no_doubt(errors, total, sizes):
    rate = rate_of([(errors * size, total * size) for size in sizes])
    assert rate.low == rate.high == rate.rate
    assert rate.mean_of_rows == pytest.approx(rate.rate, abs=1e-15)


@pytest.mark.parametrize("rows", [[(0, 0)], [(0, 0), (3, 0)], []])
def test_without_a_unit_there_is_nothing_to_be_sure_of(rows):
    assert bootstrap_interval(rows) == (0.0, 0.0)


def test_resamples_without_a_unit_are_left_out():
    """One row of ten has a unit: a third of the resamples do not hold it, and the others all have its rate."""
    assert bootstrap_interval([(1, 2)] + [(0, 0)] * 9) == (0.5, 0.5)


def test_it_is_what_resampling_rows_gives():
    """The multinomial counts stand for drawing rows: with draws of its own, the plain way ends within its own noise."""
    chance = random.Random(1)
    rows = [(chance.randrange(3), chance.randrange(3, 9)) for _ in range(60)]
    rates = []
    for _ in range(4 * RESAMPLES):
        drawn = chance.choices(rows, k=len(rows))
        rates.append(sum(errors for errors, _ in drawn) / sum(total for _, total in drawn))
    rates.sort()
    low, high = bootstrap_interval(rows)
    width = high - low
    assert low == pytest.approx(rates[len(rates) * 25 // 1000], abs=0.05 * width)
    assert high == pytest.approx(rates[len(rates) * 975 // 1000], abs=0.05 * width)


def test_it_is_the_same_every_time():
    """Pinned: numpy promises that this stream never changes, and published intervals should not either."""
    rows = [(1, 5)] * 7 + [(0, 4)] * 20 + [(3, 6)] * 3
    assert bootstrap_interval(rows) == bootstrap_interval(rows[::-1])
    assert bootstrap_interval(rows) == pytest.approx((7 / 127, 0.1857476875642343), abs=1e-12)


def test_it_holds_the_truth_as_often_as_it_says():
    """200 rows of 3 to 9 phones, of words that are hard in different degree; the true rate is 10%. 400 such datasets:
    95% of the intervals should hold it, give or take 1.1 points."""
    chance = random.Random(5)
    hits = 0
    for _ in range(400):
        rows = []
        for _ in range(200):
            total = chance.randrange(3, 10)
            hardness = chance.choice((0.0, 0.05, 0.25))  # 10% on average; errors of a row come together
            rows.append((sum(chance.random() < hardness for _ in range(total)), total))
        low, high = bootstrap_interval(rows)
        hits += low <= 0.1 <= high
    assert 0.92 <= hits / 400 <= 0.98


def test_ten_thousand_rows_take_less_than_a_second():
    chance = random.Random(2)
    rows = [(chance.randrange(12), chance.randrange(40, 120)) for _ in range(10_000)]
    began = time.process_time()
    low, high = bootstrap_interval(rows)
    assert time.process_time() - began < 1
    assert 0 < high - low < 0.01
