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
from dataclasses import dataclass
from pathlib import Path

from sparksmith.base.errors import SparksmithError

CHECKPOINT = re.compile(r"^checkpoint-(\d+)$")
MARKERS = ("manifest.json", "plan.json")


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

    def checkpoints(self) -> list[Path]:
        """The checkpoint folders, oldest first."""
        if not self.path.is_dir():
            return []
        found = [(int(match[1]), entry) for entry in self.path.iterdir() if (match := CHECKPOINT.match(entry.name))]
        return [entry for _, entry in sorted(found)]


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
            f"{name} does not exist",
            f"a run is the folder that train printed; in {path.parent}: {_neighbours(path.parent)}",
        )
    for folder in (path, path.parent):
        if folder.is_dir() and RunFolder(folder).is_run():
            return RunFolder(folder)
    raise SparksmithError(f"{name} is no run: it has no manifest.json and no plan.json", "sparksmith train --help")


def _neighbours(folder: Path) -> str:
    if not folder.is_dir():
        return "no such folder"
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return ", ".join(names[:8]) + (" ..." if len(names) > 8 else "") if names else "no folders"
