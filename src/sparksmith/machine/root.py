"""One door to the files of a machine: the running one, or a copy of its files under another root.

Nothing is opened but ordinary files, nothing is read past a limit, and nothing raises: what could not be read is None,
and `why` says so in words. Links of a copy count from its root, never from this machine's. What was read, listed and
looked for is kept, so that `capture.py` can pack just that.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sparksmith.machine.distributions import printable, read_start
from sparksmith.machine.python_paths import inside

TEXT_BYTES = 2**18
LINE_CHARACTERS = 4096
MOST_NAMES = 20_000
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Root:
    """Paths are given from the root, without a leading slash. `texts`, `listings`, `links`, `found` and
    `folders` hold what was read, the names in folders, where links lead, and what was only looked for, by path."""

    def __init__(self, path: Path = Path("/")) -> None:
        self.path = path.absolute()
        self.live = self.path == Path("/")
        self.texts: dict[str, str] = {}
        self.listings: dict[str, tuple[str, ...]] = {}
        self.links: dict[str, str] = {}
        self.found: set[str] = set()
        self.folders: set[str] = set()
        self._reasons: dict[str, str] = {}

    def place(self, name: str) -> Path:
        """Where a path lies here."""
        return Path("/", name.lstrip("/")) if self.live else inside(self.path, name)

    def text(self, name: str, limit: int = TEXT_BYTES) -> str | None:
        """A file's text, its first `limit` bytes; None where it cannot be read."""
        name = name.lstrip("/")
        if name not in self.texts and name not in self._reasons:
            try:
                self.texts[name] = read_start(self.place(name), limit).decode("utf-8", "replace")
            except (OSError, ValueError) as error:
                self._reasons[name] = f"/{printable(name)}: {_reason(error)}"
        return self.texts.get(name)

    def why(self, name: str) -> str:
        """Why `text` or `names` gave nothing for a path."""
        return self._reasons.get(name.lstrip("/"), f"/{printable(name.lstrip('/'))} does not say")

    def line(self, name: str) -> str | None:
        """A file's first line, stripped and printable; None where there is none."""
        text = self.text(name)
        return printable(text.strip()[:LINE_CHARACTERS].split("\n")[0].strip()) or None if text is not None else None

    def number(self, name: str) -> int | None:
        """A file that holds one whole number."""
        line = self.line(name)
        return whole_number(line) if line else None

    def names(self, folder: str) -> tuple[str, ...]:
        """The names in a folder, sorted; none where it cannot be read."""
        folder = folder.strip("/")
        if folder not in self.listings:
            try:
                with os.scandir(self.place(folder)) as entries:
                    self.listings[folder] = tuple(sorted(entry.name for entry, _ in zip(entries, range(MOST_NAMES))))  # noqa: B905
            except (OSError, ValueError) as error:
                self._reasons[folder] = f"/{printable(folder)}: {_reason(error)}"
                self.listings[folder] = ()
        return self.listings[folder]

    def resolve(self, name: str) -> str:
        """A path with its links followed, from the root; one that is a link is kept in `links`."""
        place = self.place(name)
        real = str(place.resolve() if self.live else place).removeprefix(str(self.path)).strip("/")
        if real != name.strip("/"):
            self.links[name.strip("/")] = f"/{real}"
        return real

    def exists(self, name: str) -> bool:
        """Whether something is there."""
        name = name.strip("/")
        try:
            self.place(name).stat()
        except (OSError, ValueError):
            return False
        self.found.add(name)
        return True

    def program(self, name: str, environ: Mapping[str, str]) -> str | None:
        """The path of a program that the PATH of `environ` finds."""
        for folder in (environ.get("PATH") or DEFAULT_PATH).split(":"):
            path = f"{folder.rstrip('/')}/{name}"
            if folder.startswith("/") and self.exists(path) and (not self.live or os.access(path, os.X_OK)):
                return path
        return None


def whole_number(text: str) -> int | None:
    """A whole number in ASCII digits, perhaps with a sign; None for anything else, and past 20 digits."""
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= 20 else None


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "not there"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
