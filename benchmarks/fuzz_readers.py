"""Damages ELF files and wheels at random and reads them: nothing may be raised but `SparksmithError`, or take long.

    python benchmarks/fuzz_readers.py SECONDS [SEED]

An input that breaks a rule is kept in the current folder, as fuzz-SEED-NUMBER.bin or .whl, and ends the run with exit
code 1. Each case comes from the seed and its own number, so the same arguments meet the same inputs.
"""

from __future__ import annotations

import io
import os
import random
import resource
import struct
import sys
import tempfile
import time
import traceback
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from packages.made_wheels import make_wheel
from packages.make_elf import cubin, fat_binary, make_elf, make_ptxas, ptx
from sparksmith.base.errors import SparksmithError
from sparksmith.packages.wheel import elf
from sparksmith.packages.wheel.elf import Source
from sparksmith.packages.wheel.examine import examine
from sparksmith.packages.wheel.read import read_wheel

SECONDS_AT_MOST = 5.0  # for one input of a few kilobytes; the slowest takes milliseconds
MEGABYTES_AT_MOST = 300
NUMBERS = (0, 1, 2, 3, 7, 8, 15, 16, 63, 64, 65, 255, 256, 4095, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63)
WIDTHS = ("<H", "<I", "<Q")


def seeds(folder: Path) -> tuple[list[bytes], list[tuple[str, bytes]]]:
    """ELF files, and wheels with their names."""
    containers = fat_binary(cubin(80), cubin(90, "a"), cubin(120, "f"), ptx(120, (9, 0))) + bytes(200)
    libraries = [
        make_elf(soname="libone.so.1", needed=("libcudart.so.13", "libc.so.6"), glibc=("2.17", "2.34")),
        make_elf(soname="libgpu.so", runpath="$ORIGIN:$ORIGIN/../lib", fatbin=containers * 3, relfatbin=containers),
        make_elf(machine="x86_64", rpath="/opt", needed=("libc.so.6",), glibc=("2.5",), fatbin=[ptx(75, (8, 7))]),
        make_ptxas(("sm_90a", "sm_120", "sm_121f"), "13.1"),
        make_elf(fatbin=[cubin(75)], data=bytes(500) + containers * 3 + b"\x01" * 999 + containers),
    ]
    files: dict[str, bytes | str] = {
        "sample/lib/libgpu.so": libraries[1],
        "sample/bin/ptxas": libraries[3],
        "sample/a.so.1": libraries[0],
        "sample/readme.txt": "words",
    }
    wheels = []
    for number, name in enumerate(("sample", "other-name")):
        path = make_wheel(
            folder, name, f"1.{number}", files=files, requires=("torch>=2", "numpy; extra == 'x'"), cuda="13.0"
        )
        wheels.append((path.name, path.read_bytes()))
        stored = io.BytesIO()
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(stored, "w") as new:
            for member in old.namelist():
                new.writestr(member, old.read(member))
        wheels.append((path.name, stored.getvalue()))
    return libraries, wheels


def damage(content: bytes, chance: random.Random) -> bytes:
    """One to eight changes: numbers that lie, bytes, a cut, a part moved, repeated or taken out."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        size = len(data)
        if size < 16:
            break
        place = chance.randrange(size - 8)
        kind = chance.randrange(8)
        if kind <= 3:
            layout = chance.choice(WIDTHS)
            width = struct.calcsize(layout)
            number = chance.choice((*NUMBERS, size, size - 1, size + 1, place, chance.getrandbits(64)))
            place -= place % chance.choice((1, 2, 4, 8))
            data[place : place + width] = struct.pack(layout, number % (1 << 8 * width))
        elif kind == 4:
            data[place] = chance.randrange(256)
        elif kind == 5:
            del data[chance.randrange(size) :]
        elif kind == 6:
            length = chance.randrange(1, min(512, size))
            source = chance.randrange(size - length + 1)
            part = data[source : source + length]
            if chance.random() < 0.5:
                data[place : place + length] = part
            else:
                data[place:place] = part * chance.choice((1, 1, 20))
        else:
            del data[place : place + chance.randrange(1, 64)]
    return bytes(data)


def read_elf_bytes(content: bytes, scratch: int) -> None:
    """Through a descriptor, as a file of a wheel is."""
    os.ftruncate(scratch, 0)
    os.pwrite(scratch, content, 0)
    for path in ("lib/libx.so", "bin/ptxas"):
        examine(Source(scratch, len(content)), path)


def main(seconds: float, seed: int) -> int:
    """Until the time is up or a rule is broken."""
    elf.DATA_AT_LEAST = 0  # inputs are small
    end = time.monotonic() + seconds
    number = refused = 0
    slowest = 0.0
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryFile(buffering=0) as scratch:
        folder = Path(place)
        libraries, wheels = seeds(folder)
        while time.monotonic() < end:
            number += 1
            chance = random.Random(f"{seed}-{number}")
            started = time.perf_counter()
            if number % 4:
                content = damage(chance.choice(libraries), chance)
                path = None
            else:
                name, whole = chance.choice(wheels)
                content, path = damage(whole, chance), folder / name
                path.write_bytes(content)
            wrong = None
            try:
                if path is None:
                    read_elf_bytes(content, scratch.fileno())
                else:
                    read_wheel(path, hash_it=False).to_json()
            except SparksmithError:
                refused += 1
            except Exception:
                wrong = traceback.format_exc()
            took = time.perf_counter() - started
            slowest = max(slowest, took)
            megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            if took > SECONDS_AT_MOST:
                wrong = f"took {took:.1f} s"
            if megabytes > MEGABYTES_AT_MOST:
                wrong = f"took {megabytes:.0f} MB"
            if wrong:
                kept = Path(f"fuzz-{seed}-{number}.{'bin' if path is None else 'whl'}")
                kept.write_bytes(content)
                print(f"input {number}: {wrong}\nkept as {kept}", file=sys.stderr)
                return 1
    print(
        f"{number:,} inputs in {seconds:.0f} s, {refused:,} refused; slowest {slowest * 1000:.0f} ms, "
        f"{megabytes:.0f} MB at most; seed {seed}"
    )
    return 0


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else 1))
