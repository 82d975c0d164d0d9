"""What uv says where it finds no set of packages: which of them have no wheel that fits, and the rest as an error.

It speaks to people, in sentences that it folds: several ranges of a package stand as a list below "all of:", and its
hints name a package without its ranges. Both are read; a form that is not known stays uv's own words.
"""

from __future__ import annotations

import re

from packaging.utils import canonicalize_name

from sparksmith.base.command import Answer
from sparksmith.base.errors import SparksmithError
from sparksmith.base.redact import redact_text
from sparksmith.packages.platform import Platform

LINES_SHOWN = 12
# of the text in one line: "x>=1,<2 has no wheels with a matching platform tag", "versions of x have no usable wheels"
NO_WHEELS = re.compile(r" (?:has|have) no (?:wheels with a (?:matching|valid) |usable wheels|available distributions)")
# the word before it: looked for backwards and matched once, or a word of 100,000 letters would take minutes
WITHOUT = re.compile(r"[^A-Za-z0-9]*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?(?:[<>=!~]\S*)?")
# its hints: "Wheels are required for `x`", "Wheels are available for `x` (v1) on", "we only found wheels for `x`"
HINTS = re.compile(r"\b[Ww]heels (?:are required |are available )?for `(?P<name>[^`\s\[]+)(?:\[[^`]*)?`")
OFFLINE = re.compile(r"dns error|Connection refused|client error \(Connect\)|network was disabled|timed out", re.I)
# what it says, and what to do about it; the first that is found
ADVICE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"was not found in the (?:package registry|provided)|was not found in the cache"),
     "look at the spelling; another index is named in uv's settings (uv.toml), or by a line in the file"),
    (re.compile(r"(?:has|have) no wheels with a matching|Requires-Python|the requested Python version"),
     "ask for other versions; or for another Python: a target of your own with python = (--target FILE)"),
    (re.compile(r"was yanked|were yanked"),
     "its authors withdrew what is there; a withdrawn version is taken only where it is pinned (NAME==VERSION)"),
    (re.compile(r" depends? on "), "loosen one of the bounds that stand against each other"),
    (re.compile(r"there (?:is|are) no versions? of |only \S+ is available|only the following versions of "),
     "ask for a version that there is: pip index versions NAME lists them"),
)  # fmt: skip


class NoIndex(SparksmithError):
    """The package index cannot be reached."""


def names_without_wheels(stderr: str) -> list[str]:
    """The packages that uv could only build, or that have wheels for other platforms only, from its words."""
    text = " ".join(stderr.split())
    found = [match["name"] for match in HINTS.finditer(text)]
    ends = (match.start() for match in NO_WHEELS.finditer(text))
    words = (text[text.rfind(" ", 0, end) + 1 : end] for end in ends)
    found += [match["name"] for word in words if (match := WITHOUT.fullmatch(word))]
    return list(dict.fromkeys(canonicalize_name(name) for name in found))


def explain_failure(answer: Answer, platform: Platform) -> SparksmithError:
    """uv's reason as an error of ours, without secrets."""
    said = redact_text(answer.stderr.strip()) or f"it ended with code {answer.code}"
    lines = [line.removeprefix("error: ") for line in said.splitlines() if not line.startswith("warning:")]
    if len(lines) > LINES_SHOWN:
        lines = [*lines[: LINES_SHOWN - 1], f"... and {len(lines) - LINES_SHOWN + 1} more lines"]
    shown = "\n  ".join(lines)
    if OFFLINE.search(said):
        return NoIndex(
            f"uv cannot reach the package index:\n  {shown}",
            "without a network: audit a uv.lock, or a requirements file with every version pinned and hashed",
        )
    text = " ".join(said.split())
    hint = next((advice for pattern, advice in ADVICE if pattern.search(text)), None)
    return SparksmithError(f"uv finds no set of packages for {platform.describe()}:\n  {shown}", hint)
