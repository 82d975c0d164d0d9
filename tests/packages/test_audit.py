"""The way from what was asked to a verdict: wheels, environments, lists; with uv and the network handed in."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from made_environments import install, make_venv
from made_facts import code, library, package, torch
from made_wheels import PURE, make_wheel
from make_elf import cubin, make_elf

from sparksmith.base.errors import SparksmithError
from sparksmith.packages import audit as auditing
from sparksmith.packages import resolve as resolving
from sparksmith.packages import uv
from sparksmith.packages.audit import audit, audit_stack, compiled_for, judge_resolution, stack_to_json
from sparksmith.packages.fetch import Unreachable
from sparksmith.packages.gather import Gathered, gather
from sparksmith.packages.inputs import read_subject
from sparksmith.packages.known import KnownWheels, format_row
from sparksmith.packages.locks import Locked
from sparksmith.packages.resolution import Chosen, Fallback, Resolution, WheelFile
from sparksmith.packages.resolve import Platform
from sparksmith.policy.load import load_stack
from sparksmith.policy.targets import load_target

GB10 = load_target("gb10")
SPARK = Platform.of(GB10)
NAIVE = Path(__file__).parent / "resolver/naive.txt"


def resolved(*facts, fallbacks=(), notes=()):
    """A resolution to packages of these facts, and what gathering them gives."""
    chosen = tuple(Chosen(each.name, each.version, WheelFile(each.file, "a" * 64)) for each in facts)
    gathered = [Gathered(one, each) for one, each in zip(chosen, facts, strict=True)]
    return Resolution(SPARK, chosen, "uv", tuple(fallbacks), tuple(notes)), gathered


def fallback(name, version, newest, **more):
    days = [datetime(2024, 8, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)]
    return Fallback("old", name, version, newest, *days, **more)


def test_a_wheel_alone_is_judged_by_itself(tmp_path):
    wheel = make_wheel(tmp_path, files={"sample/_C.so": make_elf(fatbin=[cubin(90, "a")])})
    said = []
    found = audit([str(wheel)], GB10, say=said.append)
    assert (found.kind, found.verdict, found.subject) == ("wheel", "will not run", str(wheel))
    assert said == [f"reading {wheel.name}"]


def test_wheels_of_a_folder_go_together_and_a_broken_one_stops_nothing(tmp_path):
    make_wheel(tmp_path, "pure", tag=PURE)
    (tmp_path / "broken-1.0-py3-none-any.whl").write_bytes(b"PK\3\4 and no more")
    found = audit([str(tmp_path)], GB10)
    assert (found.kind, found.verdict) == ("folder", "cannot tell")
    assert [(each.name, each.verdict.value) for each in found.packages] == [
        ("broken-1.0-py3-none-any.whl", "cannot tell"), ("pure", "runs"),
    ]  # fmt: skip
    with pytest.raises(SparksmithError, match="broken"):
        audit([str(tmp_path / "broken-1.0-py3-none-any.whl")], GB10)


def test_an_environment_with_its_own_python(tmp_path):
    site = make_venv(tmp_path / "a b", python="3.13.1")
    install(site, "sample", files={"sample/_C.abi3.so": make_elf(fatbin=[cubin(120)])}, tags=["cp312-abi3-any"])
    found = audit([str(tmp_path / "a b")], GB10)
    assert (found.kind, found.setting.python) == ("environment", (3, 13))
    assert [each.name for each in found.packages] == ["sample"]
    assert found.notes == ()


def test_of_an_environment_for_another_machine_it_is_said(tmp_path):
    site = make_venv(tmp_path)
    install(
        site, "sample", files={"sample/_C.cpython-312-x86_64-linux-gnu.so": make_elf(machine="x86_64")},
        tags=["cp312-cp312-manylinux_2_28_x86_64"],
    )  # fmt: skip
    found = audit([str(tmp_path)], GB10)
    assert found.verdict == "will not run"
    assert found.notes[0].startswith("this environment is for x86_64, and NVIDIA DGX Spark (GB10) is aarch64")
    assert audit([str(tmp_path)], load_target("rtx5090")).notes == ()


def test_an_environment_without_packages_is_no_verdict(tmp_path):
    make_venv(tmp_path)
    with pytest.raises(SparksmithError, match="nothing is installed in") as caught:
        audit([str(tmp_path)], GB10)
    assert "requirements" in str(caught.value.hint)


def test_requirements_are_resolved_and_gathered():
    resolution, gathered = resolved(torch("2.9.0", ""), notes=["a line was left out"])
    asked = []

    def resolve(subject, platform, known):
        asked.append((subject.requirements.lines[0].name, platform))
        return resolution

    def gather(found, known, *, progress=None):
        assert found is resolution
        progress("torch.whl", 1, 2)
        return gathered

    said, bytes_heard = [], []
    found = audit(
        ["torch==2.9.0"], GB10, known=KnownWheels(""), say=said.append, resolve=resolve, gather=gather,
        progress=lambda *heard: bytes_heard.append(heard),
    )  # fmt: skip
    assert asked == [("torch", SPARK)]
    assert bytes_heard == [("torch.whl", 1, 2)]
    assert said == ["resolving for aarch64, glibc 2.39, Python 3.12", "looking at one package"]
    assert (found.kind, found.verdict, found.notes) == ("list", "will not run", ("a line was left out",))


def test_secrets_in_an_address_are_not_shown():
    resolution, gathered = resolved(package("x", "1"))
    found = audit(
        ["x @ https://ada:geheim123@index.example/x-1-py3-none-any.whl", "tiktoken==0.12"], GB10,
        resolve=lambda *asked: resolution, gather=lambda found, known, progress=None: gathered,
    )  # fmt: skip
    assert found.subject == "x @ https://[redacted]@index.example/x-1-py3-none-any.whl tiktoken==0.12"


def test_a_list_of_nothing_is_an_error():
    empty = Resolution(SPARK, (), "uv", notes=("x.txt, line 2: an editable . is not looked into",))
    with pytest.raises(SparksmithError) as caught:
        audit(["torch; python_version < '3'"], GB10, resolve=lambda *asked: empty)
    assert caught.value.message == (
        "torch; python_version < '3' asks for no package on aarch64, glibc 2.39, Python 3.12\n"
        "  x.txt, line 2: an editable . is not looked into"
    )


def test_a_wheel_that_could_not_be_had_cannot_be_told():
    chosen = Chosen("torch", "2.13.0", WheelFile("torch-2.13.0-cp312-cp312-manylinux_2_28_aarch64.whl", "b" * 64))
    found = judge_resolution(
        Resolution(SPARK, (chosen,), "uv"), [Gathered(chosen, None, "index.example has no torch")], GB10, "torch"
    )
    assert found.verdict == "cannot tell"
    (one,) = found.packages
    assert [(each.rule, each.seen) for each in one.findings] == [("problem", "index.example has no torch")]
    assert found.notes == ("one wheel could not be looked at; try again with a network: what was read is remembered",)


def test_a_host_that_does_not_answer_is_asked_once(tmp_path):
    asked = []

    def fetch(wheel, progress):
        asked.append(wheel.file)
        raise Unreachable(f"{wheel.file} could not be fetched from silent.example: no route")

    chosen = tuple(
        Chosen(
            f"p{number}",
            "1",
            WheelFile(f"p{number}-1-py3-none-any.whl", f"{number:064x}", url="https://silent.example/x"),
        )
        for number in range(20)
    )
    resolution = Resolution(SPARK, chosen, "file")
    gathered = gather(resolution, KnownWheels("", tmp_path), fetch=fetch)
    assert len(asked) <= 3  # those that were under way at once
    found = judge_resolution(resolution, gathered, GB10, "uv.lock")
    assert {each.findings[0].seen for each in found.packages} == {
        "its wheel could not be fetched from silent.example: no route"
    }
    assert found.notes[0].startswith("20 wheels could not be looked at")


def test_a_misspelt_extra_is_a_note_with_the_nearest():
    vllm = package("vllm", "0.33.0", requires=("flashinfer-python>=0.4; extra == 'flashinfer'", "numpy"))
    resolution, gathered = resolved(vllm)
    resolution = replace(resolution, no_extras=(("vllm", "flashinfr"), ("vllm", "x")))
    assert judge_resolution(resolution, gathered, GB10, "vllm").notes == (
        "vllm 0.33.0 has no extra flashinfr (perhaps you meant flashinfer): an installer warns, and brings nothing for "
        "it",
        "vllm 0.33.0 has no extra x: an installer warns, and brings nothing for it",
    )


def test_the_extras_that_a_package_has_come_from_its_wheel(monkeypatch):
    """What is kept of vLLM leaves out what its extras bring without a bound."""
    resolution, gathered = resolved(package("vllm", "0.33.0"))
    resolution = replace(resolution, no_extras=(("vllm", "flashinfr"), ("vllm", "x"), ("gone", "y")))
    monkeypatch.setattr(auditing, "fetch_extras", lambda wheel: ("flashinfer", "bench"))
    found = audit(
        ["vllm[flashinfr,x]"], GB10, resolve=lambda *asked: resolution,
        gather=lambda found, known, progress=None: gathered,
    )  # fmt: skip
    assert [note.partition(":")[0] for note in found.notes] == [
        "vllm 0.33.0 has no extra flashinfr (perhaps you meant flashinfer)",
        "vllm 0.33.0 has no extra x (it has bench, flashinfer)",
        "gone has no extra y",
    ]


def test_a_version_that_another_package_wants_is_no_fallback():
    old = fallback("mpmath", "1.3.0", "1.4.1")
    alone = judge_resolution(*resolved(package("mpmath", "1.3.0"), fallbacks=[old]), GB10, "sympy")
    assert [each.rule for each in alone.findings] == ["fallback"]
    sympy = package("sympy", "1.14.0", requires=("mpmath<1.4,>=1.1.0",))
    held = judge_resolution(*resolved(package("mpmath", "1.3.0"), sympy, fallbacks=[old]), GB10, "sympy")
    assert held.findings == ()


def test_a_version_that_the_user_pinned_is_no_fallback():
    facts = package("trl", "0.22.2")
    pinned = fallback("trl", "0.22.2", "1.16.0", asked="trl==0.22.2", allowed=False)
    assert judge_resolution(*resolved(facts, fallbacks=[pinned]), GB10, "trl").findings == ()
    free = fallback("trl", "0.22.2", "1.16.0", asked="trl", allowed=True)
    (told,) = judge_resolution(*resolved(facts, fallbacks=[free]), GB10, "trl").findings
    assert told.seen == "trl 0.22.2 of 2024-08 was taken; the newest that fits is 1.16.0 of 2026-10"


def test_of_what_would_be_built_it_is_said_once():
    chosen = Chosen("deepspeed", "0.19.8", None, "deepspeed", "it has no wheels", WheelFile("deepspeed-0.19.8.tar.gz"))
    older = Fallback("source", "deepspeed", "0.3.1", "0.19.8", asked="deepspeed", allowed=True)
    resolution = Resolution(SPARK, (chosen,), "uv", (older,))
    found = judge_resolution(resolution, gather(resolution, KnownWheels("")), GB10, "deepspeed")
    assert (found.verdict, found.findings) == ("cannot tell", ())
    (one,) = found.packages[0].findings
    assert one.seen.startswith("it has no wheels: what its source compiles is not known (nothing says where to get")
    assert one.fault == "source-build"


def chain(length: int):
    """A source that asks for a source, and so on, `length` of them: resolve and gather as for `audit`, and what was
    asked in each round."""
    rounds: list[list[str]] = []

    def resolve(subject, platform, known):
        names = [line.name for line in subject.requirements.lines]
        rounds.append(names)
        chosen = (Chosen(name, "1", None, name, "it has no wheels", WheelFile(f"{name}-1.tar.gz")) for name in names)
        return Resolution(platform, tuple(chosen), "uv")

    def gather(found, known, *, progress=None):
        gathered = []
        for one in found.packages:
            number = int(one.name[1:])
            requires = (f"x{number + 1}==1",) if number < length else ()
            facts = package(one.name, "1", file=f"{one.name}-1.tar.gz", tags=(), compiles=(), requires=requires)
            gathered.append(Gathered(one, facts))
        return gathered

    return resolve, gather, rounds


def test_sources_that_ask_for_sources_are_followed_to_the_end():
    """tensorrt, tensorrt_cu13, tensorrt_cu13_libs: each is asked for by the one before alone."""
    resolve, gather, rounds = chain(3)
    found = audit(["x1"], GB10, known=KnownWheels(""), resolve=resolve, gather=gather)
    assert rounds == [["x1"], ["x1", "x2"], ["x1", "x2", "x3"]]
    assert (found.verdict, found.findings, len(found.packages)) == ("runs with a note", (), 3)


def test_what_was_not_looked_at_cannot_be_told():
    resolve, gather, rounds = chain(100)
    found = audit(["x1"], GB10, known=KnownWheels(""), resolve=resolve, gather=gather)
    assert len(rounds) == 1 + auditing.ROUNDS_AT_MOST
    (finding,) = found.findings
    assert (found.verdict, finding.verdict, finding.rule) == ("cannot tell", "cannot tell", "source")
    assert finding.seen == "what only source distributions ask for was not looked at: x7==1"
    assert "sparksmith audit 'x7==1'" in finding.fix

    def refused(subject, platform, known):
        if len(subject.requirements.lines) > 2:
            raise SparksmithError("no version of x3 fits")
        return resolve(subject, platform, known)

    found = audit(["x1"], GB10, known=KnownWheels(""), resolve=refused, gather=gather)
    assert (found.verdict, found.findings[0].seen[-5:]) == ("cannot tell", "x3==1")


@pytest.mark.parametrize(
    ("head", "platform"),
    [
        (
            "# This file was autogenerated by uv via the following command:\n"
            "#    uv pip compile --python-platform aarch64-unknown-linux-gnu a.in -o a.txt\ntorch==2.9.0\n",
            "aarch64-unknown-linux-gnu",
        ),
        ("#    uv pip compile a.in --python-platform=aarch64-manylinux_2_39\r\n", "aarch64-manylinux_2_39"),
        ("#    uv pip compile a.in\ntorch\n", None),
        ("torch  # not --python-platform x\n", None),
        ("\n" * 5000 + "# uv pip compile --python-platform aarch64-unknown-linux-gnu\n", None),
    ],
)
def test_what_a_pinned_file_was_compiled_for(tmp_path, head, platform):
    file = tmp_path / "a.txt"
    file.write_bytes(head.encode())
    assert compiled_for(file) == platform
    assert compiled_for(tmp_path / "absent.txt") is None


def test_a_pinned_file_needs_neither_uv_nor_the_network(tmp_path):
    facts = [
        package("torch", "2.13.0", library("torch/lib/libtorch_cuda.so", "sm_120"), declared_cuda="13.0"),
        package("trl", "1.16.0"),
    ]
    rows, lines = [], ["# uv pip compile --python-platform aarch64-unknown-linux-gnu"]
    for number, each in enumerate(facts):
        sha256 = str(number) * 64
        rows.append(format_row(type(each)(**{**{n: getattr(each, n) for n in each.__slots__}, "sha256": sha256})))
        lines.append(f"{each.name}=={each.version} --hash=sha256:{sha256}")
    file = tmp_path / "pinned.txt"
    file.write_text("\n".join(lines) + "\n")
    found = audit([str(file)], GB10, known=KnownWheels("\n".join(rows), tmp_path / "cache"))
    assert [each.name for each in found.packages] == ["torch", "trl"]
    assert found.packages[0].libraries[0].code == tuple(f"sm_{each.architecture}" for each in code("sm_120"))
    assert [each.fault for each in found.findings] == ["naive-platform"]


def test_the_train_stack_passes_from_known_facts_alone():
    found = audit_stack(load_stack("train"), GB10)
    assert found is not None
    assert found.verdict in ("runs", "runs with a note")
    assert len(found.packages) == 99
    assert found.setting.cuda == (13, 0)
    assert audit_stack(load_stack("train"), load_target("h200")).verdict in ("runs", "runs with a note")


def test_the_older_guides_pins_fail_with_the_reason():
    stack = load_stack("guide-2025")
    found = audit_stack(stack, GB10)
    assert found.verdict == "will not run"
    failed = [each for each in found.packages if each.verdict == "will not run"]
    assert [(each.name, each.findings[0].fault) for each in failed] == [("bitsandbytes", "bitsandbytes-other-minor")]
    assert "no unsloth after 2025.10.1 allows bitsandbytes 0.48.0" in stack.why
    assert stack_to_json(stack, found)["verdict"] == "will not run"


def test_a_stack_for_a_target_whose_wheels_are_not_known():
    assert audit_stack(load_stack("train"), GB10, KnownWheels("")) is None
    assert stack_to_json(load_stack("train"), None)["verdict"] == "cannot tell"


RESOLVED = Path(__file__).parent / "resolved"


@pytest.mark.parametrize(
    ("file", "fails", "instead"),
    [
        ("torch-2.9.0", {"torch": "torch-cpu-build"}, "torch>=2.11"),
        ("bitsandbytes-0.47.0", {"bitsandbytes": "bitsandbytes-no-cuda13"}, "bitsandbytes>=0.50.2"),
        ("vllm-before-0.20", {"torch": "torch-cpu-build", "vllm": "vllm-before-0-20"}, "vllm>=0.20"),
        ("torch-2.13.0", {}, None),
    ],
)
def test_what_uv_resolved_is_judged_from_known_facts(tmp_path, file, fails, instead):
    lock = tmp_path / "pylock.toml"
    lock.write_bytes((RESOLVED / f"{file}.toml").read_bytes())
    found = audit([str(lock)], GB10)
    failed = {each.name: each for each in found.packages if each.verdict == "will not run"}
    assert failed.keys() == fails.keys()
    for name, fault in fails.items():
        assert fault in {each.fault for each in failed[name].findings}
    if instead:
        assert any(instead in (each.fix or "") for one in failed.values() for each in one.findings)
    else:
        assert found.verdict == "runs"


def test_what_a_naive_resolution_pins():
    found = audit([str(NAIVE)], GB10)
    failed = {each.name: each.findings[0].fault for each in found.packages if each.verdict == "will not run"}
    assert failed.keys() == {"torch", "vllm", "cupy-cuda12x"}
    assert failed["torch"] == "torch-cpu-build"
    assert "naive-platform" in {each.fault for each in found.findings}


def test_what_acts_is_what_the_command_uses():
    assert auditing.audit.__kwdefaults__["resolve"].__module__ == "sparksmith.packages.resolve"
    assert auditing.audit.__kwdefaults__["gather"].__module__ == "sparksmith.packages.gather"


def test_after_ctrl_c_nothing_is_fetched_any_longer(tmp_path):
    begun, ended = threading.Event(), threading.Event()

    def fetch(wheel, progress):
        if wheel.file.startswith("first"):
            assert begun.wait(10)
            raise KeyboardInterrupt
        begun.set()
        try:
            for done in range(10_000):
                progress(wheel.file, done, None)
                time.sleep(0.001)
        finally:
            ended.set()
        raise AssertionError("it went on")

    files = [WheelFile(f"{name}-1-py3-none-any.whl", digit * 64) for name, digit in (("first", "1"), ("second", "2"))]
    packages = tuple(Chosen(each.file.partition("-")[0], "1", each) for each in files)
    with pytest.raises(KeyboardInterrupt):
        gather(Resolution(SPARK, packages, "uv"), KnownWheels("", tmp_path), fetch=fetch)
    assert ended.is_set()


def test_where_no_version_goes_with_the_rest_the_newest_wheel_says_why(monkeypatch):
    """uv speaks of building, because versions of years ago have source only; the newest has a wheel all the same."""

    def locked(name, version, file):
        return Locked(name, version, (WheelFile(file, "c" * 64),))

    torch_wheel = locked("torch", "2.13.0", "torch-2.13.0-cp312-cp312-manylinux_2_28_aarch64.whl")
    vllm_wheel = locked("vllm", "0.19.1", "vllm-0.19.1-cp38-abi3-manylinux_2_31_aarch64.whl")
    monkeypatch.setattr(resolving, "compile_for", lambda *asked, **more: uv.Found((torch_wheel,), ("vllm",)))
    monkeypatch.setattr(resolving, "newest_of", lambda *asked, **more: {"vllm": vllm_wheel})
    monkeypatch.setattr(resolving, "versions_beside", lambda *asked, **more: {"vllm": "0.19.1"})
    found = resolving.resolve(read_subject(["torch==2.13.0", "vllm<0.20"]), SPARK, KnownWheels(""))
    assert [(each.name, each.version, each.wheel is not None) for each in found.packages] == [
        ("torch", "2.13.0", True), ("vllm", "0.19.1", True),
    ]  # fmt: skip
    facts = [torch("2.13.0", "13.0"), package("vllm", "0.19.1", requires=("torch==2.10.0",))]
    gathered = [Gathered(one, each) for one, each in zip(found.packages, facts, strict=True)]
    told = judge_resolution(found, gathered, GB10, "x").findings
    assert "vllm 0.19.1 asks for torch==2.10.0, and here is 2.13.0" in {each.seen for each in told}


def test_hashes_that_no_wheel_has(monkeypatch):
    wheel = WheelFile("torch-2.13.0-cp312-cp312-manylinux_2_28_aarch64.whl", "c" * 64)
    found = uv.Found((Locked("torch", "2.13.0", (wheel,)),), ())
    monkeypatch.setattr(resolving, "compile_for", lambda *asked, **more: found)
    monkeypatch.setattr(resolving, "newest_of", lambda *asked, **more: {})
    line = f"torch==2.13.0 --hash=sha256:{'d' * 64}"
    (chosen,) = resolving.resolve(read_subject([line]), SPARK, KnownWheels("")).packages
    assert (chosen.wheel, chosen.why_source) == (None, "none of its wheels has a hash that the requirement names")
    (chosen,) = resolving.resolve(read_subject([line.replace("d" * 64, "c" * 64)]), SPARK, KnownWheels("")).packages
    assert chosen.wheel == wheel


def test_names_that_are_no_text_are_shown_in_one_line(tmp_path):
    folder = tmp_path / "a\n\udcff"
    make_wheel(folder, "pure", tag=PURE)
    (folder / "b\x1b-1-py3-none-any.whl").write_bytes(b"no zip")
    found = audit([str(folder)], GB10)
    assert found.subject.endswith("a\\n\\udcff")
    assert found.packages[0].file == "b\\x1b-1-py3-none-any.whl"
    assert all(each.seen.isprintable() for one in found.packages for each in one.findings)


def test_a_folder_that_may_not_be_entered(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("sparksmith.packages.inputs.is_environment", refuse)
    with pytest.raises(SparksmithError, match="cannot be read: Permission denied") as caught:
        read_subject([str(tmp_path)])
    assert caught.value.hint == f"ls -ld {tmp_path}"


def test_tags_that_are_none(tmp_path):
    install(make_venv(tmp_path), "sample", tags=["nonsense", "py3-none-any"])
    found = audit([str(tmp_path)], GB10)
    assert found.verdict == "cannot tell"
    (one,) = found.packages
    assert [each.seen for each in one.findings] == ["its tags are none: nonsense"]


@pytest.mark.parametrize("name", ["pyproject.toml", "uv.lock", "pylock.toml"])
@pytest.mark.parametrize(("allowed", "verdict"), [(">=3.13", "will not run"), (">=3.11", "runs")])
def test_the_python_that_a_project_asks_for_is_held_against_the_target(tmp_path, name, allowed, verdict):
    (tmp_path / name).write_text(
        {
            "pyproject.toml": f'[project]\nname = "x"\nversion = "1"\nrequires-python = "{allowed}"\n'
            'dependencies = ["pyyaml"]\n',
            "uv.lock": f'version = 1\nrequires-python = "{allowed}"\n[[package]]\nname = "x"\nversion = "1"\n'
            'source = { virtual = "." }\n',
            "pylock.toml": f'lock-version = "1.0"\nrequires-python = "{allowed}"\n',
        }[name],
        encoding="utf-8",
    )
    found, gathered = resolved(package("pyyaml", "6"))
    judged = audit(
        [str(tmp_path / name)], GB10, known=KnownWheels(""), resolve=lambda *_: found, gather=lambda *_, **__: gathered
    )
    assert judged.verdict == verdict
    assert [(each.rule, each.evidence[0].file) for each in judged.findings] == [("python", name)] * (verdict != "runs")
