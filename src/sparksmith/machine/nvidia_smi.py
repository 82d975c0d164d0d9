"""What nvidia-smi writes, as pure parsers: `nvidia-smi -q`, and the table that people paste into threads.

A GB10 says "N/A", "[N/A]" or "Not Supported" for memory, power limits and the memory's clock: those are None here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sparksmith.machine.distributions import printable
from sparksmith.machine.root import whole_number

MOST_LINES = 100_000
MOST_GPUS = 64
MOST_PROCESSES = 1000
VERSION = re.compile(r"\d{1,5}(?:\.\d{1,5}){0,3}")
NUMBER = re.compile(r"(-?\d{1,18}(?:\.\d{1,6})?)\s*(%|C|W|MHz|MiB|us)?")
HEADER = re.compile(r"Driver Version:\s*(\S+)\s+CUDA (?:UMD )?Version:\s*(\S+)")
ROW_NAME = re.compile(r"^\|\s+(\d{1,3})\s+(\S.*?)\s+(?:On|Off|WDDM|TCC|N/A)\s*\|\s*([0-9A-Fa-f:.]{7,20})\s")
ROW_STATE = re.compile(
    r"^\|\s*(?:N/A|ERR!|\d{1,3}%)\s+(?P<temperature>N/A|-?\d{1,3})C?\s+(?P<state>P\d{1,2}|N/A)\s+(?P<power>N/A|\d{1,4})W?\s*/"
    r"\s*(?P<limit>N/A|\d{1,4})W?\s*\|\s*(?P<memory>.*?)\s*\|\s*(?P<used>N/A|\d{1,3}%)"
)
ROW_PROCESS = re.compile(r"^\|\s+(\d{1,3})\s+\S+\s+\S+\s+(\d{1,9})\s+(C\+G|C|G|M)\s+(\S.*?)\s+(N/A|\d{1,9}\s*MiB)\s*\|")
# An older nvidia-smi has two numbers less in this row.
ROW_PROCESS_OLD = re.compile(r"^\|\s+(\d{1,3})\s+(\d{1,9})\s+(C\+G|C|G)\s+(\S.*?)\s+(N/A|\d{1,9}\s*MiB)\s*\|")
REASONS = ("Clocks Event Reasons", "Clocks Throttle Reasons")
COUNTERS = ("Clocks Event Reasons Counters", "Clocks Throttle Reasons Counters")


@dataclass(frozen=True)
class SmiProcess:
    """A process that holds a GPU: `kind` is C (computes), G (draws) or C+G."""

    pid: int
    kind: str
    name: str
    memory_bytes: int | None


@dataclass(frozen=True)
class SmiGpu:
    """One GPU, in MHz, degrees Celsius, watts, percent and bytes. `limited_by` are the reasons that now hold its clocks
    down, "Idle" among them; `limited_microseconds` how long each did since the driver was loaded."""

    bus: str
    name: str | None = None
    addressing: str | None = None
    performance_state: str | None = None
    limited_by: tuple[str, ...] | None = None
    limited_microseconds: Mapping[str, int] = field(default_factory=dict)
    memory_total_bytes: int | None = None
    temperature: int | None = None
    power: float | None = None
    power_limit: float | None = None
    utilization: int | None = None
    clock: int | None = None
    max_clock: int | None = None
    processes: tuple[SmiProcess, ...] = ()


@dataclass(frozen=True)
class SmiAnswer:
    """The driver's version, the newest CUDA that it supports ("13.0"), and its GPUs in its order."""

    driver: str | None
    cuda: str | None
    gpus: tuple[SmiGpu, ...]


Entry = tuple[tuple[str, ...], str]


def parse_nvidia_smi(text: str) -> SmiAnswer:
    """The answer of `nvidia-smi -q`, whole, cut off, or of a few sections (`-d`)."""
    entries = _entries(text)
    blocks: dict[str, list[Entry]] = {}
    first: dict[str, str] = {}
    for path, value in entries:
        if path[0].startswith("GPU ") and len(path) > 1:
            if path[0] in blocks or len(blocks) < MOST_GPUS:
                blocks.setdefault(path[0], []).append((path[1:], value))
        elif len(path) == 1:
            first.setdefault(path[0], value)
    return SmiAnswer(
        version_of(first.get("Driver Version", "")),
        version_of(first.get("CUDA Version", first.get("CUDA UMD Version", ""))),
        tuple(_gpu(printable(name[4:].strip())[:40], block) for name, block in blocks.items()),
    )


def parse_nvidia_smi_table(text: str) -> SmiAnswer:
    """The answer of `nvidia-smi` alone. Long names are cut there, and clocks are not in it."""
    lines = text.splitlines()[:MOST_LINES]
    header = next((match for line in lines if (match := HEADER.search(line))), None)
    gpus: dict[int, SmiGpu] = {}
    processes: dict[int, list[SmiProcess]] = {}
    waiting: tuple[int, str, str] | None = None
    for line in lines:
        if (match := ROW_NAME.match(line)) and len(gpus) < MOST_GPUS:
            waiting = int(match[1]), printable(match[2]), match[3]
            gpus[waiting[0]] = SmiGpu(bus=waiting[2], name=waiting[1])
        elif waiting and (match := ROW_STATE.match(line)):
            gpus[waiting[0]] = _row(waiting, match)
            waiting = None
        elif match := ROW_PROCESS.match(line) or ROW_PROCESS_OLD.match(line):
            index, pid, kind, name, memory = match.groups()
            held = processes.setdefault(int(index), [])
            if len(held) < MOST_PROCESSES:
                held.append(SmiProcess(int(pid), kind, printable(name), mebibytes(memory)))
    return SmiAnswer(
        version_of(header[1]) if header else None,
        version_of(header[2]) if header else None,
        tuple(
            SmiGpu(**{**vars(gpu), "processes": tuple(processes.get(index, ()))}) for index, gpu in sorted(gpus.items())
        ),
    )


