"""A process that has imported everything, and forks a Job for each line that it is given: JSON on standard input.

{"folder", "log", "phase", "linger"}: the Job announces `phase NAME` on standard output when it comes there, waits there
until a signal was heard and `linger` seconds more (or half a second), and goes on. Then follows `exit CODE`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from sparksmith.model.libraries import settle_libraries

settle_libraries()

import torch  # noqa: E402

from sparksmith.evaluate import dataset as evaluating  # noqa: E402
from sparksmith.machine import collect as collecting  # noqa: E402
from sparksmith.report import scores  # noqa: E402, F401
from sparksmith.train import __main__ as entry  # noqa: E402
from sparksmith.train import job, saving, stop, trainer  # noqa: E402

PAUSE_SECONDS = 0.5
LINGER = [0.0]
HEARD: list[int] = []
torch.set_num_threads(1)
MACHINE = collecting.collect()
collecting.collect = lambda: MACHINE


TALK = [1]


def announce(*words: object) -> None:
    os.write(TALK[0], (" ".join(map(str, words)) + "\n").encode())


def pause(phase: str) -> None:
    """Here a signal comes. Signals are heard between two of these sleeps, as between two steps of Python."""
    announce("phase", phase)
    end = time.monotonic() + PAUSE_SECONDS + LINGER[0]
    while time.monotonic() < end:
        time.sleep(0.005)
        if HEARD:
            time.sleep(LINGER[0])
            return


class Heard(stop.Stop):
    def _handle(self, number, frame):
        HEARD.append(number)
        super()._handle(number, frame)


def pause_before(owner: object, name: str, phase: str, calls: tuple[int, ...] = (1,)) -> None:
    """Pause at the first call (or those said) of a function."""
    original = getattr(owner, name)
    count = 0

    def paused(*arguments, **options):
        nonlocal count
        count += 1
        if count in calls:
            pause(phase)
        return original(*arguments, **options)

    setattr(owner, name, paused)


def prepare(phase: str) -> None:
    if phase == "loading":
        pause_before(job.make, "make_model", phase)
    elif phase == "training":
        pause_before(trainer.FineTuner, "compute_loss", phase, (3,))
    elif phase == "held-out loss":  # inside its loop over batches
        original = trainer.FineTuner.evaluate

        def evaluate(self, *arguments, **options):
            count = 0
            whole = trainer.response_loss

            def loss(*inputs, **more):
                nonlocal count
                count += 1
                if count == 2:
                    pause(phase)
                return whole(*inputs, **more)

            trainer.response_loss = loss
            try:
                return original(self, *arguments, **options)
            finally:
                trainer.response_loss = whole

        trainer.FineTuner.evaluate = evaluate
    elif phase == "save":  # the files are written, the manifest is not
        pause_before(saving, "seal_checkpoint", phase)
    elif phase == "second save":
        pause_before(saving, "seal_checkpoint", phase, (2,))
    elif phase in {"scoring", "evaluation"}:  # while the model trains, and after it
        pause_before(evaluating, "generate_greedy", phase)
    elif phase == "the end":
        pause_before(entry, "write_manifest", phase, (3,))


def main() -> None:
    for line in sys.stdin:
        case = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            log = os.open(case["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 2)
            TALK[0] = os.dup(1)
            os.dup2(log, 1)
            sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
            LINGER[0] = case["linger"]
            entry.Stop = Heard
            code = 255
            try:
                prepare(case["phase"])
                code = entry.main([case["folder"]])
            finally:
                sys.stdout.flush()
                os._exit(code)
        announce("started", child)
        _, status = os.waitpid(child, 0)
        announce("exit", os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    Path("/proc/self/comm").write_text("warm")
    announce("ready")
    main()
