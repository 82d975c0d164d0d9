"""What an audit looks like: a golden file for each verdict, from wheels with the structure of real ones.

After a change that is meant: SPARKSMITH_GOLDEN=write python -m pytest tests/report/test_audit_text.py; read the diff.
"""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest

from packages.made_facts import NEW_PTXAS, bitsandbytes, library, package, torch, triton, vllm
from packages.made_wheels import PURE, X86_64, make_wheel
from packages.make_elf import cubin, make_elf, make_ptxas, ptx
from sparksmith.packages.audit import audit
from sparksmith.packages.facts import DeviceCode
from sparksmith.packages.verdict import judge
from sparksmith.policy.targets import load_target
from sparksmith.report.audit import columns_of, count, describe_audit, has_colour, hides_something, printable
from sparksmith.report.stacks import describe_stack, describe_stacks

GOLDEN = Path(__file__).parent / "golden"
GB10 = load_target("gb10")
TRITON = triton("3.7.1", ptxas_blackwell=((13, 1), NEW_PTXAS))


def check(name: str, text: str) -> None:
    """The text is the golden file's. Raises `AssertionError` where that is missing, too."""
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("SPARKSMITH_GOLDEN") == "write":
        file.write_text(text + "\n", encoding="utf-8")
    assert file.is_file(), f"no golden file {file}"
    assert text + "\n" == file.read_text(encoding="utf-8")


def text_of(record, **more) -> str:
    return "\n".join(describe_audit(record, **more))


def audit_wheel(folder: Path, monkeypatch, *arguments, **more) -> dict:
    """The record of a wheel alone, named without its folder."""
    wheel = make_wheel(folder, *arguments, **more)
    monkeypatch.chdir(folder)
    return audit([wheel.name], GB10).to_json()


def test_a_wheel_that_runs(tmp_path, monkeypatch):
    record = audit_wheel(
        tmp_path, monkeypatch, "kernels", "2.1.0", cuda="13.0",
        files={
            "kernels/_C.abi3.so": make_elf(
                needed=["libcudart.so.13", "libc.so.6"], glibc=["2.17", "2.34"],
                fatbin=[cubin(80), cubin(90, "a"), cubin(120, "f")], text=b"x" * 5000,
            ),
            "kernels/libhelper.so": make_elf(needed=["libc.so.6"]),
        },
    )  # fmt: skip
    assert record["verdict"] == "runs"
    check("audit-runs", text_of(record))


def test_a_wheel_that_runs_with_a_note(tmp_path, monkeypatch):
    files = {"kernels/_C.abi3.so": make_elf(fatbin=[cubin(80), cubin(90), ptx(90, (8, 8), size=40_000)])}
    record = audit_wheel(tmp_path, monkeypatch, "kernels", "1.4.0", files=files)
    assert record["verdict"] == "runs with a note"
    check("audit-note", text_of(record))


def test_a_wheel_that_will_not_run(tmp_path, monkeypatch):
    files = {
        "triton/backends/nvidia/bin/ptxas": make_ptxas(("sm_90", "sm_90a", "sm_120", "sm_120a"), "12.8"),
        "triton/_C/libtriton.so": make_elf(needed=["libc.so.6"], glibc=["2.40"]),
    }
    record = audit_wheel(
        tmp_path, monkeypatch, "triton", "3.5.0", files=files, executable=["triton/backends/nvidia/bin/ptxas"]
    )
    assert record["verdict"] == "will not run"
    check("audit-will-not-run", text_of(record))


def test_a_wheel_that_cannot_be_told(tmp_path, monkeypatch):
    whole = make_elf(fatbin=[cubin(120, size=4000)], needed=["libcudart.so.13"])
    record = audit_wheel(tmp_path, monkeypatch, "kernels", "1.0", files={"kernels/_C.abi3.so": whole[:-1000]})
    assert record["verdict"] == "cannot tell"
    check("audit-cannot-tell", text_of(record))


def make_set() -> dict:
    cupy = package(
        "cupy-cuda12x", "14.2.0", library("cupy/cuda/cublas.so", "sm_80", needed=("libcublas.so.12",)), file=""
    )
    old = torch("2.9.0", "")
    hopper = library("flash/_C.abi3.so", "sm_90a", needed=("libcudart.so.13",))
    small = library("flash/_d.abi3.so", "sm_120", needed=("libcudart.so.13",))
    return judge(
        [old, vllm("0.11.2", 12), cupy, TRITON, bitsandbytes("0.50.2", "129", "130"), package("trl", "1.16.0"),
         package("peft", "0.21.2"), package("flash", "1.0", hopper, small)],
        GB10, kind="list", subject="requirements.txt",
        notes=["requirements.txt, line 3: an editable . is not looked into"],
    ).to_json()  # fmt: skip


def test_a_list_with_the_worst_first():
    check("audit-list", text_of(make_set()))


def test_everything_where_it_is_asked_for():
    check("audit-list-verbose", text_of(make_set(), verbose=True))


