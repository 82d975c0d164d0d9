"""What of a run's records cannot be read, and what can still be done without it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from sparksmith.base.errors import SparksmithError
from sparksmith.runs.checkpoints import SEAL, checkpoint_folders, find_faults, find_plain_faults, whole_checkpoints
from sparksmith.runs.layout import RunFolder


def find_damage(folder: RunFolder) -> list[str]:
    """What is damaged in a run's folder, one line each. Of checkpoints the sizes are looked at, not every byte."""
    found = []
    for path in (folder.manifest, folder.plan, folder.settings):
        if not path.is_file():
            found.append(f"{path.name} is missing")
        elif not _is_object(path):
            found.append(f"{path.name} cannot be read: it is cut off or not JSON")
    for path in (folder.data, folder.evaluation):
        if path.is_file() and not _is_object(path):
            found.append(f"{path.name} cannot be read: it is cut off or not JSON")
    for path in (folder.events, folder.metrics, folder.predictions):
        if numbers := _bad_lines(path):
            shown = ", ".join(map(str, numbers[:5])) + (" ..." if len(numbers) > 5 else "")
            found.append(f"{path.name} is not JSON in line{'s' if len(numbers) > 1 else ''} {shown}")
    bases = [folder.base] if (folder.base / SEAL).exists() else []
    for path in [*bases, *checkpoint_folders(folder.path)]:
        sealed = (path / SEAL).is_file()
        faults = find_faults(path, hashes=False) if sealed else find_plain_faults(path)
        if faults:
            more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
            found.append(f"{path.name}: {faults[0]}{more}")
    return found


def check_base(folder: RunFolder) -> None:
    """Raises `SparksmithError` where the model that a run made for its adapter is not what was saved, byte by byte.

    One without a manifest cannot be checked.
    """
    if not (folder.base / SEAL).exists():
        return
    faults = find_faults(folder.base, hashes=True)
    if faults:
        more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        run, base = (shlex.quote(str(path)) for path in (folder.path, folder.base))
        raise SparksmithError(
            f"the model in {folder.base}, which the run's adapter stands on, is not whole: {faults[0]}{more}",
            f"a resume makes it again: rm -r {base}; sparksmith train --output_dir {run} --resume_from_checkpoint",
        )


def what_is_left(folder: RunFolder) -> str | None:
    """What to type where a run cannot go on as its plan or settings are damaged; None where they are not."""
    settings_are_fine = _is_object(folder.settings) or not folder.settings.exists()
    if _is_object(folder.plan) and settings_are_fine:
        return None
    whole = whole_checkpoints(folder.path)
    if not whole:
        return "it cannot go on, and nothing of it was saved: train anew with another --output_dir"
    return f"it cannot go on; its checkpoints still answer: sparksmith predict {shlex.quote(str(whole[-1]))} TEXT"


def _is_object(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except (OSError, ValueError, RecursionError):
        return False


def _bad_lines(path: Path) -> list[int]:
    """The lines that are not JSON, but for a last one that is being written."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return []
    bad = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            if line.strip():
                json.loads(line)
        except (ValueError, RecursionError):
            bad.append(number)
    return bad
