"""Hostile wheels, libraries and environments at full size: each has to end soon, in little memory, and not in a crash.

    python benchmarks/hostile_inputs.py

Each is read in a process of its own, whose peak memory the system tells. Exit code 1 where one takes more than 300 MB
or 20 s, or ends in anything but an answer or a `SparksmithError`. The small ones stand in tests/packages.
"""

from __future__ import annotations

import os
import resource
import struct
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from packages.made_environments import install, make_venv
from packages.made_wheels import make_wheel
from packages.make_elf import CONTAINER_MAGIC, cubin, fat_binary, make_elf, make_ptxas
from sparksmith.base.errors import SparksmithError
from sparksmith.packages.installed import read_environment_facts
from sparksmith.packages.wheel.elf import Source
from sparksmith.packages.wheel.examine import examine
from sparksmith.packages.wheel.read import read_wheel

MEGABYTES_AT_MOST, SECONDS_AT_MOST = 300, 20.0
TEN_GIGABYTES = 10 << 30
LOOKALIKE = struct.pack("<IHHQ", CONTAINER_MAGIC, 1, 16, 2**63)


def library(place: Path, content: bytes, *, size: int | None = None, path: str = "x.so") -> Sequence[str]:
    """Problems of a library, made sparse."""
    place.write_bytes(content)
    if size is not None:
        os.truncate(place, size)
    with place.open("rb") as file:
        return examine(Source(file.fileno(), place.stat().st_size), path).problems


def with_section_size(content: bytes, size: int, claim: int) -> bytes:
    """An ELF file whose section of `size` bytes says that it has `claim`."""
    data = bytearray(content)
    start, count = *struct.unpack_from("<Q", data, 40), *struct.unpack_from("<H", data, 60)
    for place in range(start, start + 64 * count, 64):
        if struct.unpack_from("<Q", data, place + 32) == (size,):
            struct.pack_into("<Q", data, place + 32, claim)
    return bytes(data)


def bomb(folder: Path, count: int, size: int) -> Sequence[str]:
    """A wheel of libraries that are zeros but for their headers."""
    path = folder / "bomb-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for number in range(count):
            with wheel.open(f"x{number}.so", "w") as member:
                member.write(make_elf())
                for _ in range(size >> 20):
                    member.write(bytes(1 << 20))
    return read_wheel(path).problems


def directory(folder: Path, names: Sequence[bytes]) -> Sequence[str]:
    """A wheel that is a list of members and nothing else."""
    path = folder / "list-1-py3-none-any.whl"
    entry = struct.Struct("<4s4B4HL2L5H2L")
    rows = b"".join(
        entry.pack(b"PK\1\2", 20, 0, 20, 0, 0, 0, 0, 0, 0, 9, 9, len(name), 0, 0, 0, 0, 0, 0) + name for name in names
    )
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(names) & 65535, len(names) & 65535, len(rows), 0, 0)
    path.write_bytes(rows + end)
    return read_wheel(path).problems


def environment(folder: Path, prepare: Callable[[Path], None]) -> Sequence[str]:
    """Problems of an environment."""
    prepare(make_venv(folder / "venv"))
    found = read_environment_facts(folder / "venv", use_cache=False)
    return [*found.problems, *(problem for package in found.packages for problem in package.problems)]


def circle(site: Path) -> None:
    """Links to the folder that they are in, and to each other."""
    install(site, "a", record="".join(f"a/{'loop/' * n}x.so,,\n" for n in range(200)) + "a/one.so,,\n")
    package = site / "a"
    package.mkdir(exist_ok=True)
    (package / "loop").symlink_to(".", target_is_directory=True)
    (package / "one.so").symlink_to("two.so")
    (package / "two.so").symlink_to("one.so")


def huge_record(site: Path) -> None:
    install(site, "a", record="a/x.so,sha256=y,1\n" * 3_000_000)


def sparse_library(site: Path) -> None:
    """A whole library, and nothing behind it."""
    install(site, "a", files={"a/x.so": make_elf(fatbin=[cubin(120)])})
    os.truncate(site / "a/x.so", TEN_GIGABYTES)


