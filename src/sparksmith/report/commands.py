"""Commands that are shown to be typed: spelled so that they work where they are shown."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

SHOWN = re.compile(r"(?<![\w./-])sparksmith(?= (?:--?\w|[a-z]+))")


def command_name() -> str:
    """`sparksmith` where that is this installation, else the path of this installation's command."""
    own = Path(sys.prefix) / "bin/sparksmith"
    if not own.exists() or os.path.realpath(shutil.which("sparksmith") or "") == os.path.realpath(own):
        return "sparksmith"
    return shlex.quote(relative(own))


def typable(text: str) -> str:
    """The text with every `sparksmith ...` in it as it can be typed here."""
    name = command_name()
    return text if name == "sparksmith" else SHOWN.sub(lambda _: name, text)


def relative(path: Path) -> str:
    """The path as seen from the working directory, where it lies under it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
