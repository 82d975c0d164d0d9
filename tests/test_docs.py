"""What the documentation shows tells nothing of the machine that it was made on, and its links lead somewhere."""

from __future__ import annotations

import getpass
import re
import socket
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "docs/**/*.html", "docs/**/*.svg", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)
HOMES = (r"home/(?!you\b)\w+", r"root\b", r"Users/\w+")
WORKPLACES = ("work",)  # folders at the root of the file system where no user's files would lie
# A home, a workplace's own folders, an index that packages came from, and addresses of machines.
TELLING = re.compile(
    rf"/(?:{'|'.join(HOMES)})|(?<![\w.])/(?:{'|'.join(WORKPLACES)})/|--(?:extra-)?index-url|files\.pythonhosted|"
    r"\b(?:10|127|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d+\.\d+(?:\.\d+)?\b|://[^/\s]*@"
)
COMMON = frozenset({"root", "user", "localhost", "runner", "ubuntu"})  # names that are words, too
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")


def names() -> set[str]:
    """The user's and this machine's, where they say anything."""
    found = {getpass.getuser(), socket.gethostname(), socket.gethostname().split(".")[0]}
    return {name for name in found if len(name) > 3 and name.lower() not in COMMON}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_tells_nothing_of_the_machine(path):
    text = path.read_text(encoding="utf-8")
    assert TELLING.findall(text) == []
    assert [name for name in names() if re.search(rf"\b{re.escape(name)}\b", text)] == []


@pytest.mark.parametrize("path", [path for path in TEXTS if path.suffix == ".md"], ids=lambda path: path.name)
def test_links_inside_the_project_lead_somewhere(path):
    targets = LINK.findall(path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_a_telling_text_is_seen():
    workplaces = [f"/{folder}/main" for folder in WORKPLACES]
    for text in ("/home/ada/run", "at 192.168.1.7", "pip --index-url", "https://u:p@host/", "in /root/x", *workplaces):
        assert TELLING.search(text), text
    for text in ("/home/you/run", *(f".{path}" for path in workplaces), *(f"docs{path}" for path in workplaces)):
        assert not TELLING.search(text), text
