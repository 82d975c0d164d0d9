"""A uv that answers as it did once, and keeps what it was asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sparksmith.base.command import Answer
from sparksmith.packages.platform import Platform

RESOLVER = Path(__file__).parent / "resolver"
SPARK = Platform("aarch64", (2, 39), (3, 12))
VLLM = (RESOLVER / "vllm-aarch64.toml").read_text(encoding="utf-8")
NEWEST = (RESOLVER / "newest.toml").read_text(encoding="utf-8")
NO_WHEELS = (RESOLVER / "no-wheels.txt").read_text(encoding="utf-8")
EMPTY = 'lock-version = "1.0"\n'


def only(text: str, *names: str) -> str:
    """A pylock with these of its packages."""
    head, *packages = text.split("[[packages]]\n")
    return head + "".join(f"[[packages]]\n{p}" for p in packages if p.split('"')[1] in names)


REFUSED = Answer(1, "", "error: they stand against each other")


class FakeUv:
    """Answers as uv did, in order, and keeps what it was asked with the files that it was given.

    Asked whether a newer version goes, it answers `alone`, of that by itself, and `pinned`, of the set with it, in
    order; and then that it does not."""

    def __init__(
        self, *answers: str | Answer, alone: Sequence[str | Answer] = (), pinned: Sequence[str | Answer] = ()
    ) -> None:
        self.answers, self.alone, self.pinned = (
            [answer if isinstance(answer, Answer) else Answer(0, answer, "") for answer in of]
            for of in (answers, alone, pinned)
        )
        self.asked: list[list[str]] = []
        self.files: list[str] = []
        self.pins: list[str] = []

    def __call__(self, argv, timeout_seconds):
        argv = list(argv)
        if pins := next((word for word in argv if word.endswith("/pins.txt")), None):
            self.pins.append(Path(pins).read_text(encoding="utf-8"))
            return self.pinned.pop(0) if self.pinned else REFUSED
        text = Path(argv[3]).read_text(encoding="utf-8")
        if "--no-build" in argv and self.files and text != self.files[0].split("|")[0]:
            return self.alone.pop(0) if self.alone else REFUSED
        self.asked.append(argv)
        if not self.answers and "--universal" in argv:
            return REFUSED  # what is newest within bounds; nobody prepared it
        excluded = Path(argv[argv.index("--excludes") + 1]).read_text() if "--excludes" in argv else ""
        self.files.append(Path(argv[3]).read_text(encoding="utf-8") + "|" + excluded)
        return self.answers.pop(0)


def by_name(found):
    return {package.name: package for package in found.packages}


def locked(name: str, version: str, *files: str) -> str:
    """A package of a pylock; a file that is no wheel is its source."""
    wheels = ", ".join(f'{{ url = "https://index.example/{file}" }}' for file in files if file.endswith(".whl"))
    sdist = "".join(f'sdist = {{ url = "https://index.example/{f}" }}\n' for f in files if not f.endswith(".whl"))
    return f'[[packages]]\nname = "{name}"\nversion = "{version}"\nwheels = [{wheels}]\n{sdist}'
