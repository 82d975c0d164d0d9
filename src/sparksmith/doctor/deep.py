"""`doctor --deep`: an environment's torch tried out by its own interpreter, and what that tells.

`probe.py` is run in a child (`deep_child.py`) and says a line of JSON a step; the step that it does not come to say is
the one in which it hung or crashed. Nothing here imports torch, and nothing that the child says is trusted to be whole.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sparksmith.base.redact import redact, redact_text
from sparksmith.base.units import format_bytes
from sparksmith.doctor import probe
from sparksmith.doctor.deep_child import Ending, watch
from sparksmith.doctor.explain import explain
from sparksmith.doctor.finding import Seen
from sparksmith.machine.distributions import printable
from sparksmith.policy.faults import load_faults
from sparksmith.policy.targets import Target, list_targets, load_target

VERSION = 1
DEADLINE_SECONDS = 60.0
PROBE = Path(probe.__file__)
MARK = b'{"step": '
STATUSES = ("ok", "failed", "skipped")
SHOWN = 200  # characters of an error in a finding
# A target's rates are peaks (the H200's: 989 TFLOP/s, 4.8 TB/s) or just above what is reached (the GB10's bf16), and
# healthy machines reach 0.8 to 0.9 of them in large products and copies: an H200 788 to 809 TFLOP/s (measured), a GB10
# 92 of 104 TFLOP/s and 218 of 273 GB/s (github.com/huggingface/kernels/pull/283). A GB10 in a stuck power state runs at
# 695 of 2223 MHz, 0.31. Half lies between, with room on either side; `low-clocks` speaks of half the clock, too.
SLOW_SHARE = 0.5
MEMORY_WORD = re.compile(r"\d+GB|HBM\d\w?", re.IGNORECASE)  # as in "NVIDIA H100 80GB HBM3"
STACK = re.compile(r"most recent call first\):?\n((?: {2}File .*\n?)+)")
ENVIRONMENT = "ENVIRONMENT"  # the word in a row's command
FRAME = re.compile(r'  File "([^"\n]*)", line (\d+) in (\S+)')

# What torch's words for "no GPU" tell by themselves: here the variable is known, and decides between the two.
NO_GPU = ("cuda-devices-hidden", "cuda-does-not-start")
# step -> the fault that it shows where no known error text does
FAULT_OF_STEP = {
    "python": "python-does-not-start", "torch": "torch-import-fails", "triton": "triton-compile-fails",
    "bitsandbytes": "extension-import-fails", "flash_attn": "extension-import-fails",
}  # fmt: skip
WORK_FAILS = "torch-work-fails"
NAMES = {
    "python": "starting Python", "torch": "import torch", "cuda": "starting CUDA", "device": "asking for the device",
    "allocate": "allocating memory", "multiply": "multiplying", "copy": "copying", "triton": "compiling with Triton",
    "bitsandbytes": "import bitsandbytes", "flash_attn": "import flash_attn",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One line of the probe. `facts` is whatever else it said, as JSON has it: look at the types."""

    name: str
    status: str
    seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def error(self) -> str:
        """The traceback's text, and what was warned of before it."""
        warned = self.facts.get("warnings")
        return "\n".join([*map(str, warned if isinstance(warned, list) else []), str(self.facts.get("error", ""))])


@dataclass(frozen=True)
class DeepResult:
    """What was tried and how it ended. `at` is the step that it did not come out of, None where all were said."""

    python: Path
    steps: tuple[Step, ...]
    ending: Ending
    at: str | None = None

    def step(self, name: str) -> Step | None:
        """A step, if it was said."""
        return next((step for step in self.steps if step.name == name), None)

    @property
    def how(self) -> str:
        """In words, how it ended before it was through; empty where it was through."""
        ending = self.ending
        if ending.problem:
            return f"cannot be run: {ending.problem}"
        if self.at is None:
            return ""
        if ending.late:
            left = ", and not even SIGKILL ended it: it hangs in the driver" if ending.stuck else ""
            return f"did not end within {ending.seconds:.0f} s{left}"
        if ending.code is not None and ending.code < 0:
            return f"crashed with {_signal_name(-ending.code)}"
        return f"ended the process with exit code {ending.code}"

    @property
    def where(self) -> tuple[str, ...]:
        """Where it was, innermost first, as Python's faulthandler wrote it: at most 5 frames."""
        if self.at is None or not (stacks := STACK.findall(self.ending.errors)):
            return ()
        frames = [(Path(file), line, name) for file, line, name in FRAME.findall(stacks[-1])]
        inside = [each for each in frames if each[0] != PROBE and "importlib" not in str(each[0])]
        return tuple(printable(f"{file}:{line} in {name}") for file, line, name in inside[:5])

    def to_json(self) -> dict[str, Any]:
        """For `doctor --deep --json`; secrets are taken out."""
        said: dict[str, Any] = redact(
            {
                "version": VERSION, "python": str(self.python), "seconds": self.ending.seconds, "at": self.at,
                "how": self.how, "where": list(self.where), "exit_code": self.ending.code,
                "steps": [
                    {**step.facts, "step": step.name, "status": step.status, "seconds": step.seconds}
                    for step in self.steps
                ],
            }
        )  # fmt: skip
        return said


