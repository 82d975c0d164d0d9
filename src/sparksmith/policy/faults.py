"""The known faults of `faults.toml`, read and checked for contradictions when they load."""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from sparksmith.base.errors import SparksmithError, describe_problems, perhaps

FAILS, UNKNOWN, NOTE = VERDICTS = ("will not run", "cannot tell", "runs with a note")
# kind of check: its keys, and of those the ones that a row must have
KINDS: dict[str, tuple[dict[str, type], set[str]]] = {
    "versions": ({"packages": dict, "plain": bool, "machine": str}, {"packages"}),
    "finding": ({"rule": str, "packages": list}, {"rule"}),
    "resolution": ({"platforms": list}, {"platforms"}),
    "text": ({}, set()),
}
# the rules of the audit that a row may speak of; packages/ has a test that it knows no others
RULES = (
    "tag", "python", "machine", "glibc", "source", "problem",
    "cuda-major", "cuda-name", "cuda-newer", "cpu-build", "cuda-library-major", "cuda-library-minor",
    "device-code", "ptx-only", "ptx-isa", "ptxas",
    "cuda-majors", "cuda-unused", "torch-missing", "library-missing", "bounds", "fallback", "known",
)  # fmt: skip
KEYS = {
    "id": str, "title": str, "sees": list, "detect": dict, "verdict": str, "harmless": bool, "fix": str, "ask": list,
    "command": str, "source": list, "date": datetime.date, "verified": str, "seen_in": list,
}  # fmt: skip
OPTIONAL = {"ask", "command"}
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
CLAUSE = r"\s*(===|==|!=|<=|>=|~=|<|>)\s*[\w.*+!-]+\s*"
SPECIFIER = re.compile(f"{CLAUSE}(,{CLAUSE})*")


@dataclass(frozen=True)
class Fault:
    """One row. `detect` has `kind` and that kind's keys; `ask` are requirements to ask for instead."""

    id: str
    title: str
    sees: tuple[str, ...]
    detect: Mapping[str, Any]
    verdict: str
    harmless: bool
    fix: str
    source: tuple[str, ...]
    date: str
    verified: str
    seen_in: tuple[str, ...]
    ask: tuple[str, ...] = ()
    command: str | None = None

    @property
    def kind(self) -> str:
        """Which kind of check finds it out."""
        return str(self.detect["kind"])

    @property
    def mend(self) -> str:
        """The fix in one line, with the requirements to ask for."""
        return f"{self.fix} ({' '.join(self.ask)})" if self.ask else self.fix


@cache
def load_faults() -> tuple[Fault, ...]:
    """The shipped rows. Raises `SparksmithError` naming every contradiction."""
    return parse_faults((files("sparksmith.policy") / "faults.toml").read_text(encoding="utf-8"))


def parse_faults(text: str) -> tuple[Fault, ...]:
    """Rows from TOML. Raises `SparksmithError` naming every contradiction."""
    rows = tomllib.loads(text).get("faults", [])
    if problems := check_rows(rows):
        raise SparksmithError(describe_problems("the known faults contradict themselves:", problems))
    return tuple(
        Fault(
            **{
                **row,
                **{key: tuple(row[key]) for key in ("sees", "source", "seen_in")},
                "ask": tuple(row.get("ask", ())),
                "date": row["date"].isoformat(),
            }
        )
        for row in rows
    )


def find_by_text(text: str, faults: tuple[Fault, ...]) -> list[Fault]:
    """The faults of which a line is in `text`, those with the longest match first; case and spacing do not matter."""
    seen = _squeeze(text)
    lengths = [max((len(line) for line in fault.sees if _squeeze(line) in seen), default=0) for fault in faults]
    matches = sorted(zip(lengths, faults, strict=True), key=lambda match: -match[0])
    return [fault for length, fault in matches if length]


def check_rows(rows: list[dict[str, Any]]) -> list[str]:
    """What is wrong with the rows, in words: unknown and missing keys, wrong types, what contradicts itself."""
    problems = []
    seen: set[str] = set()
    for number, row in enumerate(rows, 1):
        name = str(row.get("id", f"row {number}"))
        problems += [f"{name}: {problem}" for problem in _check_row(row)]
        if name in seen:
            problems.append(f"{name}: twice")
        seen.add(name)
    return problems


def _check_row(row: dict[str, Any]) -> list[str]:
    problems = [f"{key} is not a key{perhaps(key, KEYS)}" for key in row if key not in KEYS]
    problems += [f"{key} is missing" for key in KEYS if key not in row and key not in OPTIONAL]
    problems += [
        f"{key} is a {type(row[key]).__name__}, expected {kind.__name__}"
        for key, kind in KEYS.items()
        if key in row and not isinstance(row[key], kind)
    ]
    if problems:
        return problems
    problems += _check_detect(row["detect"])
    if not NAME.fullmatch(row["id"]):
        problems.append("the id is lower case words and dashes")
    if row["verdict"] not in VERDICTS:
        problems.append(f"verdict {row['verdict']!r}: expected one of {', '.join(VERDICTS)}")
    if row["harmless"] and row["verdict"] != NOTE:
        problems.append("harmless, and yet it will not run")
    problems += [f"{key} is empty" for key in ("title", "fix", "verified", "source") if not row[key]]
    if row["detect"].get("kind") == "text" and not row["sees"]:
        problems.append("only its text tells, and there is none")
    problems += [
        f"{key} holds something that is no text"
        for key in ("sees", "source", "seen_in", "ask")
        if not all(isinstance(each, str) and each.strip() for each in row.get(key, []))
    ]
    return problems


def _check_detect(detect: dict[str, Any]) -> list[str]:
    kind = detect.get("kind")
    if kind not in KINDS:
        return [f"detect.kind {kind!r} is not one of {', '.join(KINDS)}"]
    keys, required = KINDS[kind]
    problems = [f"detect.{key} is no key of {kind}" for key in detect if key != "kind" and key not in keys]
    problems += [f"detect.{key} is missing" for key in sorted(required) if not detect.get(key)]
    problems += [
        f"detect.{key} is a {type(detect[key]).__name__}, expected {expected.__name__}"
        for key, expected in keys.items()
        if key in detect and not isinstance(detect[key], expected)
    ]
    if problems:
        return problems
    if kind == "finding" and detect["rule"] not in RULES:
        problems.append(f"detect.rule {detect['rule']} is no rule of the audit{perhaps(detect['rule'], RULES)}")
    packages = detect.get("packages", {})
    problems += [f"the package {name} is not spelled as an index does" for name in packages if not NAME.fullmatch(name)]
    if kind == "versions":
        problems += [
            f"{name} {versions!r} is no version specifier"
            for name, versions in packages.items()
            if not isinstance(versions, str) or not SPECIFIER.fullmatch(versions)
        ]
    return problems


def _squeeze(text: str) -> str:
    return " ".join(text.lower().split())
