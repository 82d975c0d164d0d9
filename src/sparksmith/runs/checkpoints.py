"""Checkpoints that are whole or are not there.

A checkpoint is written beside (`.saving-checkpoint-N`), sealed with a manifest of its files' sizes and hashes, flushed
to the disk, and renamed into place; it is deleted by being renamed out of place first. So a `checkpoint-N` of ours is
whole whenever it can be seen, also after a kill or a power cut. It stays a plain Transformers or PEFT folder.

Covers: a process killed at any moment; a disk that loses what was not flushed; a file changed or cut afterwards. Does
not cover: a disk that reports a flush which did not happen.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import sha256_of, write_json
from sparksmith.runs.layout import CHECKPOINT
from sparksmith.runs.weights import find_weight_faults

SEAL = "sparksmith.json"  # the manifest inside a checkpoint
SEAL_VERSION = 1
PIECE_BYTES = 2**26
SAVING, DELETING = ".saving-", ".deleting-"
LEFTOVER = re.compile(r"^\.(saving|deleting)-checkpoint-\d+$")
INCOMPLETE = "checkpoint-is-incomplete.txt"  # Transformers' own mark of a save that was cut off
STATE = "trainer_state.json"
FOR_TRAINING = re.compile(
    r"(optimizer|scheduler|scaler|rng_state(_\d+)?)\.(pt|pth|bin)|training_args\.bin|trainer_state\.json"
    r"|before_averaging\.safetensors"
)


@dataclass(frozen=True)
class Seal:
    """The manifest of a checkpoint: its step, its files as (bytes, SHA-256), and what the Job put beside."""

    step: int
    files: dict[str, tuple[int, str]]
    facts: dict[str, Any]


def seal_checkpoint(folder: Path, step: int, **facts: Any) -> Seal:
    """Hash and flush every file of a folder, then write the manifest and flush the folder. Raises `OSError`."""
    names = sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path != folder / SEAL
    )
    with ThreadPoolExecutor(8) as pool:  # files are hashed while others are flushed
        flushed = pool.map(lambda name: _flush(folder / name), names)
        hashes = {name: digest_of(folder / name) for name in names}
        list(flushed)
    files = {name: ((folder / name).stat().st_size, hashes[name]) for name in names}
    content = {
        "version": SEAL_VERSION,
        "step": step,
        "created": time.time(),
        "files": {name: {"bytes": size, "sha256": digest} for name, (size, digest) in files.items()},
        **facts,
    }
    write_json(folder / SEAL, content)
    for path in [*(p for p in folder.rglob("*") if p.is_dir()), folder]:
        _flush(path)
    return Seal(step, files, facts)


def digest_of(path: Path) -> str:
    """The SHA-256 of a file; of one over 64 MiB that of its 64 MiB pieces' SHA-256s, which several cores make at once.

    One core hashes 1.4 GB/s (measured 2026-11-21), and a checkpoint of a 0.6B model in full has 7 GB.
    """
    size = path.stat().st_size
    if size <= PIECE_BYTES:
        return sha256_of(path)
    with path.open("rb") as file, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        pieces = pool.map(lambda start: _digest_piece(file.fileno(), start), range(0, size, PIECE_BYTES))
        return hashlib.sha256(b"".join(pieces)).hexdigest()


def _digest_piece(descriptor: int, start: int) -> bytes:
    digest = hashlib.sha256()
    at, end = start, start + PIECE_BYTES
    while at < end and (data := os.pread(descriptor, min(2**20, end - at), at)):
        digest.update(data)
        at += len(data)
    return digest.digest()


def publish_checkpoint(staged: Path, final: Path) -> None:
    """Rename a sealed folder to where it is seen. What stood there before (an earlier save of the same step) goes."""
    aside = _set_aside(final) if final.exists() else None
    try:
        staged.rename(final)
    except OSError:
        if aside is not None:
            aside.rename(final)
        raise
    _flush(final.parent)
    if aside is not None:
        _remove(aside)


def remove_checkpoint(folder: Path) -> None:
    """Delete a checkpoint: from the first moment it is not seen as one."""
    aside = _set_aside(folder)
    _flush(folder.parent)
    _remove(aside)


def leftovers(run: Path) -> list[Path]:
    """What saves and deletions that were cut off have left; nothing of it is a checkpoint."""
    if not run.is_dir():
        return []
    return sorted(entry for entry in run.iterdir() if LEFTOVER.match(entry.name))


def remove_leftovers(run: Path) -> list[Path]:
    """Delete them; returns what was deleted.

    A sealed checkpoint of which only the last rename was missing takes its place first: it may have been about to
    replace one of the same step, which was set aside for it.
    """
    for path in leftovers(run):
        name = path.name.removeprefix(SAVING)
        staged = path / name
        if path.name.startswith(SAVING) and not (run / name).exists() and not find_faults(staged, hashes=True):
            staged.rename(run / name)
            _flush(run)
    found = leftovers(run)
    for path in found:
        _remove(path)
    return found


def read_seal(checkpoint: Path) -> Seal | None:
    """A checkpoint's manifest; None where it cannot be read, names no file, or names one outside the checkpoint."""
    try:
        content = json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))
        files = {str(name): (int(row["bytes"]), str(row["sha256"])) for name, row in content.pop("files").items()}
        step = int(content.pop("step"))
        known = content.pop("version") == SEAL_VERSION
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    inside = all(not Path(name).is_absolute() and ".." not in Path(name).parts for name in files)
    return Seal(step, files, content) if known and files and inside else None


