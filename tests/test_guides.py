"""What a guide shows under its commands is what they print, on the file that lies beside it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

GUIDES = Path(__file__).resolve().parent.parent / "docs/guides"
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def steps(text: str) -> list[tuple[str, list[str]]]:
    """(command, the lines that are shown under it) of each console block."""
    found: list[tuple[str, list[str]]] = []
    for block in BLOCK.findall(text):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


@pytest.mark.effects
@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="the guide shows a machine without a GPU")
def test_a_file_is_looked_at_mended_and_parted_as_the_guide_shows(tmp_path):
    guide = (GUIDES / "your-own-file.md").read_text(encoding="utf-8")
    shutil.copy(GUIDES / "words.tsv", tmp_path)
    bin_folder = Path(sys.executable).parent
    environ = os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    shown = steps(guide[guide.index("## 1.") : guide.index("## 4.")])
    assert len(shown) == 10
    for command, lines in shown:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        printed = iter(done.stdout.splitlines() + done.stderr.splitlines())
        for line in lines:
            assert line in {"...", ""} or line in printed, f"{command}\nprints no (further) line {line!r}"
