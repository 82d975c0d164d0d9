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
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aimed import GROUPS, Aim, Ended, Trace, attempt

ATTEMPTS_MOST = 12
# Aims in the order in which they are dealt to the runs, 3 to 5 each.
DECK = (
    "save", "removal", "resume", "publish", "anywhere", "save", "resume", "evaluation", "removal", "save", "anywhere",
    "resume", "publish",
)  # fmt: skip
DECK_FIRST = ("save", "removal", "anywhere", "publish", "save", "evaluation", "resume")  # a run's first kill
VARIANTS: tuple[dict[str, Any], ...] = (
    {"save_steps": 3, "logging_steps": 2, "eval_steps": 5, "save_total_limit": 2, "max_steps": 20},
    {"save_steps": 4, "logging_steps": 3, "eval_steps": 2, "save_total_limit": 1, "max_steps": 22, "seed": 7},
    {
        "save_steps": 2, "logging_steps": 5, "eval_steps": 4, "save_total_limit": 2, "max_steps": 17, "seed": 3,
        "group_by_length": False, "label_smoothing": 0.1, "lr_scheduler_type": "cosine",
    },
)  # fmt: skip
SHAPES: dict[str, dict[str, Any]] = {
    "tiny, full": {
        "tiny_hidden_size": 32,
        "tiny_layers": 2,
        "attention_dropout": 0.1,
        "response_noise": 0.2,
        "ema_window": 0.3,
    },
    "small Gemma 3, LoRA": {"lora_r": 4, "lora_alpha": 8, "lora_dropout": 0.1, "full_finetuning": False},
}
COMMON = {
    "dropout": 0.1, "batch_size": 8, "micro_batch_size": 4, "learning_rate": 3e-3, "max_new_tokens": 6,
    "spaces_separate": "words",
}  # fmt: skip
MAY_DIFFER = {"time", "tokens_per_second", "memory_available_bytes", "eval_seconds"}  # in a line of metrics.jsonl
SAME_FILES = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "before_averaging.safetensors")


@dataclass
class Reference:
    """A run that nobody disturbed: its plan, what it takes, and what came of it."""

    plan: Any
    trace: Trace
    end: dict[str, Any]


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
    from sparksmith.runs.checkpoints import find_faults
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
        whole = [path for path in run.checkpoints() if not find_faults(path, hashes=True)]
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
            result.faults += check_end(run, reference)
        else:
            result.faults.append(f"attempt {at + 1} ended with {ended.code}: {last_words(happened)}")
        break
    result.seconds = time.monotonic() - began
    return result


def check_visible(run: Any, newest: int) -> Iterator[str]:
    """After a kill: everything that is seen as a checkpoint is whole, and nothing that was saved is gone."""
    from sparksmith.runs.checkpoints import checkpoint_folders, find_faults

    folders = checkpoint_folders(run.path)
    for folder in folders:
        for fault in find_faults(folder, hashes=True)[:1]:
            yield f"broken checkpoint seen: {folder.name}: {fault}"
    if newest and newest > max((int(folder.name.split("-")[1]) for folder in folders), default=0):
        yield f"saved work lost: checkpoint-{newest} was reported saved"


def check_resume(events: list[dict[str, Any]], whole: list[Path], sealed: list[Path]) -> Iterator[str]:
    """An attempt goes on from the newest whole checkpoint, or from the beginning where there is none.

    `sealed` are those of which only the rename into place was missing; the next attempt may make up for it.
    """
    right = {path.name for path in [*whole[-1:], *sealed]}
    for event in events:
        if event["kind"] == "resumed" and Path(event["path"]).name not in right:
            yield f"resumed from another than the newest whole checkpoint: {Path(event['path']).name}"
    kinds = [event["kind"] for event in events]
    if whole and "training_started" in kinds and "resumed" not in kinds:
        yield "started from the beginning beside a whole checkpoint"


