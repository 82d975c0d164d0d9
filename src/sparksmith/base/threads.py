"""Work in several threads for which Ctrl+C does not wait.

`concurrent.futures` joins its threads when an error leaves it, and once more when Python ends: one that waits for a
silent server, or inflates a gigabyte, holds the process for as long.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
PATIENCE_SECONDS = 0.1  # after Ctrl+C, for threads that end soon by themselves


def map_in_threads(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    stopped: threading.Event | None = None,
) -> list[Result]:
    """What the function makes of each item, in their order.

    Raises the first error of the function, once the threads have ended that were at an item; what waits is dropped.
    After Ctrl+C these are left behind, as daemons, which end with the process: whatever they hold is the system's to
    take back. Both set `stopped`, for functions that look.
    """
    waiting: SimpleQueue[tuple[int, Item]] = SimpleQueue()
    total = 0
    for total, item in enumerate(items, 1):
        waiting.put((total - 1, item))
    done: SimpleQueue[tuple[int, Result] | BaseException] = SimpleQueue()
    stopped = stopped or threading.Event()

    def work() -> None:
        while not stopped.is_set():
            try:
                place, item = waiting.get_nowait()
            except Empty:
                return
            try:
                done.put((place, function(item)))
            except BaseException as error:
                done.put(error)
                return

    workers = [threading.Thread(target=work, daemon=True) for _ in range(min(threads, total))]
    results: dict[int, Result] = {}
    try:
        for worker in workers:
            worker.start()
        while len(results) < total:
            found = done.get()
            if isinstance(found, BaseException):
                raise found
            results[found[0]] = found[1]
    except Exception:
        stopped.set()
        for worker in workers:
            worker.join()
        raise
    except BaseException:
        stopped.set()
        until = time.monotonic() + PATIENCE_SECONDS
        for worker in workers:
            if worker.ident is not None:
                worker.join(max(0.0, until - time.monotonic()))
        raise
    return [results[place] for place in range(total)]
