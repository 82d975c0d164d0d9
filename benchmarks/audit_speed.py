"""Time and memory of `sparksmith audit`, the whole command, best of five; what is read lies in the page cache.

    python benchmarks/audit_speed.py [--cuobjdump CUOBJDUMP] [--file REQUIREMENTS] WHEEL|ENVIRONMENT...

A wheel is read anew each time; an environment without and with the facts in the user's cache; a requirements file
(policy/stacks/train.txt unless told) without a network and without uv. cuobjdump lists the same libraries beside it,
one after another, in its two calls each (--list-elf, --list-ptx); a wheel's are unpacked for it before.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path

from sparksmith.packages.installed import read_environment_facts
from sparksmith.packages.wheel.read import read_wheel

TIMES = 5
TRAIN = Path(__file__).parent.parent / "src/sparksmith/policy/stacks/train.txt"


def run(what: Path, cache: str, *, offline: bool = False) -> tuple[float, float, int]:
    """(seconds, MB at most, exit code) of one audit."""
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    if offline:
        dead = "http://127.0.0.1:9"
        environment |= {"https_proxy": dead, "http_proxy": dead, "all_proxy": dead, "PATH": "/nonexistent"}
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "sparksmith", "audit", str(what)],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - start, usage.ru_maxrss / 1024, process.returncode


def best(what: Path, *, cached: bool = False, offline: bool = False) -> str:
    """Seconds and memory as cells of a table."""
    found = []
    with tempfile.TemporaryDirectory() as kept:
        if cached:
            run(what, kept)
        for _ in range(TIMES):
            with tempfile.TemporaryDirectory() as empty:
                found.append(run(what, kept if cached else empty, offline=offline))
    codes = {code for _, _, code in found}
    times = ", ".join(f"{seconds:.2f}" for seconds, _, _ in sorted(found))
    memory = max(megabytes for _, megabytes, _ in found)
    return f"{min(found)[0]:.2f} s ({times}) | {memory:.0f} MB | {', '.join(map(str, sorted(codes)))}"


def time_cuobjdump(cuobjdump: str, libraries: Iterable[Path]) -> float:
    """Seconds for all of them."""
    start = time.perf_counter()
    for library in libraries:
        for option in ("--list-elf", "--list-ptx"):
            subprocess.run([cuobjdump, option, str(library)], capture_output=True, check=False)
    return time.perf_counter() - start


def main() -> None:
    """One line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuobjdump")
    parser.add_argument("--file", type=Path, default=TRAIN)
    parser.add_argument("what", nargs="+", type=Path)
    asked = parser.parse_args()
    print("| what | best of five (all) | peak | exit code |\n|---|---|---|---|")
    print(f"| {asked.file.name}, no network, no uv | {best(asked.file, offline=True)} |", flush=True)
    for what in asked.what:
        if what.is_file():
            print(f"| {what.name}, {what.stat().st_size / 1e6:.0f} MB | {best(what)} |", flush=True)
            libraries = [library.path for library in read_wheel(what, hash_it=False).libraries if library.device_code]
            if asked.cuobjdump:
                with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(what) as wheel:
                    unpacked = [Path(wheel.extract(library, folder)) for library in libraries]
                    seconds = time_cuobjdump(asked.cuobjdump, unpacked)
                print(f"| cuobjdump on its {len(libraries)} libraries with GPU code | {seconds:.1f} s (once) | | |")
            continue
        packages = read_environment_facts(what, use_cache=False).packages
        size = sum(package.bytes for package in packages)
        shown = f"{what.name}, {len(packages)} packages, {size / 1e9:.1f} GB"
        print(f"| {shown}, nothing cached | {best(what)} |", flush=True)
        print(f"| {shown}, facts cached | {best(what, cached=True)} |", flush=True)
        if asked.cuobjdump:
            listed = [what / library.path for each in packages for library in each.libraries if library.device_code]
            seconds = time_cuobjdump(asked.cuobjdump, listed)
            print(
                f"| cuobjdump on its {len(listed)} libraries with GPU code | {seconds:.1f} s (once) | | |", flush=True
            )


if __name__ == "__main__":
    main()
