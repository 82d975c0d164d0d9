"""Which environment and which target are taken, and that nothing broken stops the doctor."""

from __future__ import annotations

import json
import os
import random
import sys
from dataclasses import replace

import pytest

from machines.load import build
from sparksmith.base.command import Answer
from sparksmith.base.errors import SparksmithError
from sparksmith.doctor.choose import RECORD, choose_environment, choose_target, folder_of
from sparksmith.doctor.examine import examine
from sparksmith.doctor.gather import gather
from sparksmith.doctor.result import Diagnosis
from sparksmith.machine.facts import read_machine
from sparksmith.machine.python_env import read_python_environment
from sparksmith.machine.root import Root
from sparksmith.packages.environment import EnvironmentRecord, read_fingerprint, write_record
from sparksmith.policy.targets import load_target
from sparksmith.report.doctor import describe_doctor

VENV = "home/user/project/.venv"


def make_environment(folder, *distributions, version="3.12.3"):
    """A venv of names, each with its METADATA."""
    site = folder / "lib/python3.12/site-packages"
    site.mkdir(parents=True, exist_ok=True)
    (folder / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion_info = {version}\n")
    for name, release in (one.split("==") for one in distributions):
        (site / f"{name}-{release}.dist-info").mkdir(exist_ok=True)
        (site / f"{name}-{release}.dist-info/METADATA").write_text(f"Name: {name}\nVersion: {release}\n")
    return folder


def record_of(machine, folder):
    """Write the project's record of an environment of a copy."""
    fingerprint = read_fingerprint(read_python_environment(folder), "train")
    path = f"/{folder.relative_to(machine)}"
    write_record(machine / f"home/user/project/{RECORD}", EnvironmentRecord(path, "2026-11-21", "0.1.0", fingerprint))


def nobody(argv, timeout_seconds):
    return Answer(None, "", f"{argv[0]}: not found")


# the environment


def test_the_active_one(tmp_path):
    found = gather(build("spark", tmp_path))
    assert (found.place.path, found.place.role) == (f"/{VENV}", "active")
    assert found.examined.python.packages["torch"] == "2.13.0"
    assert (found.examined.recorded, found.examined.now) == (None, None)


def test_the_recorded_one_comes_before_the_active_one(tmp_path):
    machine = build("spark", tmp_path)
    made = make_environment(machine / "srv/made", "torch==2.13.0")
    record_of(machine, made)
    found = gather(machine)
    assert (found.place.path, found.place.role) == ("/srv/made", "recorded")
    assert found.examined.recorded == found.examined.now
    assert found.examined.now.stack == "train"
    make_environment(made, "trl==1.16.0")
    after = gather(machine).examined
    assert [one.name for one in after.now.distributions] == ["torch", "trl"]
    assert [one.name for one in after.recorded.distributions] == ["torch"]


def test_the_record_counts_for_the_environment_that_it_is_about(tmp_path):
    machine = build("spark", tmp_path)
    record_of(machine, make_environment(machine / "srv/made", "torch==2.13.0"))
    other = gather(machine, f"/{VENV}")
    assert (other.place.role, other.examined.recorded) == ("given", None)
    same = gather(machine, "/srv/made")
    assert same.place.role == "given"
    assert same.examined.recorded is not None


def test_a_recorded_one_that_is_gone_is_said(tmp_path):
    machine = build("spark", tmp_path)
    made = make_environment(machine / "srv/made", "torch==2.13.0")
    record_of(machine, made)
    made.rename(machine / "srv/elsewhere")
    found = gather(machine)
    assert found.place.role == "active"
    assert f"the environment that {RECORD} records, /srv/made, is not there" in found.notes


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 9}', '{"version": 1, "path": 1}'])
def test_a_record_that_is_damaged_is_said(tmp_path, text):
    machine = build("spark", tmp_path)
    (machine / "home/user/project/.sparksmith").mkdir(parents=True)
    (machine / f"home/user/project/{RECORD}").write_text(text)
    found = gather(machine)
    assert found.place.role == "active"
    assert found.notes[0].startswith(f"{RECORD} cannot be used: ")


