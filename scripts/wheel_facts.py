"""Renew src/sparksmith/policy/wheels/known.jsonl: the facts of wheels that an audit need not fetch.

usage: wheel_facts.py [--target NAME]... WHAT...
       wheel_facts.py --all

WHAT is what `sparksmith audit` takes, but environments: wheels, requirement files, a lock, or requirements such as
torch==2.9.0 (with what they bring in) or torch==2.9.0! (alone). Wheels, and the source of what has none, are fetched
into the user's cache, read and deleted; rows that are there already stay. With --all the file is made anew: from the
list below, the sets of benchmarks/requirement_sets, and the wheels of tests/wheels/expected.toml, which fetches about
25 GB unless the user's cache has their facts. Needed when the facts change (FACTS_VERSION, or a mended reader: then
without a cache).
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import write_atomic
from sparksmith.packages.facts import PackageFacts
from sparksmith.packages.gather import gather
from sparksmith.packages.inputs import Asked, Environment, Wheels, read_subject
from sparksmith.packages.known import KnownWheels, merge_rows
from sparksmith.packages.platform import Platform
from sparksmith.packages.resolution import Resolution
from sparksmith.packages.resolve import resolve
from sparksmith.packages.wheel.read import read_wheel
from sparksmith.policy.targets import load_target

ROOT = Path(__file__).resolve().parent.parent
KNOWN = ROOT / "src/sparksmith/policy/wheels/known.jsonl"
LIMIT_BYTES = 600_000
STACKS = ROOT / "src/sparksmith/policy/stacks"
TRAIN = str(STACKS / "train.txt")
SHIPPED = [
    ("gb10", TRAIN),
    ("h200", TRAIN),
    ("gb10", str(STACKS / "guide-2025.resolved.txt")),
    *(
        ("gb10", what)
        for what in (
            "torch==2.9.0", "torch==2.14.1!", "torch==2.15.0", "torchvision==0.29.2!", "triton==3.8.0!",
            "bitsandbytes==0.47.0", "vllm==0.19.1", str(ROOT / "tests/packages/resolver/naive.txt"),
            *map(str, sorted((ROOT / "benchmarks/requirement_sets").glob("*.txt"))),
        )
    ),
    *(
        ("gb10" if row.get("platform", "aarch64") == "aarch64" else "h200", f"{row['name']}=={row['version']}!")
        for row in tomllib.loads((ROOT / "tests/wheels/expected.toml").read_text(encoding="utf-8"))["wheel"]
    ),
]  # fmt: skip


def facts_of(what: str, platform: Platform, known: KnownWheels) -> list[PackageFacts]:
    """The facts of what the shipped rows lack."""
    alone = what.endswith("!")
    subject = read_subject([what.removesuffix("!")])
    if isinstance(subject, Environment):
        raise SparksmithError(f"{what} is an environment", "give its requirements")
    if isinstance(subject, Wheels):
        return [read_wheel(path) for path in subject.paths]
    found = resolve(subject, platform, known)
    if alone and isinstance(subject, Asked):
        names = {line.name for line in subject.requirements.lines}
        found = replace(found, packages=tuple(package for package in found.packages if package.name in names))
    return read_missing(found, known)


def read_missing(found: Resolution, known: KnownWheels) -> list[PackageFacts]:
    gathered = gather(found, known)
    for package in gathered:
        if package.problem:
            print(f"{package.chosen.name} {package.chosen.version}: {package.problem}", file=sys.stderr)
    return [package.facts for package in gathered if package.facts is not None and package.facts.sha256]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--target", action="append", default=[])
    arguments.add_argument("--all", action="store_true")
    arguments.add_argument("what", nargs="*")
    asked = arguments.parse_args()
    text = KNOWN.read_text(encoding="utf-8") if KNOWN.exists() and not asked.all else ""
    KNOWN.parent.mkdir(parents=True, exist_ok=True)
    wanted = SHIPPED if asked.all else [(target, what) for target in asked.target or ["gb10"] for what in asked.what]
    for target, what in wanted:
        platform = Platform.of(load_target(target))
        text = merge_rows(text, facts_of(what, platform, KnownWheels(text)))
        if not asked.all:
            write_atomic(KNOWN, text)
        print(f"{target}, {what}: {text.count(chr(10))} wheels, {len(text.encode()):,} bytes", file=sys.stderr)
    if len(text.encode()) > LIMIT_BYTES:
        raise SystemExit(f"error: {KNOWN.name} is larger than {LIMIT_BYTES:,} bytes")
    write_atomic(KNOWN, text)


if __name__ == "__main__":
    try:
        main()
    except SparksmithError as error:
        raise SystemExit(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else "")) from None
