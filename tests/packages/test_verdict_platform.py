"""Tags, Requires-Python, machine and glibc against a target."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_facts import installed, library, package

from sparksmith.packages.finding import Evidence
from sparksmith.packages.verdict import judge
from sparksmith.policy.targets import load_target

GB10 = load_target("gb10")


def rules(facts, target=GB10, **more) -> tuple[str, list[str]]:
    (found,) = judge([facts], target, kind=more.pop("kind", "wheel"), subject="x", **more).packages
    return found.verdict.value, [finding.rule for finding in found.findings]


RUNS, NOTE, UNKNOWN, FAILS = ("runs", []), "runs with a note", "cannot tell", "will not run"


@pytest.mark.parametrize(
    ("tag", "fails"),
    [
        ("cp312-cp312-manylinux_2_28_aarch64", False),
        ("cp312-cp312-manylinux_2_39_aarch64", False),
        ("cp312-cp312-manylinux_2_17_aarch64.manylinux2014_aarch64", False),
        ("cp312-cp312-linux_aarch64", False),
        ("cp38-abi3-manylinux_2_31_aarch64", False),
        ("cp312-abi3-manylinux_2_27_aarch64", False),
        ("py3-none-manylinux_2_24_aarch64", False),
        ("py2.py3-none-any", False),
        ("py3-none-any", False),
        ("py312-none-any", False),
        ("cp312-cp312-manylinux_2_40_aarch64", True),
        ("cp312-cp312-manylinux_2_28_x86_64", True),
        ("cp312-cp312-musllinux_1_2_aarch64", True),
        ("cp312-cp312-macosx_11_0_arm64", True),
        ("cp312-cp312-win_arm64", True),
        ("cp311-cp311-manylinux_2_28_aarch64", True),
        ("cp313-cp313-manylinux_2_28_aarch64", True),
        ("cp313-abi3-manylinux_2_28_aarch64", True),
        ("cp312-cp312t-manylinux_2_28_aarch64", True),
        ("pp310-pypy310_pp73-manylinux_2_28_aarch64", True),
        ("py2-none-any", True),
    ],
)
def test_tags(tag, fails):
    assert rules(package("p", "1", tag=tag)) == ((FAILS, ["tag"]) if fails else RUNS)


def test_of_several_tags_the_nearest_is_told():
    facts = package("p", "1", tags=("cp310-cp310-win_amd64", "cp311-cp311-manylinux_2_28_aarch64"))
    (found,) = judge([facts], GB10, kind="wheel", subject="x").packages
    assert found.findings[0].seen == "it is for cp311 with ABI cp311, not for Python 3.12"
    both = package("p", "1", tags=("cp310-cp310-win_amd64", "cp312-cp312-manylinux_2_28_aarch64"))
    assert rules(both) == RUNS


def test_every_reason_of_a_tag_is_told():
    facts = package("p", "1", tag="cp311-cp311-manylinux_2_40_x86_64")
    (found,) = judge([facts], GB10, kind="wheel", subject="x").packages
    assert found.findings[0].seen == (
        "it is for cp311 with ABI cp311, not for Python 3.12; it is for x86_64, not for aarch64; "
        "it is for glibc 2.40 or newer, and there is 2.39"
    )
    assert found.findings[0].expected.startswith("cp312-cp312-manylinux_2_39_aarch64")


ASK = ": resolve with uv's --python-platform aarch64-manylinux_2_39 --python-version 3.12"


@pytest.mark.parametrize(
    ("tags", "seen", "wanted"),
    [
        (["cp313-cp313t-manylinux_2_28_aarch64"], "it is for cp313 with ABI cp313t", "for Python 3.12"),
        (["cp312-cp312-musllinux_1_2_aarch64"], "it is for musllinux_1_2_aarch64", "for Linux on aarch64 with glibc"),
        (["cp312-cp312-manylinux_2_41_aarch64"], "it is for glibc 2.41 or newer", "for glibc 2.39 or older"),
        (["cp312-cp312-manylinux_2_28_x86_64"], "it is for x86_64", "for aarch64"),
        (["cp311-cp311-manylinux_2_28_x86_64"], "it is for cp311", "for Python 3.12 and for aarch64"),
        # what is for Linux says more than another system's, and what is for this machine more than another's
        (["cp312-cp312-macosx_11_0_arm64", "cp312-cp312-manylinux1_x86_64"], "it is for x86_64", "for aarch64"),
        (["cp312-cp312-macosx_11_0_arm64", "cp311-cp311-manylinux1_x86_64"], "it is for cp311", "for Python 3.12 and"),
        (["cp312-cp312-manylinux1_x86_64", "cp314-cp314-linux_aarch64"], "it is for cp314", "for Python 3.12"),
        (["cp312-cp312-manylinux1_x86_64", "cp312-cp312-musllinux_1_1_aarch64"], "it is for musllinux", "for Linux on"),
    ],
)
def test_what_is_advised_of_a_tag(tags, seen, wanted):
    (found,) = judge([package("p", "1", tags=tuple(tags))], GB10, kind="wheel", subject="x").packages
    (finding,) = found.findings
    assert finding.seen.startswith(seen)
    assert finding.fix.startswith(f"a wheel {wanted}")
    assert finding.fix.endswith(ASK)


def test_an_environment_is_judged_by_its_own_python():
    facts = installed(package("p", "1", library("p/_c.so"), tag="cp311-cp311-manylinux_2_28_aarch64"))
    assert rules(facts, kind="environment") == (FAILS, ["tag"])
    assert rules(facts, kind="environment", python=(3, 11)) == RUNS


@pytest.mark.parametrize(
    ("asked", "fails"),
    [
        (">=3.9", False), ("<3.13,>=3.10", False), (">=3.12.4", False), ("!=3.12.1", False), (None, False),
        ("not a specifier", False), (">=3.13", True), ("<3.12", True), ("==3.11.*", True),
    ],
)  # fmt: skip
def test_requires_python(asked, fails):
    assert rules(package("p", "1", requires_python=asked)) == ((FAILS, ["python"]) if fails else RUNS)


def test_glibc_of_the_libraries():
    assert rules(package("p", "1", library("p/_c.so", glibc=(2, 39)))) == RUNS
    assert rules(package("p", "1", library("p/_c.so", glibc=(2, 40)))) == (FAILS, ["glibc"])
    foreign = library("p/x86.so", glibc=(2, 41), machine="x86_64")
    assert rules(package("p", "1", library("p/_c.so", glibc=(2, 17)), foreign)) == RUNS


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        # a debugger's helper in a wheel for any machine
        (package("debugpy", "1", library("d/attach_linux_amd64.so", machine="x86_64"), tag="py2.py3-none-any"),
         (NOTE, ["machine"])),
        # an extension module in one
        (package("p", "1", library("p/_c.cpython-312-x86_64-linux-gnu.so", machine="x86_64"), tag="py3-none-any"),
         (FAILS, ["machine"])),
        # a tag that lies
        (package("p", "1", library("p/_c.so", machine="x86_64")), (FAILS, ["machine"])),
        # both machines side by side
        (package("p", "1", library("p/x.so", machine="x86_64"), library("p/a.so"), tag="py3-none-any"), RUNS),
        # copied from another machine
        (installed(package("p", "1", library("p/_c.so", machine="x86_64"), tags=())), (FAILS, ["machine"])),
    ],
)  # fmt: skip
def test_machine_of_the_libraries(facts, expected):
    assert rules(facts) == expected


def test_what_could_not_be_read_cannot_be_told():
    assert rules(package("p", "1", problems=("truncated after 12 bytes",))) == (UNKNOWN, ["problem"])
    broken = package("p", "1", tag="cp311-cp311-win32", problems=("truncated",))
    assert rules(broken) == (FAILS, ["tag", "problem"])


@pytest.mark.parametrize("name", ["p-1.tar.gz", "p-1.zip"])
def test_source(name):
    facts = package("p", "1", file=name, tags=())
    assert rules(facts) == (UNKNOWN, ["source"])
    (found,) = judge([facts], GB10, kind="list", subject="x").packages
    assert found.findings[0].fault is None
    known = replace(facts, name="Flash_Attn")
    (found,) = judge([known], GB10, kind="list", subject="x").packages
    assert found.findings[0].fault == "source-build"
    assert "github.com/Dao-AILab" in str(found.findings[0].source)


def test_what_a_build_has_to_be_told_is_told():
    """llama-cpp-python compiles its CUDA only where CMAKE_ARGS ask for it."""
    (found,) = judge(
        [package("llama_cpp_python", "0.3.36", file="llama_cpp_python-0.3.36.tar.gz", tags=())],
        GB10, kind="list", subject="x",
    ).packages  # fmt: skip
    assert found.findings[0].fault == "llama-cpp-cpu-build"
    assert "CMAKE_ARGS=-DGGML_CUDA=on" in str(found.findings[0].fix)


@pytest.mark.parametrize(
    ("allowed", "fix"),
    [
        (">=3.10", None), (">=3.12.4", None), ("", None), ("^3.10", None),
        (">=3.13", 'python = "3.13"'), (">=3.8,<3.12", 'python = "3.11"'), ("==2.7.*", "let it allow 3.12: no Python"),
    ],
)  # fmt: skip
def test_the_python_that_a_project_asks_for(allowed, fix):
    found = judge([package("p", "1")], GB10, kind="list", subject="x", wants_python=("pyproject.toml", allowed))
    assert found.verdict == ("will not run" if fix else "runs")
    if fix:
        (told,) = found.findings
        assert (told.rule, told.evidence) == ("python", (Evidence("pyproject.toml", f"requires-python: {allowed}"),))
        assert fix in str(told.fix)
        assert told.seen == f"the project asks for Python {allowed}: nothing is installed under 3.12"
