"""The runs that nobody disturbs: what is trained, in which variants, and what comes of it."""

from __future__ import annotations

import contextlib
import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aimed import Ended, Trace, attempt
from comparing import read_end

VARIANTS: tuple[dict[str, Any], ...] = (
    {"save_steps": 3, "logging_steps": 2, "eval_steps": 5, "save_total_limit": 2, "max_steps": 20},
    {"save_steps": 4, "logging_steps": 3, "eval_steps": 2, "save_total_limit": 1, "max_steps": 22, "seed": 7},
    {
        "save_steps": 2, "logging_steps": 5, "eval_steps": 4, "save_total_limit": 2, "max_steps": 17, "seed": 3,
        "group_by_length": False, "label_smoothing": 0.1, "lr_scheduler_type": "cosine",
    },
)  # fmt: skip
SHAPES: dict[str, dict[str, Any]] = {
    "tiny, full": {
        "tiny_hidden_size": 32,
        "tiny_layers": 2,
        "attention_dropout": 0.1,
        "response_noise": 0.2,
        "ema_window": 0.3,
    },
    "small Gemma 3, LoRA": {"lora_r": 4, "lora_alpha": 8, "lora_dropout": 0.1, "full_finetuning": False},
}
COMMON = {
    "dropout": 0.1, "batch_size": 8, "micro_batch_size": 4, "learning_rate": 3e-3, "max_new_tokens": 6,
    "spaces_separate": "words",
}  # fmt: skip


@dataclass
class Reference:
    """A run that nobody disturbed: its plan, what it takes, and what came of it."""

    plan: Any
    trace: Trace
    end: dict[str, Any]


def write_plan(plan: Any, folder: Path, *, resume: bool) -> None:
    from sparksmith.base.files import write_json

    changed = plan.model_copy(
        update={"output_dir": str(folder), "resume_from_checkpoint": "latest" if resume else None}
    )
    write_json(folder / "plan.json", changed.model_dump(mode="json"))


def make_references(root: Path, shapes: list[str]) -> dict[tuple[str, int], Reference]:
    """The undisturbed run of each shape and variant. What they import is then imported here, for the next children."""
    from plans import make_plan, write_pairs
    from small_models import save_small_gemma
    from sparksmith.runs.layout import RunFolder

    data = str(write_pairs(root))
    references = {}
    for shape in shapes:
        model = {}
        if "Gemma" in shape:
            model = {"model": str(root / "gemma")}
            in_a_child(lambda: save_small_gemma(root / "gemma"))
        for number, variant in enumerate(VARIANTS):
            folder = root / f"{shape} reference {number}"
            run = RunFolder(folder / "run")
            run.path.mkdir(parents=True)
            plan = make_plan(folder, data_file=data, eval_file=data, **COMMON, **SHAPES[shape], **model, **variant)
            write_plan(plan, run.path, resume=False)
            ended = Ended(None, "", False, Trace())
            for turn in range(2 if number == 0 else 1):  # the first also imports, so its times say nothing
                names = root / "modules"
                if turn:
                    run.path.rename(folder / "warm-up")
                    run.path.mkdir()
                    write_plan(plan, run.path, resume=False)
                ended = attempt(run.path, first="start", aim=None, trace=Trace(), modules=names)
                if ended.code != 0:
                    raise SystemExit(f"the undisturbed run ended with {ended.code}; its log: {run.path}.log")
                for name in names.read_text(encoding="utf-8").split():
                    with contextlib.suppress(Exception):
                        importlib.import_module(name)
            references[shape, number] = Reference(plan, ended.trace, read_end(run, plan.max_steps))
    return references


def in_a_child(do: Any) -> None:
    """Tokenizers start threads, and the process that forks must have none."""
    pid = os.fork()
    if pid == 0:
        try:
            do()
        except BaseException:
            os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        raise SystemExit("the small model could not be made")
