"""How an end that was not wished for is told: on standard error, one message, then a hint to type."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from pathlib import Path

from sparksmith.base.errors import SparksmithError
from sparksmith.base.redact import redact_text
from sparksmith.report.commands import typable
from sparksmith.runs.checkpoints import checkpoint_folders
from sparksmith.runs.layout import RunFolder


def show(error: SparksmithError) -> None:
    """`error:` with what is wrong, `hint:` with what to type."""
    print(f"{_paint('error:', '31')} {redact_text(error.message)}", file=sys.stderr)
    if error.hint:
        print(f"{_paint('hint:', '36')} {typable(redact_text(error.hint))}", file=sys.stderr)


def show_defect(error: BaseException, log: Path | None) -> None:
    """An error that no user can mend: what to send, and where it stands."""
    print(
        f"{_paint('error:', '31')} a defect of Sparksmith: {type(error).__name__}: {redact_text(str(error))}",
        file=sys.stderr,
    )
    if log is None or os.environ.get("SPARKSMITH_TRACE"):
        traceback.print_exception(error, file=sys.stderr)
    where = f"with the last line of {log}" if log else "with the trace above"
    print(f"{_paint('hint:', '36')} please report it to the project's issue tracker, {where}", file=sys.stderr)


def say_stopped(folder: RunFolder, *, saved: bool, step: int | None = None) -> None:
    """After a stop: what was saved, and the command that goes on. `step` is the one that was to be saved."""
    checkpoints = checkpoint_folders(folder.path)
    last = checkpoints[-1].name if checkpoints else None
    if saved and last:
        print(f"stopped, and saved {last}", file=sys.stderr)
    elif step is not None:
        print(f"stopped; step {step} could not be saved, the newest checkpoint is {last or 'none'}", file=sys.stderr)
    else:
        print(
            f"stopped at once; the newest checkpoint is {last}" if last else "stopped; nothing was saved yet",
            file=sys.stderr,
        )
    if last:
        print(f"{_paint('hint:', '36')} {typable(resume_command(folder))}", file=sys.stderr)


def resume_command(folder: RunFolder) -> str:
    """The command that goes on with a run, from whichever folder it is typed in."""
    return f"sparksmith train --output_dir {shlex.quote(str(folder.path))} --resume_from_checkpoint"


def _paint(word: str, colour: str) -> str:
    if not sys.stderr.isatty() or os.environ.get("NO_COLOR"):
        return word
    return f"\033[1;{colour}m{word}\033[0m"
