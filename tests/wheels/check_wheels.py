"""Fetch real wheels, read them and compare the verdict for gb10 with what was judged by hand (expected.toml).

    make test-wheels
    python tests/wheels/check_wheels.py [--wheels FOLDER] [NAME...]

About 9 GB, one wheel at a time, deleted once it is read. A wheel in FOLDER is taken from there, after its hash
was checked. Nothing is looked up in the shipped facts: what is tested is the whole way from the index to the verdict.
Exit code 1 where anything differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import sha256_of
from sparksmith.packages.facts import PackageFacts
from sparksmith.packages.fetch import Progress, fetch_wheel
from sparksmith.packages.finding import Verdict
from sparksmith.packages.gather import gather
from sparksmith.packages.inputs import Asked, read_subject
from sparksmith.packages.known import KnownWheels
from sparksmith.packages.platform import Platform
from sparksmith.packages.resolution import Resolution, WheelFile
from sparksmith.packages.resolve import resolve
from sparksmith.packages.verdict import judge
from sparksmith.policy.targets import load_target

EXPECTED = Path(__file__).parent / "expected.toml"


@dataclass(frozen=True)
class Row:
    """What is expected of one wheel; `rules` are those of the findings that are as bad as the verdict."""

    name: str
    version: str
    verdict: str
    why: str
    rules: tuple[str, ...] = ()
    platform: str = "aarch64"

    def __str__(self) -> str:
        return f"{self.name} {self.version}" + (f" ({self.platform})" if self.platform != "aarch64" else "")


def read_rows(path: Path = EXPECTED) -> list[Row]:
    """Raises `TypeError` for a key that is not one of a row's, `ValueError` for a verdict that is none."""
    rows = [
        Row(**{**row, "rules": tuple(row.get("rules", ()))}) for row in tomllib.loads(path.read_text("utf-8"))["wheel"]
    ]
    for row in rows:
        Verdict(row.verdict)
    return rows


def resolve_alone(row: Row) -> Resolution:
    """The package by itself, as it would be chosen for the row's platform. Raises `SparksmithError`."""
    platform = replace(Platform.of(load_target("gb10")), machine=row.platform)
    subject = read_subject([f"{row.name}=={row.version}"])
    assert isinstance(subject, Asked)
    found = resolve(subject, platform, KnownWheels(""))
    return replace(found, packages=tuple(package for package in found.packages if package.name == row.name))


def facts_of(row: Row, folder: Path | None) -> PackageFacts:
    """Read from the wheel itself. Raises `SparksmithError`."""

    def fetch(wheel: WheelFile, progress: Progress | None) -> Path:
        if folder is not None and (there := folder / wheel.file).is_file() and sha256_of(there) == wheel.sha256:
            link = Path(scratch) / wheel.file
            link.symlink_to(there.resolve())
            return link
        return fetch_wheel(wheel, Path(scratch))

    with tempfile.TemporaryDirectory() as scratch:
        (gathered,) = gather(resolve_alone(row), KnownWheels("", Path(scratch)), fetch=fetch)
    if gathered.facts is None:
        raise SparksmithError(gathered.problem)
    return gathered.facts


def differences(row: Row, facts: PackageFacts) -> list[str]:
    """Where the verdict or its reason is not the expected one, in words."""
    found = judge([facts], load_target("gb10"), kind="wheel", subject=row.name).packages[0]
    decisive = [each for each in found.findings if each.verdict is found.verdict is not Verdict.RUNS]  # else a detail
    told = "; ".join(f"{finding.rule}: {finding.seen}" for finding in decisive)
    wrong = []
    if found.verdict != row.verdict:
        wrong.append(f"expected {row.verdict} ({row.why}), found {found.verdict} ({told})")
    elif {finding.rule for finding in decisive} - {"known"} != set(row.rules) - {"known"} or (
        "known" in row.rules and all(finding.rule != "known" for finding in decisive)
    ):  # a known fault comes on top, unless it is what is expected
        wrong.append(f"expected because of {', '.join(row.rules) or 'nothing'} ({row.why}), found because of {told}")
    return wrong


def main() -> int:
    """One line a wheel."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, metavar="FOLDER")
    parser.add_argument("names", nargs="*", metavar="NAME")
    asked = parser.parse_args()
    rows = [row for row in read_rows() if not asked.names or row.name in asked.names]
    wrong = 0
    for row in rows:
        start = time.monotonic()
        try:
            told = differences(row, facts_of(row, asked.wheels))
        except SparksmithError as error:
            told = [f"could not be looked at: {error.message}"]
        wrong += bool(told)
        said = "; ".join(told) or f"{row.verdict}{': ' if row.rules else ''}{', '.join(row.rules)}"
        print(f"{'WRONG' if told else 'right'}  {row}: {said}  [{time.monotonic() - start:.0f} s]", flush=True)
    print(f"{len(rows) - wrong} of {len(rows)} as judged by hand")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
