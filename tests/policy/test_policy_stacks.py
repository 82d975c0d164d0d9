"""The shipped stacks agree with themselves, and a stack that does not is found out."""

from __future__ import annotations

import datetime
import re
from dataclasses import replace

import pytest

from sparksmith.base.errors import SparksmithError
from sparksmith.policy import load
from sparksmith.policy.load import Stack, audited_file, check_stack, list_stacks, load_stack, stack_file

A, B = "a" * 64, "b" * 64
GOOD = Stack(
    name="good",
    why="it works",
    verified="2026-11-21",
    packages={"torch": "2.13.0", "huggingface-hub": "1.33.0"},
    requirements=f"""\
torch==2.13.0 \\
    --hash=sha256:{A} \\
    --hash=sha256:{B}
    # via -r train.in
huggingface-hub==1.33.0 ; python_full_version < '3.14' \\
    --hash=sha256:{A}
    # via
    #   torch
""",
)


@pytest.mark.parametrize("name", list_stacks())
def test_every_shipped_stack(name):
    stack = load_stack(name)
    assert check_stack(stack) == []
    assert stack.why
    assert stack.source
    assert datetime.date.fromisoformat(stack.verified)


@pytest.mark.parametrize("name", [name for name in list_stacks() if load_stack(name).works])
def test_stacks_that_work(name):
    stack = load_stack(name)
    pinned = stack.pinned()
    assert set(stack.packages) <= set(pinned)
    # every requirement was understood, and every one of them has a hash
    written = re.findall(r"^([A-Za-z0-9][\w.-]*)", stack.requirements, re.MULTILINE)
    assert {each.lower() for each in written} == set(pinned)
    assert stack.requirements.count("--hash=sha256:") >= len(written)


def test_the_older_guides_pins_as_they_stand():
    stack = load_stack("guide-2025")
    assert not stack.works
    assert stack.pinned() == {"bitsandbytes": {"0.48.0"}, "transformers": {"4.56.2"}, "trl": {"0.22.2"}}
    assert stack.requirements.splitlines()[1:3] == ["unsloth", "unsloth_zoo"]
    assert "unsloth" in stack.why
    assert stack_file(stack).name == "guide-2025.txt"
    resolved = audited_file(stack).read_text(encoding="utf-8")
    assert set(re.findall(r"^(?:torch|bitsandbytes)==.*? ", resolved, re.MULTILINE)) == {
        "torch==2.15.0 ", "bitsandbytes==0.48.0 ",
    }  # fmt: skip
    # a stack that works has to have hashes, and this one has none
    assert check_stack(replace(stack, works=True))[0].startswith("no hash: ")


def test_a_stack_that_works_is_audited_by_its_own_file():
    stack = load_stack("train")
    assert stack.works
    assert audited_file(stack) == stack_file(stack)
    assert stack_file(stack).read_text(encoding="utf-8") == stack.requirements


def test_the_default_stack():
    stack = load_stack("train")
    assert {"torch", "transformers", "trl", "peft", "accelerate", "datasets"} <= set(stack.packages)
    assert stack.pinned()["torch"] == {stack.packages["torch"]}


def test_a_stack_that_is_whole():
    assert check_stack(GOOD) == []
    assert GOOD.pinned() == {"torch": {"2.13.0"}, "huggingface-hub": {"1.33.0"}}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"packages": {"torch": "2.12.0"}}, "torch is 2.12.0 in good.toml and 2.13.0 in the file"),
        ({"packages": {"triton": "3.7.1"}}, "triton is 3.7.1 in good.toml and absent in the file"),
        (
            {
                "packages": {"torch": "2.13.0"},
                "requirements": GOOD.requirements + f"torch==2.12.0 ; x \\\n    --hash=sha256:{B}\n",
            },
            "torch is 2.13.0 in good.toml and 2.12.0, 2.13.0 in the file",
        ),
        ({"requirements": GOOD.requirements + "numpy==2.0\n    # via torch\n"}, "no hash: numpy==2.0"),
        ({"requirements": "first==1\n" + GOOD.requirements}, "no hash: first==1"),
        ({"requirements": "--index-url https://example.org\n" + GOOD.requirements}, "an index line"),
        ({"requirements": "--extra-index-url=https://example.org\n" + GOOD.requirements}, "an index line"),
        ({"requirements": GOOD.requirements + "-i https://example.org\n"}, "an index line"),
        ({"requirements": GOOD.requirements + "  --find-links wheels\n"}, "an index line"),
        ({"requirements": GOOD.requirements + "-f wheels\n"}, "an index line"),
    ],
)
def test_a_stack_that_contradicts_itself(change, problem):
    assert check_stack(replace(GOOD, **change)) == [problem]


def test_every_problem_is_told(monkeypatch):
    broken = replace(GOOD, packages={"torch": "1.0"}, requirements="-i x\n" + GOOD.requirements + "bare==1\n")
    assert len(check_stack(broken)) == 3
    monkeypatch.setattr(load, "check_stack", lambda stack: ["one", "two"])
    with pytest.raises(SparksmithError, match="the stack train contradicts itself: one; two"):
        load_stack("train")


def test_an_unknown_stack():
    with pytest.raises(SparksmithError, match=r"there is no stack trian \(perhaps you meant train\)") as caught:
        load_stack("trian")
    assert "train" in str(caught.value.hint)