def test_of_an_image_the_system_s(tmp_path):
    machine = build("spark-container", tmp_path)
    found = gather(machine)
    assert (found.place.path, found.place.role) == ("/", "system")
    assert found.examined.python.packages["torch"].startswith("2.9.0a0+")
    assert found.examined.audit is not None
    # what lies elsewhere in the image is not taken for it
    make_environment(machine / "opt/other", *[f"one{number}==1.0" for number in range(9)], "torch==2.9.0")
    assert len(gather(machine).examined.audit.packages) == len(found.examined.audit.packages)


def test_where_there_is_no_torch_nothing_is_examined(tmp_path):
    found = gather(build("laptop", tmp_path))
    assert (found.place, found.examined.python, found.examined.audit) == (None, None, None)
    assert found.notes == ("no Python environment is examined: none is active, and no torch was found",)


@pytest.mark.parametrize("given", [f"/{VENV}", VENV, "{root}/" + VENV, f"/{VENV}/"])
def test_a_given_one_in_a_copy(tmp_path, given):
    machine = build("spark", tmp_path / "machine")
    found = gather(machine, given.format(root=machine))
    assert (found.place.path, found.place.role) == (f"/{VENV}", "given")


def test_the_running_machine(tmp_path, monkeypatch):
    project = tmp_path / "project"
    make_environment(project / ".venv", "torch==2.13.0", "trl==1.16.0")
    make_environment(tmp_path / "other", "torch==2.12.0")
    monkeypatch.chdir(project)
    found = gather(commands=nobody, environ={"HOME": str(tmp_path)})
    assert (found.place.path, found.place.role) == (str(project / ".venv"), "project")
    assert found.examined.python.count == 2
    found = gather(commands=nobody, environ={"HOME": str(tmp_path), "CONDA_PREFIX": str(tmp_path / "other")})
    assert found.place.role == "conda"
    found = gather(commands=nobody, environ={"VIRTUAL_ENV": str(tmp_path / "other")})
    assert (found.place.role, found.examined.python.packages) == ("active", {"torch": "2.12.0"})


def test_the_running_python_where_nothing_else_is(tmp_path, monkeypatch):
    made = make_environment(tmp_path / "made", "torch==2.13.0")
    monkeypatch.setattr(sys, "prefix", str(made))
    place, notes = choose_environment(Root(), {}, str(tmp_path))
    assert (place.path, place.role, notes) == (str(made), "running", [])


def test_the_prefix_of_the_system_s_python(tmp_path):
    (tmp_path / "usr/local/lib/python3.12").mkdir(parents=True)
    place = replace(choose_environment(Root(build("spark", tmp_path / "m")), {}, None, f"/{VENV}")[0], path="/")
    assert folder_of(Root(tmp_path), place) == tmp_path / "usr"
    (tmp_path / "usr/local/lib/python3.12/os.py").touch()
    assert folder_of(Root(tmp_path), place) == tmp_path / "usr/local"


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ("", "ENV is empty", "the folder of a venv"),
        ("absent", "absent does not exist", "the folder of a venv"),
        ("project/.venv/bin/python", "is a file", "sparksmith doctor"),
        ("project/data.tsv", "is a file", "the folder of a venv"),
        ("project", "project is no Python environment", "sparksmith doctor"),
        ("empty", "empty is no Python environment", "the folder of a venv"),
        ("x" * 5000, "cannot be read", "the folder of a venv"),
        ("nul\0", r"nul\x00 does not exist", "the folder of a venv"),
    ],
)
def test_a_given_one_that_is_none(tmp_path, monkeypatch, given, message, hint):
    make_environment(tmp_path / "project/.venv", "torch==2.13.0")
    (tmp_path / "project/.venv/bin").mkdir()
    (tmp_path / "project/.venv/bin/python").touch()
    (tmp_path / "project/data.tsv").touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SparksmithError) as caught:
        gather(environment=given, commands=nobody, environ={})
    assert message in caught.value.message
    assert hint in caught.value.hint


# the target


@pytest.mark.parametrize(
    ("name", "target", "why"),
    [
        ("spark", "gb10", "its GPU is NVIDIA GB10"),
        ("spark-container-no-gpu", "gb10", "it calls itself NVIDIA_DGX_Spark"),
        ("spark-smi-hangs", "gb10", "it calls itself NVIDIA_DGX_Spark"),
        ("h200", "h200", "its GPU is NVIDIA H200"),
        ("laptop", None, "no GPU is seen here"),
        ("mac", None, "no GPU is seen here"),
        ("old-node", None, "its GPU, NVIDIA A100-SXM4-40GB, is of no target"),
        ("wsl", None, "its GPU, NVIDIA GeForce GTX 1650 ..., is of no target"),
    ],
)
def test_the_target_of_a_machine(tmp_path, name, target, why):
    found, said = choose_target(read_machine(build(name, tmp_path)))
    assert (found.name if found else None, said) == (target, why)


