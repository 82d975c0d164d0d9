"""The known faults agree with themselves, and rows that do not are found out."""

from __future__ import annotations

import copy
import datetime
import re
import tomllib
from importlib.resources import files
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from sparksmith.base.errors import SparksmithError
from sparksmith.policy.faults import check_rows, find_by_text, load_faults, parse_faults

TEXT = (files("sparksmith.policy") / "faults.toml").read_text(encoding="utf-8")
GOOD: dict[str, Any] = {
    "id": "one-fault", "title": "it fails", "sees": ["it failed"], "verdict": "will not run", "harmless": False,
    "detect": {"kind": "versions", "packages": {"torch": ">=2.9,<2.11"}}, "fix": "ask for another",
    "source": ["https://example.org"], "date": datetime.date(2026, 11, 21), "verified": "here", "seen_in": [],
}  # fmt: skip


def test_shipped_faults():
    faults = load_faults()
    assert len({fault.id for fault in faults}) == len(faults) >= 14
    for fault in faults:
        assert all(source.startswith(("https://", "measured: ")) for source in fault.source)
        assert datetime.date.fromisoformat(fault.date)
        for asked in fault.ask:
            Requirement(asked)
            assert asked in fault.mend
        if fault.kind == "versions":
            for versions in fault.detect["packages"].values():
                SpecifierSet(versions)
        for name in fault.detect.get("packages", ()):
            assert re.fullmatch(r"[a-z0-9-]+", name)


def test_the_faults_that_packages_alone_decide():
    assert {
        "torch-cpu-build", "cuda-major-mixed", "triton-ptxas-sm121", "bitsandbytes-no-cuda13",
        "bitsandbytes-other-minor", "trl-1-15-cpu", "vllm-before-0-20", "sgl-kernel-cuda12", "cupy-cuda12x",
        "source-build", "unsloth-bounds", "naive-platform",
    } <= {fault.id for fault in load_faults()}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("E: ptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'\n", "triton-ptxas-sm121"),
        ("AssertionError: Torch not compiled with CUDA enabled", "torch-cpu-build"),
        ("RuntimeError: 0 active drivers ([]). There should only be one.", "trl-1-15-cpu"),
        ("Found GPU0 NVIDIA GB10 which is of cuda  capability 12.1.\n  Minimum", "torch-capability-warning"),
        ('DriverError(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "the provided PTX was', "ptx-too-new"),
        ("RuntimeError: Configured CUDA binary not found at /x/libbitsandbytes_cuda132.so", "bitsandbytes-other-minor"),
        ("ImportError: libcudart.so.12: cannot open shared object file: No such file or directory", "vllm-before-0-20"),
    ],
)
def test_an_error_text_finds_its_fault(text, found):
    assert found in [fault.id for fault in find_by_text(text, load_faults())]


def test_the_longest_match_comes_first_and_strange_text_finds_nothing():
    text = "ImportError: libcudart.so.12: cannot open shared object file: No such file or directory"
    assert find_by_text(text, load_faults())[0].id == "vllm-before-0-20"
    assert find_by_text("everything is fine", load_faults()) == []


def test_the_harmless_ones_are_notes():
    harmless = [fault for fault in load_faults() if fault.harmless]
    assert [fault.id for fault in harmless] == ["torch-capability-warning"]
    assert harmless[0].verdict == "runs with a note"


def test_a_row_that_is_whole():
    assert check_rows([GOOD]) == []


def changed(**changes: Any) -> dict[str, Any]:
    row = copy.deepcopy(GOOD)
    row.update(changes)
    return {key: value for key, value in row.items() if value is not ...}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (changed(fixx="x"), "fixx is not a key (perhaps you meant fix)"),
        (changed(fix=...), "fix is missing"),
        (changed(fix=""), "fix is empty"),
        (changed(source=[]), "source is empty"),
        (changed(source="https://example.org"), "source is a str, expected list"),
        (changed(sees=[" "]), "sees holds something that is no text"),
        (changed(ask=[3]), "ask holds something that is no text"),
        (changed(date="2026-11-21"), "date is a str, expected date"),
        (changed(verdict="fails"), "verdict 'fails': expected one of will not run, cannot tell, runs with a note"),
        (changed(harmless=True), "harmless, and yet it will not run"),
        (changed(detect={"kind": "magic"}), "detect.kind 'magic' is not one of versions, finding, resolution, text"),
        (changed(detect={"kind": "versions"}), "detect.packages is missing"),
        (changed(detect={"kind": "text"}, sees=[]), "only its text tells, and there is none"),
        (changed(detect={"kind": "text", "rule": "tag"}), "detect.rule is no key of text"),
        (changed(detect={"kind": "finding", "rule": "ptxass"}),
         "detect.rule ptxass is no rule of the audit (perhaps you meant ptxas)"),
        (changed(detect={"kind": "finding", "rule": "ptxas", "packages": ["Flash_Attn"]}),
         "the package Flash_Attn is not spelled as an index does"),
        (changed(detect={"kind": "versions", "packages": {"torch": "2.9"}}), "torch '2.9' is no version specifier"),
        (changed(detect={"kind": "versions", "packages": ["torch"]}), "detect.packages is a list, expected dict"),
    ],
)  # fmt: skip
def test_a_row_that_is_wrong(row, problem):
    assert check_rows([row]) == [f"one-fault: {problem}"]


def test_ids():
    assert check_rows([GOOD, GOOD]) == ["one-fault: twice"]
    assert check_rows([changed(id="One Fault")]) == ["One Fault: the id is lower case words and dashes"]
    assert check_rows([{}])[0] == "row 1: id is missing"


def test_every_problem_is_told():
    broken = TEXT.replace('verdict = "will not run"', 'verdict = "no"')
    with pytest.raises(SparksmithError) as caught:
        parse_faults(broken)
    assert caught.value.message.count("verdict 'no'") == TEXT.count('verdict = "will not run"')
    assert len(tomllib.loads(TEXT)["faults"]) == len(load_faults())
