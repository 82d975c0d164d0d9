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
