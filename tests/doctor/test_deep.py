"""An interpreter whose torch hangs, crashes, lies or floods is told of in time, and nothing of it is left running."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from made_torch import PLAIN, make_python, make_script

from sparksmith.doctor import deep, deep_child, probe
from sparksmith.doctor.deep import DeepResult, describe_result, findings_of, run_probe
from sparksmith.policy.targets import load_target

GB10 = load_target("gb10")
HANGS_SECONDS = 2.0  # long enough for Python to start beside other tests


def faults(result: DeepResult) -> list[str]:
    return [seen.fault for seen in findings_of(result, GB10)]


def is_gone(pid: int) -> bool:
    """Whether a process ends within a second or two: what SIGKILL does is not done at once."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.01)
    return False


@pytest.mark.effects
def test_an_import_that_hangs(tmp_path):
    python = make_python(tmp_path, "import time\n\ndef load():\n    time.sleep(600)\n\nload()\n")
    result = run_probe(python, deadline=HANGS_SECONDS)
    assert (result.at, [step.name for step in result.steps]) == ("torch", ["python"])
    assert HANGS_SECONDS <= result.ending.seconds < HANGS_SECONDS + 3
    (seen,) = findings_of(result, GB10)
    assert seen.fault == "torch-import-hangs"
    assert seen.here.startswith("import torch did not end within ")
    assert seen.evidence[0].endswith("/torch/__init__.py:4 in load")
    assert f"{python.parent.parent}/bin/python" in str(seen.command)


