"""What `g2p-word` reaches on SIGMORPHON 2021's words: each language and seed, and what each part of the recipe gives.

usage: python benchmarks/g2p_word.py DATA RUNS [--languages hun arm_e] [--seeds 1 2 3] [--at-once 6] [--gpus 1] [--test]
           [--vary NAME=FLAGS ...] [-- FLAGS of sparksmith train]
on the CUDA machine: PYTHONPATH=gpu-kit/site:gpu-kit python3 benchmarks/g2p_word.py gpu-kit/data/sigmorphon2021 runs

DATA holds LANGUAGE_train.tsv, _dev.tsv and _test.tsv; RUNS is a folder for the runs. Trains on train, scores on dev;
with --test the finished runs of the recipe as it is are scored on test too, which is to be done once. `--vary` makes
the runs again with other flags: --vary "no average=--ema_window 0" "no noise=--response_noise 0". A run that is there
already is not made again. With --gpus N the runs are dealt out to N GPUs in turn.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SPARKSMITH = (sys.executable, "-m", "sparksmith")


@dataclass(frozen=True)
class Case:
    """One run: `name` is empty for the recipe as it is."""

    name: str
    language: str
    seed: int
    folder: Path
    flags: tuple[str, ...]

    def command(self, data: Path) -> list[str]:
        train, dev = data / f"{self.language}_train.tsv", data / f"{self.language}_dev.tsv"
        return [
            *SPARKSMITH, "train", "g2p-word", "--data_file", str(train), "--eval_file", str(dev),
            "--seed", str(self.seed), "--output_dir", str(self.folder), *self.flags,
        ]  # fmt: skip

    @property
    def done(self) -> bool:
        return (self.folder / "evaluation.json").is_file()


def run_all(
    cases: list[Case], command: Callable[[Case], list[str]], output: Callable[[Case], Path], at_once: int, gpus: int
) -> None:
    """A command of each case, some at once, what it prints in a file of its own and what it complains of in its log."""
    waiting = list(cases)
    running: list[tuple[Case, subprocess.Popen, int]] = []
    while waiting or running:
        while waiting and len(running) < at_once:
            case = waiting.pop(0)
            gpu = min(range(gpus), key=[at for _, _, at in running].count)  # the one with the fewest runs
            environ = os.environ | ({"CUDA_VISIBLE_DEVICES": str(gpu)} if gpus > 1 else {})
            with output(case).open("w") as out, case.folder.with_suffix(".log").open("a") as log:
                running.append((case, subprocess.Popen(command(case), stdout=out, stderr=log, env=environ), gpu))
        for case, process, gpu in list(running):
            if process.poll() is not None:
                running.remove((case, process, gpu))
                if process.returncode:
                    print(f"{case.folder.name} ended with {process.returncode}", file=sys.stderr)
        time.sleep(0.2)


def read_result(folder: Path) -> dict:
    """Dev scores, settings and seconds of a finished run."""
    evaluation = json.loads((folder / "evaluation.json").read_text())
    plan = json.loads((folder / "plan.json").read_text())
    manifest = json.loads((folder / "manifest.json").read_text())
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    seconds = sum(event["seconds"] for event in events if event["kind"] == "training_finished")
    return {
        "scores": evaluation["scores"], "steps": plan["max_steps"], "batch": plan["batch_size"],
        "device": plan["device"], "precision": plan["precision"], "parameters": manifest["parameters"],
        "seconds": seconds,
    }  # fmt: skip


def score_tests(cases: list[Case], data: Path, at_once: int, gpus: int) -> None:
    """Score the finished runs on the test part, some at once; the scores are kept beside each run."""

    def command(case: Case) -> list[str]:
        test = str(data / f"{case.language}_test.tsv")
        return [*SPARKSMITH, "eval", str(case.folder), test, "--json", "--no-base"]

    waiting = [case for case in cases if case.done and not test_scores(case)]
    run_all(waiting, command, lambda case: case.folder.with_suffix(".test.json"), at_once, gpus)


def test_scores(case: Case) -> dict:
    """The scores on the test part that were kept; empty where there are none."""
    kept = case.folder.with_suffix(".test.json")
    try:
        scores: dict = json.loads(kept.read_text())["scores"]
    except (OSError, ValueError):
        return {}
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--languages", nargs="+", default=["hun", "arm_e"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--at-once", type=int, default=6)
    parser.add_argument("--gpus", type=int, default=1)
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--vary", nargs="*", default=[], metavar="NAME=FLAGS")
    own, _, flags = " ".join(map(shlex.quote, sys.argv[1:])).partition(" -- ")
    asked, given = parser.parse_args(shlex.split(own)), shlex.split(flags)
    asked.runs.mkdir(parents=True, exist_ok=True)
    variants = [
        ("", ()),
        *((name, tuple(shlex.split(flags))) for name, _, flags in (v.partition("=") for v in asked.vary)),
    ]
    cases = [
        Case(name, language, seed, asked.runs / "-".join([language, *name.split(), str(seed)]), (*given, *varied))
        for (name, varied), language, seed in itertools.product(variants, asked.languages, asked.seeds)
    ]
    missing = [case for case in cases if not case.done]
    run_all(
        missing, lambda case: case.command(asked.data), lambda case: case.folder.with_suffix(".out"),
        asked.at_once, asked.gpus,
    )  # fmt: skip
    plain = [case for case in cases if not case.name]
    if asked.test:
        score_tests(plain, asked.data, asked.at_once, asked.gpus)
    show(cases, test=asked.test)


def show(cases: list[Case], *, test: bool) -> None:
    """Every run, then the medians over the seeds."""
    print(
        f"{'recipe':<22}{'language':<10}{'seed':>5}{'steps':>8}{'batch':>6}{'seconds':>9}{'dev WER':>9}{'PER':>7}",
        end="",
    )
    print(f"{'test WER':>10}{'PER':>7}" if test else "")
    groups: dict[tuple[str, str], list[list[float]]] = {}
    for case in cases:
        if not case.done:
            continue
        result = read_result(case.folder)
        rates = [result["scores"][name]["rate"] for name in ("wer", "per")]
        scores = test_scores(case) if test and not case.name else {}
        if scores:
            rates += [scores[name]["rate"] for name in ("wer", "per")]
        print(
            f"{case.name or 'as it is':<22}{case.language:<10}{case.seed:>5}{result['steps']:>8}{result['batch']:>6}"
            f"{result['seconds']:>9.0f}{rates[0]:>9.1%}{rates[1]:>7.2%}"
            + (f"{rates[2]:>10.1%}{rates[3]:>7.2%}" if scores else "")
        )
        groups.setdefault((case.name, case.language), []).append(rates)
    print("medians")
    for (name, language), rows in groups.items():
        middle = [statistics.median(column) for column in zip(*rows, strict=True)]
        print(
            f"{name or 'as it is':<22}{language:<10}{len(rows):>5}{'':>23}{middle[0]:>9.1%}{middle[1]:>7.2%}"
            + (f"{middle[2]:>10.1%}{middle[3]:>7.2%}" if len(middle) > 2 else "")
        )


if __name__ == "__main__":
    main()
