"""One line that says how far a run is: renewed in place on a terminal, now and then a new line elsewhere."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from typing import Any, TextIO

from sparksmith.base.units import format_bytes, format_count, format_percent, format_seconds

QUIET_SECONDS = 10.0  # at least this long between lines where they cannot be renewed in place


class Progress:
    """A sink of a run's events."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream
        self.clock = clock
        self.live = stream.isatty()
        self.begin_step = 0
        self.begin_time = 0.0
        self.max_steps = 0
        self.last_line = -QUIET_SECONDS
        self.pending = False

    def __call__(self, event: dict[str, Any]) -> None:
        handler = getattr(self, f"_on_{event['kind']}", None)
        if handler:
            with contextlib.suppress(OSError):  # a terminal that is gone stops no run
                handler(event)

    def _on_model_ready(self, event: dict[str, Any]) -> None:
        share = event["trainable_parameters"] / event["parameters"]
        self._say(
            f"model: {format_count(event['parameters'])} parameters, "
            + (
                "all of them train"
                if share == 1
                else f"{format_count(event['trainable_parameters'])} ({share:.1%}) train"
            )
        )

    def _on_warning(self, event: dict[str, Any]) -> None:
        self._say(f"warning: {event['message']}")

    def _on_training_started(self, event: dict[str, Any]) -> None:
        self.begin_step, self.begin_time, self.max_steps = event["step"], self.clock(), event["max_steps"]
        if event["step"]:
            self._say(f"going on from step {event['step']:,}")

    def _on_metric(self, event: dict[str, Any]) -> None:
        if event.get("eval_loss") is not None and "loss" not in event:
            rates = [
                f", {label} {format_percent(event[name])}"
                for label, name in (("PER", "eval_per"), ("WER", "eval_wer"), ("exact match", "eval_exact_match"))
                if name in event and (name != "eval_exact_match" or "eval_wer" not in event)
            ]
            self._say(f"step {event['step']:,}: loss on the held-out part {event['eval_loss']:.4f}" + "".join(rates))
            return
        if event.get("loss") is None:
            return
        done = event["step"] - self.begin_step
        passed = self.clock() - self.begin_time
        left = passed / done * (self.max_steps - event["step"]) if done > 0 else 0.0
        self._renew(
            [
                f"step {event['step']:,}/{self.max_steps:,}",
                f"loss {event['loss']:.4f}",
                f"{format_count(event['tokens_per_second'])} tok/s",
                f"{format_bytes(event['memory_available_bytes'])} free",
                f"{format_seconds(left)} left",
            ],
            last=event["step"] >= self.max_steps,
        )

    def _on_evaluating(self, event: dict[str, Any]) -> None:
        last = event["done"] >= event["rows"]
        self._renew([f"predicting {event['when']}: {event['done']:,}/{event['rows']:,}"], last=last)

    def _on_checkpoint_saved(self, event: dict[str, Any]) -> None:
        self._say(f"saved checkpoint-{event['step']}")

    def _on_training_finished(self, event: dict[str, Any]) -> None:
        self._say(f"trained to step {event['step']:,} in {format_seconds(event['seconds'])}")

    def _renew(self, parts: list[str], *, last: bool) -> None:
        """Show a passing state: as many of the parts as the terminal is wide."""
        if not self.live:
            now = self.clock()
            if last or now - self.last_line >= QUIET_SECONDS:
                self.last_line = now
                print("  ".join(parts), file=self.stream, flush=True)
            return
        width = shutil.get_terminal_size().columns - 1
        line = parts[0][:width]
        for part in parts[1:]:
            if len(line) + 2 + len(part) <= width:
                line += "  " + part
        self.stream.write(f"\r\033[K{line}")
        self.pending = True
        if last:
            self._end_line()
        self.stream.flush()

    def _say(self, line: str) -> None:
        """Show something that stays."""
        self._end_line()
        print(line, file=self.stream, flush=True)

    def _end_line(self) -> None:
        if self.pending:
            self.stream.write("\n")
            self.pending = False
