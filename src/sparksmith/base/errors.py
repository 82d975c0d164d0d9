"""Errors that a user can act on, and the exit codes of the command.

An error says what was found and what was expected; its hint is something to type. Everything that is not a
`SparksmithError` and reaches the top of the command is a defect of ours (exit code 70).
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from enum import IntEnum


class ExitCode(IntEnum):
    """What the command returns to its caller; the child's own code otherwise."""

    DONE = 0
    MENDABLE = 1  # the user can mend it, or a verdict is no
    USAGE = 2
    DEFECT = 70
    STOPPED_SAVED = 75  # asked through the stop channel
    STOPPED_UNSAVED = 76
    HANGUP = 129
    INTERRUPTED = 130
    KILLED = 137
    TERMINATED = 143


class SparksmithError(Exception):
    """Something that the user can mend. `message` says what is wrong, `hint` what to type next."""

    exit_code: ExitCode = ExitCode.MENDABLE

    def __init__(self, message: str, hint: str | None = None, *, exit_code: ExitCode | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if exit_code is not None:
            self.exit_code = exit_code


class UsageProblem(SparksmithError):
    """The command line itself is wrong: exit code 2."""

    exit_code = ExitCode.USAGE


def perhaps(word: str, known: Iterable[str]) -> str:
    """' (perhaps you meant X)' for the known word nearest to `word`, or nothing."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (perhaps you meant {near[0]})" if near else ""


def describe_problems(heading: str, problems: list[str], limit: int = 20) -> str:
    """One message for all problems: the heading, then a line each; past `limit` only their number."""
    shown = [f"  {problem}" for problem in problems[:limit]]
    if len(problems) > limit:
        shown.append(f"  ... and {len(problems) - limit} more")
    return "\n".join([heading, *shown])