def version_of(text: str) -> str | None:
    """A version of numbers and dots; None for "N/A", "ERR!", "Not Found"."""
    return text.strip() if VERSION.fullmatch(text.strip()) else None


def number_of(text: str | None, unit: str) -> float | None:
    """The number of "38 C" or "3.92 W"; None where it is not one, or in another unit."""
    match = NUMBER.fullmatch((text or "").strip())
    return float(match[1]) if match and match[2] == unit else None


def mebibytes(text: str | None) -> int | None:
    """The bytes of "143771 MiB"."""
    number = number_of((text or "").replace("MiB", " MiB"), "MiB")
    return int(number) * 2**20 if number is not None and number >= 0 else None


def _entries(text: str) -> list[Entry]:
    """Every "key : value" with the headings that it stands under, told by how far each line is set in."""
    found: list[Entry] = []
    above: list[tuple[int, str]] = []
    for line in text.splitlines()[:MOST_LINES]:
        stripped = line.strip()
        if not stripped or stripped.startswith("=="):
            continue
        depth = len(line) - len(line.lstrip())
        key, colon, value = stripped.partition(" : ")
        while above and above[-1][0] >= depth:
            above.pop()
        if len(above) > 20:
            continue
        path = (*(name for _, name in above), key.strip())
        above.append((depth, key.strip()))
        if colon:
            found.append((path, value.strip()))
    return found


def _gpu(bus: str, block: list[Entry]) -> SmiGpu:
    said: dict[tuple[str, ...], str] = {}
    for path, value in block:
        said.setdefault(path, value)

    def whole(path: tuple[str, ...], unit: str) -> int | None:
        number = number_of(said.get(path), unit)
        return int(number) if number is not None else None

    reasons = [(path[-1], value) for path, value in said.items() if path[0] in REASONS and len(path) > 1]
    power = ("GPU Power Readings", "Power Readings")
    return SmiGpu(
        bus=bus,
        name=_word(said.get(("Product Name",))),
        addressing=_word(said.get(("Addressing Mode",))),
        performance_state=_word(said.get(("Performance State",))),
        limited_by=tuple(printable(name)[:60] for name, value in reasons if value == "Active") if reasons else None,
        limited_microseconds={
            printable(path[-1])[:60]: int(number)
            for path, value in list(said.items())[:500]
            if path[0] in COUNTERS and (number := number_of(value, "us")) is not None
        },
        memory_total_bytes=mebibytes(said.get(("FB Memory Usage", "Total"))),
        temperature=whole(("Temperature", "GPU Current Temp"), "C"),
        power=_first(
            number_of(said.get((section, key)), "W")
            for section in power
            for key in ("Instantaneous Power Draw", "Average Power Draw", "Power Draw")
        ),
        power_limit=_first(
            number_of(said.get((section, key)), "W")
            for section in power
            for key in ("Current Power Limit", "Enforced Power Limit", "Power Limit")
        ),
        utilization=whole(("Utilization", "GPU"), "%") if ("Utilization", "GPU") in said
        else whole(("Utilization", "Gpu"), "%"),
        clock=whole(("Clocks", "SM"), "MHz"),
        max_clock=whole(("Max Clocks", "SM"), "MHz"),
        processes=_processes(block),
    )  # fmt: skip


def _processes(block: list[Entry]) -> tuple[SmiProcess, ...]:
    found: list[dict[str, str]] = []
    for path, value in block:
        if path[0] == "Processes" and path[-1] == "Process ID" and len(found) < MOST_PROCESSES:
            found.append({"pid": value})
        elif path[0] == "Processes" and len(path) > 1 and found:
            found[-1].setdefault(path[-1], value)
    return tuple(
        SmiProcess(
            pid, printable(one.get("Type", ""))[:10], printable(one.get("Name", ""))[:300],
            mebibytes(one.get("Used GPU Memory")),
        )
        for one in found
        if (pid := whole_number(one["pid"])) is not None
    )  # fmt: skip


def _row(named: tuple[int, str, str], match: re.Match[str]) -> SmiGpu:
    limit, power = whole_number(match["limit"]), whole_number(match["power"])
    return SmiGpu(
        bus=named[2],
        name=named[1],
        performance_state=_word(match["state"]),
        memory_total_bytes=mebibytes(match["memory"].rpartition("/")[2].strip()),
        temperature=whole_number(match["temperature"]),
        power=float(power) if power is not None else None,
        power_limit=float(limit) if limit is not None else None,
        utilization=whole_number(match["used"].rstrip("%")),
    )


def _word(value: str | None) -> str | None:
    shown = printable(value.strip())[:80] if value else ""
    return shown if shown and shown.strip("[]") not in ("N/A", "Not Supported", "Unknown Error", "None") else None


def _first(values: Iterable[float | None]) -> float | None:
    return next((value for value in values if value is not None), None)
