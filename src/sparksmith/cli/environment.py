"""What the verbs that need torch check before they import it."""

from __future__ import annotations

import sys
from pathlib import Path

from sparksmith.base.errors import SparksmithError
from sparksmith.base.hub import MODEL
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
    elif not MODEL.fullmatch(name):
        raise SparksmithError(
            f"{name!r} is no folder, and no name on the hub", "--model takes a hub id, a local folder, or `tiny`"
        )
