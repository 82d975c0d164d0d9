"""What `doctor --fix` applies by itself: the faults that faults.toml marks as safe, and nothing else.

A fix edits files under the root, or runs one command on the running machine. An edit is atomic, and the old file is
kept beside it; a command that needs rights which we lack, or is for a copy of a machine, is shown and not run.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sparksmith.base.command import Answer, ask
from sparksmith.doctor.config_text import uncomment
from sparksmith.doctor.finding import Finding
from sparksmith.doctor.gather import Gathered
from sparksmith.doctor.marks import parse_asks
from sparksmith.machine.python_env import printable
from sparksmith.machine.root import Root

KEPT = "before-sparksmith"  # what the name of a file's old copy ends with
LARGEST_BYTES = 2**20
# UV_SYNC=1 is left alone: it was meant as uv does by itself, and UV_NO_SYNC=1 is the opposite.
MISSPELT = re.compile(r"\bUV_SYNC([\"']?\s*[=:]\s*|[ \t]+)([\"']?)(?:0|false|no)\2(?![\w.])")
CORRECT = r"UV_NO_SYNC\g<1>\g<2>1\g<2>"
PLACE = re.compile(r"(?P<file>/.*):(?P<line>\d+)")
COMMAND_SECONDS = 600.0  # compiling an environment takes half a minute on a fast machine

State = Literal["done", "would", "left", "failed"]


@dataclass(frozen=True)
class Edit:
    """What a file of the machine becomes: the text that stands there now, and the new one."""

    path: str
    before: str
    after: str

    def changes(self) -> list[tuple[str, str]]:
        """The lines that differ."""
        pairs = zip(self.before.split("\n"), self.after.split("\n"), strict=True)
        return [(old.strip(), new.strip()) for old, new in pairs if old != new]


@dataclass(frozen=True)
class Fix:
    """For one finding: files to edit, or a command to run, as root where `as_root`. `left` is what the user has to do
    in any case: typed in a shell, or done to a file that is left alone."""

    finding: Finding
    edits: tuple[Edit, ...] = ()
    command: tuple[str, ...] = ()
    as_root: bool = False
    left: str = ""


@dataclass(frozen=True)
class Applied:
    """What became of a part of a fix, in words."""

    fault: str
    state: State
    text: str


def plan_fixes(gathered: Gathered, findings: Iterable[Finding]) -> list[Fix]:
    """What can be applied of what was found; reads the files to be edited."""
    root = Root(gathered.root)
    fixes: list[Fix] = []
    for finding in findings:
        if finding.fault.safe:
            fix = FIXES[finding.fault.id](gathered, root, finding)
            known = {root.resolve(edit.path) for other in fixes for edit in other.edits}
            fix = replace(fix, edits=tuple(edit for edit in fix.edits if root.resolve(edit.path) not in known))
            if fix.edits or fix.command or fix.left:
                fixes.append(fix)
    return fixes


def describe_fix(fix: Fix, *, live: bool, root_user: bool) -> list[Applied]:
    """What `apply_fix` would do."""
    told = [
        Applied(fix.finding.fault.id, "would", f"{edit.path}: {old} becomes {new}")
        for edit in fix.edits
        for old, new in edit.changes()
    ]
    if fix.command:
        runs = live and (root_user or not fix.as_root)
        told.append(Applied(fix.finding.fault.id, "would" if runs else "left", _typed(fix)))
    if fix.left:
        told.append(Applied(fix.finding.fault.id, "left", fix.left))
    return told


def apply_fix(
    fix: Fix, folder: Path, *, live: bool, root_user: bool, run: Callable[..., Answer] = ask
) -> list[Applied]:
    """Do it below `folder`, the machine's root. Where it is not `live`, a copy, no command is run."""
    told = [_edit(fix, edit, Root(folder)) for edit in fix.edits]
    if fix.command:
        told.append(_run(fix, run) if live and (root_user or not fix.as_root) else _left(fix, _typed(fix)))
    if fix.left:
        told.append(_left(fix, fix.left))
    return told


def _edit(fix: Fix, edit: Edit, root: Root) -> Applied:
    fault, shown = fix.finding.fault.id, printable(edit.path)
    try:
        file = root.place(edit.path)
        file = file.resolve() if root.live else file
        if file.read_bytes() != edit.before.encode():
            return Applied(fault, "failed", f"{shown} was changed meanwhile, and is left alone")
        kept = _keep(file)
        _replace(file, edit.after)
    except OSError as error:
        return Applied(fault, "failed", f"{shown} cannot be edited: {error.strerror or error}")
    return Applied(fault, "done", f"{shown}: UV_NO_SYNC=1 is written there; the old file is {kept.name} beside it")


