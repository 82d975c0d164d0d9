"""The few commands that a machine is asked, side by side, and where a captured machine keeps what they said.

In a copy, `commands/ARGV.txt` is what the command wrote (its words with spaces between), and
`commands/ARGV.failed.txt` stands for one that failed: its first line says how (`exit 9`, `not found`, `no answer
within 1 s`), the others are what it wrote.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from sparksmith.base.command import Answer, ask
from sparksmith.machine.distributions import printable
from sparksmith.machine.gpu import QUERY
from sparksmith.machine.root import Root

Argv = tuple[str, ...]
NVIDIA_SMI_Q: Argv = ("nvidia-smi", "-q")
NVIDIA_SMI_TABLE: Argv = ("nvidia-smi",)
DOCKER_INFO: Argv = ("docker", "info")
DISK_FREE: Argv = ("df", "-kPT")
NVCC: Argv = ("nvcc", "--version")
ASKED: tuple[Argv, ...] = (QUERY, NVIDIA_SMI_Q, DOCKER_INFO, DISK_FREE, NVCC)
# A table is what people paste into a thread: read where a copy holds one, never asked.
KEPT: tuple[Argv, ...] = (*ASKED, NVIDIA_SMI_TABLE)

LIMIT_SECONDS = 1.0
SLACK_SECONDS = 0.2
OUTPUT_BYTES = 2**22
FAILED = re.compile(r"exit (-?\d{1,3})")
NOT_KEPT = "was not asked when this machine was captured"

Answers = Mapping[Argv, Answer]


def file_of(argv: Sequence[str], *, failed: bool = False) -> str:
    """Where a copy keeps what a command said."""
    return f"commands/{' '.join(argv)}{'.failed' if failed else ''}.txt"


def start_asking(root: Root, ask: Callable[..., Answer] = ask) -> Callable[[], dict[Argv, Answer]]:
    """Begin to ask the running machine; what is returned waits for the answers. Those of a copy are in its files."""
    if root.live:
        return ask_side_by_side(ASKED, ask)
    kept = {argv: _read_kept(root, argv) for argv in KEPT}
    return lambda: kept


def ask_side_by_side(
    commands: Sequence[Argv], ask: Callable[..., Answer], limit_seconds: float = LIMIT_SECONDS
) -> Callable[[], dict[Argv, Answer]]:
    """Ask all at once; what is returned waits until all have answered or the limit is over. A tool that hangs in the
    driver cannot even be killed (a Spark's nvidia-smi has been seen to block for 737 s), so nobody waits for its
    thread: it is given up."""
    answers: dict[Argv, Answer] = {}

    def one(argv: Argv) -> None:
        answers[argv] = ask(argv, timeout_seconds=limit_seconds)

    threads = [threading.Thread(target=one, args=(argv,), daemon=True) for argv in commands]
    last = time.monotonic() + limit_seconds + SLACK_SECONDS
    for thread in threads:
        thread.start()

    def wait() -> dict[Argv, Answer]:
        for thread in threads:
            thread.join(max(0.0, last - time.monotonic()))
        silent = f"no answer within {limit_seconds:g} s"
        return {argv: answers.get(argv) or Answer(None, "", f"{argv[0]}: {silent}") for argv in commands}

    return wait


def why_silent(argv: Sequence[str], answer: Answer) -> str:
    """In words, why a command's answer tells nothing."""
    if answer.ok:
        return f"{' '.join(argv[:2])} does not say"
    if answer.code is None:
        return printable(answer.stderr) or f"{argv[0]}: no answer"
    said = (answer.stderr.strip() or answer.stdout.strip()).split("\n")[-1].strip()
    return f"{' '.join(argv[:2])}: exit {answer.code}{f': {printable(said[:200])}' if said else ''}"


def is_silent(answer: Answer) -> bool:
    """Whether it was there and did not answer in time."""
    return answer.code is None and "no answer within" in answer.stderr


def _read_kept(root: Root, argv: Argv) -> Answer:
    said = root.text(file_of(argv), OUTPUT_BYTES)
    if said is not None:
        return Answer(0, said, "")
    failed = root.text(file_of(argv, failed=True), OUTPUT_BYTES)
    if failed is None:
        return Answer(None, "", f"{' '.join(argv[:2])} {NOT_KEPT}")
    how, _, rest = failed.partition("\n")
    if match := FAILED.fullmatch(how.strip()):
        return Answer(int(match[1]), rest, "")
    return Answer(None, "", f"{argv[0]}: {how.strip()[:200]}")
