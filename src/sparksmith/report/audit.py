"""An audit as text, from the record that `--json` prints: the worst first, the whole verdict last."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, TextIO

from sparksmith.base.units import format_bytes

# from bad to good, with its colour, and what is said of one package and of several
VERDICTS = {
    "will not run": ("31", "will not run", "will not run"),
    "cannot tell": ("33", "cannot be told", "cannot be told"),
    "runs with a note": ("33", "with a note", "with a note"),
    "runs": ("32", "runs", "run"),
}
ORDER = list(VERDICTS)
DECIDING = ("will not run", "cannot tell")  # told with their evidence; the others in a line, unless asked for
ALIKE = 3  # so many packages with the same finding are told together
NAMES_AT_MOST = 6
NOTES_AT_MOST = 5
LIBRARIES_AT_MOST = 8
CODE_AT_MOST = 10
LABEL = 10  # columns of "expected", "instead" and the like
Record = dict[str, Any]


def describe_audit(record: Record, *, verbose: bool = False, width: int = 80, colour: bool = False) -> Iterator[str]:
    """The lines of an audit. `verbose` shows every package; without `colour` there are no control sequences."""
    whole = verbose or record["kind"] == "wheel"
    yield from describe_target(record, width)
    for note in record["notes"]:
        yield from wrap(f"note: {printable(note)}", "", "  ", width)
    for verdict in ORDER:
        deciding = whole or verdict in DECIDING
        blocks = [*_set(record, verdict), *_packages(record, verdict, whole)]
        shown = blocks if deciding else blocks[:NOTES_AT_MOST]
        for names, findings, libraries in shown:
            if findings or libraries or names is shown[0][0]:
                yield ""
            yield from _headed(verdict, names, width, colour)
            for finding, following in zip_longest(findings, findings[1:]):
                same = following is not None and _wanted(following) == _wanted(finding)
                yield from _finding(finding, width, evidence=deciding, wanted=not same)
            yield from _libraries(libraries, width, verbose)
        if len(blocks) > len(shown):
            yield ""
            yield f"and {len(blocks) - len(shown)} more with a note"
    yield ""
    yield from _headed(record["verdict"], count(record), width, colour, "verdict: ", "; ")


def describe_target(record: Record, width: int = 80) -> list[str]:
    """What was asked about, and what it was judged against."""
    target = record["target"]
    about = (
        f"{target['title']}, compute capability {target['compute_capability']}: {target['machine']}, "
        f"glibc {target['glibc']}, Python {target['python']}, driver {target['driver']}, "
        f"CUDA {target['cuda']} ({target['cuda_of'].partition(', with driver')[0]})"
    )
    return [*wrap(printable(record["subject"]), "", "  ", width), *wrap(printable(f"for {about}"), "", "  ", width)]


def count(record: Record) -> str:
    """of 154 packages 3 will not run, 1 with a note, 150 run; nothing of a single one."""
    counts = {verdict: record["counts"][verdict] for verdict in ORDER if record["counts"][verdict]}
    total = sum(counts.values())
    if total == 1:
        return ""
    apart = ", each by itself" if next(iter(counts)) != record["verdict"] else ""
    if len(counts) == 1:
        return f"all {total} packages {_in_words(next(iter(counts)), total)}{apart}"
    parts = [f"{number} {_in_words(verdict, number)}" for verdict, number in counts.items()]
    return f"of {total} packages {', '.join(parts)}{apart}"


def _in_words(verdict: str, number: int) -> str:
    """The verdict on so many packages."""
    _, singular, plural = VERDICTS[verdict]
    return singular if number == 1 else plural


def hides_something(record: Record) -> bool:
    """Whether the text without `verbose` leaves findings or libraries out."""
    return record["kind"] != "wheel" and any(
        package["findings"] or package["libraries"] for package in record["packages"]
    )


def columns_of(stream: TextIO) -> int:
    """How wide a page on this stream should be, 40 to 100: as COLUMNS says, else a terminal's width, else 80."""
    if not stream.isatty() and not os.environ.get("COLUMNS"):
        return 80
    return min(100, max(40, shutil.get_terminal_size((80, 24)).columns))


def has_colour(stream: TextIO) -> bool:
    """Whether colours may be written there."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def paint(verdict: str, colour: bool) -> str:
    """A verdict in its colour, if there are any."""
    return f"\033[1;{VERDICTS[verdict][0]}m{verdict}\033[0m" if colour else verdict


def printable(text: str) -> str:
    """One line without what could command a terminal: file names and metadata are anybody's."""
    return "".join(character if character.isprintable() else "?" for character in text)


