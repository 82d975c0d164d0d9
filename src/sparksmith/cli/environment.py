"""What the verbs that need torch check before they import it."""

from __future__ import annotations

import sys
from pathlib import Path

from sparksmith.base.errors import SparksmithError
from sparksmith.machine.python_env import has_module
from sparksmith.model.libraries import settle_libraries

NEEDED = ("torch", "transformers", "trl")


def check_torch() -> None:
    """Raises `SparksmithError` where this interpreter has no torch, with the command that makes an environment."""
    missing = [name for name in NEEDED if not has_module(name)]
    if missing:
        raise SparksmithError(
            f"not installed beside this command ({sys.prefix}): {', '.join(missing)}",
            "in a clone of Sparksmith: make, then .venv/bin/sparksmith ...",
        )
    settle_libraries()


def check_model(name: str) -> None:
    """A RUN or MODEL that is a path must be a run, a checkpoint or a model. Raises `SparksmithError`."""
    path = Path(name).expanduser()
    if path.is_dir():
        known = ("plan.json", "config.json", "adapter_config.json")
        if not any((path / file).is_file() for file in known):
            raise SparksmithError(
                f"{name} is neither a run nor a model: it has none of {', '.join(known)}", f"ls {name}"
            )
        if (path / "plan.json").is_file() and not any(path.glob("checkpoint-*")):
            raise SparksmithError(f"the run {name} has no checkpoint yet", "let it train to its first save")
        return
    if path.is_file():
        raise SparksmithError(f"{name} is a file; a run's or a model's folder is wanted", f"ls {path.parent}")
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1 or "/" not in name:
        raise SparksmithError(
            f"{name} does not exist",
            "RUN is the folder that train printed, a model's folder, or a hub id such as Qwen/Qwen3-0.6B",
        )


def check_model_source(name: str) -> None:
    """What `--model` names, as far as that shows without torch: a path must be a model's folder.

    Raises `SparksmithError`; `tiny` and hub ids pass.
    """
    path = Path(name).expanduser()
    if path.is_file():
        raise SparksmithError(f"{name} is a file; a model is a folder, a hub id, or `tiny`", f"ls {path.parent}")
    if path.is_dir():
        if (path / "plan.json").is_file():
            newest = sorted(path.glob("checkpoint-*"), key=lambda one: one.stat().st_mtime)
            hint = f"--model {newest[-1]}" if newest else "--model takes a hub id, a model's folder, or `tiny`"
            raise SparksmithError(f"{name} is a run, not a model", hint)
        if not (path / "config.json").is_file():
            raise SparksmithError(f"{name} holds no model: it has no config.json", f"ls {name}")
    elif path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise SparksmithError(f"the folder {name} does not exist", "--model takes a hub id, a local folder, or `tiny`")
