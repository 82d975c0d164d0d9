"""A disk that is full, read-only, broken or gone in the middle of a run: nothing that was saved is lost.

Root ignores permissions, so the disks are small tmpfs mounts; what they cannot show (EDQUOT, EIO) is injected.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from jobs_here import prepare
from plans import make_plan
from sparksmith.base.files import write_json
from sparksmith.runs import checkpoints
from sparksmith.runs.checkpoints import checkpoint_folders, find_faults, leftovers
from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import Recorder, read_lines
from sparksmith.train import saving
from sparksmith.train.__main__ import main as job
from sparksmith.train.disk import disk_trouble
from sparksmith.train.saving import Saver

pytestmark = [pytest.mark.effects, pytest.mark.filterwarnings("ignore")]
MIB = 2**20


class Mount:
    """A small disk in memory."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        path.mkdir()
        self.call("mount", "-t", "tmpfs", "-o", f"size={size}", "sparksmith-test", str(path))

    def call(self, *argv: str) -> None:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a disk cannot be mounted here: {done.stderr.strip()}")

    def fill(self, leave: int = 0) -> None:
        free = shutil.disk_usage(self.path).free
        with (self.path / "filling").open("ab") as file:
            file.write(b"\0" * max(0, free - leave))

    def make_room(self) -> None:
        (self.path / "filling").unlink(missing_ok=True)

    def read_only(self) -> None:
        self.call("mount", "-o", "remount,ro", str(self.path))

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], capture_output=True, check=False)


@pytest.fixture
def disk(tmp_path):
    mount = Mount(tmp_path / "a disk", 300 * MIB)
    yield mount
    mount.close()


def planned(at: Path, output: Path, **flags) -> RunFolder:
    flags = {"max_steps": 6, "save_steps": 2, "batch_size": 4, "logging_steps": 1, "save_total_limit": 9, **flags}
    return prepare(make_plan(at, output_dir=str(output), **flags))


def at_steps(monkeypatch, actions) -> None:
    """Do something at the beginning of a step."""
    from sparksmith.train import trainer

    original = trainer.FineTuner.compute_loss
    waiting = dict(actions)

    def act(self, *arguments, **options):
        action = waiting.pop(self.state.global_step + 1, None)
        if action:
            action()
        return original(self, *arguments, **options)

    monkeypatch.setattr(trainer.FineTuner, "compute_loss", act)


def whole_steps(folder: Path) -> list[int]:
    found = checkpoint_folders(folder)
    assert [find_faults(path, hashes=True) for path in found] == [[] for _ in found]
    return [int(path.name.split("-")[1]) for path in found]


def warnings_of(folder: RunFolder) -> list[str]:
    return [event["message"] for event in read_lines(folder.events) if event["kind"] == "warning"]


def state_of(folder: RunFolder) -> tuple[str, int]:
    manifest = json.loads(folder.manifest.read_text())
    return manifest["state"], manifest["exit_code"]


@pytest.mark.parametrize("foreseen", [True, False], ids=["foreseen", "in the middle of the write"])
def test_full_at_a_save_and_room_again_at_the_next(tmp_path, monkeypatch, capfd, disk, foreseen):
    if not foreseen:
        monkeypatch.setattr(saving, "MARGIN_BYTES", -(10**15))
    folder = planned(tmp_path, disk.path / "run")
    at_steps(monkeypatch, {3: lambda: disk.fill(3 * MIB), 5: disk.make_room})
    assert job([str(folder.path)]) == 0
    assert whole_steps(folder.path) == [2, 6] and leftovers(folder.path) == []
    (told,) = warnings_of(folder)
    assert told.startswith("checkpoint-4 could not be saved: ") and told.endswith("whole one is checkpoint-2")
    assert "the disk has" in told
    said = capfd.readouterr().err
    assert f"warning: {told}" in said and "Traceback" not in said
    assert [line["step"] for line in read_lines(folder.metrics) if "loss" in line] == [1, 2, 3, 4, 5, 6]


def test_full_at_the_last_save(tmp_path, monkeypatch, capfd, disk):
    folder = planned(tmp_path, disk.path / "run")
    at_steps(monkeypatch, {5: lambda: disk.fill(MIB)})
    assert job([str(folder.path)]) == 1
    assert whole_steps(folder.path) == [2, 4]
    assert state_of(folder) == ("failed", 1)
    said = capfd.readouterr().err
    assert "the training is done, but its last checkpoint could not be saved" in said and "hint: make room" in said
    disk.make_room()
    plan = json.loads(folder.plan.read_text())
    write_json(folder.plan, {**plan, "resume_from_checkpoint": "latest"})
    assert job([str(folder.path)]) == 0  # and it goes on from what there is
    assert whole_steps(folder.path) == [2, 4, 6]
    assert [line["step"] for line in read_lines(folder.metrics) if "loss" in line] == [1, 2, 3, 4, 5, 6]


