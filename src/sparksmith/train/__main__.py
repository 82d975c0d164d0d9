"""The Job's entry: python -m sparksmith.train FOLDER.

Puts the parts together as the command line does: evaluation, memory readings and the progress line are handed in.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path

from sparksmith import __version__
from sparksmith.base.errors import ExitCode, SparksmithError, UsageProblem
from sparksmith.base.files import read_json
from sparksmith.model.libraries import settle_libraries
from sparksmith.recipe.plan import PLAN_VERSION, Plan
from sparksmith.report import failures
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import Recorder, write_manifest

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
        plan = read_plan(folder)
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


def read_plan(folder: RunFolder) -> Plan:
    """Raises `SparksmithError` for a plan of another version of Sparksmith."""
    content = read_json(folder.plan)
    if content.get("version") != PLAN_VERSION:
        raise SparksmithError(f"{folder.plan} is of version {content.get('version')}, this is {PLAN_VERSION}")
    return Plan.model_validate(content)


def run(folder: RunFolder, plan: Plan) -> int:
    """Train, evaluate, and leave a record of how it ended, whatever happens."""
    recorder = Recorder(folder)
    settle_libraries()
    code: int = ExitCode.DEFECT
    state = "failed"
    try:
        from sparksmith.report.progress import Progress

        recorder.sinks.append(Progress(sys.stderr))
        recorder.event("job_started", pid=os.getpid())
        code = _carry_out(folder, plan, recorder)
        state = "finished" if code == ExitCode.DONE else "stopped"
        recorder.event("job_finished", exit_code=code)
    except SparksmithError as error:
        code = error.exit_code
        recorder.event("job_failed", message=error.message, hint=error.hint, exit_code=code)
        failures.show(error)
    except KeyboardInterrupt:
        code, state = ExitCode.INTERRUPTED, "stopped"
        recorder.event("job_finished", exit_code=code, message="stopped at once")
        failures.say_stopped(folder, saved=False)
    except BaseException as error:
        recorder.event(
            "job_failed",
            message=f"{type(error).__name__}: {error}",
            hint=None,
            exit_code=code,
            trace=traceback.format_exc(),
        )
        failures.show_defect(error, folder.events)
    finally:
        recorder.close()
        write_manifest(folder, state=state, exit_code=int(code), pid=None)
    return code


def _carry_out(folder: RunFolder, plan: Plan, recorder: Recorder) -> int:
    from sparksmith.evaluate.dataset import evaluate_plan
    from sparksmith.machine.collect import collect
    from sparksmith.machine.memory import read_memory
    from sparksmith.machine.python_env import read_versions
    from sparksmith.report.first_batch import show_first_batch
    from sparksmith.report.scores import show_result
    from sparksmith.train.callbacks import StopOnSignal
    from sparksmith.train.job import Helpers, carry_out
    from sparksmith.train.tracking import prepare_tracking

    machine = collect()
    write_manifest(
        folder, state="running", pid=os.getpid(), exit_code=None, sparksmith=__version__,
        packages=read_versions(PACKAGES),
        python=sys.version.split()[0],
        machine={
            "architecture": machine.architecture, "cores": machine.cores, "memory_bytes": machine.memory.total_bytes,
            "gpus": [{"name": gpu.name, "driver": gpu.driver} for gpu in machine.gpus],
        },
    )  # fmt: skip
    prepare_tracking(plan, recorder)
    stop = StopOnSignal()
    stop.install()
    helpers = Helpers(
        evaluate=lambda *arguments: evaluate_plan(*arguments, recorder=recorder),
        available_bytes=lambda: read_memory().available_bytes,
        show_first_batch=lambda rows: show_first_batch(rows, sys.stderr),
    )
    outcome = carry_out(plan, folder, recorder, helpers, stop)
    if outcome.stopped_by is not None:
        failures.say_stopped(folder, saved=True)
        return 128 + signal.Signals(outcome.stopped_by)
    if outcome.trained is not None:
        outcome.trained.write(folder, plan, outcome.eval_examples, outcome.untrained)
        recorder.event("evaluation", scores=outcome.trained.scores.to_json())
    show_result(folder, outcome.eval_examples, outcome.untrained, outcome.trained)
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
