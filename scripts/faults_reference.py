"""Write docs/reference/faults.md from the known faults: `make docs`. With --check only say whether it is current."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from sparksmith.policy.faults import Fault, load_faults

PAGE = Path(__file__).resolve().parent.parent / "docs/reference/faults.md"
HEAD = """# Known faults

Made by `make docs` from `policy/faults/*.toml`; do not edit. What goes wrong on a DGX Spark, how it looks, how it is
found out and what mends it. A word in CAPITALS in a command is yours to fill in; `…` in a text stands for anything.

**fails**: something will not run; **warns**: it runs, and worse than it could, or later does not; **harmless**: nothing
has to be done, and it is told when asked. Seen in a **machine** (its files and tools tell), in a **message** (an
error's text tells), when **asked** (environment variables and the project's files, looked at when asked for), or
**deep** (torch is tried out by its own interpreter).
"""
# Warnings of the older guides that no fault answers, and why.
ANSWERED_ELSEWHERE = {
    "docker.md#4-long-training-runs-multi-day": "tmux in a container of `--rm` ends with it; "
    "`sparksmith train --detach` leaves a job that needs no terminal",
    "native-venv.md#3-checkpoint-frequently": "what Sparksmith's training does by itself (docs/concepts/runs.md)",
    "native-venv.md#rebuilding-environment": "nothing is built from source any more: it installs in seconds",
    "dgx-spark-setup.md#timeline-expectations": "expectations of January 2026, since met: torch, triton and vLLM "
    "have wheels for CUDA 13 on aarch64",
    "dgx-spark-setup.md#memory-estimation": "figures of one model; the part about vLLM is vllm-memory-utilization",
}


def page() -> str:
    """The whole page as Markdown."""
    faults = load_faults()
    parts = [HEAD]
    for subject in dict.fromkeys(fault.subject for fault in faults):
        parts.append(f"\n## {subject.capitalize()}\n\n| fault | what | | seen in |\n|---|---|---|---|\n")
        parts += [row(fault) for fault in faults if fault.subject == subject]
    parts.append("\n## Each of them\n")
    parts += [section(fault) for fault in faults]
    parts.append(
        "\n## The older guides\n\nTheir troubleshooting entries and warnings, and the faults that answer them.\n"
    )
    parts.append("\n| heading | answered by |\n|---|---|\n")
    parts += [f"| `{heading}` | {links(ids)} |\n" for heading, ids in sorted(answered(faults).items())]
    parts.append("\nNo fault of a machine:\n\n| heading | why |\n|---|---|\n")
    parts += [f"| `{heading}` | {why} |\n" for heading, why in sorted(ANSWERED_ELSEWHERE.items())]
    return "".join(parts)


def answered(faults: Iterable[Fault]) -> dict[str, list[str]]:
    """The faults' ids by the heading that they answer."""
    found: dict[str, list[str]] = {}
    for fault in faults:
        for heading in fault.guides:
            found.setdefault(heading, []).append(fault.id)
    return found


def row(fault: Fault) -> str:
    """One line of a table."""
    title = fault.title.replace("|", "\\|")
    return f"| {links([fault.id])} | {title} | {fault.severity} | {', '.join(fault.seen_in)} |\n"


def section(fault: Fault) -> str:
    """One fault, under a heading that is its anchor."""
    lines = [f"\n### {fault.id}\n", f"**{fault.title}** ({fault.severity}; seen in: {', '.join(fault.seen_in)})\n"]
    lines += [f"- seen as: {text}" for text in fault.sees]
    for pattern in fault.patterns:
        near = f", near {code(pattern.near)}" if pattern.near else ""
        unless = f", not beside {' or '.join(map(code, pattern.unless))}" if pattern.unless else ""
        lines.append(f"- told by: {code(pattern.text)}{' as a whole line' if pattern.whole else ''}{near}{unless}")
    lines.append(f"- found out: {fault.detected}")
    lines.append(f"- fix: {fault.mend}")
    if fault.command:
        safe = "; loses nothing: may be applied without asking" if fault.safe else ""
        lines.append(f"- type{safe}:\n\n  ```bash\n  {fault.command}\n  ```\n")
    sources = ", ".join(f"<{each}>" if each.startswith("https://") else each for each in fault.source)
    lines.append(f"- known from: {sources} ({fault.date}); {fault.known}: {fault.verified}")
    if fault.before:
        lines.append(f"- causes: {links(fault.before)}")
    return "\n".join(lines) + "\n"


def links(ids: Iterable[str]) -> str:
    """Links to the faults' sections."""
    return ", ".join(f"[{each}](#{each})" for each in ids)


def code(text: str) -> str:
    """A code span that may hold backticks."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def main() -> None:
    if "--check" in sys.argv:
        if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page():
            raise SystemExit(f"{PAGE.name} is not what the known faults say: make docs")
        return
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(PAGE.parent.parent.parent))


if __name__ == "__main__":
    main()
