"""The checks on facts that no machine has: absurd numbers, nothing at all, names and versions that are none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

from machines.faulty import build_case, look, read_cases
from sparksmith.doctor import check_containers, check_gpu, check_memory, check_network
from sparksmith.doctor.finding import Examined
from sparksmith.policy.faults import load_faults

CHECKS = (*check_gpu.CHECKS, *check_containers.CHECKS, *check_memory.CHECKS, *check_network.CHECKS)
KNOWN = {fault.id for fault in load_faults()}
NUMBERS = (0, 1, -1, 100, 2**63, -(2**63))
WORDS = ("", "x", "9" * 4000, "580", "13.", "-1", "=^,:", "nvidia0")
FAULTY = (
    ("memory", "leftover-process"), ("memory", "page-cache-full"), ("memory", "allocator-grows"), ("gpu", "power-cap"),
    ("gpu", "nvcc-no-sm121"), ("containers", "container-without-gpu"), ("containers", "container-lost-gpu"),
    ("containers", "docker-group"), ("network", "nccl-interface-unset"), ("network", "duplicate-gpu"),
)  # fmt: skip


def others(value: Any, kind: str) -> Iterator[Any]:
    """What may stand in place of a fact of this annotation."""
    if "None" in kind:
        yield None
    if "tuple" in kind:
        yield ()
    elif "Mapping" in kind:
        yield {}
        for other in NUMBERS if "int]" in kind else WORDS:
            yield dict.fromkeys(value or (), other)
    elif "int" in kind or "float" in kind or "Limit" in kind:
        yield from NUMBERS
    elif "bool" in kind:
        yield from (True, False)
    elif "str" in kind:
        yield from WORDS


def variants(value: Any) -> Iterator[Any]:
    """The same dataclass with each fact in it, at any depth, replaced in turn."""
    for one in fields(value):
        inner = getattr(value, one.name)
        if is_dataclass(inner) and one.name != "private":
            yield from (replace(value, **{one.name: other}) for other in variants(inner))
            continue
        if isinstance(inner, tuple):
            for place, part in enumerate(inner):
                if is_dataclass(part):
                    for other in variants(part):
                        yield replace(value, **{one.name: (*inner[:place], other, *inner[place + 1 :])})
        if one.name != "private":
            yield from (replace(value, **{one.name: other}) for other in others(inner, str(one.type)))


def run(examined: Examined) -> list[str]:
    """All of the checks; what each tells is a known fault, in one line."""
    told = []
    for check in CHECKS:
        for seen in check(examined):
            assert seen.fault in KNOWN
            assert seen.here and "\n" not in seen.here
            told.append(seen.fault)
    return told


@pytest.mark.parametrize(("subject", "name"), FAULTY)
def test_no_fact_stops_a_check(subject, name, tmp_path):
    examined = look(build_case(read_cases(subject)[name], tmp_path / "m"))
    assert name in run(examined)
    count = 0
    for machine in variants(examined.machine):
        run(replace(examined, machine=machine))
        count += 1
    assert count > 500


def test_what_is_not_known_is_no_finding(tmp_path):
    """Each finding goes when the facts that it was told by do."""
    for subject, name in FAULTY:
        examined = look(build_case(read_cases(subject)[name], tmp_path / name))
        assert run(Examined(nothing(examined.machine), examined.target)) == []


def nothing(value: Any) -> Any:
    """The same facts, none of them known."""
    new: dict[str, Any] = {}
    for one in fields(value):
        inner, kind = getattr(value, one.name), str(one.type)
        if one.name == "private":
            continue
        if is_dataclass(inner):
            new[one.name] = nothing(inner)
        elif "None" in kind:
            new[one.name] = None
        elif "tuple" in kind:
            new[one.name] = ()
        elif "Mapping" in kind:
            new[one.name] = {}
        elif kind == "bool":
            new[one.name] = False
    return replace(value, **new)