CASES: dict[str, Callable[[Path], Sequence[str]]] = {
    "a library of 10 GB of nothing": lambda at: library(at / "x", b"", size=TEN_GIGABYTES),
    "10 GB of zeros in .nv_fatbin": lambda at: library(
        at / "x", with_section_size(make_elf(fatbin=bytes(48)), 48, TEN_GIGABYTES - 9000), size=TEN_GIGABYTES
    ),
    "10 GB of zeros in .data": lambda at: library(
        at / "x", with_section_size(make_elf(data=bytes(1 << 20)), 1 << 20, TEN_GIGABYTES - (2 << 20)),
        size=TEN_GIGABYTES,
    ),
    "a fat binary that says 10 GB": lambda at: library(
        at / "x",
        with_section_size(
            make_elf(fatbin=struct.pack("<IHHQ", CONTAINER_MAGIC, 1, 16, 9 << 30)), 16, TEN_GIGABYTES - 5000
        ),
        size=TEN_GIGABYTES,
    ),
    "a compiler of 10 GB": lambda at: library(at / "x", make_ptxas(), size=TEN_GIGABYTES, path="bin/ptxas"),
    "4 million empty fat binaries": lambda at: library(at / "x", make_elf(fatbin=fat_binary() * 4_000_000)),
    "600,000 entries of 900 architectures": lambda at: library(
        at / "x", make_elf(fatbin=fat_binary(*[cubin(number % 900, size=0) for number in range(600_000)]))
    ),
    "4 million that only look like one": lambda at: library(at / "x", make_elf(data=LOOKALIKE * 4_000_000)),
    "a bomb of 1 GiB": lambda at: bomb(at, 1, 1 << 30),
    "forty bombs of 63 MiB": lambda at: bomb(at, 40, 63 << 20),
    "a list of 220,000 libraries": lambda at: directory(at, [b"%06d.so" % number for number in range(220_000)]),
    "a list of 260,000 times one name": lambda at: directory(at, [b"a"] * 260_000),
    "a list of 64 MB": lambda at: directory(at, [b"%060d" % number for number in range(600_000)]),
    "60,000 requirements": lambda at: read_wheel(
        make_wheel(at, "m", "1", requires=["a"] * 60_000)
    ).problems,
    "names that point outside, or forge lines": lambda at: read_wheel(
        make_wheel(at, files={"../x.so": b"x", "/x.so": b"x", "a\nb.so": make_elf(), "a/" * 2000 + "x.so": b"x"})
    ).problems,
    "links in a circle": lambda at: environment(at, circle),
    "a RECORD of 3 million lines": lambda at: environment(at, huge_record),
    "an installed library of 10 GB": lambda at: environment(at, sparse_library),
}  # fmt: skip


def attempt(case: Callable[[Path], Sequence[str]], folder: Path) -> tuple[str, float]:
    """What it said, in a process of its own, and the seconds of the reading and the making."""
    told, tell = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            problems = case(folder)
            said = f"{len(problems)} problems: {problems[0][:90]!r}" if problems else "read"
        except SparksmithError as error:
            said = f"refused: {error.message[:90]!r}"
        except BaseException as error:
            said = f"WRONG {type(error).__name__}: {error}"
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        os.write(tell, f"{megabytes:.0f} MB | {said}".encode("utf-8", "replace")[:2000])
        os._exit(0)
    os.close(tell)
    with os.fdopen(told, "rb") as pipe:
        answer = pipe.read().decode("utf-8", "replace")
    os.waitpid(child, 0)
    return answer or "WRONG 0 MB | ended without a word", time.monotonic() - start


def main() -> int:
    """One line a case. Making the input counts too, in time and in memory."""
    wrong = 0
    print("| input | seconds, making it included | peak memory | answer |\n|---|---|---|---|")
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            answer, seconds = attempt(case, Path(folder))
        megabytes = int(answer.split(" MB")[0]) if answer[0].isdigit() else 0
        bad = "WRONG" in answer or megabytes > MEGABYTES_AT_MOST or seconds > SECONDS_AT_MOST
        wrong += bad
        print(f"| {name} | {seconds:.1f} | {answer} |{' <- WRONG' if bad else ''}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
