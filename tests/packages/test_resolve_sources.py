"""What is asked for is not old for the sake of a dependency that has only its source."""

from __future__ import annotations

import pytest
from asked_uv import EMPTY, RESOLVER, SPARK, by_name, locked

from sparksmith.base.command import Answer
from sparksmith.packages.inputs import read_subject
from sparksmith.packages.known import KnownWheels
from sparksmith.packages.resolve import resolve


def antlr(version: str) -> str:
    """Of antlr4 4.9.3 there is only the source; 4.13.2 has a wheel."""
    address = f"https://index.example/antlr4-{version}.tar.gz"
    return f'[[packages]]\nname = "antlr4"\nversion = "{version}"\nsdist = {{ url = "{address}" }}\n'


def hydra(version: str) -> str:
    return EMPTY + locked("hydra-core", version, f"hydra_core-{version}-py3-none-any.whl")


def omegaconf(version: str) -> str:
    return locked("omegaconf", version, f"omegaconf-{version}-py3-none-any.whl")


NO_ANTLR = Answer(1, "", (RESOLVER / "no-match.txt").read_text(encoding="utf-8").replace("bitsandbytes", "antlr4"))
NEW_ANTLR = EMPTY + locked("antlr4", "4.13.2", "antlr4-4.13.2-py3-none-any.whl")


@pytest.mark.parametrize("taken", ["0.11.3", "1.4.0rc3"])
def test_what_is_asked_for_is_not_old_for_the_source_of_a_dependency(fake, taken):
    """Of wheels alone uv takes hydra-core 0.11.3 of 2019, or a pre-release; an installer builds antlr4 4.9."""
    asked = fake(
        hydra(taken), hydra("1.3.8"), NEW_ANTLR, *[EMPTY + antlr("4.9.3")] * 4,
        alone=[NO_ANTLR, hydra("1.3.8")], pinned=[NO_ANTLR, hydra("1.3.8")],
    )  # fmt: skip
    found = resolve(read_subject(["hydra-core"]), SPARK, KnownWheels(""))
    assert asked.pins == ["hydra-core==1.3.8\n"] * 2
    versions = {name: (each.version, each.wheel is not None) for name, each in by_name(found).items()}
    assert versions == {"hydra-core": ("1.3.8", True), "antlr4": ("4.9.3", False)}
    assert found.fallbacks == ()
    assert found.notes == (
        "hydra-core 1.3.8 needs the source of antlr4, which an installer builds; where wheels alone are allowed it "
        f"takes hydra-core {taken}",
    )


@pytest.mark.parametrize(
    ("alone", "pinned"),
    [
        ([], None),
        ([hydra("1.3.8")], None),  # by itself it goes: something of the set stands against it
        ([NO_ANTLR, hydra("1.3.8")], []),  # something of the set does, too
        ([NO_ANTLR, hydra("1.3.8")], [NO_ANTLR, hydra("1.3.8") + omegaconf("1")]),
    ],
)  # fmt: skip
def test_what_does_not_go_for_another_reason_stays_old(fake, alone, pinned):
    """In the last case another package that was asked for would be older for it."""
    asked = fake(
        hydra("0.11.3") + omegaconf("2"), hydra("1.3.8") + omegaconf("2"), NEW_ANTLR, alone=alone, pinned=pinned or []
    )
    found = by_name(resolve(read_subject(["hydra-core", "omegaconf"]), SPARK, KnownWheels("")))
    assert {name: each.version for name, each in found.items()} == {"hydra-core": "0.11.3", "omegaconf": "2"}
    assert bool(asked.pins) == (pinned is not None)


def test_what_has_a_wheel_is_not_given_up_for_another(fake):
    """torch 2.15 goes with a vllm of years ago, of which there is only the source."""
    old = Answer(1, "", (RESOLVER / "no-match.txt").read_text(encoding="utf-8").replace("bitsandbytes", "vllm"))
    torch = locked("torch", "2.15.0", "torch-2.15.0-py3-none-any.whl")
    vllm = locked("vllm", "1", "vllm-1-py3-none-any.whl")
    fake(
        EMPTY + locked("torch", "2.14.0", "torch-2.14.0-py3-none-any.whl") + vllm, EMPTY + torch + vllm,
        alone=[NO_ANTLR, EMPTY + torch], pinned=[old, EMPTY + torch],
    )  # fmt: skip
    found = by_name(resolve(read_subject(["vllm", "torch"]), SPARK, KnownWheels("")))
    assert (found["torch"].version, found["vllm"].version) == ("2.14.0", "1")


def test_what_has_neither_a_wheel_nor_a_source_is_not_built(fake):
    foreign = EMPTY + locked("antlr4", "4.9.3", "antlr4-4.9.3-py3-none-win_amd64.whl")
    there = [NO_ANTLR, hydra("1.3.8")]
    fake(hydra("0.11.3"), hydra("1.3.8"), foreign, alone=there, pinned=there)
    assert by_name(resolve(read_subject(["hydra-core"]), SPARK, KnownWheels("")))["hydra-core"].version == "0.11.3"


def test_what_is_asked_for_within_bounds_is_not_old_either(fake):
    """hydra-core 1.1 needs a source, too; the newest of all is not what is asked for."""
    asked = fake(
        hydra("0.11.3"), hydra("1.3.8"), hydra("1.1.2"), NEW_ANTLR, *[EMPTY + antlr("4.8")] * 4,
        alone=[NO_ANTLR, hydra("1.1.2")], pinned=[NO_ANTLR, hydra("1.1.2")],
    )  # fmt: skip
    found = by_name(resolve(read_subject(["hydra-core<1.2"]), SPARK, KnownWheels("")))
    assert asked.files[2] == "hydra-core<1.2\n|"
    assert (found["hydra-core"].version, found["antlr4"].version) == ("1.1.2", "4.8")


def test_what_is_pinned_is_what_is_meant(fake):
    asked = fake(hydra("0.11.3"), hydra("1.3.8"))
    resolve(read_subject(["hydra-core==0.11.3"]), SPARK, KnownWheels(""))
    assert asked.pins == []


@pytest.mark.parametrize(("line", "told"), [("hydra-core>=1.3", True), ("hydra-core>=1.3rc1", False)])
def test_a_pre_release_that_nobody_asked_for_is_told(fake, line, told):
    fake(hydra("1.4.0rc3"), hydra("1.3.8"))
    found = resolve(read_subject([line]), SPARK, KnownWheels(""))
    assert [each.describe() for each in found.fallbacks] == [
        "hydra-core 1.4.0rc3 was taken, a pre-release that nobody asked for; the newest release is 1.3.8"
    ] * told