@pytest.mark.parametrize(
    ("gpu", "capability", "target"),
    [
        ("NVIDIA H100 80GB HBM3", (9, 0), "h100"),
        ("NVIDIA GH200 480GB", (9, 0), None),
        ("NVIDIA GeForce RTX 5090", (12, 0), "rtx5090"),
        ("NVIDIA GeForce RTX 5080", (12, 0), None),
        ("NVIDIA GeForce RTX 4090", (8, 9), "rtx4090"),
        ("NVIDIA B200", (10, 0), "b200"),
        ("NVIDIA H200", (10, 0), None),
        ("NVIDIA H200 NVL", None, "h200"),
    ],
)
def test_a_gpu_is_taken_for_itself_only(tmp_path, gpu, capability, target):
    facts = read_machine(build("h200", tmp_path))
    one = replace(facts.gpu.gpus[0], name=gpu, compute_capability=capability)
    found, _ = choose_target(replace(facts, gpu=replace(facts.gpu, gpus=(one,))))
    assert (found.name if found else None) == target


def test_without_a_gpu_packages_are_not_judged_unless_asked(tmp_path):
    machine = build("laptop", tmp_path)
    make_environment(machine / "srv/made", "torch==2.13.0")
    found = gather(machine, "/srv/made")
    assert (found.examined.audit, found.judged_for) == (None, "")
    assert "the packages are judged for no GPU: no GPU is seen here" in found.notes[0]
    asked = gather(machine, "/srv/made", load_target("gb10"))
    assert asked.examined.audit.setting.target.name == "gb10"
    assert asked.judged_for == "NVIDIA DGX Spark (GB10), as asked for"


def test_packages_of_another_architecture_are_not_judged_for_a_target_that_was_asked_for(tmp_path):
    machine = build("laptop", tmp_path)
    made = make_environment(machine / "srv/made", "torch==2.13.0")
    wheel = made / "lib/python3.12/site-packages/torch-2.13.0.dist-info/WHEEL"
    wheel.write_text("Wheel-Version: 1.0\nTag: cp312-cp312-manylinux_2_28_x86_64\n")
    found = gather(machine, "/srv/made", load_target("gb10"))
    assert found.examined.audit is None
    assert "are for x86_64, and NVIDIA DGX Spark (GB10) is aarch64: they are not judged" in found.notes[0]
    # on a Spark itself that is what is wrong
    spark = build("spark", tmp_path / "spark")
    made.rename(spark / "srv")
    assert gather(spark, "/srv").examined.audit.verdict == "will not run"


# what is broken


def test_of_a_copy_only_names_are_there(tmp_path):
    found = gather(build("spark", tmp_path))
    assert found.notes == (f"of the packages in /{VENV} only the names are here: their libraries are not judged",)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda env: None, "torch is not installed in"),
        (lambda env: (env / "pyvenv.cfg").unlink(), "torch is not installed in"),
        (
            lambda env: [one.rmdir() for one in sorted(env.glob("lib/**/"), reverse=True)],
            "it holds no Python environment",
        ),
        (lambda env: (env / "lib/python3.12/site-packages/~orch-2.13.0.dist-info").mkdir(), "a broken uninstall"),
        (lambda env: (env / "lib/python3.12/site-packages/a.pth").write_text("/absent\n"), "which is not here"),
        (lambda env: (env / "lib/python3.12/site-packages/a.dist-info").write_bytes(b"\0"), "torch is not installed"),
    ],
)
def test_a_broken_environment_is_a_statement(tmp_path, harm, said):
    machine = build("spark", tmp_path)
    env = make_environment(machine / "srv/made")
    harm(env)
    (machine / "home/user/project").mkdir(exist_ok=True)
    variables = {"PWD": "/home/user/project", "VIRTUAL_ENV": "/srv/made"}
    found = gather(machine, environ=variables)
    assert found.place.path == "/srv/made"
    assert any(said in note for note in found.notes)


