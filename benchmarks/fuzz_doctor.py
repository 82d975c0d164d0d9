"""Damages machines and error texts at random and has the doctor look at them: it has to answer, briefly and in words.

    python benchmarks/fuzz_doctor.py SECONDS [SEED]

Each input is one of tests/machines, or a machine with one fault, of which some files are damaged, removed, or replaced
by a folder, a pipe or a link; every fourth is a log made of the messages of tests/doctor. Nothing may be raised but
`SparksmithError`, no control character shown, no JSON made that its schema refuses, nothing take long. What breaks a
rule is printed with its number and ends the run with exit code 1; the same arguments meet the same inputs.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from machines.faulty import build_case, read_cases
from machines.load import HERE, NAMES, build
from sparksmith.base.errors import SparksmithError
from sparksmith.doctor.examine import examine
from sparksmith.doctor.explain import explain
from sparksmith.doctor.gather import gather
from sparksmith.doctor.result import Diagnosis, matches_to_json
from sparksmith.report.doctor import describe_doctor, describe_error, describe_facts

TESTS = HERE.parent
SECONDS_AT_MOST = 5.0
MEGABYTES_AT_MOST = 300
PIECES = (
    b"9" * 400, b"-1", b"0x7f", "²٣".encode(), b"\0", b"\x1b[2J\x1b]0;owned\x07", b"\xff\xfe", b"\n\n", b"\r", b"\t",
    b"[" * 3000, b"=", b":", b"/", b"../../..", b"%s%n", "\u202e".encode(), b"A" * 20_000, b"N/A", b"max", b" kB\n",
)  # fmt: skip


def damage(content: bytes, chance: random.Random) -> bytes:
    """One to four changes: a cut, a piece put in, lines moved, doubled or taken out, a number or a byte that lies."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        place = chance.randrange(len(content) + 1)
        kind = chance.randrange(6)
        if kind == 0:
            content = content[:place]
        elif kind == 1:
            content = content[:place] + chance.choice(PIECES) + content[place:]
        elif kind == 2:
            content = content[:place] + bytes([chance.randrange(256)]) + content[place + 1 :]
        elif kind == 3:
            digits = [at for at, byte in enumerate(content) if 48 <= byte <= 57]
            if digits:
                at = chance.choice(digits)
                content = content[:at] + str(chance.getrandbits(chance.choice((3, 40, 300)))).encode() + content[at:]
        else:
            lines = content.splitlines(keepends=True) or [b""]
            some = lines[(first := chance.randrange(len(lines))) : first + chance.randrange(1, 9)]
            if kind == 4:
                del lines[first : first + len(some)]
            else:
                lines[(to := chance.randrange(len(lines))) : to] = some * chance.choice((1, 1, 200))
            content = b"".join(lines)
    return content[:4_000_000]


def replace(file: Path, chance: random.Random) -> None:
    """Something else in a file's place."""
    file.unlink()
    kind = chance.randrange(5)
    if kind == 0:
        file.mkdir()
    elif kind == 1:
        os.mkfifo(file)
    elif kind == 2:
        file.symlink_to(chance.choice((file.name, "..", "/", "../" * 40 + "etc/passwd")))
    elif kind == 3:
        file.symlink_to(os.devnull)


class Machines:
    """Every machine, and every one with a fault, each built once and mended after use."""

    def __init__(self, folder: Path) -> None:
        cases = [said for file in sorted((HERE / "faults").glob("*.toml")) for said in read_cases(file.stem).values()]
        self.trees = [build(name, folder / name) for name in NAMES]
        self.trees += [build_case(said, folder / str(number)) for number, said in enumerate(cases)]
        self.damaged: dict[Path, bytes] = {}

    def damage_one(self, chance: random.Random) -> Path:
        """A machine of which up to six files are no longer what they were."""
        tree = chance.choice(self.trees)
        there = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
        for file in chance.sample(there, min(len(there), chance.choice((1, 1, 2, 6)))):
            content = self.damaged[file] = file.read_bytes()
            if chance.random() < 0.15:
                replace(file, chance)
            else:
                file.write_bytes(damage(content, chance))
        return tree

    def mend(self) -> None:
        """As they were."""
        for file, content in self.damaged.items():
            if file.is_dir() and not file.is_symlink():
                file.rmdir()
            else:
                file.unlink(missing_ok=True)
            file.write_bytes(content)
        self.damaged.clear()


def look_at(tree: Path, schemas: dict[str, Any]) -> Counter[str]:
    """Everything that the doctor would print of it; how often each fault was told."""
    gathered = gather(tree, environ=None)
    diagnosis = Diagnosis(gathered, tuple(examine(gathered.examined)))
    record, facts = diagnosis.to_json(), gathered.examined.machine.to_json()
    check_shown([*describe_doctor(record), *describe_facts(facts)])
    schemas["doctor"].validate(json.loads(json.dumps(record)))
    schemas["facts"].validate(json.loads(json.dumps(facts)))
    return Counter(finding.fault.id for finding in diagnosis.findings)


def explain_log(chance: random.Random, texts: list[bytes], schema: Any) -> Counter[str]:
    """A log of up to five texts, damaged."""
    log = b"\n".join(chance.choice(texts) for _ in range(chance.randrange(1, 6)))
    matches = explain(damage(log, chance))
    record = matches_to_json(matches)
    check_shown(describe_error(record))
    schema.validate(json.loads(json.dumps(record)))
    return Counter(match.fault.id for match in matches)


def check_shown(lines: Any) -> None:
    """Raises `AssertionError` where a terminal would be told to do something."""
    for line in "\n".join(lines).splitlines():
        assert line.isprintable(), f"shown: {line!r:.300}"


def main(seconds: float, seed: int) -> int:
    """Until the time is up or a rule is broken."""
    folder = files("sparksmith.doctor") / "schemas"
    schemas = {
        name: jsonschema.Draft202012Validator(json.loads((folder / f"{name}.json").read_text()))
        for name in ("doctor", "error", "facts")
    }
    texts = [
        path.read_bytes() for part in ("messages", "unrelated") for path in sorted(TESTS.glob(f"doctor/{part}/*.txt"))
    ]
    number = refused = 0
    slowest = 0.0
    told: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_CACHE_HOME"] = f"{place}/cache"
        machines = Machines(Path(place))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            number += 1
            chance = random.Random(f"{seed}-{number}")
            tree = machines.damage_one(chance) if number % 4 else None
            started = time.perf_counter()
            wrong = None
            try:
                told += look_at(tree, schemas) if tree else explain_log(chance, texts, schemas["error"])
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
                print(f"input {number} of seed {seed}: {wrong}", file=sys.stderr)
                if tree:
                    shutil.copytree(tree, f"fuzz-{seed}-{number}", symlinks=True, ignore=_no_pipes)
                return 1
            machines.mend()
    print(
        f"{number:,} inputs in {seconds:.0f} s, {refused:,} refused; {len(told)} of the faults told; slowest "
        f"{slowest * 1000:.0f} ms, {megabytes:.0f} MB at most; seed {seed}"
    )
    return 0


def _no_pipes(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if Path(folder, name).is_fifo()]


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else 1))
