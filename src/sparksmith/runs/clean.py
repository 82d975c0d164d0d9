"""What may be deleted of a run: only what bears its mark."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import read_json
from sparksmith.runs.checkpoints import checkpoint_folders, leftovers, read_seal
from sparksmith.runs.layout import RunFolder

FILES = (
    "manifest.json", "recipe.yaml", "settings.json", "plan.json", "events.jsonl", "metrics.jsonl", "evaluation.json",
    "predictions.jsonl", "untrained.json", "data.json", "report.html", "job.log", "stop.json", ".lock",
)  # fmt: skip
# a record, or the beginning of one beside it, of a process that was killed while it wrote
OWN = re.compile(rf"(?:{'|'.join(map(re.escape, FILES))})|\.(?:{'|'.join(map(re.escape, FILES))})\.[a-z0-9_]{{8}}")


def own_paths(folder: RunFolder) -> list[Path]:
    """What Sparksmith wrote into a run's folder: its records, its sealed checkpoints, its base model, leftovers.

    A checkpoint without our manifest, and any other file, is somebody else's.
    """
    if not bears_mark(folder):
        return []
    found = [path for path in sorted(folder.path.iterdir()) if OWN.fullmatch(path.name) and path.is_file()]
    found += [path for path in checkpoint_folders(folder.path) if read_seal(path)]
    found += leftovers(folder.path)
    if (folder.base / "config.json").is_file() and _made_base(folder):
        found.append(folder.base)
    return found


def bears_mark(folder: RunFolder) -> bool:
    """Whether the manifest.json in a folder is one of ours; other tools call files so too."""
    try:
        manifest = read_json(folder.manifest)
    except SparksmithError:
        return False
    return isinstance(manifest, dict) and {"version", "run", "sparksmith", "state"} <= set(manifest)


def _made_base(folder: RunFolder) -> bool:
    """Whether the run's base model was made here: for an adapter on `tiny`."""
    try:
        plan = read_json(folder.plan)
    except SparksmithError:
        return False
    return isinstance(plan, dict) and plan.get("model") == "tiny"


def size_of(path: Path) -> int:
    """Bytes of a file or of everything in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file() and not entry.is_symlink())


def delete(paths: list[Path]) -> None:
    """Delete them, the manifest last, so that a deletion which is cut off can be begun again."""
    for path in sorted(paths, key=lambda path: path.name == "manifest.json"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
