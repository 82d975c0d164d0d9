"""A package that has wheels for other platforms and no source: nothing of it can be installed."""

from __future__ import annotations

from sparksmith.packages.gather import gather
from sparksmith.packages.known import KnownWheels
from sparksmith.packages.locks import Locked
from sparksmith.packages.platform import Platform
from sparksmith.packages.resolution import Resolution, WheelFile
from sparksmith.packages.verdict import judge
from sparksmith.policy.targets import load_target

SPARK = Platform("aarch64", (2, 39), (3, 12))
INTEL = tuple(
    WheelFile(f"faiss_gpu_cu12-1.14.1-cp{python}-cp{python}-manylinux_2_17_x86_64.whl") for python in (310, 312)
)


def judged(locked: Locked):
    resolution = Resolution(SPARK, (locked.choose(SPARK),), "uv")
    (gathered,) = gather(resolution, KnownWheels(""))
    return judge([gathered.facts], load_target("gb10"), kind="list", subject="x").packages[0]


def test_wheels_for_another_machine_and_no_source():
    found = judged(Locked("faiss-gpu-cu12", "1.14.1", INTEL))
    assert found.verdict == "will not run"
    (tag,) = (finding for finding in found.findings if finding.rule == "tag")
    assert tag.seen == "it is for x86_64, not for aarch64"  # the wheel for this Python is the nearest
    assert tag.evidence[0].file == "faiss-gpu-cu12"


def test_with_a_source_it_would_be_built():
    found = judged(Locked("faiss-gpu-cu12", "1.14.1", INTEL, sdist=WheelFile("faiss_gpu_cu12-1.14.1.tar.gz")))
    assert found.verdict == "cannot tell"
    assert any(finding.rule == "source" for finding in found.findings)


def test_what_comes_from_a_repository_is_built():
    assert judged(Locked("x", "1.0", (), elsewhere="repository")).verdict == "cannot tell"


def test_a_list_does_not_ask_to_be_resolved_as_it_was():
    found = judged(Locked("faiss-gpu-cu12", "1.14.1", INTEL))
    assert found.findings[0].fix == (
        "there is no wheel of this version for aarch64, Python 3.12 and glibc 2.39, and no source: "
        "ask for another version or another package, or build it from its repository"
    )


def test_a_wheel_for_linux_is_nearer_than_one_for_another_system():
    """taichi 1.7.4: the wheels for macOS on ARM come first by their names."""
    tags = ("cp312-cp312-macosx_11_0_arm64", "cp312-cp312-manylinux_2_27_x86_64", "cp310-cp310-manylinux_2_27_x86_64")
    (finding,) = judged(Locked("taichi", "1.7.4", tuple(WheelFile(f"taichi-1.7.4-{tag}.whl") for tag in tags))).findings
    assert finding.seen == "it is for x86_64, not for aarch64"
    assert finding.evidence[0].what.startswith("tag cp312-cp312-manylinux_2_27_x86_64, cp310")


def test_wheels_whose_names_are_none():
    """k2 1.23.4: uv takes any of them, pip one at times; whom each is for cannot be told."""
    found = judged(Locked("k2", "1.23.4", tuple(WheelFile(f"k2-1.23.4-py3.{n}-none-any.whl") for n in (9, 11))))
    assert found.verdict == "cannot tell"
    assert found.findings[0].seen == (
        "nothing can be told of its wheels: they are named with tags that are not valid: py3.11, py3.9"
    )
