"""Runs for tests, written without training: checkpoints, a manifest, a fake /proc."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparksmith.jobs.identity import Identity
from sparksmith.runs.checkpoints import seal_checkpoint
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import write_manifest

HEADER = b'{"w": {"dtype": "U8", "shape": [350], "data_offsets": [0, 350]}}'
FILES = {
    "model.safetensors": len(HEADER).to_bytes(8, "little") + HEADER + b"weights" * 50,
    "optimizer.pt": b"moments" * 90,
    "scheduler.pt": b"rate",
    "rng_state.pth": b"r",
    "trainer_state.json": b'{"global_step": %d}',
    "sub/added_tokens.json": b"{}",
}


def write_files(folder: Path, step: int) -> Path:
    """A plain checkpoint of Transformers' shape."""
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content % step if b"%d" in content else content)
    return folder


def write_checkpoint(run: Path, step: int, **facts: Any) -> Path:
    """A sealed one."""
    path = write_files(run / f"checkpoint-{step}", step)
    seal_checkpoint(path, step, **facts)
    return path


def write_run(path: Path, state: str = "finished", **facts: Any) -> RunFolder:
    """A folder that bears our mark."""
    path.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(path)
    write_manifest(folder, run="20261121-031500-1a2b", created=1.5, sparksmith="0.1.0", state=state, **facts)
    folder.plan.write_text('{"max_steps": 20}')
    return folder


def fake_proc(root: Path, *, boot: str = "boot-a", **processes: str) -> Path:
    """A /proc where p7="S 500" is pid 7 in state S, started at tick 500."""
    (root / "proc/sys/kernel/random").mkdir(parents=True, exist_ok=True)
    (root / "proc/sys/kernel/random/boot_id").write_text(f"{boot}\n")
    for name, said in processes.items():
        state, ticks = said.split()
        place = root / "proc" / name.removeprefix("p")
        place.mkdir(exist_ok=True)
        (place / "stat").write_text(stat_line(int(name[1:]), "python", state, int(ticks)))
    return root


def stat_line(pid: int, command: str, state: str, ticks: int) -> str:
    """/proc/PID/stat, its start time as the 22nd field (proc(5))."""
    return f"{pid} ({command}) {state} " + "0 " * 18 + f"{ticks} 1000 25\n"


RAN = Identity(7, 500, "boot-a")
