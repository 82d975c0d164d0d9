"""The device code in libraries as Sparksmith counts it beside cuobjdump's lists; exit code 1 where they differ.

    python benchmarks/cuobjdump_counts.py CUOBJDUMP LIBRARY...

cuobjdump stands in the wheel nvidia-cuda-cuobjdump. It shows no variant (`a`, `f`) of most entries and names PTX by
architecture alone, so both sides are counted by kind and architecture number. It does not look for code among variables
(cuFFT, cuRAND). There it is given every container by itself, in as many runs: a plain search for their magic number
finds them, which is not how our reader goes from one to the next.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from elftools.elf.elffile import ELFFile

from sparksmith.packages.wheel.elf import Source
from sparksmith.packages.wheel.examine import examine

CONTAINER = struct.pack("<I", 0xBA55ED50)
LISTED = re.compile(r"^(?:ELF|PTX) file\s+\d+: .*\.sm_(\d+)[af]?\.(cubin|ptx)$", re.MULTILINE)


def listed_by(cuobjdump: str, library: Path) -> Counter[tuple[int, str]] | str:
    """Entries by (architecture, kind) in the lists that cuobjdump prints, or the words with which it gives up."""
    counts: Counter[tuple[int, str]] = Counter()
    for option in ("--list-elf", "--list-ptx"):
        done = subprocess.run([cuobjdump, option, str(library)], capture_output=True, text=True, check=False)
        found = LISTED.findall(done.stdout)
        if done.returncode != 0 and not found and "does not contain" not in done.stdout + done.stderr:
            return (
                done.stderr.strip().replace(str(library), library.name) or f"exit code {done.returncode} without a word"
            )
        counts.update((int(number), kind) for number, kind in found)
    return counts


def listed_among_variables(cuobjdump: str, library: Path) -> Counter[tuple[int, str]]:
    """The same for each container of .data and .ldata."""
    counts: Counter[tuple[int, str]] = Counter()
    with library.open("rb") as file, tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "one.fatbin"
        for section in map(ELFFile(file).get_section_by_name, (".data", ".ldata")):
            content = section.data() if section else b""
            at = content.find(CONTAINER)
            while at >= 0:
                (size,) = struct.unpack_from("<Q", content, at + 8)
                place.write_bytes(content[at : at + 16 + size])
                found = listed_by(cuobjdump, place)
                if not isinstance(found, str):  # else it holds code for linking only
                    counts += found
                at = content.find(CONTAINER, at + 16)
    return counts


def counted_by_us(library: Path) -> tuple[Counter[tuple[int, str]], bool]:
    """The same from our reader, and whether some of it lies among variables."""
    descriptor = os.open(library, os.O_RDONLY)
    try:
        found = examine(Source(descriptor, os.fstat(descriptor).st_size), library.name)
    finally:
        os.close(descriptor)
    for problem in found.problems:
        print(f"  {problem}", file=sys.stderr)
    counts: Counter[tuple[int, str]] = Counter()
    for code in found.library.device_code if found.library else ():
        counts[code.architecture, code.kind] += code.count
    return counts, bool(found.library and found.library.code_sections)


def main(cuobjdump: str, libraries: list[str]) -> int:
    """One line a library: entries in all, by architecture, and both times."""
    differ = False
    print("| library | entries | by architecture | equal | here | cuobjdump |\n|---|---|---|---|---|---|")
    for library in map(Path, libraries):
        start = time.perf_counter()
        ours, among_variables = counted_by_us(library)
        here = time.perf_counter() - start
        start = time.perf_counter()
        theirs = listed_by(cuobjdump, library)
        if among_variables:
            theirs = (Counter() if isinstance(theirs, str) else theirs) + listed_among_variables(cuobjdump, library)
        there = time.perf_counter() - start
        names = {"cubin": "", "ptx": "PTX "}
        shown = ", ".join(f"{names[kind]}{number}: {count}" for (number, kind), count in sorted(ours.items()))
        if isinstance(theirs, str):
            equal = f"cuobjdump gives up: {theirs}"
        elif ours == theirs:
            equal = "yes"
        else:
            equal, differ = f"no: {dict(theirs - ours)} more there, {dict(ours - theirs)} more here", True
        print(
            f"| {library.name} | {ours.total():,} | {shown} | {equal} | {here * 1000:.0f} ms | {there:.1f} s |",
            flush=True,
        )
    return int(differ)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