def _keep(file: Path) -> Path:
    """A copy beside, under a name that is free."""
    for number in range(1, 1000):
        kept = file.with_name(f"{file.name}.{KEPT}{f'-{number}' if number > 1 else ''}")
        with contextlib.suppress(FileExistsError):
            os.close(os.open(kept, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            shutil.copy2(file, kept)
            return kept
    raise OSError(f"there are already 999 copies of {file.name}")


def _replace(file: Path, text: str) -> None:
    """Write beside and rename into place, with the mode that the file had."""
    descriptor, beside = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(text.encode())
            opened.flush()
            os.fsync(opened.fileno())
        shutil.copymode(file, beside)
        Path(beside).replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(beside).unlink()
        raise


def _run(fix: Fix, run: Callable[..., Answer]) -> Applied:
    answer = run(fix.command, timeout_seconds=COMMAND_SECONDS)
    if answer.ok:
        return Applied(fix.finding.fault.id, "done", shlex.join(fix.command))
    said = printable((answer.stderr.strip() or answer.stdout.strip()).split("\n")[-1])[:200]
    why = f"exit {answer.code}" if answer.code is not None else "it could not be run"
    return Applied(fix.finding.fault.id, "failed", f"{shlex.join(fix.command)}: {why}{f': {said}' if said else ''}")


def _left(fix: Fix, text: str) -> Applied:
    return Applied(fix.finding.fault.id, "left", text)


def _typed(fix: Fix) -> str:
    return f"{'sudo ' if fix.as_root else ''}{shlex.join(fix.command)}"


def _drop_caches(gathered: Gathered, root: Root, finding: Finding) -> Fix:
    return Fix(finding, command=("sh", "-c", "sync; echo 3 > /proc/sys/vm/drop_caches"), as_root=True)


def _compact_memory(gathered: Gathered, root: Root, finding: Finding) -> Fix:
    return Fix(finding, command=("sh", "-c", "echo 1 > /proc/sys/vm/compact_memory"), as_root=True)


def _compile_byte_code(gathered: Gathered, root: Root, finding: Finding) -> Fix:
    """Of the system's Python nothing is compiled: that is its packages' business."""
    place = gathered.place
    if place is None or place.path == "/":
        return Fix(finding, left=finding.command or finding.fault.command or "")
    return Fix(finding, command=(f"{place.path}/bin/python", "-m", "compileall", "-q", f"{place.path}/lib"))


def _correct_uv_sync(gathered: Gathered, root: Root, finding: Finding) -> Fix:
    """In the lines that the finding names, and nowhere else; what a shell has set no file can undo."""
    edits, left = [], []
    places = [match for each in finding.evidence if (match := PLACE.fullmatch(each))]
    for path in dict.fromkeys(match["file"] for match in places):
        lines = {int(match["line"]) for match in places if match["file"] == path}
        text, why = _read_editable(root, path)
        after = _correct_lines(path, text, lines) if text is not None else None
        if text is None or after is None:
            left.append(f"look at UV_SYNC in {printable(path)}{why}")
        else:
            edits.append(Edit(path, text, after))
    if not places:
        left.append("unset UV_SYNC; export UV_NO_SYNC=1")
    return Fix(finding, edits=tuple(edits), left="; ".join(left))


def _correct_lines(path: str, text: str, wanted: set[int]) -> str | None:
    """The text with what these lines set corrected, their comments left alone; None where one of them is not wrong, or
    would be still."""
    lines = text.split("\n")
    wrong = {ask.line for ask in parse_asks(path, text).asks if ask.mark == "UV_SYNC"}
    if not wanted <= wrong:
        return None
    for number in wanted:
        line = lines[number - 1]
        code = uncomment(line)
        lines[number - 1] = MISSPELT.sub(CORRECT, code) + line[len(code) :]
    after = "\n".join(lines)
    left = {ask.line for ask in parse_asks(path, after).asks if ask.mark == "UV_SYNC"}
    return after if left == wrong - wanted else None


def _read_editable(root: Root, path: str) -> tuple[str | None, str]:
    """A file that can be edited: all of it, and text; and why not, where that is somebody's will."""
    try:
        file = root.place(path)
        state = file.stat()
        if not file.is_file() or state.st_size > LARGEST_BYTES:
            return None, ""
        if not state.st_mode & 0o222:
            return None, ", which is read-only"
        return file.read_bytes().decode(), ""
    except (OSError, ValueError):
        return None, ""


# One line registers what a safe fault's fix does; a test compares with faults.toml.
FIXES: Mapping[str, Callable[[Gathered, Root, Finding], Fix]] = {
    "page-cache-full": _drop_caches,
    "memory-fragmented": _compact_memory,
    "byte-code-not-kept": _compile_byte_code,
    "uv-sync-misspelt": _correct_uv_sync,
}
