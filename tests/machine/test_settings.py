"""Compilers, ssh, uv, variables and logins: the texts of real tools, worked out by hand."""

from __future__ import annotations

import pytest

from sparksmith.base.command import Answer
from sparksmith.machine.commands import NVCC
from sparksmith.machine.facts import parse_environ
from sparksmith.machine.logins import LoginFacts, has_netrc_entry, read_logins
from sparksmith.machine.private import Private
from sparksmith.machine.root import Root
from sparksmith.machine.ssh import parse_score_setting, read_ssh
from sparksmith.machine.toolkit import parse_nvcc_version, parse_version_json, read_release, read_toolkits
from sparksmith.machine.uv import parse_uv_settings, read_uv
from sparksmith.machine.variables import SET, WATCHED, keep_value, read_variables

KIB, GIB = 1024, 2**30
PRIVATE = Private(frozenset({"gx10-f443"}), frozenset({"ann.lee"}), ("/home/ann.lee",))


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Root(root)


# Compilers


def test_what_nvcc_says():
    text = "nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, release 13.1, V13.1.80\nBuild cuda_13.1\n"
    assert parse_nvcc_version(text) == "13.1.80"
    assert parse_nvcc_version("nvcc: not found") is None


def test_what_version_json_says():
    text = '{"cuda": {"version": "13.0.2"}, "cuda_nvcc": {"version": "13.0.88"}}'
    assert parse_version_json(text) == ("13.0.2", "13.0.88")
    for odd in (
        "",
        "[]",
        '{"cuda": 5}',
        '{"cuda": {"version": ["x"]}}',
        '{"cuda": {"version": "$(x)"}}',
        "[" * 100_000,
    ):
        assert parse_version_json(odd) == (None, None)


def test_the_release_in_a_compilers_bytes(tmp_path):
    said = b"\0Cuda compilation tools, release 12.8, V12.8.93\0"
    for before in (0, 2**20 - 30, 2**20 - 5, 3 * 2**20 + 17):
        (tmp_path / "ptxas").write_bytes(b"\x7fELF" + b"\xfe" * before + said + b"\xfe" * 500)
        assert read_release(Root(tmp_path), "ptxas") == "12.8.93", before
    (tmp_path / "ptxas").write_bytes(b"\xfe" * 2**21)
    assert read_release(Root(tmp_path), "ptxas") is None
    assert read_release(Root(tmp_path), "absent") is None


def test_toolkits_and_links_to_them(tmp_path):
    root = write(tmp_path, {
        "usr/local/cuda-13.0/version.json": '{"cuda": {"version": "13.0.2"}, "cuda_nvcc": {"version": "13.0.88"}}',
        "usr/local/cuda-13.0/bin/nvcc": "", "usr/local/cuda-13.0/bin/ptxas": "",
        "usr/local/cuda-12.8/bin/ptxas": "Cuda compilation tools, release 12.8, V12.8.61",
        "usr/local/cudalike/bin/nvcc": "",
    })  # fmt: skip
    for name, target in (("cuda", "/etc/alternatives/cuda"), ("cuda-13", "cuda-13.0"), ("cuda-9", "gone")):
        (tmp_path / "usr/local" / name).symlink_to(target)
    (tmp_path / "etc/alternatives").mkdir(parents=True)
    (tmp_path / "etc/alternatives/cuda").symlink_to("/usr/local/cuda-13.0")
    facts = read_toolkits(root, {NVCC: Answer(0, "release 13.0, V13.0.88", "")}, {"CUDA_HOME": "/usr/local/cuda-14"})
    old, new = facts.toolkits
    assert (old.path, old.version, old.ptxas, old.nvcc, old.is_default) == (
        "/usr/local/cuda-12.8",
        "12.8",
        "12.8.61",
        None,
        False,
    )
    assert old.why("nvcc") == "/usr/local/cuda-12.8/bin/nvcc is not there"
    assert (new.path, new.version, new.ptxas, new.nvcc, new.is_default) == (
        "/usr/local/cuda-13.0",
        "13.0.2",
        "13.0.88",
        "13.0.88",
        True,
    )
    assert (facts.nvcc_on_path, facts.cuda_home, facts.cuda_home_exists) == ("13.0.88", "/usr/local/cuda-14", False)


