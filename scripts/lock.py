"""Resolve the requirement files: `make lock`. Universal (aarch64 and x86-64, Python 3.11 to 3.13), hashed, without
index lines.

usage: lock.py UV
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STACKS = ROOT / "src/sparksmith/policy/stacks"
COMMON = (
    "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url",
    "--no-emit-find-links", "--no-header", "--no-annotate",
)  # fmt: skip


def compile_file(uv: str, arguments: list[str], target: Path, *, upgrade: bool) -> None:
    """uv pip compile; versions in the file are kept unless `upgrade`."""
    more = ["--upgrade"] if upgrade else []
    subprocess.run(
        [uv, "pip", "compile", *COMMON, *more, *arguments, "--output-file", str(target)], check=True, cwd=ROOT
    )
    text = target.read_text()
    if found := re.search(r"^--(extra-)?(index-url|find-links).*$", text, re.MULTILINE):
        raise SystemExit(f"{target} names an index: {found[0]}")


def main() -> None:
    uv = sys.argv[1]
    upgrade = "--upgrade" in sys.argv
    pins = tomllib.loads((STACKS / "train.toml").read_text())["packages"]
    constraints = ROOT / ".venv" / "constraints.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
    train = STACKS / "train.txt"
    compile_file(uv, ["pyproject.toml", "--extra", "train", "--constraint", str(constraints)], train, upgrade=upgrade)
    compile_file(
        uv, ["requirements-dev.in", "--constraint", str(train)], ROOT / "requirements-dev.txt", upgrade=upgrade
    )
    for file in (train, ROOT / "requirements-dev.txt"):
        print(f"{file.relative_to(ROOT)}: {file.read_text().count('==')} packages")


if __name__ == "__main__":
    main()
