"""Work in threads: in order, the first error after the others, and no waiting after Ctrl+C."""

from __future__ import annotations

import threading
import time

import pytest

from sparksmith.base.threads import map_in_threads


@pytest.mark.parametrize("threads", [1, 3])
def test_results_are_in_the_items_order(threads):
    assert map_in_threads(lambda number: (time.sleep(0.001 * (9 - number)), number)[1], range(10), threads) == [
        *range(10)
    ]
    assert map_in_threads(str, (), threads) == []


def test_they_work_side_by_side():
    both = threading.Barrier(2)
    assert map_in_threads(lambda _: both.wait(10) >= 0, range(2), 2) == [True, True]


def test_an_error_waits_for_what_is_under_way_and_drops_the_rest():
    begun, ended, seen = threading.Event(), [], []

    def work(number):
        seen.append(number)
        if number == 0:
            assert begun.wait(10)
            raise ValueError("the first")
        begun.set()
        time.sleep(0.05)
        ended.append(number)

    with pytest.raises(ValueError, match="the first"):
        map_in_threads(work, range(1000), 2)
    assert ended and len(ended) == len(seen) - 1 < 999


def test_ctrl_c_waits_for_nobody():
    begun, over, stopped = threading.Event(), threading.Event(), threading.Event()

    def work(number):
        if number == 0:
            assert begun.wait(10)
            raise KeyboardInterrupt  # as the main thread hears it
        begun.set()
        over.wait(30)

    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        map_in_threads(work, range(2), 2, stopped)
    assert time.monotonic() - before < 5
    assert stopped.is_set()
    assert all(each.daemon for each in threading.enumerate() if each is not threading.main_thread())
    over.set()
