"""The run's page, renewed while it runs: at each save, after the evaluation and at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sparksmith.runs.layout import RunFolder

RENEWED_AFTER = frozenset({"checkpoint_saved", "evaluation"})


class PageKeeper:
    """A sink of a run's events. A page that cannot be written stops nothing and is told once."""

    def __init__(self, folder: RunFolder, tell: Callable[[dict[str, Any]], None]) -> None:
        self.folder = folder
        self.tell = tell
        self.told = False
        self.busy = False

    def __call__(self, event: dict[str, Any]) -> None:
        if event["kind"] in RENEWED_AFTER:
            self.renew()

    def renew(self) -> None:
        """Write the page as the records stand. Called by a signal's handler while it is being written, it does nothing:
        the template engine's locks are held then."""
        if self.busy:
            return
        self.busy = True
        try:
            from sparksmith.report.page import write_run

            write_run(self.folder)
        except Exception as error:  # whatever it is, the training is worth more
            if not self.told:
                self.told = True
                self.tell({"kind": "warning", "message": f"report.html cannot be written: {error}"})
        finally:
            self.busy = False
