"""Where things lie in a run's folder.

manifest.json     what this run is: identity, versions, machine, state
recipe.yaml       the recipe as it was given, secrets redacted
settings.json     the recipe and the flags resolved       plan.json   what the Job does
events.jsonl      what happened, one line each            metrics.jsonl   the curves
evaluation.json   the last evaluation's scores            predictions.jsonl   its predictions
data.json         what was seen of the data: lengths, duplicates, conflicts, overlap, characters
untrained.json    what the untrained model predicted, for a resume
report.html       the run's page
base/             the model that an adapter stands on, where it was made here
checkpoint-N/     plain Transformers or PEFT folders
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from sparksmith.base.errors import SparksmithError

CHECKPOINT = re.compile(r"^checkpoint-(\d+)$")
MARKERS = ("manifest.json", "plan.json")
FOLDERS_LOOKED_AT = 200  # in one folder, where runs are looked for to be named
RUNS_NAMED = 8


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run. Nothing here says that they exist."""

    path: Path

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.json"

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.yaml"

    @property
    def settings(self) -> Path:
        return self.path / "settings.json"

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def evaluation(self) -> Path:
        return self.path / "evaluation.json"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.jsonl"

    @property
    def data(self) -> Path:
        return self.path / "data.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def base(self) -> Path:
        return self.path / "base"

    def is_run(self) -> bool:
        """Whether a run stands here, begun or finished."""
        return any((self.path / name).is_file() for name in MARKERS)


def absolute(name: str) -> Path:
    """A path as records keep it: from the root on, without `..`; links stay unless `..` stands behind them."""
    path = Path(name).expanduser().absolute()
    return path.resolve() if ".." in path.parts else path


def choose_folder(pattern: str, *, resume: bool) -> RunFolder:
    """The folder that `output_dir` names: `{n}` becomes the first free number, or the last used one for a resume."""
    if "{n}" not in pattern:
        return RunFolder(absolute(pattern))
    if resume and (used := _used_folders(pattern)):
        return used[-1]
    number = 1
    while RunFolder(_numbered(pattern, number)).is_run():
        number += 1
    return RunFolder(_numbered(pattern, number))


def _used_folders(pattern: str) -> list[RunFolder]:
    """The runs that a pattern with `{n}` names, the one that was written to last at the end."""
    path = absolute(pattern)
    above = next(folder for folder in reversed([path, *path.parents]) if "{n}" in folder.name)
    shape = re.compile(re.escape(above.name).replace(re.escape("{n}"), r"(\d+)"))
    names = [entry.name for entry in above.parent.iterdir()] if above.parent.is_dir() else []
    numbers = sorted({int(match[1]) for name in names if (match := shape.fullmatch(name))})
    runs = [folder for number in numbers if (folder := RunFolder(_numbered(pattern, number))).is_run()]
    return sorted(
        runs,
        key=lambda run: max((run.path / name).stat().st_mtime_ns for name in MARKERS if (run.path / name).is_file()),
    )


def _numbered(pattern: str, number: int) -> Path:
    return absolute(pattern.replace("{n}", str(number)))


def find_run(name: str) -> RunFolder:
    """The run in a folder that a user names, or that a checkpoint of it lies in. Raises `SparksmithError`."""
    path = absolute(name)
    if not path.exists():
        raise SparksmithError(
            f"{name} does not exist", f"RUN is the folder that train printed; {name_runs(path.parent)}"
        )
    for folder in (path, path.parent):
        if folder.is_dir() and RunFolder(folder).is_run():
            return RunFolder(folder)
    if runs_below(path):
        raise SparksmithError(f"{name} is no run, but holds some", name_runs(path))
    raise SparksmithError(f"{name} is no run: it has no manifest.json and no plan.json", name_runs(path.parent))


def runs_below(folder: Path, depth: int = 2) -> list[Path]:
    """The folders of runs in a folder, those in folders of its folders too; links are not followed."""
    found: list[Path] = []
    try:
        inner = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink())
    except OSError:
        return []
    for entry in inner[:FOLDERS_LOOKED_AT]:
        if RunFolder(entry).is_run():
            found.append(entry)
        if depth > 1 and not entry.name.startswith(".") and not CHECKPOINT.match(entry.name):
            found += runs_below(entry, depth - 1)
    return found


def name_runs(folder: Path) -> str:
    """The runs in a folder, as a hint names them; where there is none, how all are listed and one is made."""
    found = runs_below(folder)
    here = Path.cwd()
    names = [shlex.quote(str(run.relative_to(here) if run.is_relative_to(here) else run)) for run in found]
    if not names:
        return "sparksmith runs lists all runs; sparksmith train g2p-hebrew makes one"
    more = " ..." if len(names) > RUNS_NAMED else ""
    return ("a run: " if len(names) == 1 else "runs: ") + ", ".join(names[:RUNS_NAMED]) + more
