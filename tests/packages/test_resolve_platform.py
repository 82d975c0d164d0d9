"""Which wheels fit a platform, which fits best, and why another does not."""

from __future__ import annotations

import pytest

from sparksmith.packages.platform import Platform
from sparksmith.packages.resolution import WheelFile, best_wheel, why_no_wheel
from sparksmith.policy.targets import load_target

SPARK = Platform("aarch64", (2, 39), (3, 12))


@pytest.mark.parametrize(
    ("glibc", "name"),
    [((2, 39), "aarch64-manylinux_2_39"), ((2, 41), "aarch64-manylinux_2_40"), ((2, 30), "aarch64-manylinux_2_28"),
     ((2, 17), "aarch64-manylinux_2_17")],
)  # fmt: skip
def test_uv_is_asked_for_the_newest_glibc_that_it_knows(glibc, name):
    assert Platform("aarch64", glibc, (3, 12)).uv_name == name


def test_the_platform_of_a_target():
    assert Platform.of(load_target("gb10")) == SPARK
    assert Platform.of(load_target("h200")).machine == "x86_64"


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("a-1-py3-none-any.whl", None),
        ("a-1-cp312-cp312-manylinux_2_39_aarch64.whl", None),
        ("a-1-cp312-cp312-manylinux2014_aarch64.manylinux_2_17_aarch64.whl", None),
        ("a-1-cp38-abi3-manylinux_2_28_aarch64.whl", None),
        ("a-1-cp312-cp312-linux_aarch64.whl", None),
        ("a-1-cp312-cp312-manylinux_2_41_aarch64.whl", "needs glibc 2.41"),
        ("a-1-cp312-cp312-manylinux_2_28_x86_64.whl", "for manylinux_2_28_x86_64"),
        ("a-1-cp312-cp312-musllinux_1_2_aarch64.whl", "for musllinux_1_2_aarch64"),
        ("a-1-cp311-cp311-manylinux_2_28_aarch64.whl", "for Python cp311-cp311"),
        ("a-1-cp313-abi3-manylinux_2_28_aarch64.whl", "for Python cp313-abi3"),
        ("a-1-cp312-cp312t-manylinux_2_28_aarch64.whl", "for Python cp312-cp312t"),
    ],
)
def test_what_fits_and_why_not(file, why):
    assert SPARK.why_not(file) == why
    assert (SPARK.rank_file(file) is None) == (why is not None)


def test_x86_takes_the_old_names_of_manylinux():
    here = Platform("x86_64", (2, 39), (3, 12))
    assert here.why_not("a-1-cp312-cp312-manylinux1_x86_64.whl") is None
    assert here.why_not("a-1-cp312-cp312-manylinux_2_5_x86_64.whl") is None


def test_the_best_of_several():
    names = [
        "a-1-py3-none-any.whl",
        "a-1-cp312-cp312-manylinux_2_28_aarch64.whl",
        "a-1-2-cp312-cp312-manylinux_2_35_aarch64.whl",
        "a-1-1-cp312-cp312-manylinux_2_35_aarch64.whl",
        "a-1-cp312-cp312-manylinux_2_40_aarch64.whl",
        "not a wheel.whl",
    ]
    assert best_wheel(map(WheelFile, names), SPARK) == WheelFile("a-1-2-cp312-cp312-manylinux_2_35_aarch64.whl")
    assert best_wheel([WheelFile(names[-2])], SPARK) is None


def test_the_nearest_reason_is_told():
    x86, new = WheelFile("a-1-py3-none-manylinux_2_28_x86_64.whl"), WheelFile("a-1-py3-none-manylinux_2_41_aarch64.whl")
    windows = WheelFile("a-1-py3-none-win_amd64.whl")
    assert why_no_wheel([x86, new], SPARK) == "needs glibc 2.41"
    assert why_no_wheel([x86, windows], SPARK) == "for manylinux_2_28_x86_64, win_amd64 only"
    assert why_no_wheel([], SPARK) == "it has no wheels"