def test_a_torch_that_is_half_installed(tmp_path):
    machine = build("spark", tmp_path)
    env = make_environment(machine / "srv/made", "torch==2.13.0", "trl==1.16.0")
    record = env / "lib/python3.12/site-packages/torch-2.13.0.dist-info/RECORD"
    record.write_text("torch/lib/libtorch_cuda.so,sha256=x,1000000\ntorch/__init__.py,sha256=y,10\n")
    found = gather(machine, "/srv/made")
    torch = next(one for one in found.examined.audit.packages if one.name == "torch")
    assert torch.verdict == "cannot tell"
    assert "one of its libraries is not there" in torch.findings[0].seen


def test_without_a_gpu_too_a_torch_that_is_half_installed_is_told_once(tmp_path, monkeypatch):
    site = make_environment(tmp_path / ".venv", "torch==2.13.0") / "lib/python3.12/site-packages"
    (site / "torch-2.13.0.dist-info/RECORD").write_text("torch/lib/libtorch_cuda.so,,9\ntorch/__init__.py,,10\n")
    monkeypatch.chdir(tmp_path)
    for target in (None, load_target("h200")):
        found = gather(commands=nobody, environ={"HOME": str(tmp_path)}, target=target)
        told = [each for each in examine(found.examined) if each.fault.id == "package-incomplete"]
        assert [each.here for each in told] == [
            "torch 2.13.0: 2 of its files are not there: the first is torch/__init__.py"
        ]


def test_a_variable_that_names_an_environment_which_is_gone(tmp_path):
    machine = build("spark", tmp_path)
    found = gather(machine, environ={"PWD": "/home/user/project", "VIRTUAL_ENV": "/srv/gone"})
    assert (found.place.role, found.notes[0]) == ("project", "VIRTUAL_ENV names /srv/gone, which is not there")


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), RuntimeError("odd"), SparksmithError("nothing")])
def test_an_unforeseen_end_of_a_reader_is_a_statement(tmp_path, monkeypatch, error):
    def fail(*arguments):
        raise error

    monkeypatch.setattr("sparksmith.doctor.gather.read_environment_facts", fail)
    monkeypatch.setattr("sparksmith.doctor.gather.read_project", fail)
    found = gather(build("spark", tmp_path))
    assert (found.examined.audit, found.examined.project) == (None, None)
    assert [note.partition(":")[0] for note in found.notes] == [
        "the packages cannot be read",
        "the project's files cannot be read",
    ]


HOSTILE = (
    "proc/self/environ", "proc/meminfo", "etc/passwd", "etc/os-release", "commands/nvidia-smi -q.txt",
    f"{VENV}/pyvenv.cfg", f"home/user/project/{RECORD}", "home/user/project/pyproject.toml", "home/user/.bashrc",
)  # fmt: skip


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "garbage", "empty", "long", "escapes"])
def test_a_hostile_machine_is_told_in_words(tmp_path, kind):
    for name in HOSTILE:
        machine = build("spark", tmp_path / name.replace("/", "_"))
        file = machine / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        if kind == "pipe":
            os.mkfifo(file)
        elif kind == "folder":
            file.mkdir()
        elif kind == "loop":
            file.symlink_to(file.name)
        else:
            file.write_bytes(
                {
                    "garbage": random.Random(1).randbytes(5000), "empty": b"", "long": b"x" * 2**21,
                    "escapes": b"\x1b[2J\x1b]0;x\x07=\xe2\x80\xae\n" * 50,
                }[kind]
            )  # fmt: skip
        found = gather(machine, commands=nobody)
        diagnosis = Diagnosis(found, tuple(examine(found.examined)))
        text = "".join(describe_doctor(diagnosis.to_json()))
        assert text.isprintable() and text, name
        json.dumps(diagnosis.to_json())


def test_the_project_s_files_are_read(tmp_path):
    machine = build("spark", tmp_path)
    assert gather(machine).examined.project.folder == "/home/user/project"
    assert gather(machine, environ={"PWD": "/home/user", "HOME": "/home/user"}).examined.project is None


def test_nothing_is_written(tmp_path):
    machine = build("spark", tmp_path)
    before = sorted(machine.rglob("*"))
    gather(machine)
    assert sorted(machine.rglob("*")) == before