@pytest.mark.effects
def test_an_import_that_crashes(tmp_path):
    python = make_python(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    result = run_probe(python)
    (seen,) = findings_of(result, GB10)
    assert (seen.fault, seen.here) == ("torch-import-fails", "import torch crashed with SIGSEGV")
    assert seen.evidence[0].endswith("/torch/__init__.py:2 in <module>")
    assert describe_result(result)[-2:] == [seen.here, f"  {seen.evidence[0]}"]


@pytest.mark.effects
@pytest.mark.parametrize(
    ("torch", "fault", "here"),
    [
        ("raise ImportError('libcudart.so.12: cannot open shared object file: No such file or directory')",
         "cuda-major-mixed", "import torch: ImportError: libcudart.so.12: cannot open shared object file"),
        ("raise RuntimeError('the gears are stuck')", "torch-import-fails", "RuntimeError: the gears are stuck"),
        ("raise SystemExit(3)", "torch-import-fails", "import torch: SystemExit: 3"),
        ("import os; os._exit(3)", "torch-import-fails", "import torch ended the process with exit code 3"),
        ("import os; os._exit(0)", "torch-import-fails", "import torch ended the process with exit code 0"),
        ("import os; os.kill(os.getpid(), 9)", "torch-import-fails", "crashed with SIGKILL: somebody killed it"),
        ("x = 1", "torch-import-fails", "AttributeError: module 'torch' has no attribute '__version__'"),
        (PLAIN, "torch-work-fails", "allocating memory: RuntimeError: this torch is made up"),
        (PLAIN.replace("raise RuntimeError", "import os; os.abort()  #"), "torch-work-fails",
         "allocating memory crashed with SIGABRT"),
        (PLAIN.replace('"this', '"CUDA error: no kernel image is available for execution on the device: this'),
         "no-kernel-image", "no kernel image is available"),
        (PLAIN.replace("raise", "import torch.absent  #"), "torch-work-fails", "No module named 'torch.absent'"),
    ],
)  # fmt: skip
def test_what_goes_wrong_has_a_name(tmp_path, torch, fault, here):
    (seen,) = findings_of(run_probe(make_python(tmp_path, torch)), GB10)
    assert seen.fault == fault
    assert here in seen.here


@pytest.mark.effects
def test_a_namespace_that_was_left_of_a_torch(tmp_path):
    python = make_python(tmp_path, "")
    (tmp_path / "site with a space" / "torch" / "__init__.py").unlink()
    assert faults(run_probe(python)) == ["torch-import-fails"]


@pytest.mark.effects
def test_without_torch_nothing_is_wrong(tmp_path):
    result = run_probe(make_script(tmp_path, run_bare()))
    assert faults(result) == []
    assert result.at is None
    assert describe_result(result)[1].startswith("torch: skipped: torch is not installed")


def run_bare() -> str:
    return f'exec {shlex.quote(sys.executable)} -S "$@"'


@pytest.mark.effects
def test_extensions_that_do_not_import(tmp_path):
    text = "raise ImportError('libsomething.so: undefined symbol')"
    python = make_python(tmp_path, PLAIN, bitsandbytes=text, flash_attn=text)
    result = run_probe(python)
    assert faults(result) == ["torch-work-fails", "extension-import-fails"]
    assert [step.status for step in result.steps[-3:]] == ["skipped", "failed", "failed"]


@pytest.mark.effects
def test_noise_on_standard_output(tmp_path):
    noise = (
        'import os\nprint("{\\"step\\": \\"cuda\\", \\"status\\": \\"ok\\", \\"seconds\\": 1}")\nos.write(1, b"<<")\n'
    )
    said: list[str] = []
    result = run_probe(make_python(tmp_path, noise + PLAIN), say=said.append)
    assert [step.name for step in result.steps] == list(probe.STEPS)
    assert result.step("cuda").facts["available"] is False
    assert len(said) == len(probe.STEPS) and said[1].startswith("torch: 2.99.0 (")


@pytest.mark.effects
def test_noise_before_the_probe_begins(tmp_path):
    python = make_script(tmp_path, f"printf 'welcome to this machine: '\n{run_bare()}")
    assert run_probe(python).step("python").status == "ok"


@pytest.mark.effects
def test_half_a_line_and_then_nothing(tmp_path):
    lines = '{"step": "python", "status": "ok", "seconds": 0.1}\\n{"step": "torch", "status": "o'
    result = run_probe(make_script(tmp_path, f"printf '{lines}'\nkill -SEGV $$"))
    assert [step.name for step in result.steps] == ["python"]
    (seen,) = findings_of(result, GB10)
    assert (seen.fault, seen.here) == ("torch-import-fails", "import torch crashed with SIGSEGV")


@pytest.mark.effects
def test_a_flood_is_read_and_thrown_away(tmp_path):
    line = '{"step": "python", "status": "ok", "seconds": 0.1}'
    python = make_script(tmp_path, f"head -c 100000000 /dev/zero\nprintf '{line}'\nhead -c 100000000 /dev/zero >&2")
    tracemalloc.start()
    try:
        result = run_probe(python)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [step.name for step in result.steps] == ["python"]
    assert len(result.ending.errors) == deep_child.ERRORS_BYTES
    assert peak < 8 * 2**20


@pytest.mark.effects
def test_a_flood_without_an_end_is_cut_off(tmp_path):
    result = run_probe(make_script(tmp_path, "yes"), deadline=0.5)
    assert faults(result) == ["python-does-not-start"]
    assert result.ending.late and result.ending.seconds < 5


DEAF = """
import os, pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pid = os.fork()
here = pathlib.Path(__file__).parent
(here / ("grandchild" if pid == 0 else "child")).write_text(str(os.getpid()))
"""


@pytest.mark.effects
def test_what_is_deaf_and_has_children_is_gone_afterwards(tmp_path):
    python = make_python(tmp_path, f"{DEAF}while True: time.sleep(600)\n")
    assert faults(run_probe(python, deadline=HANGS_SECONDS)) == ["torch-import-hangs"]
    for name in ("child", "grandchild"):
        assert is_gone(int((tmp_path / "site with a space" / "torch" / name).read_text()))


@pytest.mark.effects
def test_what_is_left_behind_is_gone_and_not_waited_for(tmp_path):
    python = make_python(tmp_path, f"{DEAF}\nwhile pid == 0: time.sleep(600)\n{PLAIN}")
    result = run_probe(python)
    assert result.at is None and not result.ending.late
    assert is_gone(int((tmp_path / "site with a space" / "torch" / "grandchild").read_text()))


@pytest.mark.effects
def test_an_interrupt_leaves_nothing_running(tmp_path):
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    python = make_script(tmp_path, f"echo $$ > {tmp_path}/pid\n{run_bare()}")
    with pytest.raises(KeyboardInterrupt):
        run_probe(python, say=interrupt)
    assert is_gone(int((tmp_path / "pid").read_text()))


@pytest.mark.effects
def test_the_child_is_the_first_that_the_kernel_kills_and_writes_nothing(tmp_path):
    torch = 'import os\nraise OSError(open("/proc/self/oom_score_adj").read() + os.environ["TRITON_CACHE_DIR"])'
    result = run_probe(make_python(tmp_path, torch))
    first, folder = result.step("torch").facts["error"].splitlines()[-2:]
    assert first == "OSError: 1000"
    assert "sparksmith-deep-" in folder and not Path(folder).exists()
    assert not list(tmp_path.rglob("__pycache__"))


@pytest.mark.effects
@pytest.mark.parametrize(
    ("make", "here"),
    [
        (lambda python: None, "starting Python cannot be run: No such file or directory"),
        (lambda python: python.symlink_to("/nowhere/python3.12"), "cannot be run: No such file or directory"),
        (lambda python: python.write_text("text"), "starting Python cannot be run: Permission denied"),
        (
            lambda python: make_script(python.parent.parent, "exit 2"),
            "Python ended the process with exit code 2",
        ),
    ],
)
def test_a_python_that_does_not_start(tmp_path, make, here):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    make(python)
    (seen,) = findings_of(run_probe(python), GB10)
    assert seen.fault == "python-does-not-start"
    assert here in seen.here
    assert seen.command is not None and str(tmp_path) in seen.command and deep.ENVIRONMENT not in seen.command


@pytest.mark.effects
def test_what_cannot_even_be_killed_is_given_up(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(deep_child, "_kill_group", lambda process: bool(kept.append(process)))
    result = run_probe(make_script(tmp_path, "trap '' USR1\nexec sleep 600"), deadline=0.2)
    os.killpg(kept[0].pid, 9)
    kept[0].wait()
    assert "not even SIGKILL ended it: it hangs in the driver" in result.how


@pytest.mark.effects
def test_the_environment_of_these_tests():
    result = run_probe(Path(sys.executable), deadline=300.0)
    assert [step.name for step in result.steps] == list(probe.STEPS)
    assert [step.error for step in result.steps if step.status == "failed"] == []
    assert faults(result) == []
    assert result.step("multiply").facts["bf16"]["flops"] > 0
    json.dumps(result.to_json(), allow_nan=False)
