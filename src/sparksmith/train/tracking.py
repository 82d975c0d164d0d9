"""Trackers besides metrics.jsonl. Without a key, wandb writes to the disk and asks nobody."""

from __future__ import annotations

import netrc
import os
from importlib.util import find_spec
from pathlib import Path

from sparksmith.base.errors import SparksmithError
from sparksmith.recipe.plan import Plan
from sparksmith.runs.records import Recorder


def prepare_tracking(plan: Plan, recorder: Recorder) -> None:
    """Raises `SparksmithError` where the tracker asked for is not installed."""
    if plan.report_to == "none":
        os.environ.setdefault("WANDB_DISABLED", "true")
        return
    if find_spec(plan.report_to) is None:
        raise SparksmithError(
            f"--report_to {plan.report_to} was asked for, and it is not installed here",
            f"uv pip install {plan.report_to}",
        )
    os.environ.setdefault("WANDB_DIR", plan.output_dir)
    if plan.report_to == "wandb" and "WANDB_MODE" not in os.environ and not has_wandb_key():
        os.environ["WANDB_MODE"] = "offline"
        recorder.event("warning", message="wandb has no key here (WANDB_API_KEY): it records offline, for `wandb sync`")


def has_wandb_key() -> bool:
    """Whether a key is in the environment or in ~/.netrc, where `wandb login` puts it."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc(Path.home() / ".netrc").authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False
