"""Which distributions lie in the running interpreter's environment; nothing of them is imported."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec


def read_versions(names: Iterable[str]) -> dict[str, str]:
    """Installed versions by distribution name; one that is not installed is left out."""
    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def has_module(name: str) -> bool:
    """Whether `import name` would find something here."""
    return name in sys.modules or find_spec(name) is not None
