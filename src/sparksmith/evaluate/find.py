"""What a RUN or MODEL on the command line names, as far as that shows without torch."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import read_json
from sparksmith.jobs.lock import is_held
from sparksmith.recipe.plan import Plan, read_plan
from sparksmith.runs.checkpoints import FOR_TRAINING, SEAL, checkpoint_folders, find_faults
from sparksmith.runs.damage import check_base
from sparksmith.runs.layout import CHECKPOINT, RunFolder, name_runs, runs_below
from sparksmith.runs.weights import find_weight_faults

WEIGHTS = ("*.safetensors", "*.bin", "*.index.json")
TEMPLATES = ("chat_template.jinja", "chat_template.json")


@dataclass(frozen=True)
class Found:
    """A model that can answer. `name` is what the output calls it, `source` a folder or a hub id.

    Of a run also its folder and plan; `notes` say what was passed over.
    """

    name: str
    source: str
    folder: RunFolder | None = None
    plan: Plan | None = None
    notes: tuple[str, ...] = ()

    @property
    def has_template(self) -> bool | None:
        """Whether its tokenizer has a chat template; None where only the hub knows."""
        path = Path(self.source).expanduser()
        if not path.is_dir():
            return None
        if any((path / name).is_file() for name in TEMPLATES):
            return True
        known = path / "tokenizer_config.json"
        if not known.is_file():
            return None  # an adapter's folder may leave the tokenizer to its base
        content = read_json(known)
        return isinstance(content, dict) and bool(content.get("chat_template"))


def find_model(name: str) -> Found:
    """A run's newest whole checkpoint, a named checkpoint, a model's folder or a hub id.

    A sealed checkpoint is whole when every byte of what answers is what was saved, which is read for that (1.4 GB/s on
    one core). Raises `SparksmithError`.
    """
    path = Path(name).expanduser()
    if path.is_file():
        raise SparksmithError(f"{name} is a file; a run's or a model's folder is wanted", name_runs(path.parent))
    if not path.is_dir():
        on_disk = path.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1
        if on_disk or runs_below(path.parent, depth=1):
            raise SparksmithError(
                f"{name} does not exist",
                "RUN is the folder that train printed, a model's folder, or a hub id such as Qwen/Qwen3-0.6B; "
                + name_runs(path.absolute().parent),
            )
        return Found(name, name)
    path = path.absolute()
    if (path / "plan.json").is_file():
        return _newest(name, RunFolder(path))
    known = ("config.json", "adapter_config.json")
    if not any((path / file).is_file() for file in known):
        if RunFolder(path).is_run():
            raise SparksmithError(f"the run {name} has lost its plan.json", _only_checkpoints(RunFolder(path)))
        if runs_below(path):
            raise SparksmithError(f"{name} is neither a run nor a model, but holds runs", name_runs(path))
        raise SparksmithError(
            f"{name} is neither a run nor a model: it has none of plan.json, {', '.join(known)}",
            f"ls {shlex.quote(name)}; {name_runs(path.parent)}",
        )
    above = RunFolder(path.parent)
    faults = _find_faults(path)
    if CHECKPOINT.match(path.name) and above.plan.is_file():
        if faults:
            other = next((other for other in reversed(checkpoint_folders(above.path)) if not _find_faults(other)), None)
            hint = f"another one: {shlex.quote(str(other))}" if other else f"ls {shlex.quote(name)}"
            raise SparksmithError(f"the checkpoint {name} is not whole: {'; '.join(faults)}", hint)
        try:
            return _of_run(above, path, ())
        except _NoPlan as error:
            return Found(name, str(path), above, None, (f"{error.message}: {path.name} answers as a plain model",))
    if faults:
        raise SparksmithError(
            f"the model {name} is not whole: {'; '.join(faults)}", "the folder with all the files it was saved with"
        )
    _check_base(path, None)
    return Found(name, str(path))


class _NoPlan(SparksmithError):
    """The plan of a run cannot be used."""


def _newest(name: str, folder: RunFolder) -> Found:
    """The newest whole checkpoint of a run."""
    notes: list[str] = []
    for path in reversed(checkpoint_folders(folder.path)):
        faults = _find_faults(path)
        if not faults:
            return _of_run(folder, path, tuple(notes))
        notes.append(f"{path.name} is passed over, it is not whole: {'; '.join(faults)}")
    run = shlex.quote(str(folder.path))
    resume = f"sparksmith train --output_dir {run} --resume_from_checkpoint"
    if notes:
        raise SparksmithError(f"the run {name} has no whole checkpoint: {notes[0]}", resume)
    hint = f"let it train to its first save, or {resume}"
    if is_held(folder.path):
        hint = f"a job is training it: sparksmith logs -f {run} shows when its first checkpoint is saved"
    raise SparksmithError(f"the run {name} has no checkpoint yet", hint)


def _of_run(folder: RunFolder, checkpoint: Path, notes: tuple[str, ...]) -> Found:
    _check_base(checkpoint, folder)
    return Found(f"{folder.path.name}/{checkpoint.name}", str(checkpoint), folder, _read_plan(folder), notes)


def _read_plan(folder: RunFolder) -> Plan:
    """Raises `_NoPlan` for one that is cut off, damaged or of another version."""
    try:
        return read_plan(folder.plan, None)
    except SparksmithError as error:
        raise _NoPlan(error.message, _only_checkpoints(folder)) from None


def _only_checkpoints(folder: RunFolder) -> str:
    """What is left of a run without its plan."""
    there = checkpoint_folders(folder.path)
    if not there:
        return f"train anew; what is left of it: ls {shlex.quote(str(folder.path))}"
    return f"its checkpoints still answer, as plain models: sparksmith predict {shlex.quote(str(there[-1]))} TEXT"


def _find_faults(checkpoint: Path) -> list[str]:
    """What keeps a checkpoint or a model from answering: by its manifest; without one, no weights or broken ones."""
    if not (checkpoint / SEAL).exists() and not any(next(checkpoint.glob(pattern), None) for pattern in WEIGHTS):
        return ["it has no weights"] if CHECKPOINT.match(checkpoint.name) else []
    if (checkpoint / SEAL).exists():
        faults = find_faults(checkpoint, hashes=True, to_resume=False)
        if faults:
            return faults
    return [fault for fault in find_weight_faults(checkpoint) if not FOR_TRAINING.match(fault)]


def _check_base(path: Path, folder: RunFolder | None) -> None:
    """The folder that an adapter stands on must be there, and whole where the run made it. Raises `SparksmithError`."""
    adapter = path / "adapter_config.json"
    if not adapter.is_file():
        return
    if folder is not None and folder.base.is_dir():
        check_base(folder)
        return
    content = read_json(adapter)
    base = content.get("base_model_name_or_path") if isinstance(content, dict) else None
    if not base:
        raise SparksmithError(f"{adapter} does not name the model that the adapter stands on", f"ls {path}")
    if Path(base).is_absolute() and not Path(base).is_dir():
        raise SparksmithError(
            f"the adapter in {path.name} stands on {base}, and that folder does not exist",
            f"put the model back there, or correct base_model_name_or_path in {adapter}",
        )