def test_full_for_the_records(tmp_path, monkeypatch, capfd, disk):
    """Not a byte left, from step 3 to step 5: no cut line, and the run is told once."""
    folder = planned(tmp_path, disk.path / "run", save_steps=6)

    def pad() -> None:  # a page of tmpfs is 4 KiB: the file has its first one nearly full
        with folder.metrics.open("a") as file:
            file.write(json.dumps({"version": 1, "time": 0.0, "step": 1, "pad": "x" * 3200}) + "\n")

    at_steps(monkeypatch, {2: pad, 3: disk.fill, 6: disk.make_room})
    assert job([str(folder.path)]) == 0
    lines = folder.metrics.read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps[-1] == 6 and len(steps) < 7 and steps == sorted(steps)
    assert capfd.readouterr().err.count("the run's records cannot be written: No space left on device") == 1
    assert state_of(folder) == ("finished", 0) and whole_steps(folder.path) == [6]


def test_full_from_the_beginning(tmp_path, capfd, disk):
    folder = planned(tmp_path, disk.path / "run")
    disk.fill()
    assert job([str(folder.path)]) == 1
    said = capfd.readouterr().err
    assert "error: " in said and "No space left on device" in said and "Traceback" not in said


def test_read_only_in_the_middle_and_from_the_beginning(tmp_path, monkeypatch, capfd, disk):
    """tmpfs refuses to become read-only while a file is open for writing: the run's records are closed first."""
    folder = planned(tmp_path, disk.path / "run")
    opened = []
    original = Recorder.__init__

    def keep(self, *arguments, **options):
        original(self, *arguments, **options)
        opened.append(self)

    monkeypatch.setattr(Recorder, "__init__", keep)

    def turn() -> None:
        for file in (opened[0]._events, opened[0]._metrics):
            null = os.open("/dev/full", os.O_RDWR)  # every write fails there
            os.dup2(null, file._descriptor)
            os.close(null)
        null = os.open(os.devnull, os.O_RDONLY)
        for entry in Path("/proc/self/fd").iterdir():  # the lock of the folder
            if entry.exists() and entry.readlink().is_relative_to(disk.path):
                os.dup2(null, int(entry.name))
        os.close(null)
        disk.read_only()

    at_steps(monkeypatch, {3: turn})
    assert job([str(folder.path)]) == 1
    assert whole_steps(folder.path) == [2]
    said = capfd.readouterr().err
    assert "Read-only file system" in said and "Traceback" not in said
    assert "checkpoint-4 could not be saved" in said and "checkpoint-6 could not be saved" in said
    assert "records cannot be written" in said

    assert job([str(folder.path)]) == 1
    said = capfd.readouterr().err
    assert "cannot be written" in said and "Read-only file system" in said and "Traceback" not in said


@pytest.mark.parametrize("below", [True, False], ids=["below the mount", "the mount itself"])
def test_a_mount_that_vanishes(tmp_path, monkeypatch, capfd, disk, below):
    """Taken away lazily at step 3. Nothing is written into what lies under it."""
    folder = planned(tmp_path, disk.path / "run" if below else disk.path)
    held = os.open(disk.path, os.O_RDONLY)  # the way to what was on it
    try:
        at_steps(monkeypatch, {3: disk.close})
        assert job([str(folder.path)]) == 1
        assert whole_steps(Path(f"/proc/self/fd/{held}") / ("run" if below else "")) == [2]
    finally:
        os.close(held)
    assert list(disk.path.iterdir()) == []
    said = capfd.readouterr().err
    assert "checkpoint-4 could not be saved: the run's folder" in said
    assert "the training is done, but its last checkpoint could not be saved" in said
    assert "Traceback" not in said and "defect" not in said


# Injected: a fake write, and the system's calls failing one at a time.


def write_files(staging: Path) -> None:
    folder = next(iter(staging.parent.glob(f"{staging.name}"))) / staging.name.removeprefix(".saving-")
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(os.urandom(5000))
    (folder / "trainer_state.json").write_text("{}")