def test_the_worst_is_first_and_the_whole_verdict_last():
    text = text_of(make_set())
    verdicts = [line.partition(":")[0] for line in text.splitlines() if line.startswith(("will not", "runs", "cannot"))]
    assert verdicts == ["will not run"] * 4 + ["runs with a note"] * 2
    assert text.splitlines()[-1] == "verdict: will not run; of 8 packages 3 will not run, 1 with a note, 4 run"
    assert "trl" not in text  # what runs is counted


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("verbose", [False, True])
def test_lines_are_no_wider_than_the_terminal(width, verbose):
    lines = text_of(make_set(), width=width, verbose=verbose).splitlines()
    # a path or an address stays whole
    assert [line for line in lines if len(line) > width and len(line.split()) > 2] == []


def test_packages_with_the_same_finding_are_told_together(tmp_path):
    for name in ("one", "two", "three", "four"):
        make_wheel(tmp_path, name, tag=X86_64, files={f"{name}/_c.so": make_elf(machine="x86_64")})
    make_wheel(tmp_path, "pure", tag=PURE)
    text = text_of(audit([str(tmp_path)], GB10).to_json())
    assert "will not run: 4 packages (four 1.0, one 1.0, three 1.0, two 1.0)\n  it is for x86_64" in text
    assert text.count("it is for x86_64") == 1
    assert text.endswith("verdict: will not run; of 5 packages 4 will not run, 1 runs")


def test_many_notes_are_cut_short():
    noted = [
        package(f"p{number}", "1", library(f"p{number}/_C.abi3.so", f"compute_{80 + number}@8.0"))
        for number in range(8)
    ]
    record = judge(noted, GB10, kind="list", subject="x").to_json()
    text = text_of(record)
    assert text.count("runs with a note: p") == 5
    assert "and 3 more with a note" in text
    assert hides_something(record)
    assert text_of(record, verbose=True).count("runs with a note: p") == 8


def test_counts():
    def counted(*packages, kind="list"):
        return count(judge(packages, GB10, kind=kind, subject="x").to_json())

    assert counted(package("one", "1")) == counted(package("one", "1"), kind="wheel") == ""
    assert counted(package("one", "1"), package("two", "1")) == "all 2 packages run"
    bound = package("bound", "1", requires=("one>=2",))
    assert counted(package("one", "1"), bound) == "all 2 packages run, each by itself"
    source = package("three", "1", file="three-1.tar.gz")
    assert counted(package("one", "1"), source) == "of 2 packages 1 cannot be told, 1 runs"


def test_colours_only_where_they_are_wanted(monkeypatch):
    plain, coloured = text_of(make_set()), text_of(make_set(), colour=True)
    assert "\033" not in plain
    assert "\033[1;31mwill not run\033[0m: torch 2.9.0" in coloured
    assert "verdict: \033[1;31mwill not run\033[0m; of 8" in coloured
    assert coloured.replace("\033[1;31m", "").replace("\033[1;33m", "").replace("\033[0m", "") == plain

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "132")
    assert (columns_of(Terminal()), columns_of(io.StringIO())) == (100, 100)
    monkeypatch.setenv("COLUMNS", "60")
    assert (columns_of(Terminal()), columns_of(io.StringIO())) == (60, 60)
    monkeypatch.delenv("COLUMNS")
    assert columns_of(io.StringIO()) == 80
    assert not has_colour(Terminal())  # NO_COLOR is set for tests
    monkeypatch.delenv("NO_COLOR")
    assert has_colour(Terminal())
    assert not has_colour(io.StringIO())


def test_names_cannot_command_the_terminal():
    nasty = package("evil\033[2J", "1\n2", library("evil\r/\u202e_C.so", "sm_80"), file="evil\x07.whl", tags=())
    text = text_of(judge([nasty], GB10, kind="list", subject="x\033]0;y\07").to_json(), verbose=True)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "evil?[2J 1?2" in text
    assert printable("ʃalˈom \u202e\ud800") == "ʃalˈom ??"


STACK = {
    "name": "spare", "works": True, "why": "it is here", "verified": "2026-11-21", "source": "a test",
    "file": "/a b/spare.txt", "packages": {"torch": "2.13.0"}, "verdict": "cannot tell", "audit": None,
}  # fmt: skip


def test_stacks():
    bad = {**STACK, "name": "bad", "works": False, "verdict": "will not run", "audit": make_set()}
    lines = list(describe_stacks([STACK, bad]))
    assert lines[:2] == ["spare: cannot tell; not all of its wheels are known for this target", "  it is here"]
    assert lines[3] == "bad: will not run; of 8 packages 3 will not run, 1 with a note, 4 run"
    shown = list(describe_stack(STACK))
    assert shown[:4] == [
        "spare: it is here", "packages: torch 2.13.0", "verified 2026-11-21: a test",
        "uv pip install -r '/a b/spare.txt'",
    ]  # fmt: skip
    assert shown[-1] == "sparksmith audit '/a b/spare.txt'"
    shown = list(describe_stack(bad))
    assert "as the guides say it: '/a b/spare.txt'" in shown
    assert shown[-1].startswith("verdict: will not run")


def test_a_detail_is_shown_only_where_everything_is():
    small = replace(library("lib/libcufile.so.0"), device_code=(DeviceCode("ptx", 86, "", (7, 1), 1, 3584),))
    record = judge(
        [package("nvidia-cufile", "1.15", small), package("one", "1")], GB10, kind="list", subject="x"
    ).to_json()
    assert text_of(record).endswith("\n\nverdict: runs; all 2 packages run")
    assert "PTX" not in text_of(record)
    assert "its only code for 12.1 is PTX: compute_86 (PTX 7.1)" in text_of(record, verbose=True)
