"""The doctor's findings, explanations and facts as text: within the width, worst first, commands as they are pasted."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from sparksmith.policy.faults import load_faults
from sparksmith.report.doctor import (
    describe_applied,
    describe_command,
    describe_doctor,
    describe_error,
    describe_facts,
)

MACHINE = {
    "product": "NVIDIA_DGX_Spark", "architecture": "aarch64", "system": "DGX OS 7.4.0", "kernel": "6.17", "wsl": False,
    "container": None, "gpus": ["NVIDIA GB10"], "driver": "580.126.09", "cuda": "13.0", "memory_bytes": 128501256192,
}  # fmt: skip
ENVIRONMENT = {
    "path": "/srv/.venv", "role": "active", "python": "3.12.3", "torch": "2.13.0", "packages": 154, "audit": "runs",
}  # fmt: skip
SWAP = {
    "id": "swap-on", "severity": "warns", "title": "swap is on: it freezes", "here": "16.0 GiB in a file",
    "evidence": ["/proc/swaps", "/proc/meminfo", "third"], "fix": "switch it off", "command": "sudo swapoff -a",
    "safe": False, "source": ["https://example.org"], "reference": "docs/reference/faults.md#swap-on",
}  # fmt: skip


def record(**changed):
    return {
        "version": 1, "outcome": "clear", "machine": MACHINE, "environment": ENVIRONMENT,
        "target": {"name": "gb10", "title": "NVIDIA DGX Spark (GB10)", "why": "as its GPU is NVIDIA GB10"},
        "findings": [], "unexplained": [], "given_up": [], "notes": [], "deep": None, **changed,
    }  # fmt: skip


def test_all_clear_is_one_line():
    assert list(describe_doctor(record(), width=200)) == [
        "ok: nothing is wrong: NVIDIA DGX Spark, driver 580.126.09; /srv/.venv, torch 2.13.0, 154 packages"
    ]


def test_all_clear_says_what_was_not_seen():
    lines = list(describe_doctor(record(given_up=["nvidia-smi -q"], machine={**MACHINE, "gpus": []}), width=200))
    assert lines == [
        "ok: nothing is wrong, with what could be seen: NVIDIA DGX Spark, a GPU that does not answer, driver "
        "580.126.09; /srv/.venv, torch 2.13.0, 154 packages",
        "given up after 1 s without an answer: nvidia-smi -q",
    ]
    bare = {**MACHINE, "product": None, "gpus": [], "driver": None}
    assert list(describe_doctor(record(machine=bare, environment=None, target=None))) == [
        "ok: nothing is wrong: no GPU"
    ]


def test_what_was_asked_for_is_named():
    target = {"name": "h200", "title": "NVIDIA H200 SXM", "why": "as asked for"}
    (line,) = describe_doctor(record(target=target), width=200)
    assert line.endswith("154 packages, for NVIDIA H200 SXM")


def test_a_finding():
    found = record(outcome="warns", findings=[SWAP], notes=["one", "two", "three", "four"])
    assert list(describe_doctor(found)) == [
        "NVIDIA DGX Spark, NVIDIA GB10, driver 580.126.09, 119.7 GiB, DGX OS 7.4.0",
        "/srv/.venv (active), Python 3.12.3, torch 2.13.0, 154 packages, judged for",
        "  NVIDIA DGX Spark (GB10)",
        "",
        "warns: swap is on: it freezes",
        "  here: 16.0 GiB in a file (/proc/swaps, /proc/meminfo)",
        "  fix:  switch it off",
        "        sudo swapoff -a",
        "  more: docs/reference/faults.md#swap-on",
        "",
        "note: one",
        "note: two",
        "note: three",
        "note: and 1 more, with --json",
        "",
        "1 warning",
    ]


def test_what_the_audit_alone_tells():
    alone = [{"package": f"one{n} 1.0", "seen": "it needs libone.so"} for n in range(5)]
    lines = list(describe_doctor(record(outcome="fails", unexplained=alone)))
    assert "fails: will not run on NVIDIA DGX Spark (GB10): one0 1.0, one1 1.0, one2 1.0 and" in lines
    assert "        sparksmith audit /srv/.venv --target gb10" in lines
    assert lines[-1] == "1 will fail"
    together = [{"package": "", "seen": "torch needs triton ==3.7.1, which is 3.5.0"}]
    lines = list(describe_doctor(record(outcome="fails", unexplained=together)))
    assert "  here: torch needs triton ==3.7.1, which is 3.5.0" in lines


def test_colour_is_in_the_first_word_only():
    lines = list(describe_doctor(record(outcome="warns", findings=[SWAP]), colour=True))
    assert "\033[1;33mwarns\033[0m: swap is on: it freezes" in lines
    assert sum("\033" in line for line in lines) == 1
    assert next(describe_doctor(record(), colour=True)).startswith("\033[1;32mok\033[0m: ")


def test_names_cannot_command_a_terminal():
    nasty = {**SWAP, "here": "\x1b]0;x\x07 \u202e", "title": "a\x1b[2Jb", "command": "rm \x1b[A"}
    text = "\n".join(describe_doctor(record(outcome="warns", findings=[nasty], notes=["\x1b[2J"])))
    assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize("width", [40, 80, 100])
def test_lines_fit_but_for_what_cannot_be_broken(width):
    long = {**SWAP, "title": "long " * 40, "here": "words " * 40, "fix": "do this " * 30}
    for line in describe_doctor(record(outcome="warns", findings=[long], notes=["a note " * 30]), width=width):
        assert len(line) <= width or "docs/reference" in line


# commands


@pytest.mark.parametrize("fault", [fault for fault in load_faults() if fault.command], ids=lambda fault: fault.id)
def test_a_command_stays_the_same_command(fault):
    lines = describe_command(fault.command, 80, "        ")
    assert " ".join(line.strip() for line in lines) == fault.command
    for line in lines[:-1]:  # a shell reads on
        assert line.endswith(("&&", "|"))
        shlex.split(line)


@pytest.mark.effects
def test_a_broken_command_runs_as_the_whole(tmp_path):
    command = (
        "printf 'one && two | three\\n' | tee first.txt && printf '%s\\n' second third fourth > second.txt && echo end"
    )
    lines = describe_command(command, 40, "  ")
    assert len(lines) > 2
    script = "\n".join(lines)
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "one && two | three\nend\n"
    assert (tmp_path / "second.txt").read_text() == "second\nthird\nfourth\n"


def test_where_a_command_is_broken():
    assert describe_command("one && two", 80, "  ") == ["  one && two"]
    assert describe_command("one two && three four", 16, "  ") == ["  one two &&", "    three four"]
    assert describe_command("echo 'a && b && c && d'", 10, "") == ["echo 'a && b && c && d'"]


# errors


MATCH = {
    "id": "one", "severity": "fails", "title": "one is broken", "line": 7, "text": "Error: \x1b[2Jone",
    "detected": "it is", "fix": "mend it", "command": "mend --now", "source": ["https://example.org"],
    "reference": "docs/reference/faults.md#one",
}  # fmt: skip


def test_an_error_explained():
    harmless = {**MATCH, "severity": "harmless", "title": "a warning", "command": None, "fix": "ignore it"}
    assert list(describe_error({"version": 1, "matches": [MATCH, harmless]})) == [
        "fails: one is broken",
        "  line 7: Error: ?[2Jone",
        "  means: it is",
        "  fix:  mend it",
        "        mend --now",
        "  more: docs/reference/faults.md#one",
        "",
        "harmless: a warning",
        "  line 7: Error: ?[2Jone",
        "  fix:  ignore it",
        "  more: docs/reference/faults.md#one",
    ]


def test_an_error_that_is_not_known_says_what_to_do():
    lines = list(describe_error({"version": 1, "matches": []}))
    assert lines[0] == "no known fault is told by this text"
    assert "    sparksmith doctor --bundle" in lines


# facts and fixes


def test_facts():
    facts = {
        "version": 1,
        "memory": {
            "total_bytes": 2**30,
            "free_bytes": None,
            "unknown": {"free_bytes": "it does not say"},
            "is_big": True,
        },
        "disks": [{"path": "/", "names": []}],
        "network": {"interfaces": []},
        "gpu": {"gpus": [{"compute_capability": [12, 1], "unknown": {}}]},
        "silent": [],
    }
    assert list(describe_facts(facts)) == [
        "memory",
        "  total: 1.0 GiB",
        "  free: not known (it does not say)",
        "  is big: yes",
        "disks",
        "  -",
        "    path: /",
        "    names: none",
        "network",
        "  interfaces: none",
        "gpu",
        "  gpus:",
        "    -",
        "      compute capability: 12.1",
        "silent",
        "  none",
    ]


def test_what_was_mended():
    applied = [
        {"fault": "a", "state": "done", "text": "one"},
        {"fault": "b", "state": "left", "text": "two"},
        {"fault": "c", "state": "failed", "text": "three"},
    ]
    assert list(describe_applied(applied, 2)) == [
        "not done (c):", "  three", "done (a):", "  one", "left to you (b):", "  two", "",
        "2 findings that it leaves to you: sparksmith doctor",
    ]  # fmt: skip
    assert list(describe_applied([], 0)) == ["nothing to do"]
    assert next(iter(describe_applied([], 1))) == "nothing to do: what is wrong here is not mended without asking"
