"""Runs that can answer, made without training: a `tiny` model on the pairs of plans.py.

And a pipe and a terminal to ask them at.
"""

from __future__ import annotations

import io
import os
import select
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from plans import PAIRS, make_plan
from sparksmith.base.files import write_json
from sparksmith.cli.main import main
from sparksmith.runs.checkpoints import seal_checkpoint
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import write_manifest

WORDS = [prompt for prompt, _ in PAIRS]
TOO_LONG = WORDS[0] * 60
DATA = "".join(f"{prompt}\t{response}\n" for prompt, response in PAIRS)


def make_run(folder: Path, **flags: Any) -> RunFolder:
    """folder/run with checkpoint-1: random weights, its layers enlarged so that answers differ."""
    import torch

    from sparksmith.model import make

    folder.mkdir(parents=True, exist_ok=True)
    plan = make_plan(folder, **flags)
    run = RunFolder(Path(plan.output_dir))
    run.path.mkdir()
    write_manifest(run, run="20261121-031500-1a2b", created=1.5, sparksmith="0.1.0", state="finished")
    write_json(run.plan, plan.model_dump(mode="json"))
    tokenizer = make.make_tokenizer(plan, [p for p, _ in PAIRS], [r for _, r in PAIRS], None)
    model = make.make_model(plan, tokenizer, run.base, lambda made: seal_checkpoint(made, 0))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and parameter.requires_grad and "embed" not in name:
                parameter.normal_(std=0.3) if "lora" in name else parameter.mul_(8)
    checkpoint = run.path / "checkpoint-1"
    model.save_pretrained(checkpoint)
    tokenizer.save_pretrained(checkpoint)
    write_json(checkpoint / "trainer_state.json", {"global_step": 1})
    seal_checkpoint(checkpoint, 1)
    return run


def converse(monkeypatch, words, talk):
    """Run the command with pipes on both sides, and talk(ask) beside it: ask(line) gives the next line of output."""
    asking, asked = os.pipe()
    answering, answered = os.pipe()

    def ask(line):
        os.write(asked, line.encode())
        said = b""
        while not said.endswith(b"\n") and select.select([answering], [], [], 30)[0]:
            said += os.read(answering, 1)
        return said.decode().rstrip("\n")

    heard = []

    def beside():
        try:
            heard.extend(talk(ask))
        finally:
            os.close(asked)  # so that the command ends, whatever was heard

    thread = threading.Thread(target=beside)
    with (
        os.fdopen(asking) as stdin,
        os.fdopen(answered, "w", encoding="utf-8") as stdout,
        monkeypatch.context() as patch,
    ):
        patch.setattr(sys, "argv", ["sparksmith", *words])
        patch.setattr(sys, "stdin", stdin)
        patch.setattr(sys, "stdout", stdout)
        thread.start()
        with pytest.raises(SystemExit) as stopped:
            main()
        thread.join(60)
    os.close(answering)
    return stopped.value.code, heard


class Terminal(io.StringIO):
    """Standard input at which Ctrl+C is pressed."""

    def isatty(self):
        return True

    def fileno(self):
        return 0


def type_at_terminal(monkeypatch, capsys, words, typed):
    """Run the command at a terminal, where `typed(prompt)` is what a user types next. Returns (exit code, errors)."""
    monkeypatch.setattr("builtins.input", typed)
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "argv", ["sparksmith", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code, capsys.readouterr().err
