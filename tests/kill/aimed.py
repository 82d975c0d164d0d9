"""One attempt at a run in a forked child, killed with SIGKILL at a chosen place of a chosen phase.

The child tells over a pipe which phase it enters. A kill is aimed in two ways: at a *moment*, a share of the time that
the phase takes, with no help from the child; or at a *point*, before one of its file operations, where the child
waits for its end, so that short phases are hit as often as asked, between any two of their operations.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

# What Python announces before it changes or opens a file (docs.python.org/3/library/audit_events.html).
FILE_EVENTS = frozenset({"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.chmod"})
GROUPS = {
    "start": "resume", "resume": "resume", "training": "training", "evaluation": "evaluation", "end": "end",
    "save: write": "save", "save: seal": "save", "save: publish": "publish", "removal": "removal",
}  # fmt: skip
LIMIT_SECONDS = 180.0
OWN_FAILURE = 99  # the child's exit code where the test's own code failed


@dataclass(frozen=True)
class Aim:
    """Where to kill: the `instance`-th time that the attempt is in a group of phases, `share` of the way through it.

    The group `anywhere` is the whole attempt. An aim that the attempt does not meet kills it after its last evaluation.
    """

    group: str
    how: str
    share: float
    instance: int = 1


@dataclass
class Trace:
    """What a whole run takes: per group of phases the seconds and file operations of one instance of it."""

    seconds: dict[str, float] = field(default_factory=dict)
    operations: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How an attempt ended: an exit code, or None and the phase in which it was killed."""

    code: int | None
    phase: str
    hung: bool
    trace: Trace


class Herald:
    """In the child: tells the phases, and waits to be killed where the aim says."""

    def __init__(self, pipe: int, first: str, aim: Aim | None, operation: int) -> None:
        self.pipe = pipe
        self.aim = aim
        self.operation = operation
        self.phase = ""
        self.instances: Counter[str] = Counter()
        self.operations = 0
        self.inside = False
        sys.addaudithook(self._hear)
        self.enter(first)

    def enter(self, phase: str) -> None:
        group = GROUPS[phase]
        entered = group != GROUPS.get(self.phase)
        if self.inside and entered:
            self.wait()  # its operations were fewer than those of the run that was measured
        line = f"{phase}\t{time.monotonic()}\t{self.operations}\n"
        if entered:
            self.instances[group] += 1
            self.operations = 0
            aim = self.aim
            self.inside = (
                aim is not None and aim.how == "point" and (aim.group, aim.instance) == (group, self.instances[group])
            )
        self.phase = phase
        os.write(self.pipe, line.encode())

    @contextlib.contextmanager
    def during(self, phase: str) -> Iterator[None]:
        before = self.phase
        self.enter(phase)
        yield
        self.enter(before)

    def wait(self) -> NoReturn:
        self.inside = False
        os.write(self.pipe, b"waiting\n")
        while True:
            time.sleep(60)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in FILE_EVENTS:
            self.operations += 1
            if self.inside and self.operations > self.operation:
                self.wait()


def watch_phases(herald: Herald) -> None:
    """Make the Job tell where it is. Only in the child; nothing that it does is changed."""
    from sparksmith.evaluate import dataset
    from sparksmith.runs import checkpoints
    from sparksmith.train import saving
    from sparksmith.train.scoring import Scoring
    from sparksmith.train.trainer import FineTuner

    def telling(owner: Any, name: str, phase: str) -> None:
        original = getattr(owner, name)

        def told(*arguments: Any, **options: Any) -> Any:
            with herald.during(phase):
                return original(*arguments, **options)

        setattr(owner, name, told)

    telling(checkpoints, "remove_checkpoint", "removal")
    telling(FineTuner, "evaluate", "evaluation")
    for name, phase in (("seal_checkpoint", "save: seal"), ("publish_checkpoint", "save: publish")):
        original = getattr(saving, name)

        def told(*arguments: Any, original: Any = original, phase: str = phase, **options: Any) -> Any:
            herald.enter(phase)
            return original(*arguments, **options)

        setattr(saving, name, told)
    write, rotate, step, predict, newest = (
        FineTuner._save_checkpoint, saving.Saver._rotate, FineTuner.training_step, dataset.evaluate_plan, Scoring.last,
    )  # fmt: skip

    def save(self: Any, *arguments: Any) -> None:
        herald.enter("save: write")
        write(self, *arguments)
        herald.enter("training")

    def removing(self: Any) -> None:
        herald.enter("training")
        rotate(self)

    def train_step(*arguments: Any, **options: Any) -> Any:
        if herald.phase != "training":
            herald.enter("training")
        return step(*arguments, **options)

    def evaluate(*arguments: Any, **options: Any) -> Any:
        with herald.during("evaluation"):
            return predict(*arguments, **options)

    def last(*arguments: Any) -> Any:
        result = newest(*arguments)
        if herald.aim is not None:
            herald.wait()  # the aim was not met
        herald.enter("end")
        return result

    FineTuner._save_checkpoint = save
    saving.Saver._rotate = removing
    FineTuner.training_step = train_step
    dataset.evaluate_plan = evaluate
    Scoring.last = last


