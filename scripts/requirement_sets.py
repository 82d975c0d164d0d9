"""Write docs/reference/requirement-sets.md: what requirement sets found in public would do on a DGX Spark today.

    python scripts/requirement_sets.py [NAME...]

Resolves each list of benchmarks/requirement_sets with uv and audits it for gb10; needs the network, and fetches wheels
that are not known yet. With names it only prints their rows.
"""

from __future__ import annotations

import re
import sys
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

from sparksmith.base.errors import SparksmithError
from sparksmith.packages.audit import audit
from sparksmith.packages.finding import Finding, Verdict
from sparksmith.packages.verdict import SetVerdict
from sparksmith.policy.targets import load_target

ROOT = Path(__file__).resolve().parent.parent
SETS = ROOT / "benchmarks/requirement_sets"
PAGE = ROOT / "docs/reference/requirement-sets.md"
TOLD = ("torch", "triton", "vllm", "transformers", "trl", "unsloth", "bitsandbytes")
REASONS_AT_MOST = 6
HEAD = """# Requirement sets as people use them

Made by `python scripts/requirement_sets.py`; do not edit. Lists found in public, resolved on {date} from the Python
package index for a DGX Spark (aarch64, glibc 2.39, Python 3.12) with nothing but their lines, and audited for
gb10. What a project does beside its list (another index, a container, a fork) is named and not done: each row says what
`pip install` or `uv pip install` of the list would put on the machine. None of this was run on a Spark.

| set | verdict | why |
|---|---|---|
"""


def reasons(found: SetVerdict) -> list[tuple[str, Finding]]:
    """(whose, finding) for what decides, or for a set that runs for what is to be known; the set's own come first."""
    told = [("", finding) for finding in found.findings]
    told += [(f"{package.name} {package.version}", each) for package in found.packages for each in package.findings]
    order = list(Verdict)
    told = [(whose, finding) for whose, finding in told if finding.verdict is not Verdict.RUNS]  # a detail
    return sorted(told, key=lambda one: -order.index(one[1].verdict))


def plain(text: str) -> str:
    """In a cell of a table."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def row(entry: dict[str, Any]) -> str:
    """One line of the table, and the parts that stand below it."""
    published = f", {entry['date']}" if "date" in entry else ""
    name = f"[{entry['title']}]({entry['url']}){published}"
    try:
        found = audit([str(SETS / f"{entry['file']}.txt")], load_target("gb10"))
    except SparksmithError as error:
        return f"| {name} | no answer | {plain(error.message)[:400]} |\n"
    versions = {package.name.lower(): package.version for package in found.packages}
    chosen = ", ".join(f"{name} {versions[name]}" for name in TOLD if versions.get(name))
    said = []
    for whose, finding in reasons(found)[:REASONS_AT_MOST]:
        fix = f" → {finding.fix}" if finding.fix and finding.verdict is Verdict.FAILS else ""
        subject = f"{whose}: " if whose and not finding.seen.startswith(whose) else ""
        said.append(f"**{finding.verdict.value}**: {plain(subject + finding.seen + fix)}")
    more = len(reasons(found)) - REASONS_AT_MOST
    if more > 0:
        said.append(f"and {more} more findings")
    said.append(f"{len(found.packages)} packages: {chosen}")
    if "left_out" in entry:
        said.append(f"left out: {plain(entry['left_out'])}")
    return f"| {name} | {found.verdict.value} | {'<br>'.join(said)} |\n"


def main(names: list[str]) -> None:
    entries = tomllib.loads((SETS / "sets.toml").read_text(encoding="utf-8"))["set"]
    rows = []
    for entry in entries:
        if not names or entry["file"] in names:
            rows.append(row(entry))
            print(rows[-1], end="", flush=True)
    if not names:
        PAGE.write_text(HEAD.format(date=date.today()) + "".join(rows), encoding="utf-8")
        print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main(sys.argv[1:])