def check_end(run: Any, reference: Reference) -> Iterator[str]:
    """A finished run is the run that nobody disturbed."""
    import torch

    end, wanted = read_end(run, reference.plan.max_steps), reference.end
    for name, tensor in wanted["weights"].items():
        if name not in end["weights"] or not torch.equal(end["weights"][name], tensor):
            yield f"weights differ: {name}"
            break
    if end["weights"].keys() != wanted["weights"].keys():
        yield "weights differ: other names"
    yield from (f"{name} differs" for name in SAME_FILES if end["hashes"].get(name) != wanted["hashes"].get(name))
    for kind in ("loss", "eval_loss"):
        steps, right = ([line["step"] for line in side["metrics"] if kind in line] for side in (end, wanted))
        if steps != right:
            yield f"metrics: {kind} at steps {steps} instead of {right}"
    for line, right in zip(end["metrics"], wanted["metrics"], strict=False):
        if line != right:
            yield f"metrics differ: {line} instead of {right}"
            break
    for what in ("predictions", "untrained", "checkpoints", "state"):
        if end[what] != wanted[what]:
            yield f"{what} differ: {str(end[what])[:120]} instead of {str(wanted[what])[:120]}"
    if end["left"]:
        yield f"leftovers: {', '.join(end['left'])}"


def read_end(run: Any, step: int) -> dict[str, Any]:
    """What a run has come to, as far as two runs can be compared by it."""
    from safetensors.torch import load_file

    from sparksmith.runs.checkpoints import read_seal

    last = run.path / f"checkpoint-{step}"
    weights = [last / name for name in ("model.safetensors", "adapter_model.safetensors") if (last / name).exists()]
    seal = read_seal(last)
    return {
        "weights": load_file(weights[0]) if weights else {},
        "hashes": {name: digest for name, (_, digest) in seal.files.items()} if seal else {},
        "metrics": [
            {key: value for key, value in line.items() if key not in MAY_DIFFER} for line in read_records(run.metrics)
        ],
        "predictions": [row["prediction"] for row in read_records(run.predictions)],
        "untrained": [row.get("untrained") for row in read_records(run.predictions)],
        "checkpoints": [path.name for path in run.checkpoints()],
        "state": json.loads(run.manifest.read_text(encoding="utf-8"))["state"],
        "left": sorted(path.name for path in run.path.iterdir() if path.name.startswith(".") and path.name != ".lock"),
    }


def read_records(path: Path) -> list[dict[str, Any]]:
    from sparksmith.runs.records import read_lines

    return list(read_lines(path))


def last_words(events: list[dict[str, Any]]) -> str:
    return next((str(event["message"])[:160] for event in reversed(events) if event.get("message")), "nothing said")


def write_plan(plan: Any, folder: Path, *, resume: bool) -> None:
    from sparksmith.base.files import write_json

    changed = plan.model_copy(
        update={"output_dir": str(folder), "resume_from_checkpoint": "latest" if resume else None}
    )
    write_json(folder / "plan.json", changed.model_dump(mode="json"))


def make_references(root: Path, shapes: list[str]) -> dict[tuple[str, int], Reference]:
    """The undisturbed run of each shape and variant. What they import is then imported here, for the next children."""
    from plans import make_plan, write_pairs
    from small_models import save_small_gemma
    from sparksmith.runs.layout import RunFolder

    data = str(write_pairs(root))
    references = {}
    for shape in shapes:
        model = {}
        if "Gemma" in shape:
            model = {"model": str(root / "gemma")}
            in_a_child(lambda: save_small_gemma(root / "gemma"))
        for number, variant in enumerate(VARIANTS):
            folder = root / f"{shape} reference {number}"
            run = RunFolder(folder / "run")
            run.path.mkdir(parents=True)
            plan = make_plan(folder, data_file=data, eval_file=data, **COMMON, **SHAPES[shape], **model, **variant)
            write_plan(plan, run.path, resume=False)
            ended = Ended(None, "", False, Trace())
            for turn in range(2 if number == 0 else 1):  # the first also imports, so its times say nothing
                names = root / "modules"
                if turn:
                    run.path.rename(folder / "warm-up")
                    run.path.mkdir()
                    write_plan(plan, run.path, resume=False)
                ended = attempt(run.path, first="start", aim=None, trace=Trace(), modules=names)
                if ended.code != 0:
                    raise SystemExit(f"the undisturbed run ended with {ended.code}; its log: {run.path}.log")
                for name in names.read_text(encoding="utf-8").split():
                    with contextlib.suppress(Exception):
                        importlib.import_module(name)
            references[shape, number] = Reference(plan, ended.trace, read_end(run, plan.max_steps))
    return references


def in_a_child(do: Any) -> None:
    """Tokenizers start threads, and the process that forks must have none."""
    pid = os.fork()
    if pid == 0:
        try:
            do()
        except BaseException:
            os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        raise SystemExit("the small model could not be made")


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
