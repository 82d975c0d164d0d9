"""Runs that are killed with SIGKILL several times each, resumed until they are done, and compared with whole ones.

    make test-kill                                     50 runs in full and 10 with LoRA, and a table
    python tests/kill/kill_test.py --runs 3 --broken   checkpoints written in place: must report lost runs

One warm process imports the libraries and forks a child for each attempt. SIGKILL shows what a killed process leaves
behind; it does not show what a power cut does, because the kernel still writes what was not flushed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aimed import GROUPS, Aim, attempt
from comparing import check_end, check_resume, check_visible, last_words, read_records
from references import SHAPES, VARIANTS, Reference, make_references, write_plan

ATTEMPTS_MOST = 12
# Aims in the order in which they are dealt to the runs, 3 to 5 each.
DECK = (
    "save", "removal", "resume", "publish", "anywhere", "save", "resume", "evaluation", "removal", "save", "anywhere",
    "resume", "publish",
)  # fmt: skip
DECK_FIRST = ("save", "removal", "anywhere", "publish", "save", "evaluation", "resume")  # a run's first kill


@dataclass
class Result:
    """One run: the phases in which it was killed, its resumes, and what was wrong, in words."""

    name: str
    shape: str
    kills: list[str] = field(default_factory=list)
    aims: list[str] = field(default_factory=list)
    resumes: int = 0
    finished: bool = False
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def deal(number: int, chance: random.Random) -> list[Aim]:
    """The aims of a run."""
    groups = [DECK_FIRST[number % len(DECK_FIRST)]]
    groups += [DECK[(number * 3 + at) % len(DECK)] for at in range(chance.randint(2, 4))]
    return [
        Aim(
            group,
            "moment" if group == "anywhere" else chance.choice(("moment", "point")),
            chance.random(),
            chance.choice((1, 1, 2)) if group in {"save", "publish", "evaluation"} else 1,
        )
        for group in groups
    ]


def carry_out(folder: Path, shape: str, number: int, reference: Reference, seed: int, *, broken: bool) -> Result:
    """One run, killed as dealt, then left in peace until it is done; with all checks."""
    from sparksmith.runs.checkpoints import checkpoint_folders, find_faults
    from sparksmith.runs.layout import RunFolder

    chance = random.Random(f"{seed} {shape} {number}")
    aims = [Aim("save", "point", 0.3 * chance.random(), at) for at in (2, 1, 2)] if broken else deal(number, chance)
    run = RunFolder(folder / "run")
    run.path.mkdir(parents=True)
    result = Result(f"{shape} {number}", shape)
    began = time.monotonic()
    newest = 0  # the step of the newest checkpoint that was reported saved
    for at in range(ATTEMPTS_MOST):
        write_plan(reference.plan, run.path, resume=at > 0)
        whole = [path for path in checkpoint_folders(run.path) if not find_faults(path, hashes=True)]
        sealed = [path for path in run.path.glob(".saving-*/checkpoint-*") if not find_faults(path, hashes=True)]
        seen = len(read_records(run.events))
        aim = aims[at] if at < len(aims) else None
        ended = attempt(
            run.path, first="resume" if whole or sealed else "start", aim=aim, trace=reference.trace, broken=broken
        )  # fmt: skip
        happened = read_records(run.events)
        result.faults += [f"attempt {at + 1}: {fault}" for fault in check_resume(happened[seen:], whole, sealed)]
        result.resumes += sum(event["kind"] == "resumed" for event in happened[seen:])
        newest = max([newest, *(event["step"] for event in happened[seen:] if event["kind"] == "checkpoint_saved")])
        result.faults += [f"attempt {at + 1}: {fault}" for fault in check_visible(run, newest)]
        if ended.hung:
            result.faults.append(f"attempt {at + 1} hung in {ended.phase}")
        if ended.code is None:
            result.kills.append(ended.phase)
            result.aims.append(aim.group if aim else "")
            continue
        if ended.code == 0:
            result.finished = True
            result.faults += check_end(run, reference.plan.max_steps, reference.end)
        else:
            result.faults.append(f"attempt {at + 1} ended with {ended.code}: {last_words(happened)}")
        break
    result.seconds = time.monotonic() - began
    return result


def carry_out_all(
    root: Path, wanted: dict[str, int], *, seed: int, workers: int, broken: bool, say: bool
) -> list[Result]:
    """All runs, divided among forked workers."""
    shapes = [shape for shape, count in wanted.items() if count]
    references = make_references(root, shapes)
    work = [(shape, number) for shape in shapes for number in range(wanted[shape])]
    children = []
    for worker in range(workers):
        pid = os.fork()
        if pid:
            children.append(pid)
            continue
        code = 1
        try:
            with (root / f"results-{worker}").open("w", encoding="utf-8") as file:
                for shape, number in work[worker::workers]:
                    reference = references[shape, number % len(VARIANTS)]
                    result = carry_out(root / f"{shape} {number}", shape, number, reference, seed, broken=broken)
                    file.write(json.dumps(asdict(result)) + "\n")
                    file.flush()
                    if say:
                        told = "; ".join(result.faults)[:300] or "as the undisturbed run"
                        print(f"{result.name}: killed in {', '.join(result.kills)}: {told}", flush=True)
            code = 0
        finally:
            os._exit(code)
    failed = [pid for pid in children if os.waitpid(pid, 0)[1]]
    if failed:
        raise SystemExit("a worker of the test failed")
    return [
        Result(**json.loads(line))
        for worker in range(workers)
        for line in (root / f"results-{worker}").read_text(encoding="utf-8").splitlines()
    ]


def summarize(results: list[Result]) -> dict[str, Any]:
    """Counts of what was done and of what went wrong."""
    phases = Counter(phase for result in results for phase in result.kills)
    groups = Counter(dict.fromkeys(GROUPS.values(), 0))
    for phase, count in phases.items():
        group = "start" if phase == "start" else "save" if phase == "save: publish" else GROUPS[phase]
        groups[group] += count
    faults = [fault for result in results for fault in result.faults]
    return {
        "runs": len(results),
        "finished": sum(result.finished for result in results),
        "equal": sum(result.finished and not result.faults for result in results),
        "kills": sum(phases.values()),
        "kills_a_run": [min(len(result.kills) for result in results), max(len(result.kills) for result in results)],
        "resumes": sum(result.resumes for result in results),
        "groups": dict(groups),
        "phases": dict(sorted(phases.items())),
        "broken_checkpoints_seen": sum("broken checkpoint seen" in fault for fault in faults),
        "wrong_resumes": sum("resumed from another" in fault or "from the beginning" in fault for fault in faults),
        "weights_differ": sum(any("weights differ" in fault for fault in result.faults) for result in results),
        "metrics_differ": sum(any("metrics" in fault for fault in result.faults) for result in results),
        "faults": faults,
    }


def show(shape: str, summary: dict[str, Any], seconds: float) -> None:
    low, high = summary["kills_a_run"]
    rows = [
        (f"runs ({shape})", summary["runs"]),
        ("finished", summary["finished"]),
        ("equal to the undisturbed run in everything", summary["equal"]),
        ("kills", f"{summary['kills']} ({low} to {high} a run)"),
        *((f"  killed in {phase}", count) for phase, count in summary["phases"].items()),
        ("resumes from a checkpoint", summary["resumes"]),
        ("resumes from another than the newest whole one", summary["wrong_resumes"]),
        ("broken checkpoints seen after a kill", summary["broken_checkpoints_seen"]),
        ("runs whose final weights differ", summary["weights_differ"]),
        ("runs whose metrics differ", summary["metrics_differ"]),
        ("seconds, all shapes together", f"{seconds:.0f}"),
    ]
    print()
    for name, value in rows:
        print(f"{name:<48} {value}")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50, help="runs of the tiny model in full")
    parser.add_argument("--lora-runs", type=int, default=0, help="runs of LoRA on a small random Gemma 3")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--broken", action="store_true", help="break the saving, to see that the test finds it")
    parser.add_argument("--folder", type=Path, help="where to work; kept afterwards")
    parser.add_argument("--json", type=Path, help="a file for the summary")
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        if chosen.folder:
            chosen.folder.mkdir(parents=True)
        root = chosen.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sparksmith-kill-")))
        warm_up(root)
        wanted = dict(zip(SHAPES, (chosen.runs, chosen.lora_runs), strict=True))
        results = carry_out_all(
            root.absolute(), wanted, seed=chosen.seed, workers=chosen.workers, broken=chosen.broken, say=True
        )
    seconds = time.monotonic() - began
    summary = {**summarize(results), "seconds": seconds}
    for shape in SHAPES:
        if of_shape := [result for result in results if result.shape == shape]:
            show(shape, summarize(of_shape), seconds)
    for fault, count in Counter(summary["faults"]).most_common(20):
        print(f"fault: {fault}" + (f" ({count} times)" if count > 1 else ""))
    if chosen.json:
        chosen.json.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return 0 if summary["equal"] == summary["runs"] else 1


def warm_up(root: Path) -> None:
    """Import everything once, with one thread, so that the process may be forked."""
    os.environ.update(
        OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="", HOME=str(root), HF_HOME=str(root / "hub")
    )
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from sparksmith.model.libraries import settle_libraries

    settle_libraries()
    for name in ("peft", "sparksmith.train.job", "sparksmith.train.__main__", "sparksmith.evaluate.dataset"):
        importlib.import_module(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
