"""The known faults agree with themselves, and rows that do not are found out."""

from __future__ import annotations

import ast
import copy
import datetime
import re
import shlex
from importlib.resources import files
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from sparksmith.base.errors import SparksmithError
from sparksmith.cli.main import VERBS
from sparksmith.policy.faults import Pattern, check_rows, load_faults, parse_faults, read_subjects

GOOD: dict[str, Any] = {
    "id": "one-fault", "title": "it fails", "sees": ["nothing happens"], "patterns": ["it failed for good"],
    "detected": "it is there", "detect": {"kind": "versions", "packages": {"torch": ">=2.9,<2.11"}},
    "verdict": "will not run", "severity": "fails", "seen_in": ["machine", "message"], "fix": "ask for another",
    "command": "uv pip install another", "safe": False, "source": ["https://example.org"],
    "date": datetime.date(2026, 11, 21), "known": "measured", "verified": "here",
}  # fmt: skip


def test_shipped_faults():
    faults = load_faults()
    assert len({fault.id for fault in faults}) == len(faults) >= 60
    assert sum("machine" in fault.seen_in for fault in faults) >= 40
    for fault in faults:
        assert all(source.startswith(("https://", "measured: ")) for source in fault.source)
        assert datetime.date.fromisoformat(fault.date)
        assert fault.known != "measured" or not fault.verified.startswith("report")
        for asked in fault.ask:
            Requirement(asked)
            assert asked in fault.mend
        if fault.kind == "versions":
            for versions in fault.detect["packages"].values():
                SpecifierSet(versions)
        for name in fault.detect.get("packages", ()):
            assert re.fullmatch(r"[a-z0-9-]+", name)


def test_what_is_to_be_typed_can_be_typed():
    for fault in load_faults():
        for words in re.findall(r"\bsparksmith ([a-z]+)", f"{fault.command} {fault.fix}"):
            assert words in VERBS, fault.id
        if fault.command:
            assert shlex.split(fault.command, comments=True), fault.id
            assert not {"--index-url", "--extra-index-url"} & set(fault.command.split()), fault.id


def test_what_is_told_by_a_message_only_is_not_said_to_be_found_on_a_machine():
    for fault in load_faults():
        only_told = fault.detected.startswith(("told by the message", "not looked for"))
        assert (fault.seen_in == ("message",)) == only_told, fault.id


def test_what_is_said_to_be_found_has_a_check_and_the_other_way_round():
    """A check names its fault in a literal; what the audit finds out is handed on by its kind."""
    folder = files("sparksmith.doctor")
    named: dict[str, set[str]] = {}
    for module in (each for each in folder.iterdir() if each.name.endswith(".py")):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named.setdefault(node.value, set()).add(module.name)
    for fault in load_faults():
        modules = named.get(fault.id, set())
        is_checked = any(name.startswith("check_") for name in modules) or fault.kind is not None
        assert is_checked == bool({"machine", "asked"} & set(fault.seen_in)), fault.id
        assert "deep" not in fault.seen_in or {"deep.py", "probe.py"} & modules, fault.id


def test_no_command_restarts_the_machine_unasked():
    """A command is pasted before its fix is read to the end: what ends every program stands in the words."""
    for fault in load_faults():
        assert not re.search(r"\b(reboot|shutdown|poweroff|halt)\b", str(fault.command)), fault.id


def test_the_faults_that_packages_alone_decide():
    assert {
        "torch-cpu-build", "cuda-major-mixed", "triton-ptxas-sm121", "bitsandbytes-no-cuda13",
        "bitsandbytes-other-minor", "trl-1-15-cpu", "vllm-before-0-20", "sgl-kernel-cuda12", "cupy-cuda12x",
        "source-build", "unsloth-bounds", "naive-platform",
    } <= {fault.id for fault in load_faults() if fault.kind}  # fmt: skip


def test_the_harmless_ones_are_no_failures():
    harmless = [fault for fault in load_faults() if fault.harmless]
    assert {"torch-capability-warning", "memory-shown-na"} <= {fault.id for fault in harmless}
    assert not any(fault.verdict for fault in harmless)


def test_what_is_safe_asks_for_no_password_and_no_choice():
    safe = {fault.id: str(fault.command) for fault in load_faults() if fault.safe}
    assert set(safe) == {"page-cache-full", "memory-fragmented", "uv-sync-misspelt", "byte-code-not-kept"}
    assert not any(word in command for command in safe.values() for word in ("rm ", "kill", "apt", "reboot", "install"))


def test_a_row_that_is_whole():
    assert check_rows([GOOD]) == []


def test_a_row_becomes_a_fault():
    (fault,) = parse_faults({"network": ROW})
    assert fault.patterns == (
        Pattern("it has really failed … for good"),
        Pattern("it failed for good", "torch"),
        Pattern("it failed again", unless=("on purpose",)),
        Pattern("Failed …", whole=True),
    )
    assert (fault.subject, fault.date, fault.kind, fault.sees) == ("network", "2026-11-21", None, ())


