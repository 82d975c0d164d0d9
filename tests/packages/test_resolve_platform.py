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
        ("k2-1.23.4-py3.11-none-any.whl", "named with a tag that is not valid: py3.11"),
        ("k2-1.23.4-1-py3.11-none-any.whl", "named with a tag that is not valid: py3.11"),
        ("a-1-py3-none.whl", "not named as a wheel is: a-1-py3-none.whl"),
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


def test_tags_that_are_not_valid_are_told_in_words():
    names = [f"k2-1.23.4-py3.{minor}-none-any.whl" for minor in (9, 10, 11)]
    wheels = list(map(WheelFile, names))
    assert why_no_wheel(wheels, SPARK) == "named with tags that are not valid: py3.10, py3.11, py3.9"
    windows = WheelFile("k2-1.23.4-py3-none-win_amd64.whl")
    assert why_no_wheel([wheels[0], windows], SPARK) == (
        "for win_amd64 only, or named with tags that are not valid: py3.9"
    )


def test_of_many_platforms_some_are_told():
    wheels = [WheelFile(f"a-1-py3-none-macosx_{number}_0_arm64.whl") for number in range(10, 20)]
    assert why_no_wheel(wheels, SPARK).endswith("macosx_15_0_arm64 and 4 more only")