def break_saving() -> None:
    """What the test must find out about: checkpoints written in place, and the newest folder taken on a resume."""
    import shutil

    from sparksmith.runs import checkpoints
    from sparksmith.train import job, saving

    def save(self: Any, step: int, write: Any, *, disk: int, memory: int, **facts: Any) -> bool:
        final = self.folder / f"checkpoint-{step}"
        write(self.folder)
        saving.seal_checkpoint(final, step, **facts)
        self.saved_step = step
        self.recorder.event("checkpoint_saved", step=step, path=str(final))
        self._rotate()
        return True

    def newest(plan: Any, folder: Any, recorder: Any) -> Path | None:
        found = checkpoints.checkpoint_folders(folder.path)
        return found[-1] if plan.resume_from_checkpoint and found else None

    saving.Saver.save = save
    job.find_checkpoint = newest
    checkpoints.remove_checkpoint = shutil.rmtree


def attempt(
    folder: Path, *, first: str, aim: Aim | None, trace: Trace, broken: bool = False, modules: Path | None = None
) -> Ended:
    """Carry out the plan in a folder in a forked child, up to its end or to where the aim is.

    `first` is the phase that it starts in. `modules` is a file for the names of the modules that the child imported.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = OWN_FAILURE
        try:
            os.close(reading)
            code = _be_the_job(folder, writing, first, aim, trace, broken, modules)
        finally:
            os._exit(code)
    os.close(writing)
    try:
        return _watch(pid, reading, aim, trace)
    finally:
        os.close(reading)


def _be_the_job(
    folder: Path, pipe: int, first: str, aim: Aim | None, trace: Trace, broken: bool, modules: Path | None
) -> int:
    log = os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    before = set(sys.modules)
    from sparksmith.train.__main__ import main as job

    if broken:
        break_saving()
    operation = int(aim.share * trace.operations.get(aim.group, 0)) if aim else 0
    watch_phases(Herald(pipe, first, aim, operation))
    code = job([str(folder)])
    if modules is not None:
        modules.write_text("\n".join(sorted(set(sys.modules) - before)), encoding="utf-8")
    return code


def _watch(pid: int, pipe: int, aim: Aim | None, trace: Trace) -> Ended:
    """Read the phases and kill where the aim says."""
    began = time.monotonic()
    deadline = began + LIMIT_SECONDS
    killed = hung = False
    if aim and aim.group == "anywhere":
        deadline = began + aim.share * trace.seconds["anywhere"]
    rest, lines = "", []
    instances: Counter[str] = Counter()
    group = ""
    while True:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            os.kill(pid, signal.SIGKILL)
            hung = hung or time.monotonic() - began > LIMIT_SECONDS
            killed, deadline = True, time.monotonic() + LIMIT_SECONDS
            continue
        text = os.read(pipe, 65536).decode()
        if not text:
            break
        *complete, rest = (rest + text).split("\n")
        for line in complete:
            if line == "waiting":
                os.kill(pid, signal.SIGKILL)
                killed = True
                continue
            phase, moment, operations = line.split("\t")
            lines.append((phase, float(moment), int(operations)))
            if GROUPS[phase] != group:
                group = GROUPS[phase]
                instances[group] += 1
                if aim and aim.how == "moment" and (aim.group, aim.instance) == (group, instances[group]):
                    deadline = time.monotonic() + aim.share * trace.seconds.get(group, 0.0)
    _, status = os.waitpid(pid, 0)
    code = None if killed and os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)
    return Ended(code, lines[-1][0] if lines else "start", hung, _measure(lines, time.monotonic()))


def _measure(lines: list[tuple[str, float, int]], end: float) -> Trace:
    """Seconds and file operations of the groups, from what the child told."""
    spans: dict[str, list[tuple[float, int]]] = {}
    at = 0
    while at < len(lines):
        group, begin = GROUPS[lines[at][0]], lines[at][1]
        while at < len(lines) and GROUPS[lines[at][0]] == group:
            at += 1
        moment, operations = (lines[at][1], lines[at][2]) if at < len(lines) else (end, 0)
        spans.setdefault(group, []).append((moment - begin, operations))
    seconds = {group: sum(span for span, _ in found) / len(found) for group, found in spans.items()}
    operations = {group: max(count for _, count in found) for group, found in spans.items()}
    seconds["anywhere"] = end - lines[0][1] if lines else 0.0
    return Trace(seconds, operations)
