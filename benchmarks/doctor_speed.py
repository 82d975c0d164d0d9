"""Time and memory of `sparksmith doctor`, the whole command, best of five; what is read lies in the page cache.

    python benchmarks/doctor_speed.py ENVIRONMENT... [--target h200] [--seconds 0.5]

nvidia-smi, docker and nvcc are scripts that answer after so many seconds, with what tests/machines/h200 keeps of them;
a last row has an nvidia-smi that never answers. Each environment is read without and with its facts in the user's
cache.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ANSWERS = Path(__file__).parent.parent / "tests/machines/h200/tree/commands"
TIMES = 5


def make_tools(folder: Path, seconds: float, *, silent: bool = False) -> None:
    """Scripts that answer late; `silent`: an nvidia-smi that does not."""
    query = next(ANSWERS.glob("nvidia-smi --query*"))
    for name, file in (("nvidia-smi", query), ("docker", ANSWERS / "docker info.failed.txt"), ("nvcc", query)):
        long = f'case "$*" in -q) cat {shlex.quote(str(ANSWERS / "nvidia-smi -q.txt"))}; exit;; esac\n'
        wait = "exec sleep 60" if silent and name == "nvidia-smi" else f"sleep {seconds}"
        script = folder / name
        script.write_text(f"#!/bin/sh\n{wait}\n{long if name == 'nvidia-smi' else ''}cat {shlex.quote(str(file))}\n")
        script.chmod(0o755)


def run(environment: Path, tools: Path, cache: str, target: str) -> tuple[float, float, int]:
    """(seconds, MB at most, exit code) of one look."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "sparksmith", "doctor", str(environment), "--target", target],
        env={**os.environ, "XDG_CACHE_HOME": cache, "PATH": f"{tools}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - start, usage.ru_maxrss / 1024, process.returncode


def row(environment: Path, tools: Path, target: str, *, cached: bool) -> str:
    """Seconds and memory as cells of a table."""
    found = []
    with tempfile.TemporaryDirectory() as kept:
        if cached:
            run(environment, tools, kept, target)
        for _ in range(TIMES):
            with tempfile.TemporaryDirectory() as empty:
                found.append(run(environment, tools, kept if cached else empty, target))
    times = ", ".join(f"{seconds:.2f}" for seconds, _, _ in sorted(found))
    codes = ", ".join(str(code) for code in sorted({code for _, _, code in found}))
    return f"{min(found)[0]:.2f} s ({times}) | {max(memory for _, memory, _ in found):.0f} MB | {codes}"


def main() -> None:
    """One line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environments", nargs="+", type=Path)
    parser.add_argument("--target", default="h200")
    parser.add_argument("--seconds", type=float, default=0.5)
    asked = parser.parse_args()
    print("| what | best of five (all) | peak | exit code |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        late, silent = Path(place, "late"), Path(place, "silent")
        late.mkdir()
        silent.mkdir()
        make_tools(late, asked.seconds)
        make_tools(silent, asked.seconds, silent=True)
        for environment in asked.environments:
            size = subprocess.run(["du", "-sk", str(environment)], capture_output=True, text=True, check=True).stdout
            shown = f"{environment.name}, {int(size.split()[0]) * 1024 / 1e9:.1f} GB"
            for cached, said in ((False, "nothing cached"), (True, "facts cached")):
                print(f"| {shown}, {said} | {row(environment, late, asked.target, cached=cached)} |", flush=True)
            cells = row(environment, silent, asked.target, cached=True)
            print(f"| {shown}, facts cached, a silent nvidia-smi | {cells} |", flush=True)


if __name__ == "__main__":
    main()