ROW = """
[[faults]]
id = "one-fault"
title = "it fails"
patterns = [
    "it has really failed … for good",
    { text = "it failed for good", near = "torch" },
    { text = "it failed again", unless = ["on purpose"] },
    { line = "Failed …" },
]
detected = "told by the message only"
severity = "warns"
seen_in = ["message"]
fix = "stop"
command = "true"
safe = false
source = ["https://example.org"]
date = 2026-11-21
known = "reported"
verified = "reports only"
"""


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
        (changed(command=""), "command is empty"),
        (changed(command=...), "command is missing: what is to be typed"),
        (changed(detected=...), "detected is missing"),
        (changed(source=[]), "source is empty"),
        (changed(source="https://example.org"), "source is a str, expected list"),
        (changed(safe="yes"), "safe is a str, expected bool"),
        (changed(sees=[" "]), "sees holds something that is no text"),
        (changed(ask=[3]), "ask holds something that is no text"),
        (changed(date="2026-11-21"), "date is a str, expected date"),
        (changed(verdict="fails"),
         "verdict 'fails': expected one of will not run, cannot tell, runs with a note, runs"),
        (changed(verdict=...), "detect and verdict are the audit's: both or neither"),
        (changed(severity="bad", detect=..., verdict=...), "severity 'bad': expected one of fails, warns, harmless"),
        (changed(severity="warns"), "it will not run, and yet it only warns"),
        (changed(known="rumoured"), "known 'rumoured': expected one of measured, documented, reported"),
        (changed(seen_in=["machine", "dreams", "message"]), "seen_in 'dreams': expected machine, message, asked, deep"),
        (changed(seen_in=["machine"]), "seen in a message means that it has patterns, and the other way round"),
        (changed(patterns=...), "seen in a message means that it has patterns, and the other way round"),
        (changed(sees=..., patterns=..., seen_in=["machine"]), "nothing says what a user sees (sees or patterns)"),
        (changed(patterns=["error"]), "pattern 'error': no piece has 12 characters, so it would match too much"),
        (changed(patterns=["it failed for good … a"]),
         "pattern 'it failed for good … a': a piece of fewer than 3 characters"),
        (changed(patterns=["it failed\nfor good"]), "pattern 'it failed\\nfor good': expected texts of one line"),
        (changed(patterns=[{"near": "torch"}]),
         "pattern {'near': 'torch'}: expected a text, or a table of text or line, near and unless"),
        (changed(patterns=[{"text": "it failed for good", "line": "it failed for good"}]),
         "pattern {'text': 'it failed for good', 'line': 'it failed for good'}: expected a text, or a table of text or "
         "line, near and unless"),
        (changed(patterns=[{"text": "it failed for good", "unless": "torch"}]),
         "pattern {'text': 'it failed for good', 'unless': 'torch'}: expected a text, or a table of text or line, near "
         "and unless"),
        (changed(patterns=[{"text": "it failed for good", "unless": [""]}]),
         "pattern {'text': 'it failed for good', 'unless': ['']}: expected texts of one line"),
        (changed(patterns=[{"line": "… died"}]), "pattern {'line': '… died'}: no piece of the line has 6 characters"),
        (changed(guides=["docker.md"]), "guides 'docker.md': expected FILE.md#ANCHOR"),
        (changed(detect={"kind": "magic"}), "detect.kind 'magic' is not one of versions, finding, resolution"),
        (changed(detect={"kind": "versions"}), "detect.packages is missing"),
        (changed(detect={"kind": "resolution", "platforms": ["x"], "rule": "tag"}),
         "detect.rule is not a key"),
        (changed(detect={"kind": "finding", "rule": "ptxass"}),
         "detect.rule ptxass is no rule of the audit (perhaps you meant ptxas)"),
        (changed(detect={"kind": "finding", "rule": "ptxas", "packages": ["Flash_Attn"]}),
         "the package Flash_Attn is not spelled as an index does"),
        (changed(detect={"kind": "versions", "packages": {"torch": "2.9"}}), "torch '2.9' is no version specifier"),
        (changed(detect={"kind": "versions", "packages": ["torch"]}), "detect.packages is a list, expected dict"),
        (changed(before=["two-fault"]), "before 'two-fault', which is no fault (perhaps you meant one-fault)"),
    ],
)  # fmt: skip
def test_a_row_that_is_wrong(row, problem):
    assert check_rows([row]) == [f"one-fault: {problem}"]


def test_harmless_rows_contradict_what_will_not_run():
    row = changed(severity="harmless")
    assert "one-fault: harmless, and yet it will not run" in check_rows([row])


def test_ids():
    assert check_rows([GOOD, GOOD]) == ["one-fault: twice"]
    assert check_rows([changed(id="One Fault")]) == ["One Fault: the id is lower case words and dashes"]
    assert check_rows([{}])[0] == "row 1: id is missing"


def test_causes_that_go_in_a_circle():
    rows = [changed(id="a", before=["b"]), changed(id="b", before=["a"])]
    (problem,) = check_rows(rows)
    assert re.fullmatch("each is before the next: (a, b, a|b, a, b)", problem)


def test_every_problem_is_told():
    subjects = read_subjects()
    broken = {name: text.replace('verdict = "will not run"', 'verdict = "no"') for name, text in subjects.items()}
    with pytest.raises(SparksmithError) as caught:
        parse_faults(broken)
    known = sum(text.count('verdict = "will not run"') for text in subjects.values())
    assert caught.value.message.count("verdict 'no'") == known > 5
    assert len(parse_faults(subjects)) == len(load_faults())