def run_probe(
    python: Path, *, deadline: float = DEADLINE_SECONDS, say: Callable[[str], None] = lambda _: None
) -> DeepResult:
    """Try the torch of an interpreter; `deadline` in seconds. `say` gets a line of text a step, while it goes on.

    Nothing is written into the environment, nor into Triton's cache, where a kernel of yesterday would hide that there
    is no compiler today.
    """
    steps: dict[str, Step] = {}

    def take(line: bytes) -> None:
        step = parse_step(line)
        if step and step.name not in steps:
            steps[step.name] = step
            say(describe_step(step))

    python = python.absolute()  # not resolved: a virtual environment's is a link, and the link decides
    with tempfile.TemporaryDirectory(prefix="sparksmith-deep-", ignore_cleanup_errors=True) as folder:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TRITON_CACHE_DIR": folder}
        ending = watch([str(python), str(PROBE), f"{deadline:g}"], environment, deadline, take)
    at = next((name for name in probe.STEPS if name not in steps), None)
    return DeepResult(python, tuple(steps.values()), ending, at)


def parse_step(line: bytes) -> Step | None:
    """A line of the probe's, also behind something else that was printed; None for any other."""
    start = line.find(MARK)
    if start < 0:
        return None
    try:
        said = json.loads(line[start:], parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    name, status, seconds = (said.pop(key, None) for key in ("step", "status", "seconds"))
    if name not in probe.STEPS or status not in STATUSES or _number(seconds) is None:
        return None
    return Step(name, status, float(seconds), said)


def findings_of(result: DeepResult, target: Target) -> list[Seen]:
    """The faults that it shows, one of a kind. Rates are judged where the GPU is of the target's kind or of a shipped
    one's. A machine without a driver is told by the machine's checks, not here."""
    found: dict[str, Seen] = {}
    commands = {fault.id: fault.command for fault in load_faults()}
    for seen in _find(result, target):
        found.setdefault(seen.fault, replace(seen, command=_fill_in(commands[seen.fault], result.python)))
    return list(found.values())


def shares_of(result: DeepResult, target: Target) -> dict[str, tuple[float, float]]:
    """ "bf16_flops" and "bandwidth" as (measured, the row's) where both are known; nothing for a GPU of no known kind,
    and nothing that was measured on a smaller piece of work than its size asks for."""
    row = row_of(result, target)
    shares = {}
    for key, step, fact, unit in (
        ("bf16_flops", "multiply", "bf16", "flops"),
        ("bandwidth", "copy", "within", "bytes_per_second"),
    ):
        measured = _inner(result.step(step), fact)
        expected = getattr(row, key, None)
        rate = _number(measured.get(unit))
        if expected and rate and measured.get("full_size") is True:
            shares[key] = (rate, expected)
    return shares


def row_of(result: DeepResult, target: Target) -> Target | None:
    """The target that is the GPU's own kind: the given one, else a shipped one, by capability and by name. Each word of
    the GPU's name must be one of the title's, so that an H100 PCIe or a Laptop GPU is not measured by its big brother.
    """
    step = result.step("device")
    if step is None or step.status != "ok":
        return None
    name = {word for word in _words(str(step.facts.get("name", ""))) if not MEMORY_WORD.fullmatch(word)}
    if not name - {"nvidia", "geforce"}:
        return None
    for row in (target, *map(load_target, list_targets())):
        if list(row.compute_capability) == step.facts.get("capability") and name <= _words(row.title):
            return row
    return None


def describe_step(step: Step) -> str:
    """One line for people."""
    if step.status == "skipped":
        said = f"skipped: {step.facts.get('why', '')}"
    elif step.status == "failed":
        said = f"FAILED: {_last_line(str(step.facts.get('error', '')))}"
    else:
        said = ", ".join(_details(step)) or "done"
    return f"{step.name}: {redact_text(printable(said))[:SHOWN]} ({step.seconds:.1f} s)"


def describe_result(result: DeepResult) -> list[str]:
    """All of it for people, with how it ended."""
    lines = [describe_step(step) for step in result.steps]
    if result.how:
        lines.append(f"{NAMES[result.at or 'python']} {result.how}")
        lines += [f"  {frame}" for frame in result.where]
    return lines


def _find(result: DeepResult, target: Target) -> Iterator[Seen]:
    worked = True
    for step in result.steps:
        if step.status == "failed":
            on_gpu = step.name in ("device", "allocate", "multiply", "copy")
            if on_gpu and not worked:
                continue  # after a first failure CUDA fails everything, with the same words or others
            worked = worked and not on_gpu
            yield _failed(step)
    yield from _without_gpu(result)
    if result.at is not None:
        yield _ended(result, result.at)
    slow = {key: pair for key, pair in shares_of(result, target).items() if pair[0] < SLOW_SHARE * pair[1]}
    if slow:
        here = " and ".join(_show_share(key, *pair) for key, pair in slow.items())
        yield Seen("slow-gpu", here, (f"measured by {PROBE.name}",))


def _failed(step: Step) -> Seen:
    here = f"{NAMES[step.name]}: {_last_line(step.error)}"[:SHOWN]
    if step.facts.get("wrong"):
        return Seen("gpu-wrong-results", here)
    return Seen(_explained(step.error) or FAULT_OF_STEP.get(step.name, WORK_FAILS), here, _tail(step.error))


def _without_gpu(result: DeepResult) -> Iterator[Seen]:
    """A driver is loaded, and torch does not come to the GPU."""
    step, torch = result.step("cuda"), result.step("torch")
    if not step or not torch or step.status != "ok":
        return
    if step.facts.get("available") is not False or step.facts.get("driver_loaded") is not True:
        return
    why = str(step.facts.get("why", ""))
    here = f"torch {torch.facts.get('version')} does not use the GPU: {_last_line(why)}"[:SHOWN]
    devices = step.facts.get("visible_devices")
    if torch.facts.get("cuda") is None:
        yield Seen("torch-cpu-build", here)
    elif (fault := _explained(f"{why}\n{step.error}")) and fault not in NO_GPU:
        yield Seen(fault, here)
    elif isinstance(devices, str):
        yield Seen("cuda-devices-hidden", f"CUDA_VISIBLE_DEVICES is {printable(devices)[:40]!r}: {here}"[:SHOWN])
    else:
        yield Seen("cuda-does-not-start", here)


def _ended(result: DeepResult, at: str) -> Seen:
    """It hung, crashed or left within a step."""
    evidence = result.where or _tail(result.ending.errors)
    here = f"{NAMES[at]} {result.how}"
    if at == "torch" and result.ending.late:
        return Seen("torch-import-hangs", here, evidence)
    if not result.ending.late and (fault := _explained(result.ending.errors)):
        return Seen(fault, here, evidence)
    return Seen(FAULT_OF_STEP.get(at, WORK_FAILS), here, evidence)


def _fill_in(command: str | None, python: Path) -> str | None:
    """The command for this environment; None where it is the row's own."""
    if not command or ENVIRONMENT not in command:
        return None
    return command.replace(ENVIRONMENT, shlex.quote(str(python.parent.parent)))


def _explained(text: str) -> str | None:
    """The known fault that an error's text tells of first; the harmless are none."""
    return next((match.fault.id for match in explain(text) if not match.fault.harmless), None)


def _details(step: Step) -> Iterator[str]:
    facts = step.facts
    if step.name == "cuda":
        yield "torch sees the GPU" if facts.get("available") is True else str(facts.get("why", ""))
    for key in ("version", "name"):
        if key in facts:
            yield str(facts[key])
    if isinstance(capability := facts.get("capability"), list):
        yield f"compute capability {'.'.join(map(str, capability))}"
    if (size := _number(facts.get("bytes"))) is not None:
        yield f"{format_bytes(size)} written and read"
    for key in ("bf16", "fp32", "tf32"):
        if (rate := _number(_inner(step, key).get("flops"))) is not None:
            yield f"{key} {rate / 1e12:.3g} TFLOP/s"
    for key, words in (("within", "within the memory"), ("from_host", "from the host")):
        if (rate := _number(_inner(step, key).get("bytes_per_second"))) is not None:
            one = " (one memory)" if _inner(step, key).get("one_memory") is True else ""
            yield f"{words}{one} {rate / 1e9:.3g} GB/s"
    if (seconds := _number(facts.get("compile_seconds"))) is not None:
        yield f"compiled and right in {seconds:.1f} s"


def _show_share(key: str, measured: float, expected: float) -> str:
    scale, unit = (1e12, "TFLOP/s in bf16") if key == "bf16_flops" else (1e9, "GB/s in a copy")
    return f"{measured / scale:.3g} of {expected / scale:.4g} {unit} ({measured / expected:.0%})"


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _inner(step: Step | None, key: str) -> Mapping[str, Any]:
    value = step.facts.get(key) if step else None
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    """A finite number that is not negative, out of JSON."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e300 and math.isfinite(value) else None


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _signal_name(number: int) -> str:
    if number == signal.SIGKILL:
        return "SIGKILL: somebody killed it, perhaps the kernel for want of memory"
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return redact_text(printable(lines[-1])) if lines else ""


def _tail(text: str) -> tuple[str, ...]:
    """The last few lines, as evidence."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return tuple(redact_text(printable(line))[:SHOWN] for line in lines[-4:])