def find_faults(checkpoint: Path, *, hashes: bool, to_resume: bool = True) -> list[str]:
    """What is wrong with a sealed checkpoint: a file missing, of another size, or (with `hashes`) of other content.

    Without `to_resume` the files that only training needs may be gone: people delete them to save room. A folder
    without our manifest has one fault, which says so.
    """
    seal = read_seal(checkpoint)
    if seal is None:
        return [f"no manifest ({SEAL}) that can be read"]
    faults = []
    for name, (size, digest) in seal.files.items():
        path = checkpoint / name
        if not to_resume and FOR_TRAINING.fullmatch(name):
            continue
        try:
            fault = _fault_of(path, size, digest if hashes else None)
        except OSError as error:  # a disk that cannot read it, a name that is too long
            fault = f"cannot be read ({error.strerror})"
        if fault:
            faults.append(f"{name} {fault}")
    return faults


def _fault_of(path: Path, size: int, digest: str | None) -> str | None:
    if not path.is_file():
        return "is missing"
    if path.stat().st_size != size:
        return f"has {path.stat().st_size} bytes instead of {size}"
    if digest is not None and digest_of(path) != digest:
        return "is not what was saved (another SHA-256)"
    return None


def find_plain_faults(checkpoint: Path) -> list[str]:
    """What a checkpoint of plain Transformers lacks to go on from. Without a manifest its content cannot be checked."""
    if (checkpoint / INCOMPLETE).exists():
        return [f"{INCOMPLETE}: its save was cut off"]
    names = {path.name for path in checkpoint.iterdir()} if checkpoint.is_dir() else set()
    faults = [f"{name} is missing" for name in (STATE, "optimizer.pt", "scheduler.pt") if name not in names]
    weights = ("model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors", "pytorch_model.bin")
    if STATE in names and read_step(checkpoint) is None:
        faults.append(f"{STATE} says no step")
    if not names & set(weights):
        faults.append(f"weights are missing ({', '.join(weights[:3])})")
    return faults + find_weight_faults(checkpoint)


def read_step(checkpoint: Path) -> int | None:
    """The step that a checkpoint stands at, by its Trainer's state; None where that cannot be read."""
    try:
        return int(json.loads((checkpoint / STATE).read_text(encoding="utf-8"))["global_step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def checkpoint_folders(run: Path) -> list[Path]:
    """Everything that is called checkpoint-N, oldest step first, whole or not."""
    if not run.is_dir():
        return []
    found = [(int(match[1]), entry) for entry in run.iterdir() if (match := CHECKPOINT.match(entry.name))]
    return [entry for _, entry in sorted(found) if entry.is_dir()]


def whole_checkpoints(run: Path) -> list[Path]:
    """The sealed checkpoints whose files are all there with their sizes, oldest step first."""
    return [path for path in checkpoint_folders(run) if not find_faults(path, hashes=False)]


def last_whole_checkpoint(run: str | Path, tell: Callable[[str], None] | None = None) -> Path | None:
    """The newest checkpoint of which every byte is what was saved, or None.

    `tell` is given a sentence for each newer one that was passed over.
    """
    for path in reversed(checkpoint_folders(Path(run))):
        faults = find_faults(path, hashes=True)
        if not faults:
            return path
        if tell:
            tell(f"{path.name} is passed over: {'; '.join(faults[:3])}")
    return None


def rotate(run: Path, keep: int, best: Path | None) -> list[Path]:
    """Delete the oldest whole checkpoints until `keep` are left, the best one kept besides; never the newest.

    Returns what was deleted. What is not ours (no manifest) is neither counted nor deleted.
    """
    whole = whole_checkpoints(run)
    gone = [path for path in whole[: -max(1, keep)] if path != best]
    for path in gone:
        remove_checkpoint(path)
    return gone


def check_checkpoint(path: Path) -> list[str]:
    """Whether a named checkpoint can be gone on from. Returns notes on what a plain one lacks.

    Raises `SparksmithError` where it is broken, with what is wrong and which other one to take.
    """
    if not path.is_dir():
        raise SparksmithError(f"the checkpoint {path} does not exist", _other(path))
    if (path / SEAL).exists():
        faults = find_faults(path, hashes=True)
        notes: list[str] = []
    else:
        faults = find_plain_faults(path)
        notes = [f"{path.name} was not written by Sparksmith: it has no hashes, and its data order is not known"]
    if faults:
        raise SparksmithError(f"{path} is not a whole checkpoint: {'; '.join(faults)}", _other(path))
    return notes


def _other(path: Path) -> str:
    whole = [other for other in whole_checkpoints(path.parent) if other != path]
    if whole:
        return f"--resume_from_checkpoint {shlex.quote(str(whole[-1]))}"
    return "start afresh with another --output_dir"


def _set_aside(folder: Path) -> Path:
    """Rename a checkpoint to where it is not seen as one."""
    aside = folder.with_name(DELETING + folder.name)
    _remove(aside)
    folder.rename(aside)
    return aside


def _remove(path: Path) -> None:
    """Delete a folder, or a file or link in its place; what a link points to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """fsync a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
