"""The shipped targets agree with themselves and with what is known; a user's own row is read and checked."""

from __future__ import annotations

import datetime
import tomllib
from dataclasses import replace
from importlib.resources import files

import pytest

from sparksmith.base.errors import SparksmithError
from sparksmith.policy.targets import check_target, list_targets, load_target, newest_isa

DOCUMENT = tomllib.loads((files("sparksmith.policy") / "targets.toml").read_text(encoding="utf-8"))


def test_the_spark():
    spark = load_target("gb10")
    assert (spark.compute_capability, spark.architecture, spark.machine) == ((12, 1), 121, "aarch64")
    assert (spark.driver, spark.cuda, spark.ptx_isa) == (580, (13, 0), (9, 0))
    assert (spark.glibc, spark.python, spark.unified_memory) == ((2, 39), (3, 12), True)
    assert (spark.bf16_flops, spark.fp8_flops, spark.bandwidth) == (104e12, None, 273e9)
    assert round(spark.memory_bytes / 1024**3, 1) == 119.7


@pytest.mark.parametrize("name", list_targets())
def test_shipped_targets(name):
    target = load_target(name)
    assert check_target(target) == []
    figures = set(DOCUMENT["targets"][name]) - {"title"}
    assert set(target.sources) == figures
    for source in target.sources.values():
        assert source.url.startswith("https://") and source.says
        assert datetime.date.fromisoformat(source.date) <= datetime.date(2030, 1, 1)


def test_names_and_sources():
    assert list_targets() == ["gb10", "h200", "h100", "b200", "rtx5090", "rtx4090", "jetson-thor"]
    used = {figure["source"] for row in DOCUMENT["targets"].values() for figure in row.values() if type(figure) is dict}
    assert used == set(DOCUMENT["sources"])


@pytest.mark.parametrize(
    ("name", "capability"),
    [("h200", (9, 0)), ("h100", (9, 0)), ("b200", (10, 0)), ("rtx5090", (12, 0)), ("rtx4090", (8, 9)),
     ("jetson-thor", (11, 0))],
)  # fmt: skip
def test_capabilities(name, capability):
    assert load_target(name).compute_capability == capability


def test_an_unknown_name():
    with pytest.raises(SparksmithError, match=r"there is no target gb01 \(perhaps you meant gb10\)") as caught:
        load_target("gb01")
    assert "gb10, h200" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("cuda", "isa"), [((13, 0), (9, 0)), ((13, 2), (9, 2)), ((12, 8), (8, 7)), ((12, 6), (8, 5)), ((12, 4), (8, 4))]
)
def test_the_isa_of_a_cuda(cuda, isa):
    assert newest_isa(cuda) == isa


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"driver": 570}, "driver 570 is older than 580, the first with CUDA 13"),
        ({"ptx_isa": (9, 1)}, "ptx_isa = 9.1 is newer than CUDA 13.0 knows (9.0)"),
        ({"machine": "arm64"}, "machine = arm64: expected aarch64 or x86_64, as uname -m says"),
        ({"cuda": (11, 8)}, "cuda = 11.8: only CUDA 12 and 13 are known"),
        ({"glibc": (3, 0)}, "glibc = 3.0: expected 2.x"),
        ({"python": (2, 7)}, "python = 2.7: expected 3.8 or newer"),
        ({"compute_capability": (1, 2)}, "compute_capability = 1.2: expected 2.0 to 99.9"),
        ({"fp8_flops": 1e12}, "fp8_flops is below bf16_flops"),
    ],
)
def test_a_target_that_contradicts_itself(change, problem):
    assert check_target(replace(load_target("gb10"), **change)) == [problem]


def write(tmp_path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_row_of_ones_own(tmp_path):
    path = write(tmp_path, '[targets.my-spark]\nlike = "gb10"\ndriver = 595\ncuda = "13.2"\nptx_isa = "9.2"\n')
    mine = load_target(path)
    assert (mine.name, mine.title, mine.driver, mine.cuda, mine.ptx_isa) == (
        "my-spark",
        "my-spark",
        595,
        (13, 2),
        (9, 2),
    )
    assert (mine.machine, mine.bandwidth) == ("aarch64", 273e9)
    assert "driver" not in mine.sources and "bandwidth" in mine.sources
    assert load_target(f"{path}:my-spark") == mine


WHOLE = """
[targets.one]
compute_capability = "8.6"
machine = "x86_64"
driver = 580
cuda = "13.0"
ptx_isa = "9.0"
glibc = "2.35"
python = "3.10"
memory_bytes = 24_000_000_000
unified_memory = false
"""


def test_a_whole_row_of_ones_own(tmp_path):
    mine = load_target(write(tmp_path, WHOLE))
    assert (mine.architecture, mine.bf16_flops, mine.sources) == (86, None, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = ", "is not TOML"),
        ("a = 1", r"has no \[targets.NAME\]"),
        ("[targets]", r"has no \[targets.NAME\]"),
        ("[targets]\none = 1", "the target one is no table"),
        ("[targets.one]\n[targets.two]", "has 2 targets"),
        ('[targets.one]\nlike = "gb11"', r"like = 'gb11' is no target \(perhaps you meant gb10\)"),
        ('[targets.one]\nlike = "gb10"\ndriver = 570', "driver 570 is older"),
        ('[targets.one]\nlike = "gb10"\ndriver = "580"', "driver = '580': expected a positive number"),
        ('[targets.one]\nlike = "gb10"\ndriver = 580.5', "expected a whole number"),
        ('[targets.one]\nlike = "gb10"\ncuda = 13.0', 'cuda = 13.0: expected "major.minor", in quotes'),
        ('[targets.one]\nlike = "gb10"\nbandwith = 1', r"bandwith is not a key \(perhaps you meant bandwidth\)"),
        ('[targets.one]\nlike = "gb10"\nunified_memory = 1', "expected true or false"),
        ('[targets.one]\nlike = "gb10"\nmachine = 64', "expected text"),
        ('[targets.one]\nlike = "gb10"\nbandwidth = inf', "expected a positive number"),
    ],
)
def test_a_file_that_is_wrong(tmp_path, text, message):
    with pytest.raises(SparksmithError, match=message) as caught:
        load_target(write(tmp_path, text))
    assert caught.value.hint


def test_every_missing_key_is_told(tmp_path):
    with pytest.raises(SparksmithError) as caught:
        load_target(write(tmp_path, '[targets.one]\nmachine = "x86_64"\n'))
    assert len(caught.value.message.splitlines()) == 1 + 8


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SparksmithError, match="cannot be read: No such file"):
        load_target(str(tmp_path / "absent.toml"))
    with pytest.raises(SparksmithError, match=r"has no target onne \(perhaps you meant one\)"):
        load_target(write(tmp_path, WHOLE) + ":onne")
