"""The known faults of `faults/*.toml`, one file a subject, read together and checked for contradictions.

A row:

    id          lower case words and dashes; also its anchor in docs/reference/faults.md
    title       one line
    sees        what a user sees, in words or as printed, where that alone does not prove the fault
    patterns    texts that do: `doctor/explain.py` recognises them. A text of one line, case and runs of spaces do not
                matter, `…` is a gap within the line; or a table of
                  text    the same; or
                  line    a whole line as it stands, case included, for words that prove nothing inside of another
                  near    what must stand in the lines around it
                  unless  texts of which none may stand there: then it is something else
    detected    one sentence: how the fault is found out
    detect      what the audit does to find it: `kind` and that kind's own keys
                  versions    all of `packages` (name -> version specifier) are in a set; `plain` looks only at versions
                              without a +label; `machine` at one architecture
                  finding     the audit's own rule `rule` fired for one of `packages` (all, if there are none)
                  resolution  packages were resolved for one of `platforms` (as uv spells them)
    verdict     the audit's: "will not run", "cannot tell", "runs with a note", or "runs" for a detail that is of no
                interest on a target, all of which have GPUs
    severity    the doctor's: "fails", "warns" or "harmless" (nothing has to be done: told when asked)
    seen_in     "machine", "message", "asked" (environment variables and the project's files, when asked for), "deep"
                (torch is tried out)
    fix         words; `command` is typed (a word in CAPITALS is filled in); `ask`: requirements to ask for instead
    safe        true: loses nothing, needs no judgement, and may be applied without asking
    source      where it is known from; `date`: when that was read, measured or looked over
    known       "measured" here, "documented" by who makes it, "reported" by users; `verified`: where it was seen
    met_by      projects and guides whose users met it
    guides      headings of the older guides that it answers, as FILE#ANCHOR
    before      faults that it causes: where both are recognised, this one comes first
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from typing import Any

from sparksmith.base.errors import SparksmithError, describe_problems, perhaps

FAILS, UNKNOWN, NOTE, DETAIL = VERDICTS = ("will not run", "cannot tell", "runs with a note", "runs")
SEVERITIES = ("fails", "warns", "harmless")
PLACES = ("machine", "message", "asked", "deep")
KNOWN = ("measured", "documented", "reported")
GAP = "…"
# kind of check: its keys, and of those the ones that a row must have
KINDS: dict[str, tuple[dict[str, type], set[str]]] = {
    "versions": ({"packages": dict, "plain": bool, "machine": str}, {"packages"}),
    "finding": ({"rule": str, "packages": list}, {"rule"}),
    "resolution": ({"platforms": list}, {"platforms"}),
}
# the rules of the audit that a row may speak of; packages/ has a test that it knows no others
RULES = (
    "tag", "python", "machine", "glibc", "source", "problem",
    "cuda-major", "cuda-name", "cuda-newer", "cpu-build", "cuda-library-major", "cuda-library-minor",
    "device-code", "ptx-only", "ptx-isa", "ptxas", "amd", "at-use",
    "cuda-majors", "cuda-unused", "torch-missing", "library-missing", "bounds", "fallback", "resolved-for", "known",
)  # fmt: skip
KEYS = {
    "id": str, "title": str, "sees": list, "patterns": list, "detected": str, "detect": dict, "verdict": str,
    "severity": str, "seen_in": list, "fix": str, "command": str, "ask": list, "safe": bool, "source": list,
    "date": datetime.date, "known": str, "verified": str, "met_by": list, "guides": list, "before": list,
}  # fmt: skip
OPTIONAL = {"sees", "patterns", "detect", "verdict", "command", "ask", "met_by", "guides", "before"}
TEXTS = ("sees", "source", "seen_in", "ask", "met_by", "guides", "before")  # lists of plain text
PATTERN_KEYS = {"text", "line", "near", "unless"}
# Characters of a pattern's pieces: a whole line tells more than the same words somewhere.
SHORTEST_PIECE, LEAST_TELLING, LEAST_TELLING_LINE = 3, 12, 6
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
GUIDE = re.compile(r"[\w-]+\.md#[\w-]+")
CLAUSE = r"\s*(===|==|!=|<=|>=|~=|<|>)\s*[\w.*+!-]+\s*"
SPECIFIER = re.compile(f"{CLAUSE}(,{CLAUSE})*")


@dataclass(frozen=True)
class Pattern:
    """A text that proves a fault, or a line that does where it is `whole`; `…` in it is a gap. `near` must stand in the
    lines around it, and nothing of `unless` may."""

    text: str
    near: str | None = None
    unless: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True)
class Fault:
    """One row, as the module's docstring explains it; `subject` is the file it stands in."""

    id: str
    title: str
    detected: str
    severity: str
    seen_in: tuple[str, ...]
    fix: str
    safe: bool
    source: tuple[str, ...]
    date: str
    known: str
    verified: str
    subject: str = ""
    sees: tuple[str, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    detect: Mapping[str, Any] = field(default_factory=dict)
    verdict: str = ""
    command: str | None = None
    ask: tuple[str, ...] = ()
    met_by: tuple[str, ...] = ()
    guides: tuple[str, ...] = ()
    before: tuple[str, ...] = ()

    @property
    def kind(self) -> str | None:
        """Which of the audit's kinds of check finds it out, if one does."""
        return self.detect.get("kind")

    @property
    def harmless(self) -> bool:
        """What is seen can be ignored."""
        return self.severity == "harmless"

    @property
    def mend(self) -> str:
        """The fix in one line, with the requirements to ask for."""
        more = [each for each in self.ask if each not in self.fix]
        return f"{self.fix} ({' '.join(more)})" if more else self.fix


@cache
def load_faults() -> tuple[Fault, ...]:
    """The shipped rows, file by file. Raises `SparksmithError` naming every contradiction."""
    return parse_faults(read_subjects())


def read_subjects() -> dict[str, str]:
    """The TOML text of each subject, by its name."""
    folder = files("sparksmith.policy") / "faults"
    found = {each.name: each.read_text(encoding="utf-8") for each in folder.iterdir() if each.name.endswith(".toml")}
    return {name.removesuffix(".toml"): found[name] for name in sorted(found)}


def parse_faults(subjects: Mapping[str, str]) -> tuple[Fault, ...]:
    """Rows from TOML, by subject. Raises `SparksmithError` naming every contradiction."""
    rows = [(subject, row) for subject, text in subjects.items() for row in tomllib.loads(text).get("faults", [])]
    if problems := check_rows([row for _, row in rows]):
        raise SparksmithError(describe_problems("the known faults contradict themselves:", problems))
    return tuple(_make_fault(subject, row) for subject, row in rows)


def check_rows(rows: list[dict[str, Any]]) -> list[str]:
    """What is wrong with the rows, in words: unknown and missing keys, wrong types, what contradicts itself."""
    problems = []
    seen: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(rows, 1):
        name = str(row.get("id", f"row {number}"))
        problems += [f"{name}: {problem}" for problem in _check_row(row)]
        if name in seen:
            problems.append(f"{name}: twice")
        seen[name] = row
    return problems or _check_before(seen)


def _make_fault(subject: str, row: dict[str, Any]) -> Fault:
    return Fault(
        **{
            **row,
            **{key: tuple(row[key]) for key in TEXTS if key in row},
            "patterns": tuple(map(_make_pattern, row.get("patterns", ()))),
            "date": row["date"].isoformat(),
            "subject": subject,
        }
    )


def _make_pattern(each: str | dict[str, Any]) -> Pattern:
    table = {"text": each} if isinstance(each, str) else each
    text = table.get("text") or table["line"]
    return Pattern(text, table.get("near"), tuple(table.get("unless", ())), "line" in table)


def _check_row(row: dict[str, Any]) -> list[str]:
    problems = _check_keys(row, KEYS, KEYS.keys() - OPTIONAL)
    if problems:
        return problems
    if not NAME.fullmatch(row["id"]):
        problems.append("the id is lower case words and dashes")
    problems += [
        f"{key} holds something that is no text"
        for key in TEXTS
        if not all(isinstance(each, str) and each.strip() for each in row.get(key, []))
    ]
    if problems:
        return problems
    problems += [f"{key} is empty" for key in KEYS if isinstance(row.get(key), (str, list)) and not row[key]]
    problems += [
        f"{key} {row[key]!r}: expected one of {', '.join(choices)}"
        for key, choices in (("verdict", VERDICTS), ("severity", SEVERITIES), ("known", KNOWN))
        if key in row and row[key] not in choices
    ]
    problems += [f"seen_in {each!r}: expected {', '.join(PLACES)}" for each in row["seen_in"] if each not in PLACES]
    problems += [f"guides {each!r}: expected FILE.md#ANCHOR" for each in row.get("guides", []) if not GUIDE.match(each)]
    return [*problems, *_check_detect(row.get("detect")), *_check_patterns(row.get("patterns", [])), *_contradict(row)]


def _check_keys(
    row: dict[str, Any], kinds: Mapping[str, type], required: Collection[str], where: str = ""
) -> list[str]:
    """Keys that are unknown, missing, or of another type; `where` stands before a key's name."""
    problems = [f"{where}{key} is not a key{perhaps(key, kinds)}" for key in row if key not in kinds]
    problems += [f"{where}{key} is missing" for key in kinds if key in required and key not in row]
    problems += [
        f"{where}{key} is a {type(row[key]).__name__}, expected {kind.__name__}"
        for key, kind in kinds.items()
        if key in row and not isinstance(row[key], kind)
    ]
    return problems


def _contradict(row: dict[str, Any]) -> Iterator[str]:
    harmless = row["severity"] == "harmless"
    if ("detect" in row) != ("verdict" in row):
        yield "detect and verdict are the audit's: both or neither"
    if harmless and row.get("verdict", NOTE) != NOTE:
        yield "harmless, and yet it will not run"
    if row.get("verdict") == FAILS and row["severity"] != "fails":
        yield f"it will not run, and yet it only {row['severity']}"
    if not harmless and "command" not in row:
        yield "command is missing: what is to be typed"
    if row["safe"] and "command" not in row:
        yield "safe to apply, and there is no command"
    if not row.get("sees") and not row.get("patterns"):
        yield "nothing says what a user sees (sees or patterns)"
    if ("message" in row["seen_in"]) != bool(row.get("patterns")):
        yield "seen in a message means that it has patterns, and the other way round"


def _check_patterns(patterns: list[Any]) -> list[str]:
    problems = []
    for each in patterns:
        table = {"text": each} if isinstance(each, str) else each
        if (
            not isinstance(table, dict)
            or len({"text", "line"} & set(table)) != 1
            or not set(table) <= PATTERN_KEYS
            or not isinstance(table.get("unless", []), list)
        ):
            problems.append(f"pattern {each!r}: expected a text, or a table of text or line, near and unless")
            continue
        texts = [*table.get("unless", []), *(value for key, value in table.items() if key != "unless")]
        if not all(isinstance(text, str) and text.strip() and "\n" not in text for text in texts):
            problems.append(f"pattern {each!r}: expected texts of one line")
            continue
        lengths = [len(piece.strip()) for piece in (table.get("text") or table["line"]).split(GAP)]
        if "text" in table and min(lengths) < SHORTEST_PIECE:
            problems.append(f"pattern {each!r}: a piece of fewer than {SHORTEST_PIECE} characters")
        elif "text" in table and max(lengths) < LEAST_TELLING:
            problems.append(f"pattern {each!r}: no piece has {LEAST_TELLING} characters, so it would match too much")
        elif "line" in table and max(lengths) < LEAST_TELLING_LINE:
            problems.append(f"pattern {each!r}: no piece of the line has {LEAST_TELLING_LINE} characters")
    return problems


def _check_before(rows: Mapping[str, dict[str, Any]]) -> list[str]:
    problems = [
        f"{name}: before {other!r}, which is no fault{perhaps(other, rows)}"
        for name, row in rows.items()
        for other in row.get("before", [])
        if other not in rows
    ]
    try:
        TopologicalSorter({name: row.get("before", []) for name, row in rows.items()}).prepare()
    except CycleError as error:
        problems.append(f"each is before the next: {', '.join(error.args[1])}")
    return problems


def _check_detect(detect: dict[str, Any] | None) -> list[str]:
    if detect is None:
        return []
    kind = detect.get("kind")
    if kind not in KINDS:
        return [f"detect.kind {kind!r} is not one of {', '.join(KINDS)}"]
    keys, required = KINDS[kind]
    problems = _check_keys(detect, {"kind": str, **keys}, required, "detect.")
    problems += [f"detect.{key} is empty" for key in sorted(required) if key in detect and not detect[key]]
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
