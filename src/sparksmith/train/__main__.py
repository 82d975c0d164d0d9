"""The Job's entry: python -m sparksmith.train FOLDER.

Puts the parts together as the command line does: evaluation, memory readings and the progress line are handed in.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparksmith import __version__
from sparksmith.base.errors import ExitCode, SparksmithError, UsageProblem
from sparksmith.jobs.identity import own_identity
from sparksmith.jobs.lock import hold_folder
from sparksmith.model.libraries import settle_libraries
from sparksmith.recipe.plan import Plan, read_plan
from sparksmith.report import failures
from sparksmith.report.progress import Progress
from sparksmith.report.renewal import PageKeeper
from sparksmith.report.terminal import lasting_streams
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import Recorder, write_manifest
from sparksmith.train.disk import Place, disk_trouble
from sparksmith.train.stop import Stop, StopNow

if TYPE_CHECKING:
    from sparksmith.train.job import Outcome

PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "bitsandbytes",
    "liger-kernel",
    "tokenizers",
)


def main(arguments: list[str]) -> int:
    """Carry out the plan in the folder; returns the exit code."""
    try:
        folder = parse_folder(arguments)
        plan = read_plan(folder.plan, "start the run again with sparksmith train, which writes the plan")
    except SparksmithError as error:
        failures.show(error)
        return error.exit_code
    return run(folder, plan)


def parse_folder(arguments: list[str]) -> RunFolder:
    """Raises `UsageProblem` for anything but one folder that holds a plan."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise UsageProblem("python -m sparksmith.train takes one folder", "sparksmith train writes one and starts this")
    folder = RunFolder(Path(arguments[0]).absolute())
    if not folder.plan.is_file():
        raise SparksmithError(f"{arguments[0]} holds no plan.json", "sparksmith train --help")
    return folder


def run(folder: RunFolder, plan: Plan) -> int:
    """Train, evaluate, and leave a record of how it ended, whatever happens."""
    with lasting_streams():
        try:
            with hold_folder(folder.path):
                return _run_held(folder, plan)
        except SparksmithError as error:  # another Job holds the folder
            failures.show(error)
            return error.exit_code
        except OSError as error:  # nothing can be written there, not even what happened
            failures.show(SparksmithError(f"the run's folder {folder.path} cannot be written to: {error.strerror}"))
            return ExitCode.MENDABLE


def _run_held(folder: RunFolder, plan: Plan) -> int:
    settle_libraries()
    recorder = Recorder(folder)
    recorder.sinks.append(Progress(sys.stderr))
    page = PageKeeper(folder, recorder.tell)
    recorder.sinks.append(page)

    place = Place(folder.path)

    def end(code: int, state: str, message: str | None = None) -> None:
        if place.lack() is not None:  # what its mount has left bare is no place for a record
            return
        with contextlib.suppress(OSError):  # a disk that is full or gone must not hide how the run ended
            write_manifest(folder, state=state, exit_code=int(code), process=None, message=message)
        page.renew()

    def at_once(code: int) -> None:
        recorder.event("job_finished", exit_code=code, message="stopped at once by a second Ctrl+C")
        end(code, "stopped", f"{stop.reason}, then at once by a second Ctrl+C")
        failures.say_stopped(folder, saved=False)

    stop = Stop(folder.path, lambda text: recorder.tell({"kind": "warning", "message": text}), at_once)
    code: int = ExitCode.DEFECT
    state, message = "failed", None
    try:
        stop.install()
        write_manifest(folder, state="running", process=own_identity().to_json(), exit_code=None, message=None)
        recorder.event("job_started", pid=os.getpid())
        outcome = _carry_out(folder, plan, recorder, stop)
        stop.over = True
        if outcome.stopped:
            code, state, message = stop.exit_code(saved=outcome.saved), "stopped", stop.reason
            failures.say_stopped(folder, saved=outcome.saved, step=outcome.step)
        else:
            code, state = ExitCode.DONE, "finished"
        recorder.event("job_finished", exit_code=code, step=outcome.step, message=message or state)
    except StopNow:
        stop.over = True
        code, state, message = stop.exit_code(saved=stop.all_saved), "stopped", stop.reason
        recorder.event("job_finished", exit_code=code, message=message)
        failures.say_stopped(folder, saved=stop.all_saved)
    except SparksmithError as error:
        stop.over = True
        code, message = error.exit_code, error.message
        recorder.event("job_failed", message=error.message, hint=error.hint, exit_code=code)
        failures.show(error)
    except BaseException as error:
        stop.over = True
        trace = traceback.format_exc()
        known = disk_trouble(folder.path, error)
        if known is not None:
            code, message = known.exit_code, known.message
            recorder.event("job_failed", message=message, hint=known.hint, exit_code=code, trace=trace)
            failures.show(known)
        else:
            message = f"{type(error).__name__}: {error}"
            recorder.event("job_failed", message=message, hint=None, exit_code=code, trace=trace)
            failures.show_defect(error, folder.events)
    finally:
        end(code, state, message)
        with contextlib.suppress(OSError):
            recorder.close()
    return code


def _carry_out(folder: RunFolder, plan: Plan, recorder: Recorder, stop: Stop) -> Outcome:
    from sparksmith.evaluate.dataset import evaluate_plan
    from sparksmith.evaluate.result import recall_untrained
    from sparksmith.machine.collect import collect
    from sparksmith.machine.memory import read_memory
    from sparksmith.machine.python_env import read_versions
    from sparksmith.report.first_batch import show_first_batch
    from sparksmith.report.scores import show_result
    from sparksmith.train.job import Helpers, carry_out
    from sparksmith.train.tracking import prepare_tracking

    machine = collect()
    write_manifest(
        folder, sparksmith=__version__, packages=read_versions(PACKAGES), python=sys.version.split()[0],
        machine={
            "architecture": machine.architecture, "cores": machine.cores, "memory_bytes": machine.memory.total_bytes,
            "gpus": [{"name": gpu.name, "driver": gpu.driver} for gpu in machine.gpus],
        },
    )  # fmt: skip
    prepare_tracking(plan, recorder)

    def evaluate(
        model: Any, encoder: Any, examples: Any, plan: Plan, when: str, stopped: Callable[[], bool] | None = None
    ) -> Any:
        evaluation = evaluate_plan(model, encoder, examples, plan, when, recorder=recorder, stopped=stopped)
        if when == "before training":
            evaluation.keep(folder)
        return evaluation

    helpers = Helpers(
        evaluate=evaluate,
        recall_untrained=lambda examples: recall_untrained(folder, examples, plan),
        available_bytes=lambda: read_memory().available_bytes,
        show_first_batch=lambda rows: show_first_batch(rows, sys.stderr),
    )
    outcome = carry_out(plan, folder, recorder, helpers, stop)
    if outcome.stopped:
        return outcome
    if outcome.trained is not None:
        outcome.trained.write(folder, plan, outcome.eval_examples, outcome.untrained)
        recorder.event("evaluation", scores=outcome.trained.scores.to_json())
    show_result(folder, outcome.eval_examples, outcome.untrained, outcome.trained)
    return outcome


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
