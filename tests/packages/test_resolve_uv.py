"""What uv is asked, what is made of its answers, and the fallbacks that it does not speak of."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from asked_uv import EMPTY, NEWEST, NO_WHEELS, RESOLVER, SPARK, VLLM, by_name, locked, only

from sparksmith.base.command import Answer
from sparksmith.base.errors import SparksmithError
from sparksmith.packages import resolve as resolving
from sparksmith.packages import uv
from sparksmith.packages.audit import judge_resolution
from sparksmith.packages.facts import PackageFacts
from sparksmith.packages.fallback import held_back_by
from sparksmith.packages.gather import gather
from sparksmith.packages.inputs import read_subject
from sparksmith.packages.known import KnownWheels, format_row
from sparksmith.packages.platform import Platform
from sparksmith.packages.resolve import resolve
from sparksmith.policy.targets import load_target


def test_requirements_are_resolved_for_the_target(fake):
    asked = fake(VLLM, NEWEST)
    found = resolve(read_subject(["vllm<0.20", "torch; sys_platform == 'win32'"]), SPARK, KnownWheels(""))
    argv = asked.asked[0]
    assert argv[:3] == ["/somewhere/uv", "pip", "compile"]
    assert argv[argv.index("--python-platform") + 1] == "aarch64-manylinux_2_39"
    assert argv[argv.index("--python-version") + 1] == "3.12"
    assert {"--no-build", "--no-python-downloads", "--no-header"} <= set(argv) and "--no-deps" not in argv
    assert asked.files[0] == "vllm<0.20\n|"
    vllm = by_name(found)["vllm"]
    assert (vllm.version, vllm.asked) == ("0.19.1", "vllm<0.20")
    assert vllm.wheel.file == "vllm-0.19.1-cp38-abi3-manylinux_2_31_aarch64.whl"
    assert (by_name(found)["torch"].version, by_name(found)["torch"].asked) == ("2.10.0", "")
    assert found.how == "uv"


def test_the_newest_are_asked_for_without_building_and_with_the_same_indexes(fake, tmp_path):
    file = tmp_path / "needs.txt"
    file.write_text("--extra-index-url https://index.example/other\nvllm<0.20\n", encoding="utf-8")
    asked = fake(VLLM, NEWEST)
    resolve(read_subject([str(file)]), SPARK, KnownWheels(""))
    argv = asked.asked[1]
    assert {"--universal", "--no-deps"} <= set(argv) and "--python-platform" not in argv
    assert asked.files[1] == "--extra-index-url https://index.example/other\nmarkupsafe\nmpmath\nnumpy\ntorch\nvllm\n|"


def test_versions_of_years_ago_are_told(fake):
    fake(VLLM, NEWEST)
    found = resolve(read_subject(["vllm<0.20"]), SPARK, KnownWheels(""))
    told = {fallback.name: fallback for fallback in found.fallbacks}
    # vllm 0.19.1 (2026-04) and torch 2.10.0 (2026-01) are behind, by less than a year
    assert set(told) == {"mpmath", "numpy"}
    mpmath = told["mpmath"]
    assert (mpmath.kind, mpmath.version, mpmath.newest, mpmath.asked) == ("old", "1.3.0", "1.4.1", "")
    assert mpmath.describe() == "mpmath 1.3.0 of 2023-03 was taken; the newest that fits is 1.4.1 of 2026-03"


def test_who_holds_a_version_back():
    mpmath = uv.parse_answer(only(VLLM, "mpmath"), SPARK)[0]
    newest = uv.parse_answer(only(NEWEST, "mpmath"), SPARK)[0]
    fallback = resolving.find_fallback(mpmath, newest, None, SPARK)
    sympy = PackageFacts(
        "sympy", "1.14.0", "", None, 1, requires=("mpmath<1.4,>=1.1.0", "pytest; extra == 'dev'", "??")
    )
    other = PackageFacts("other", "1", "", None, 1, requires=("mpmath>=1", "MPmath<1 ; sys_platform == 'win32'"))
    assert held_back_by(fallback, [other, sympy], SPARK) == ["sympy (mpmath<1.4,>=1.1.0)"]
    assert held_back_by(fallback, [other], SPARK) == []
    toolkit = PackageFacts("cuda-toolkit", "13", "", None, 1, requires=("mpmath==1.3.0; extra == 'all'",))
    assert held_back_by(fallback, [toolkit], SPARK) == ["cuda-toolkit (mpmath==1.3.0)"]


def test_a_package_with_source_only_is_left_out_and_named(fake):
    asked = fake(Answer(1, "", NO_WHEELS), only(VLLM, "torch"), NEWEST, only(NEWEST, "flash-attn"))
    found = resolve(read_subject(["flash-attn", "torch"]), SPARK, KnownWheels(""))
    assert asked.files[1] == "flash-attn\ntorch\n|flash-attn\n"
    flash = by_name(found)["flash-attn"]
    assert (flash.wheel, flash.version, flash.asked) == (None, "2.8.3.post2", "flash-attn")
    assert (flash.why_source, flash.source.file) == ("it has no wheels", "flash_attn-2.8.3.post2.tar.gz")
    assert by_name(found)["torch"].wheel is not None


def test_of_a_version_that_was_asked_for_it_is_said_what_there_is(fake):
    """bitsandbytes 0.45.5 has wheels for other platforms and no source: nothing can be installed at all."""
    no_match = (RESOLVER / "no-match.txt").read_text(encoding="utf-8")
    there = EMPTY + (
        '[[packages]]\nname = "bitsandbytes"\nversion = "0.45.5"\nwheels = [{ url = "https://index.example/'
        'bitsandbytes-0.45.5-py3-none-manylinux_2_24_x86_64.whl" }]\n'
    )
    asked = fake(Answer(1, "", no_match), EMPTY, there)
    found = by_name(resolve(read_subject(["bitsandbytes==0.45.5"]), SPARK, KnownWheels("")))["bitsandbytes"]
    assert [text.split("|") for text in asked.files[1:]] == [
        ["bitsandbytes==0.45.5\n", "bitsandbytes\n"], ["bitsandbytes==0.45.5\n", ""],
    ]  # fmt: skip
    assert (found.version, found.wheel, found.source) == ("0.45.5", None, None)
    assert found.why_source == "for manylinux_2_24_x86_64 only"


def test_a_pinned_version_that_uv_says_nothing_more_of(fake):
    fake(Answer(1, "", NO_WHEELS), EMPTY, Answer(2, "", "error"))
    flash = by_name(resolve(read_subject(["flash-attn==2.5.0"]), SPARK, KnownWheels("")))["flash-attn"]
    assert (flash.version, flash.why_source) == ("2.5.0", "no version that is asked for has a wheel that fits")


def test_an_old_wheel_is_not_taken_where_an_install_would_build_the_newest(fake):
    """uv, which may not build here, answers deepspeed 0.3.1.dev3 of 2020; pip and uv would build 0.19.8."""
    old = EMPTY + (
        '[[packages]]\nname = "deepspeed"\nversion = "0.3.1.dev3"\nwheels = [{ url = '
        '"https://index.example/deepspeed-0.3.1.dev3-py3-none-any.whl", upload-time = 2020-10-01T00:00:00Z }]\n'
        '[[packages]]\nname = "tensorboardx"\nversion = "1.8"\nwheels = [{ url = '
        '"https://index.example/tensorboardX-1.8-py2.py3-none-any.whl" }]\n'
    )
    asked = fake(old, NEWEST, only(VLLM, "torch"), only(NEWEST, "deepspeed"))
    found = resolve(read_subject(["deepspeed", "torch"]), SPARK, KnownWheels(""))
    assert asked.files[2] == "deepspeed\ntorch\n|deepspeed\n"
    assert set(by_name(found)) == {"deepspeed", "torch"}  # what only the old one asked for is gone
    deepspeed = by_name(found)["deepspeed"]
    assert (deepspeed.version, deepspeed.wheel, deepspeed.source.file) == ("0.19.8", None, "deepspeed-0.19.8.tar.gz")
    (fallback,) = found.fallbacks
    assert fallback.describe() == (
        "deepspeed 0.19.8 has no wheel here and would be built from source; "
        "the newest version with a wheel is 0.3.1.dev3"
    )


def test_newer_wheels_that_a_platform_tag_hides(fake):
    newest = NEWEST.replace("cp38-abi3-manylinux_2_28_aarch64", "cp38-abi3-manylinux_2_41_aarch64")
    newest = "\n".join(line for line in newest.splitlines() if "vllm-0.33.0.tar.gz" not in line)
    fake(VLLM, newest)
    found = resolve(read_subject(["vllm"]), SPARK, KnownWheels(""))
    told = next(fallback for fallback in found.fallbacks if fallback.name == "vllm")
    assert (told.kind, told.newest, told.reason, told.allowed) == ("hidden", "0.33.0", "needs glibc 2.41", True)


def test_hashes_limit_the_wheels(fake, tmp_path):
    row = next(row for row in tomllib.loads(VLLM)["packages"] if row["name"] == "torch")
    right = row["wheels"][0]["hashes"]["sha256"]
    file = tmp_path / "needs.txt"
    for sha256, has_wheel in ((right, True), ("0" * 64, False)):
        file.write_text(f"torch==2.10.0 --hash=sha256:{sha256}\n", encoding="utf-8")
        asked = fake(only(VLLM, "torch"), EMPTY)
        torch = by_name(resolve(read_subject([str(file)]), SPARK, KnownWheels("")))["torch"]
        assert "--no-deps" in asked.asked[0]  # a file that pins and hashes everything is the whole set
        assert (torch.wheel is not None) is has_wheel


def test_a_pinned_file_of_known_wheels_needs_no_uv(fake, tmp_path):
    asked = fake()
    files = {
        "a" * 64: "torch-2.13.0-cp312-cp312-manylinux_2_28_aarch64.whl",
        "b" * 64: "torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl",
    }
    rows = [format_row(PackageFacts("torch", "2.13.0", name, sha256, 5)) for sha256, name in files.items()]
    file = tmp_path / "needs.txt"
    hashes = " ".join(f"--hash=sha256:{sha256}" for sha256 in (*files, "c" * 64))
    file.write_text(f"torch==2.13.0 {hashes}\ncolorama==1 ; sys_platform == 'win32'\n", encoding="utf-8")
    known = KnownWheels("\n".join(rows))
    for machine, sha256 in (("aarch64", "a" * 64), ("x86_64", "b" * 64)):
        found = resolve(read_subject([str(file)]), Platform(machine, (2, 39), (3, 12)), known)
        (torch,) = found.packages
        assert (found.how, torch.wheel.sha256, torch.wheel.bytes) == ("file", sha256, 5)
    assert asked.asked == []


STACK = Path(resolving.__file__).parents[1] / "policy/stacks/train.txt"


@pytest.mark.parametrize(
    ("file", "torch"),
    [
        (STACK, "torch-2.13.0-cp312-cp312-manylinux_2_28_aarch64.whl"),
        (RESOLVER / "naive.txt", "torch-2.9.0-cp312-cp312-manylinux_2_28_aarch64.whl"),
    ],
)
def test_files_of_known_wheels_are_understood_offline(fake, file, torch):
    asked = fake()
    found = resolve(read_subject([str(file)]), SPARK, KnownWheels())
    assert found.how == "file" and asked.asked == []
    assert by_name(found)["torch"].wheel.file == torch
    assert all(package.wheel for package in found.packages)


def test_what_comes_from_elsewhere_is_left_to_others(fake, tmp_path):
    file = tmp_path / "needs.txt"
    file.write_text("unsloth @ git+https://me:secret-word@git.example/unsloth\ntorch\n-e .\n", encoding="utf-8")
    asked = fake(only(VLLM, "torch"), EMPTY)
    found = resolve(read_subject([str(file)]), SPARK, KnownWheels(""))
    assert asked.files[0].endswith("|unsloth\n")
    assert by_name(found)["unsloth"].why_source == "it comes from a repository"
    assert len(found.notes) == 1
    assert by_name(found)["unsloth"].wheel is None


def test_a_project_is_handed_to_uv_with_its_extras(fake, tmp_path):
    file = tmp_path / "pyproject.toml"
    file.write_text(
        '[project]\nname = "x"\nversion = "1"\ndependencies = ["torch"]\noptional-dependencies.chat = ["vllm"]\n'
        '[tool.uv.sources]\nvllm = { path = "../vllm" }\n',
        encoding="utf-8",
    )
    asked = fake(only(VLLM, "torch"), EMPTY)
    found = resolve(read_subject([f"{file}[chat]"]), SPARK, KnownWheels(""))
    argv = asked.asked[0]
    assert argv[3] == str(file)
    assert argv[argv.index("--extra") + 1] == "chat" and argv[argv.index("--project") + 1] == str(tmp_path)
    assert "folder or a repository" in by_name(found)["vllm"].why_source


BINDING = locked("torch-tensorrt", "2.14.0", "torch_tensorrt-2.14.0-cp312-cp312-manylinux_2_28_aarch64.whl")
OLD_SOURCE = locked("tensorrt", "11.1.0.106", "tensorrt-11.1.0.106.tar.gz")
NEW_SOURCE = locked("tensorrt", "11.4.0.106", "tensorrt-11.4.0.106.tar.gz")


def test_what_only_old_versions_stand_against_is_let_in_again(fake):
    """uv names torch-tensorrt too, of which old versions have no wheel; its newest lacks tensorrt's alone, which has
    no wheels at all, and is told in the version that torch-tensorrt allows."""
    refused = Answer(1, "", (RESOLVER / "refused/torch-tensorrt.txt").read_text(encoding="utf-8"))
    asked = fake(
        refused, EMPTY, EMPTY + BINDING + NEW_SOURCE,  # nothing is left without both
        EMPTY + BINDING + only(VLLM, "torch").removeprefix(EMPTY), only(NEWEST, "torch"),
        EMPTY + BINDING + OLD_SOURCE, EMPTY + OLD_SOURCE,
    )  # fmt: skip
    found = by_name(resolve(read_subject(["torch-tensorrt"]), SPARK, KnownWheels("")))
    assert [text.split("|")[1] for text in asked.files] == [
        "",
        "torch-tensorrt\ntensorrt\n",
        "",
        "tensorrt\n",
        "",
        "",
        "",
    ]
    assert asked.files[5] == "torch-tensorrt==2.14.0\ntorch==2.10.0\ntensorrt\n|"
    argv = asked.asked[5]
    assert argv[argv.index("--only-binary") : argv.index("--python-version")] == [
        "--only-binary", ":all:", "--no-binary", "tensorrt",
    ]  # fmt: skip
    assert asked.files[6] == "tensorrt==11.1.0.106\n|"
    assert {name: each.version for name, each in found.items()} == {
        "torch-tensorrt": "2.14.0", "torch": "2.10.0", "tensorrt": "11.1.0.106",
    }  # fmt: skip
    assert found["tensorrt"].source.file == "tensorrt-11.1.0.106.tar.gz"


def test_a_source_that_uv_cannot_bound_is_told_in_its_newest_version(fake):
    fake(Answer(1, "", NO_WHEELS), only(VLLM, "torch"), NEWEST, Answer(2, "", "error: an older uv"))
    found = by_name(resolve(read_subject(["flash-attn", "torch"]), SPARK, KnownWheels("")))
    assert found["flash-attn"].version == "2.8.3.post2"


def test_what_uv_leaves_out_for_itself_alone_is_not_let_in_for_ever(fake):
    """k2 1.23.4 wants a torch that has no wheel for this Python; the newest torch does not help."""
    refused = Answer(1, "", (RESOLVER / "no-match.txt").read_text(encoding="utf-8").replace("bitsandbytes", "torch"))
    no = Answer(1, "", "error: no version of it goes with k2")
    asked = fake(refused, EMPTY + locked("k2", "1", "k2-1-py3-none-any.whl"), only(NEWEST, "torch"), no)
    found = by_name(resolve(read_subject(["k2"]), SPARK, KnownWheels("")))
    assert len(asked.asked) == 4
    assert found["torch"].wheel is not None  # its bounds tell what stands against it


def test_a_version_that_the_set_holds_to_its_source_is_that_source(fake):
    """hydra-core 1.3.2 asks for antlr4-python3-runtime 4.9, which has no wheel; 4.13.2 has one."""
    refused = Answer(1, "", (RESOLVER / "no-match.txt").read_text(encoding="utf-8").replace("bitsandbytes", "antlr4"))
    hydra = EMPTY + locked("hydra-core", "1.3.2", "hydra_core-1.3.2-py3-none-any.whl")
    address = "https://index.example/antlr4-4.9.3.tar.gz"
    source = f'[[packages]]\nname = "antlr4"\nversion = "4.9.3"\nsdist = {{ url = "{address}" }}\n'
    fake(
        refused, hydra, EMPTY + locked("antlr4", "4.13.2", "antlr4-4.13.2-py3-none-any.whl"), EMPTY + source,
        EMPTY + source,
    )  # fmt: skip
    found = by_name(resolve(read_subject(["hydra-core==1.3.2"]), SPARK, KnownWheels("")))
    assert (found["antlr4"].version, found["antlr4"].wheel, found["antlr4"].source.file) == (
        "4.9.3", None, "antlr4-4.9.3.tar.gz",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("stderr", "said", "hint"),
    [
        (
            "warning: old\nerror: No solution found\n  cause: no torch==99\n",
            "for aarch64, glibc 2.39, Python 3.12",
            None,
        ),
        (
            "error: Request failed\n  cause: dns error: https://me:secret-word@index.example/\n",
            "cannot reach",
            "uv.lock",
        ),
    ],
)
def test_why_uv_failed(fake, stderr, said, hint):
    fake(Answer(2, "", stderr))
    with pytest.raises(SparksmithError) as caught:
        resolve(read_subject(["torch==99"]), SPARK, KnownWheels(""))
    assert said in caught.value.message
    assert "warning" not in caught.value.message and "secret-word" not in caught.value.message
    assert (hint in caught.value.hint) if hint else caught.value.hint is None


def test_an_extra_that_a_package_does_not_have_is_told_where_it_was_asked_for(fake):
    said = (
        "warning: The package `vllm==0.19.1` does not have an extra named `flashinfr`\n"
        "warning: The package `torch @ file:///a%20b/torch.whl` does not have an\nextra named `Op_Tree`\n"
        "warning: The package `numpy==2.3.5` does not have an extra named `x`\n"
    )
    asked = fake(Answer(0, VLLM, said), NEWEST)
    found = resolve(read_subject(["vllm[flashinfr,bench]<0.20", "vllm", "torch[op-tree]"]), SPARK, KnownWheels(""))
    assert found.no_extras == (("vllm", "flashinfr"), ("torch", "op-tree"))
    assert "--quiet" not in asked.asked[0]  # it would warn of nothing
    assert "--quiet" in asked.asked[1]


def test_without_the_newest_there_are_no_fallbacks(fake):
    fake(VLLM, Answer(2, "", "error: whatever"))
    assert resolve(read_subject(["vllm<0.20"]), SPARK, KnownWheels("")).fallbacks == ()


def test_an_answer_that_is_no_lock(fake):
    fake("torch==2.13.0 = nonsense\n")
    with pytest.raises(SparksmithError, match=r"no pylock\.toml"):
        resolve(read_subject(["torch"]), SPARK, KnownWheels(""))


def test_where_uv_is_looked_for(monkeypatch, tmp_path, own_home):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(uv.sparksmith, "__file__", str(tmp_path / "src/sparksmith/__init__.py"))
    with pytest.raises(uv.NoUv, match="uv is missing"):
        uv.find_uv()
    there = own_home / ".local/bin/uv"
    there.parent.mkdir(parents=True)
    there.touch()
    assert uv.find_uv() == str(there)


def test_a_package_that_uv_cannot_list_does_not_hide_the_others(fake):
    """spconv-cu120 has wheels up to Python 3.11 and no source: uv lists it for an older Python alone."""
    refused = Answer(1, "", (RESOLVER / "no-match.txt").read_text(encoding="utf-8").replace("bitsandbytes", "spconv"))
    listed = EMPTY + (
        '[[packages]]\nname = "spconv"\nversion = "2.3.6"\nwheels = [{ url = "https://index.example/'
        'spconv-2.3.6-cp310-cp310-manylinux2014_x86_64.whl" }]\n'
    )
    asked = fake(refused, only(VLLM, "torch"), refused, only(NEWEST, "torch"), listed)
    found = by_name(resolve(read_subject(["spconv", "torch"]), SPARK, KnownWheels("")))
    assert [text.split("|")[0] for text in asked.files[2:]] == ["spconv\ntorch\n", "torch\n", "spconv\n"]
    versions = [argv[argv.index("--python-version") + 1] for argv in asked.asked]
    assert versions == ["3.12"] * 4 + ["3.8"]
    assert (found["spconv"].version, found["spconv"].foreign) == (
        "2.3.6", ("spconv-2.3.6-cp310-cp310-manylinux2014_x86_64.whl",),
    )  # fmt: skip


def test_an_answer_that_is_none_does_not_stop_an_audit(fake):
    fake(only(VLLM, "torch"), "what an older uv says")
    assert resolve(read_subject(["torch"]), SPARK, KnownWheels("")).fallbacks == ()


@pytest.mark.parametrize(("others", "how"), [(0, "file"), (1, "file"), (2, "uv")])
def test_a_wheel_for_any_machine_does_not_stand_in_for_one_that_is_not_known(fake, others, how):
    pure = PackageFacts("torch", "2.10.0", "torch-2.10.0-py3-none-any.whl", "1" * 64, 1, ("py3-none-any",))
    hashes = " ".join(f"--hash=sha256:{digit * 64}" for digit in "123"[: others + 1])
    fake(only(VLLM, "torch"), only(NEWEST, "torch"))
    assert resolve(read_subject([f"torch==2.10.0 {hashes}"]), SPARK, KnownWheels(format_row(pure))).how == how


SOURCE = PackageFacts("jieba", "0.42.1", "jieba-0.42.1.tar.gz", "3" * 64, 1, compiles=())
INTEL = PackageFacts("av", "1", "av-1-cp312-cp312-manylinux_2_28_x86_64.whl", "4" * 64, 1)
PURE = PackageFacts("six", "1", "six-1-py3-none-any.whl", "5" * 64, 1, ("py3-none-any",))
KNOWN = "\n".join(map(format_row, (SOURCE, INTEL, PURE)))


def pinned(*lines: str) -> list[str]:
    """Requirements with the hashes that the digits behind their versions stand for."""
    return [
        f"{line.partition(' ')[0]} " + " ".join(f"--hash=sha256:{digit * 64}" for digit in line.split()[1])
        for line in lines
    ]


def test_a_pinned_source_that_is_known_needs_no_uv():
    found = by_name(resolve(read_subject(pinned("jieba==0.42.1 3", "six==1 5", "av==1 4")), SPARK, KnownWheels(KNOWN)))
    assert (found["jieba"].wheel, found["jieba"].source.file) == (None, "jieba-0.42.1.tar.gz")
    assert found["jieba"].why_source == "of its files only the source has a hash here"
    assert (found["av"].source, found["av"].foreign) == (None, (INTEL.file,))
    assert found["six"].wheel.file == PURE.file


@pytest.mark.parametrize("line", ["jieba==0.42.1 36", "av==1 46", "other==1 6"])
def test_what_stands_behind_other_hashes_is_uv_s_to_say(fake, line):
    fake(only(VLLM, "torch"), only(NEWEST, "torch"))
    assert resolve(read_subject(pinned(line, "six==1 5")), SPARK, KnownWheels(KNOWN)).how == "uv"


@pytest.mark.parametrize("reason", ["uv is missing", "uv cannot reach the package index"])
def test_without_an_index_the_rest_of_a_pinned_file_is_judged(fake, monkeypatch, reason):
    fake(Answer(2, "", "error: Request failed\n  cause: client error (Connect)\n"))
    if "missing" in reason:
        monkeypatch.setattr(uv, "find_uv", lambda: (_ for _ in ()).throw(uv.NoUv("uv is missing, and it is needed")))
    resolution = resolve(read_subject(pinned("jieba==0.42.1 36", "six==1 5")), SPARK, KnownWheels(KNOWN))
    found = by_name(resolution)
    assert found["six"].wheel.file == PURE.file
    assert found["jieba"].problem == f"which files its hashes are of is not known here, and {reason}"
    gathered = gather(resolution, KnownWheels(KNOWN))
    judged = judge_resolution(resolution, gathered, load_target("gb10"), "needs.txt")
    assert {each.name: each.verdict.value for each in judged.packages} == {"jieba": "cannot tell", "six": "runs"}
    assert judged.notes[0].startswith("one wheel could not be looked at; try again with a network")


@pytest.mark.parametrize("lines", [pinned("other==1 6"), ["torch", *pinned("six==1 5")]])
def test_without_an_index_what_is_not_known_or_not_pinned_is_an_error(fake, lines):
    fake(Answer(2, "", "error: Request failed\n  cause: client error (Connect)\n"))
    with pytest.raises(SparksmithError, match="uv cannot reach the package index"):
        resolve(read_subject(lines), SPARK, KnownWheels(KNOWN))


def test_the_address_of_a_wheel_for_another_machine_is_not_fetched(fake):
    asked = fake(only(VLLM, "torch"), only(NEWEST, "torch"))
    line = "flash-attn @ https://h.example/flash_attn-2.8.3%2Bcu12-cp312-cp312-linux_x86_64.whl"
    found = by_name(resolve(read_subject([line, "torch"]), SPARK, KnownWheels("")))
    assert "flash-attn" in asked.files[0].split("|")[1]  # left out
    assert (found["flash-attn"].version, found["flash-attn"].wheel, found["flash-attn"].foreign) == (
        "2.8.3+cu12", None, ("flash_attn-2.8.3+cu12-cp312-cp312-linux_x86_64.whl",),
    )  # fmt: skip
