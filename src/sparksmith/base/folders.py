"""Where the user's own files of Sparksmith lie (XDG Base Directory Specification 0.8)."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """For what can be made or fetched again: $XDG_CACHE_HOME/sparksmith, or ~/.cache/sparksmith."""
    return _folder("XDG_CACHE_HOME", ".cache")


def state_folder() -> Path:
    """For what is remembered from one command to the next: $XDG_STATE_HOME/sparksmith, or ~/.local/state/sparksmith."""
    return _folder("XDG_STATE_HOME", ".local/state")


def _folder(variable: str, otherwise: str) -> Path:
    named = os.environ.get(variable, "")  # a relative path is to be ignored, the specification says
    return (Path(named) if Path(named).is_absolute() else Path.home() / otherwise) / "sparksmith"