# ssh, uv, variables


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("[Service]\nOOMScoreAdjust=-1000\n", -1000),
        ("OOMScoreAdjust=-500\nOOMScoreAdjust = -900\n", -900),
        ("OOMScoreAdjust=-1000\nOOMScoreAdjust=\n", 0),
        ("#OOMScoreAdjust=-1000\n", None),
        ("OOMScoreAdjust=many\n", None),
        ("", None),
    ],
)
def test_the_setting_of_a_unit(text, score):
    assert parse_score_setting(text) == score


def test_a_drop_in_counts_before_the_unit_and_etc_before_usr(tmp_path):
    root = write(tmp_path, {
        "usr/lib/systemd/system/ssh.service": "OOMScoreAdjust=-1\n",
        "usr/lib/systemd/system/ssh.service.d/20-b.conf": "OOMScoreAdjust=-2\n",
        "etc/systemd/system/ssh.service.d/20-b.conf": "OOMScoreAdjust=-3\n",
        "etc/systemd/system/ssh.service.d/10-a.conf": "OOMScoreAdjust=-4\n",
        "proc/10/comm": "sshd\n", "proc/10/stat": "10 (sshd) S 1 10 10\n", "proc/10/oom_score_adj": "-3\n",
        "proc/11/comm": "sshd\n", "proc/11/stat": "11 (a) b) S 10 11 11\n", "proc/11/oom_score_adj": "0\n",
    })  # fmt: skip
    facts = read_ssh(root)
    assert (facts.unit_setting, facts.unit_file) == (-3, "/etc/systemd/system/ssh.service.d/20-b.conf")
    assert facts.service_score == -3


def test_settings_of_uv():
    text = """
no-build-isolation-package = ["flash-attn"]
compile-bytecode = true
index-url = "https://me:word@example.org/list"
override-dependencies = ["torch==2.13.0", "x @ https://example.org/x.whl"]
publish-url = "https://example.org/publish"
[pip]
system = true
extra-index-url = ["https://a", "https://b"]
"""
    settings, indexes = parse_uv_settings(text)
    assert settings == {
        "pip.system": "true", "no-build-isolation-package": "flash-attn", "compile-bytecode": "true",
        "override-dependencies": SET,
    }  # fmt: skip
    assert indexes == 3
    assert parse_uv_settings('[tool.uv]\nno-sync = true\n[[tool.uv.index]]\nurl = "x"\n', ("tool", "uv")) == (
        {"no-sync": "true"},
        1,
    )
    assert parse_uv_settings("[tool]\nuv = 5\n", ("tool", "uv")) == ({}, 0)
    with pytest.raises(ValueError, match="line 1"):
        parse_uv_settings("not toml [")