@pytest.fixture
def saver(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    recorder = Recorder(folder)
    saver = Saver(folder.path, 9, recorder, lambda: 10**12)
    assert saver.save(1, write_files, disk=0, memory=0)
    yield saver
    recorder.close()


def failing(number: int):
    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE])
@pytest.mark.parametrize(
    ("owner", "name"), [(os, "fsync"), (Path, "rename"), (Path, "mkdir"), (checkpoints, "write_json")]
)
def test_a_save_whose_system_call_fails(saver, monkeypatch, number, owner, name):
    with monkeypatch.context() as broken:
        broken.setattr(owner, name, failing(number))
        assert saver.save(2, write_files, disk=0, memory=0) is False
    assert os.strerror(number) in saver.trouble and saver.saved_step == 1
    assert whole_steps(saver.folder) == [1] and leftovers(saver.folder) == []
    assert saver.save(3, write_files, disk=0, memory=0)
    assert whole_steps(saver.folder) == [1, 3] and saver.trouble is None


def test_the_disk_fails_at_the_flush_after_the_rename(saver, monkeypatch):
    """The checkpoint is there and whole, only not known to be on the disk: it is not called saved."""
    real = os.fsync
    folder_number = saver.folder.stat().st_ino

    def fsync(descriptor):
        if os.fstat(descriptor).st_ino == folder_number:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor)

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fsync)
        assert saver.save(2, write_files, disk=0, memory=0) is False
    assert saver.saved_step == 1 and set(whole_steps(saver.folder)) >= {1}
    assert saver.save(2, write_files, disk=0, memory=0)
    assert whole_steps(saver.folder) == [1, 2]


def library_errors():
    from safetensors import SafetensorError

    return [
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:664] . PytorchStreamWriter failed writing file data/2"),
        Exception("No space left on device (os error 28)"),  # tokenizers
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"),
        RuntimeError("Parent directory /mnt/disk does not exist."),
        RuntimeError("basic_ios::clear: iostream error"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
    ]


@pytest.mark.parametrize("error", library_errors(), ids=lambda error: f"{type(error).__name__} {str(error)[-20:]}")
def test_what_libraries_raise_on_a_full_disk(saver, error):
    def write(staging: Path) -> None:
        write_files(staging)
        raise error

    assert saver.save(2, write, disk=0, memory=0) is False
    assert whole_steps(saver.folder) == [1] and leftovers(saver.folder) == []


@pytest.mark.parametrize(
    "error",
    [
        TypeError("a defect"),
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
        RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
    ],
    ids=lambda error: str(error)[:24],
)
def test_a_defect_or_a_fault_of_the_gpu_is_no_failure_of_the_disk(saver, error):
    def write(staging: Path) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        saver.save(2, write, disk=0, memory=0)
    assert raised.value is error
    assert whole_steps(saver.folder) == [1]


def test_too_little_memory_or_disk_for_a_save(saver):
    saver.available_bytes = lambda: 100 * MIB
    assert saver.save(2, write_files, disk=0, memory=50 * MIB) is False
    assert saver.trouble == "it takes 114.0 MiB of memory and 100.0 MiB are available"
    assert saver.save(2, write_files, disk=10**16, memory=0) is False
    assert "and the disk has" in saver.trouble
    saver.available_bytes = lambda: 200 * MIB
    assert saver.save(2, write_files, disk=0, memory=50 * MIB)
    told = [event["message"] for event in read_lines(saver.folder / "events.jsonl") if event["kind"] == "warning"]
    assert len(told) == 2 and all(message.endswith("the newest whole one is checkpoint-1") for message in told)


def test_an_old_checkpoint_that_cannot_be_deleted(saver, monkeypatch):
    saver.keep = 1
    with monkeypatch.context() as broken:
        broken.setattr(saving, "rotate", failing(errno.EIO))
        assert saver.save(2, write_files, disk=0, memory=0)
    assert whole_steps(saver.folder) == [1, 2]


def test_which_errors_are_the_disks(tmp_path):
    def trouble(*arguments):
        return disk_trouble(tmp_path, OSError(*arguments))

    assert trouble(errno.ENOSPC, "No space left on device").exit_code == 1
    assert trouble(errno.ENOENT, "No such file or directory", str(tmp_path / "checkpoint-5/a")) is not None
    assert trouble(errno.ENOENT, "No such file or directory", "/elsewhere") is None
    assert disk_trouble(tmp_path, KeyError("a defect")) is None
