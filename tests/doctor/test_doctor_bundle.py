"""The bundle for a bug report holds what was seen, and nothing of whose machine it is."""

from __future__ import annotations

import gzip
import json
import re
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from machines.load import build
from sparksmith.base.errors import SparksmithError
from sparksmith.cli.doctor import doctor
from sparksmith.doctor.bundle import FOLDER, write_bundle
from sparksmith.machine.facts import read_machine

HOST, USER, TOKEN = "kestrel-4711", "zbigniew", "hf_QWERTYuiopASDFGH1234"
KEY = "0123456789abcdef0123456789abcdef01234567"
INDEX = "pypi.kestrel-corp.example"
PRIVATE = (HOST, USER, TOKEN, KEY, INDEX, "s3cr3t-pass", f"/home/{USER}", "10.77.66.55")


@pytest.fixture
def somebodys(tmp_path):
    """A Spark with a swap file that is somebody's in every file that can tell."""
    machine = build("spark-swap", tmp_path / "machine")
    (machine / "home/user").rename(machine / f"home/{USER}")
    for path in machine.rglob("*"):
        if path.is_file() and not path.is_symlink():
            text = path.read_text()
            if "/home/user" in text:
                path.write_text(text.replace("/home/user", f"/home/{USER}"))
    home = machine / f"home/{USER}"
    for name in ("etc/hostname", "proc/sys/kernel/hostname"):
        (machine / name).write_text(f"{HOST}\n")
    (machine / "etc/passwd").write_text(
        f"root:x:0:0:root:/root:/bin/sh\n{USER}:x:1000:1000:Zbigniew:/home/{USER}:/bin/sh\n"
    )
    (machine / "proc/self/environ").write_text(
        f"HOME=/home/{USER}\nUSER={USER}\nHOSTNAME={HOST}\nPWD=/home/{USER}/project\n"
        f"VIRTUAL_ENV=/home/{USER}/project/.venv\nPATH=/home/{USER}/bin:/usr/bin\nHF_TOKEN={TOKEN}\nWANDB_API_KEY={KEY}\n"
        f"UV_INDEX_URL=https://{USER}:s3cr3t-pass@{INDEX}/simple\nUV_DEFAULT_INDEX=https://{INDEX}/simple\n"
        f"NCCL_SOCKET_IFNAME={HOST}\nUV_SYNC=0\nLD_LIBRARY_PATH=/home/{USER}/cuda/lib64\nMASTER_ADDR=10.77.66.55\n"
        f"UV_CACHE_DIR=/scratch/{USER}/cache\n"
    )
    (home / "project/pyproject.toml").write_text(
        f'[project]\nname = "{USER}-secret"\n[tool.uv]\nno-sync = true\n'
        f'index-url = "https://{USER}:s3cr3t-pass@{INDEX}/list"\n'
    )
    (home / ".netrc").write_text(f"machine api.wandb.ai login {USER} password s3cr3t-pass\n")
    (home / "project/.env").write_text(f"HF_TOKEN={TOKEN}\nUV_SYNC=0\n")
    (home / ".bashrc").write_text(f"export UV_SYNC=0\nexport WANDB_API_KEY={KEY}\nssh {USER}@{HOST}\n")
    record = home / "project/.sparksmith/environment.json"
    record.parent.mkdir()
    record.write_text(f'{{"version": 1, "path": "/home/{USER}", "token": "{TOKEN}"}}')
    return machine


def pack(machine, file):
    done = CliRunner().invoke(doctor, ["--root", str(machine), "--bundle", str(file)], standalone_mode=False)
    assert done.exception is None, done.exception
    assert done.return_value == 0
    assert done.stdout == f"{file}\n"
    return done


def test_nothing_private_is_in_its_bytes(somebodys, tmp_path):
    file = tmp_path / "out.tar.gz"
    pack(somebodys, file)
    whole = gzip.decompress(file.read_bytes())
    text = whole.decode("utf-8", "replace")
    assert [word for word in PRIVATE if word.lower() in text.lower()] == []
    assert set(re.findall(r"/home/(\w+)", text)) == {"user"}  # in place of a name


def test_what_is_in_it(somebodys, tmp_path):
    pack(somebodys, tmp_path / "out.tar.gz")
    with tarfile.open(tmp_path / "out.tar.gz") as archive:
        assert {(one.uid, one.gid, one.uname, one.gname, one.mtime) for one in archive} == {(0, 0, "", "", 0)}
        archive.extractall(tmp_path / "read", filter="data")
    folder = tmp_path / "read" / FOLDER
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.txt", "doctor.txt", "facts.json", "findings.json", "machine",
    ]  # fmt: skip
    findings = json.loads((folder / "findings.json").read_text())
    told = {finding["id"] for finding in findings["findings"]}
    assert {"swap-on", "uv-sync-misspelt"} <= told
    facts = json.loads((folder / "facts.json").read_text())
    assert facts["memory"]["swap_devices"] == ["file"]
    assert "warns: swap is on" in (folder / "doctor.txt").read_text()
    # and the machine in it gives these facts again
    again = read_machine(folder / "machine")
    assert again.memory == read_machine(somebodys).memory
    assert again.gpu.gpus[0].name == "NVIDIA GB10"


@pytest.mark.parametrize("name", ["there.tar.gz", "folder", "absent/out.tar.gz", "link.tar.gz"])
def test_nothing_is_overwritten(tmp_path, name):
    machine = build("spark", tmp_path / "machine")
    (tmp_path / "there.tar.gz").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.tar.gz").symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.rglob("*"))
    words = ["--root", str(machine), "--bundle", str(tmp_path / name)]
    done = CliRunner().invoke(doctor, words, standalone_mode=False)
    assert isinstance(done.exception, SparksmithError)
    assert "--bundle" in done.exception.hint
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "there.tar.gz").read_text() == "mine"


def test_a_name_of_its_own_in_the_folder_where_one_is(tmp_path, monkeypatch):
    machine = build("spark", tmp_path / "machine")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    done = CliRunner().invoke(doctor, ["--root", str(machine), "--bundle"], standalone_mode=False)
    (made,) = Path().iterdir()
    assert done.stdout == f"{made}\n"
    assert made.name.startswith("sparksmith-doctor-")


def test_nothing_is_left_of_one_that_cannot_be_written(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    (tmp_path / "tree").mkdir()
    monkeypatch.setattr("tarfile.TarFile.addfile", full)
    with pytest.raises(SparksmithError, match=r"out\.tar\.gz cannot be written: No space left on device"):
        write_bundle(tmp_path / "out.tar.gz", tmp_path / "tree", {"doctor.txt": "x"})
    assert not (tmp_path / "out.tar.gz").exists()
