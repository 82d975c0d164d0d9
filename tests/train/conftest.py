"""The Job hears signals in the process that it runs in: here that is pytest's."""

from __future__ import annotations

import signal

import pytest


@pytest.fixture(autouse=True)
def keep_signal_handlers():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
