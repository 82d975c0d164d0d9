"""The fingerprint of an environment, what changed since, and the record in a project."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from packages.made_environments import install, make_venv
from sparksmith.base.errors import SparksmithError
from sparksmith.machine.python_env import read_python_environment
from sparksmith.packages.base_image import BaseImage, read_base_image
from sparksmith.packages.environment import (
    EnvironmentRecord,
    Fingerprint,
    InstalledVersion,
    compare,
    read_fingerprint,
    read_record,
    schema,
    write_record,
)

UBUNTU = 'PRETTY_NAME="Ubuntu 24.04.3 LTS"\nNAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\n'
SAMPLE = Fingerprint(
    "3.12.3", "cp312", "aarch64", BaseImage("DGX OS", "7.2.3", "ubuntu 24.04", None, "/etc/dgx-release"), "train",
    (InstalledVersion("torch", "2.13.0", "a" * 64), InstalledVersion("mine", "0.1", None, "/home/me/mine")),
)  # fmt: skip


def fingerprint(root: Path) -> Fingerprint:
    return read_fingerprint(read_python_environment(root), "train")


def system(root: Path, files: dict[str, str]) -> Path:
    """A system's root with an environment in /opt/venv; returns its site-packages."""
    (root / "usr/lib").mkdir(parents=True)
    for path, text in {"etc/os-release": UBUNTU, **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return make_venv(root / "opt/venv")


def test_the_same_wheels_give_the_same_digest_wherever_and_by_whom(tmp_path):
    first, second = make_venv(tmp_path / "a"), make_venv(tmp_path / "another place")
    lines = "a/x.py,sha256=1,1\na/y.py,sha256=2,1\n"
    install(first, "a", record=f"{lines}a-1.0.dist-info/RECORD,,\n../../../bin/a,sha256=3,9\n")
    install(first, "b")
    install(second, "b")
    install(
        second, "a", installer="pip",
        record="a/y.py,sha256=2,1\r\na/x.py,sha256=1,1\r\na/__pycache__/x.cpython-312.pyc,,\r\n"
        "a-1.0.dist-info/REQUESTED,sha256=4,0\r\na-1.0.dist-info/INSTALLER,sha256=5,4\r\n../../../bin/a,sha256=6,8\r\n",
    )  # fmt: skip
    before, now = fingerprint(tmp_path / "a"), fingerprint(tmp_path / "another place")
    assert before.digest == now.digest
    assert compare(before, now) == []
    assert len(before.digest) == 64


def test_other_files_under_the_same_version(tmp_path):
    information = install(make_venv(tmp_path), "a", files={"a.py": b"one"})
    before = fingerprint(tmp_path)
    record = information / "RECORD"
    record.write_text(record.read_text().replace("a.py,sha256=", "a.py,sha256=x"))
    now = fingerprint(tmp_path)
    assert now.digest != before.digest
    assert compare(before, now) == ["a is 1.0 as before, but has other files"]
    record.unlink()
    assert compare(before, fingerprint(tmp_path)) == ["a 1.0 has lost its RECORD"]
    assert compare(fingerprint(tmp_path), before) == ["a 1.0 has a RECORD now and had none"]


def test_an_editable_install_counts_by_its_place(tmp_path):
    (tmp_path / "source").mkdir()
    url = {"url": f"file://{tmp_path}/source", "dir_info": {"editable": True}}
    install(make_venv(tmp_path / "venv"), "a", direct_url=url)
    (one,) = fingerprint(tmp_path / "venv").distributions
    assert one == InstalledVersion("a", "1.0", None, str(tmp_path / "source"))


def test_the_order_does_not_count():
    turned = replace(SAMPLE, distributions=SAMPLE.distributions[::-1])
    assert turned.digest == SAMPLE.digest
    assert turned.to_json() == SAMPLE.to_json()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"python": "3.12.4"}, "Python was 3.12.3 and is 3.12.4"),
        ({"abi": "cp313t"}, "Python's ABI was cp312 and is cp313t"),
        ({"machine": None}, "the machine was aarch64 and is not known"),
        ({"stack": "all"}, "the stack was train and is all"),
        (
            {"base_image": BaseImage("NVIDIA PyTorch", "25.10", "ubuntu 24.04", "13.0.2", "torch's version")},
            "the base image was DGX OS 7.2.3 (ubuntu 24.04) and is NVIDIA PyTorch 25.10 (ubuntu 24.04, CUDA 13.0.2)",
        ),
        ({"base_image": None}, "the base image was DGX OS 7.2.3 (ubuntu 24.04) and is not known"),
        ({"distributions": SAMPLE.distributions[:1]}, "mine 0.1 was removed"),
        ({"distributions": (*SAMPLE.distributions, InstalledVersion("new", "1", None))}, "new 1 was added"),
        (
            {"distributions": (InstalledVersion("torch", "2.15.0", "b" * 64), SAMPLE.distributions[1])},
            "torch was 2.13.0 and is 2.15.0",
        ),
        (
            {"distributions": (SAMPLE.distributions[0], InstalledVersion("mine", "0.1", "c" * 64))},
            "mine 0.1 was an editable install of /home/me/mine and is an ordinary install",
        ),
    ],
)
def test_differences_in_words(changed, said):
    now = replace(SAMPLE, **changed)
    assert compare(SAMPLE, now) == [said]
    assert now.digest != SAMPLE.digest