Block = tuple[str, list[Record], list[Record]]  # heading, findings, libraries


def _packages(record: Record, verdict: str, whole: bool) -> Iterator[Block]:
    """The packages of a verdict; those with the same finding together, unless everything is asked for."""
    alike: dict[tuple[str, ...], list[Record]] = {}
    for package in record["packages"]:
        # what is found of a package that simply runs is a detail: nobody has to do anything about it
        if package["verdict"] == verdict and (whole or verdict != "runs"):
            key = tuple(f"{each['rule']}|{each['seen']}|{each['fix']}" for each in _telling(package))
            alike.setdefault(key if key and not whole else (package["name"], package["file"]), []).append(package)
    for group in alike.values():
        for package in group if len(group) < ALIKE else ():
            findings = package["findings"] if whole else _telling(package)
            yield _name(package), findings, package["libraries"] if whole else []
        if len(group) >= ALIKE:
            names = _some([_name(package) for package in group], NAMES_AT_MOST)
            findings = [{**each, "evidence": each["evidence"][:1]} for each in _telling(group[0])]
            yield f"{len(group)} packages ({names})", findings, []


def _set(record: Record, verdict: str) -> Iterator[Block]:
    findings = [each for each in record["findings"] if each["verdict"] == verdict]
    if findings:
        yield "the packages together", findings, []


def _telling(package: Record) -> list[Record]:
    """The findings that a package has its verdict from; those that a known fault explains come first."""
    findings = [each for each in package["findings"] if each["verdict"] == package["verdict"]]
    return sorted(findings, key=lambda each: each["fault"] is None)


def _name(package: Record) -> str:
    return printable(f"{package['name']} {package['version']}".strip())


def _some(names: Sequence[str], limit: int) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def wrap(text: str, first: str, rest: str, width: int) -> list[str]:
    """Lines of at most `width` columns; a path or an address is not broken."""
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )  # fmt: skip


def _headed(verdict: str, text: str, width: int, colour: bool, before: str = "", between: str = ": ") -> list[str]:
    """A line that begins with a verdict. Lines are wrapped before they are coloured."""
    lines = wrap(f"{before}{verdict}{between if text else ''}{text}", "", "  ", width)
    lines[0] = before + paint(verdict, colour) + lines[0].removeprefix(before + verdict)
    return lines


def _wanted(finding: Record) -> tuple[str | None, ...]:
    """What would be right, and what is known of it."""
    return finding["expected"], finding["fix"], finding["fault"]


def _finding(finding: Record, width: int, *, evidence: bool, wanted: bool) -> Iterator[str]:
    """What was seen; with `evidence` where, with `wanted` what was expected and what to ask for instead."""
    yield from wrap(printable(finding["seen"]), "  ", "  ", width)
    parts = {
        "seen": [_place(each) for each in finding["evidence"]] if evidence else [],
        "expected": [finding["expected"]] if evidence and wanted else [],
        "instead": [finding["fix"]] if finding["fix"] and wanted else [],
        "known": [f"{finding['fault']}, {finding['source']}"] if finding["fault"] and evidence and wanted else [],
    }
    for label, texts in parts.items():
        for number, text in enumerate(texts):
            head = f"    {'' if number else label:<{LABEL}}"
            yield from wrap(printable(text), head, " " * len(head), width)


def _place(evidence: Record) -> str:
    """torch/lib/libtorch_cpu.so (241.1 MiB): NEEDED libcudart.so.12"""
    size = f" ({format_bytes(evidence['bytes'])})" if evidence["bytes"] is not None else ""
    return f"{evidence['file']}{size}: {evidence['what']}"


def _libraries(libraries: Iterable[Record], width: int, verbose: bool) -> Iterator[str]:
    """Those with GPU code, the largest first; of the others their number."""
    libraries = list(libraries)
    with_code = sorted((each for each in libraries if each["code"]), key=lambda each: -each["bytes"])
    if not with_code and not verbose:
        return
    shown = with_code if verbose else with_code[:LIBRARIES_AT_MOST]
    for each in shown:
        line = printable(f"{each['path']} ({format_bytes(each['bytes'])}): {each['state']}")
        yield from wrap(line, "  ", "    ", width)
        yield from wrap(_some(each["code"], len(each["code"]) if verbose else CODE_AT_MOST), "    ", "    ", width)
    if others := len(libraries) - len(shown):
        kind = ("more " if shown else "") + ("libraries" if others > 1 else "library")
        without = " without GPU code" if len(shown) == len(with_code) else ""
        yield f"  {'and ' if shown else ''}{others} {kind}{without}"
