"""Jobs carried out in the process of the test, from plans as `sparksmith train` leaves them."""

from __future__ import annotations

from pathlib import Path

from sparksmith.base.files import write_json
from sparksmith.recipe.plan import Plan
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import read_lines, write_manifest
from sparksmith.train.__main__ import main as job

# of a line in metrics.jsonl, where two runs are the same
MAY_DIFFER = {"time", "tokens_per_second", "memory_available_bytes", "eval_seconds"}


def prepare(plan: Plan) -> RunFolder:
    """The run's folder with the plan and, where there is none yet, a manifest."""
    folder = RunFolder(Path(plan.output_dir))
    folder.path.mkdir(parents=True, exist_ok=True)
    write_json(folder.plan, plan.model_dump(mode="json"))
    if not folder.manifest.exists():
        write_manifest(folder, run="20261121-000000-test", created=0.0, sparksmith="test", state="planned")
    return folder


def carry_out(plan: Plan) -> RunFolder:
    """The run's folder after its Job, which must have come to its end."""
    folder = prepare(plan)
    assert job([str(folder.path)]) == 0, list(read_lines(folder.events))[-1]
    return folder