def test_very_many_differences_are_cut():
    now = replace(SAMPLE, distributions=tuple(InstalledVersion(f"p{number}", "1", None) for number in range(500)))
    said = compare(SAMPLE, now)
    assert len(said) == 201
    assert said[-1] == "and 302 more packages"


# The base image


@pytest.mark.parametrize(
    ("files", "torch", "expected"),
    [
        ({}, "2.13.0", BaseImage("ubuntu", "24.04", None, None, "/etc/os-release")),
        (
            {"opt/nvidia/nvidia_entrypoint.sh": "", "usr/local/cuda/version.json": '{"cuda": {"version": "13.0.2"}}'},
            "2.9.0a0+145a3a7bda.nv25.10",
            BaseImage("NVIDIA PyTorch", "25.10", "ubuntu 24.04", "13.0.2", "torch's version"),
        ),
        (
            {"opt/nvidia/nvidia_entrypoint.sh": ""},
            "2.13.0",
            BaseImage("an image of NVIDIA's", "", "ubuntu 24.04", None, "/opt/nvidia/nvidia_entrypoint.sh"),
        ),
        (
            {"etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n"},
            "2.13.0",
            BaseImage("Jetson Linux", "36.4.3", "ubuntu 24.04", None, "/etc/nv_tegra_release"),
        ),
        (
            {"etc/dgx-release": 'DGX_NAME="DGX Spark"\nDGX_SWBUILD_VERSION="7.2.3"\nDGX_SERIAL_NUMBER="157"\n'
             'DGX_OTA_VERSION="7.3.0"\nDGX_OTA_VERSION="7.3.1"\n'},
            "2.13.0",
            BaseImage("DGX OS", "7.3.1", "ubuntu 24.04", None, "/etc/dgx-release"),
        ),
        (
            {"usr/local/cuda/version.json": '{"cuda": "13"}', "etc/os-release": "ID=$(reboot)\nVERSION_ID=24.04\n"},
            "2.13.0",
            None,
        ),
        ({"etc/os-release": "\x00\xff"}, "2.13.0", None),
        ({"etc/os-release": "", "usr/local/cuda/version.json": "[" * 60_000}, "2.13.0", None),
    ],
)  # fmt: skip
def test_what_an_environment_stands_in(tmp_path, files, torch, expected):
    install(system(tmp_path, files), "torch", torch)
    found = read_base_image(read_python_environment(tmp_path / "opt/venv"))
    assert found == expected
    assert "157" not in str(found)


def test_a_foreign_environment_stands_in_nothing(tmp_path):
    install(make_venv(tmp_path), "a")
    environment = replace(read_python_environment(tmp_path), system=None)
    assert read_base_image(environment) is None


# The record


def record() -> EnvironmentRecord:
    return EnvironmentRecord("/home/me/project/.venv", "2026-11-21T08:00:00Z", "0.1.0", SAMPLE)


def test_a_record_is_read_as_it_was_written(tmp_path):
    file = tmp_path / ".sparksmith/environment.json"
    write_record(file, record())
    value = json.loads(file.read_text())
    jsonschema.validate(value, schema())
    seen = read_record(file)
    assert (seen.path, seen.made, seen.made_by) == ("/home/me/project/.venv", "2026-11-21T08:00:00Z", "0.1.0")
    assert compare(SAMPLE, seen.fingerprint) == []
    assert seen.fingerprint.digest == SAMPLE.digest


def test_a_record_of_a_real_environment_follows_the_schema(tmp_path):
    install(make_venv(tmp_path / "venv"), "Some.Package_x", "1")
    found = fingerprint(tmp_path / "venv")
    write_record(tmp_path / "environment.json", EnvironmentRecord("x", "2026-11-21T08:00:00Z", "0.1.0", found))
    jsonschema.validate(json.loads((tmp_path / "environment.json").read_text()), schema())
    assert found.distributions[0].name == "some-package-x"


def test_the_schema_is_a_schema_and_refuses_what_is_not_in_it():
    jsonschema.Draft202012Validator.check_schema(schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 1}, schema())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda value: value.update(version=2), "is of version 2; this Sparksmith reads 1"),
        (lambda value: value.pop("fingerprint"), "is not the record of an environment: KeyError"),
        (lambda value: value.update(path=5), "path, made and made_by are texts"),
        (lambda value: value["fingerprint"]["distributions"].pop(), "it was edited or damaged"),
        (lambda value: value["fingerprint"].update(distributions=[{"x": 1}]), "not a fingerprint: TypeError"),
        (lambda value: value["fingerprint"].update(base_image={"name": "x"}), "not a fingerprint: TypeError"),
        (lambda value: value.update(fingerprint=[]), "not a fingerprint: TypeError"),
    ],
)
def test_a_record_that_cannot_be_used(tmp_path, change, said):
    file = tmp_path / "environment.json"
    write_record(file, record())
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))
    with pytest.raises(SparksmithError, match=said):
        read_record(file)


@pytest.mark.parametrize("content", ["", "[]", "5", "{}"])
def test_a_file_that_is_no_record(tmp_path, content):
    file = tmp_path / "environment.json"
    file.write_text(content)
    with pytest.raises(SparksmithError):
        read_record(file)