def test_files_of_uv_in_their_order(tmp_path):
    root = write(tmp_path, {
        "p/pyproject.toml": '[project]\nname = "x"\n[tool.uv]\nmanaged = false\n', "p/uv.lock": "",
        "home/a/.config/uv/uv.toml": "offline = true\n", "etc/uv/uv.toml": "broken [\n",
    })  # fmt: skip
    facts = read_uv(root, {"UV_NO_SYNC": "1", "UV_INDEX_URL": "https://x"}, "/home/a", "/p/src/deeper")
    assert [(file.path, dict(file.settings)) for file in facts.files] == [
        ("/p/pyproject.toml", {"managed": "false"}), ("/home/a/.config/uv/uv.toml", {"offline": "true"}),
        ("/etc/uv/uv.toml", {}),
    ]  # fmt: skip
    assert facts.files[2].problem.startswith("it is not TOML")
    assert (facts.has_lock, facts.project_environment) == (True, None)
    assert facts.variables == {"UV_NO_SYNC": "1", "UV_INDEX_URL": SET}


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("TRITON_PTXAS_PATH", "/usr/local/cuda/bin/ptxas", "/usr/local/cuda/bin/ptxas"),
        ("HF_TOKEN", "hf_abcdefgh12345678", SET),
        ("HF_TOKEN", "", ""),
        ("WANDB_API_KEY", "short", SET),
        ("UV_INDEX_CORP_USERNAME", "me", SET),
        ("UV_PUBLISH_PASSWORD", "word", SET),
        ("PIP_EXTRA_INDEX_URL", "corp.example/simple", SET),
        ("UV_DEFAULT_INDEX", "corp", SET),
        ("MASTER_ADDR", "spark-1", SET),
        ("VLLM_HOST_IP", "192.168.100.10", SET),
        ("GLOO_X", "fe80::1:2", SET),
        ("NCCL_SOCKET_IFNAME", "enp1s0f0np0,enP2p1s0f0np0", "enp1s0f0np0,enP2p1s0f0np0"),
        ("TORCH_X", "a\nb\x1b[31m", "a\\nb\\x1b[31m"),
        ("TOKENIZERS_PARALLELISM", "false", "false"),
        ("TORCH_X", "y" * 5000, "y" * 4000),
    ],
)
def test_what_is_kept_of_a_variable(name, value, kept):
    assert keep_value(name, value) == kept


def test_a_misspelt_variable_of_a_family_is_seen_and_others_are_not():
    facts = read_variables(
        {"UV_SYNC": "0", "MY_TOKEN": "x", "CUDA_HOME": "/c", "HOME": "/home/a", "TORCH_CUDA_ARCHLIST": "12.1"}
    )
    assert facts.values == {"CUDA_HOME": "/c", "TORCH_CUDA_ARCHLIST": "12.1", "UV_SYNC": "0"}
    assert all(WATCHED.values())  # each says why it is looked at


def test_an_environment_of_zero_bytes_or_lines():
    assert parse_environ("A=1\0B=x\ny\0=odd\0C\0") == {"A": "1", "B": "x\ny"}
    assert parse_environ("A=1\nB=2=3\n") == {"A": "1", "B": "2=3"}


# Logins


def test_logins_are_seen_and_not_read(tmp_path):
    root = write(tmp_path, {
        "home/a/.netrc": "machine example.org login x\nmachine api.wandb.ai\n  login user\n  password secret\n",
        "home/a/.cache/huggingface/token": "hf_secret",
    })  # fmt: skip
    assert read_logins(root, {}, "/home/a") == LoginFacts("file", "file")
    assert "home/a/.cache/huggingface/token" not in root.texts
    assert read_logins(root, {"HF_TOKEN": "x", "WANDB_API_KEY": "y"}, "/home/a") == LoginFacts("variable", "variable")
    assert read_logins(root, {"HF_HOME": "/big"}, "/home/b") == LoginFacts("", "")
    assert set(read_logins(root, {}, None).unknown) == {"hub", "wandb"}


def test_an_entry_of_netrc_names_its_host():
    assert not has_netrc_entry("machine example.org login api.wandb.ai")
    assert not has_netrc_entry("machine")
    assert has_netrc_entry("default machine api.wandb.ai")


def test_the_ssh_service_that_its_file_names(tmp_path):
    root = write(tmp_path, {
        "run/sshd.pid": "20\n",
        "proc/20/comm": "sshd\n", "proc/20/stat": "20 (sshd) S 1 20\n", "proc/20/oom_score_adj": "-900\n",
        "proc/10/comm": "sshd\n", "proc/10/stat": "10 (sshd) S 1 10\n", "proc/10/oom_score_adj": "0\n",
    })  # fmt: skip
    assert read_ssh(root).service_score == -900
    assert "proc" not in root.listings
