"""Each subject's parser: the texts of real kernels and tools, worked out by hand, and texts from nowhere."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparksmith.base.command import Answer
from sparksmith.machine.cgroup import least, parse_limit, parse_own_groups, read_cgroup
from sparksmith.machine.commands import DISK_FREE, NVCC
from sparksmith.machine.container import image_of, parse_container_of_groups
from sparksmith.machine.disk import (
    FileSystem,
    folders_of,
    mount_of,
    parse_df,
    parse_mounts,
    parse_size_option,
    read_disks,
)
from sparksmith.machine.docker import FAILED, parse_docker_info, parse_group
from sparksmith.machine.facts import parse_environ
from sparksmith.machine.gpu_state import parse_module_version
from sparksmith.machine.logins import LoginFacts, has_netrc_entry, read_logins
from sparksmith.machine.memory import parse_meminfo_fields
from sparksmith.machine.memory_state import parse_buddyinfo, parse_memory, parse_pressure, parse_swaps
from sparksmith.machine.nvidia_smi import parse_nvidia_smi, parse_nvidia_smi_table
from sparksmith.machine.own import parse_limits
from sparksmith.machine.private import Private, parse_passwd
from sparksmith.machine.root import Root
from sparksmith.machine.ssh import parse_score_setting, read_ssh
from sparksmith.machine.subject import UNLIMITED
from sparksmith.machine.system import parse_cpu_list, parse_kernel_words, parse_pairs, parse_status
from sparksmith.machine.toolkit import parse_nvcc_version, parse_version_json, read_release, read_toolkits
from sparksmith.machine.uv import parse_uv_settings, read_uv
from sparksmith.machine.variables import FAMILIES, SET, WATCHED, keep_value, read_variables, reason_for

KIB, GIB = 1024, 2**30
PRIVATE = Private(frozenset({"gx10-f443"}), frozenset({"ann.lee"}), ("/home/ann.lee",))


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Root(root)


# Memory


def test_memory_of_a_spark_with_the_cma_fault():
    facts = parse_memory("MemTotal: 100 kB\nCmaTotal: 0 kB\nCmaFree: 940604 kB\nHugePages_Total: 3\n", "", "", 60)
    assert (facts.total_bytes, facts.cma_total_bytes, facts.cma_free_bytes) == (100 * KIB, 0, 940604 * KIB)
    assert (facts.huge_pages, facts.swappiness, facts.available_bytes, facts.free_large_blocks) == (3, 60, None, None)


def test_free_blocks_by_order():
    text = """\
Node 0, zone      DMA      0      0      0      0      0      0      0      0      1      1      3
Node 0, zone   Normal    363    286    137     40      9     10      6     14     13      7     31
"""
    assert parse_buddyinfo(text) == {
        0: 363, 1: 286, 2: 137, 3: 40, 4: 9, 5: 10, 6: 6, 7: 14, 8: 14, 9: 8, 10: 34,
    }  # fmt: skip
    facts = parse_memory("", text, "", None)
    assert facts.free_large_blocks == 8 + 34
    assert facts.free_large_bytes == 8 * 2 * 2**20 + 34 * 4 * 2**20


def test_swap_devices():
    text = "Filename Type Size\n/dev/zram0 partition 8 0 100\n/swap.img file 1 0 -2\n/dev/sda3 partition 2 0 -3\n"
    assert parse_swaps(text) == ("zram", "file", "partition")
    assert parse_swaps("Filename Type Size Used Priority\n") == parse_swaps("") == ()


def test_pressure():
    text = "some avg10=1.25 avg60=0.40 avg300=0.10 total=812345\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
    assert parse_pressure(text) == {"some": (1.25, 812345), "full": (0.0, 7)}
    assert parse_pressure("some avg10=x total=1\nfull avg10=... avg60=1 total=2") == {}


# Limits


LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max stack size            8388608              unlimited            bytes
Max open files            1024                 524288               files
Max locked memory         unlimited            unlimited            bytes
Max realtime timeout      unlimited            unlimited            us
Max nice priority         0                    0
"""


def test_limits():
    limits = parse_limits(LIMITS)
    assert limits["Max locked memory"] == (UNLIMITED, UNLIMITED)
    assert limits["Max open files"] == (1024, 524288)
    assert limits["Max stack size"] == (8388608, UNLIMITED)
    assert len(limits) == 5


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("max", UNLIMITED),
        ("max\n", UNLIMITED),
        ("1073741824", GIB),
        ("9223372036854771712", UNLIMITED),
        ("-1", UNLIMITED),
        ("", None),
        (None, None),
        ("1G", None),
        ("0", 0),
    ],
)
def test_limits_of_groups(text, limit):
    assert parse_limit(text) == limit


@pytest.mark.parametrize(
    ("limits", "found"),
    [([UNLIMITED, 5, 3], 3), ([None, UNLIMITED], UNLIMITED), ([None], None), ([], None), ([0, UNLIMITED], 0)],
)
def test_the_least_limit_counts(limits, found):
    assert least(limits) == found


def test_own_groups():
    assert parse_own_groups("0::/user.slice/a.scope\n") == {"": "/user.slice/a.scope"}
    assert parse_own_groups("11:memory:/job\n4:cpu,cpuacct:/\nnonsense\n") == {
        "memory": "/job",
        "cpu": "/",
        "cpuacct": "/",
    }


def test_a_limit_above_our_group_counts(tmp_path):
    root = write(tmp_path, {
        "proc/self/cgroup": "0::/a.slice/b.scope\n", "proc/self/status": "Uid:\t1000\t1000\t1000\t1000\n",
        "sys/fs/cgroup/cgroup.controllers": "memory pids\n", "sys/fs/cgroup/a.slice/memory.max": "8589934592\n",
        "sys/fs/cgroup/a.slice/b.scope/memory.max": "max\n", "sys/fs/cgroup/a.slice/b.scope/memory.current": "4096\n",
    })  # fmt: skip
    facts = read_cgroup(root)
    assert (facts.version, facts.memory_limit, facts.memory_used_bytes, facts.delegated) == (2, 8 * GIB, 4096, None)
    assert facts.memory_high == UNLIMITED
    assert facts.why("delegated").endswith("user@1000.service/cgroup.controllers: not there")


def test_a_group_that_climbs_out_is_not_followed(tmp_path):
    (tmp_path / "memory.max").write_text("1\n")
    root = write(tmp_path / "m", {
        "proc/self/cgroup": "0::/../../../..\n", "sys/fs/cgroup/cgroup.controllers": "memory\n",
    })  # fmt: skip
    assert read_cgroup(root).memory_limit == UNLIMITED


# System


def test_pairs_of_a_release_file():
    text = 'DGX_NAME="DGX Spark"\nDGX_OTA_VERSION="7.3.1"\n\n# x=1\nDGX_OTA_VERSION=\'7.6.0\'\nno pair\n'
    assert parse_pairs(text) == {"DGX_NAME": "DGX Spark", "DGX_OTA_VERSION": "7.6.0"}


@pytest.mark.parametrize(
    ("text", "count"),
    [("0-19", 20), ("0-3,64-67", 8), ("5", 1), ("", None), ("3-1", None), ("a-b", None), ("1,,2", None)],
)
def test_lists_of_processors(text, count):
    assert parse_cpu_list(text) == count


def test_only_words_about_memory_are_kept_of_the_kernels_command_line():
    text = "BOOT_IMAGE=/vmlinuz root=UUID=1234 kho=off cma=128M quiet token=abc psi=1"
    assert parse_kernel_words(text) == ("kho=off", "cma=128M", "psi=1")


def test_status():
    assert parse_status("Name:\tcat\nUid:\t0\t1\t2\t3\nnonsense\n") == {"Name": "cat", "Uid": "0\t1\t2\t3"}


def test_the_kernel_module():
    assert parse_module_version(
        "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.95.05  Release Build  (x)\nGCC version: 13\n"
    ) == ("580.95.05", True)
    assert parse_module_version("NVRM version: NVIDIA UNIX aarch64 Kernel Module  550.78  Sun Apr 14 2024\n") == (
        "550.78",
        False,
    )
    assert parse_module_version("NVRM version: 12\n") == (None, None)


# Disks and containers


def test_rows_of_df():
    text = """\
Filesystem     Type      1024-blocks      Used  Available Capacity Mounted on
/dev/nvme0n1p2 ext4       3840741096 412340112 3233232320      12% /
//srv/a share  cifs                -         -          -        - /mnt/with space
tmpfs          tmpfs           65536         0      65536       0% /dev/shm
df: /x: Stale file handle
"""
    assert parse_df(text) == (
        FileSystem("ext4", 3840741096 * KIB, 3233232320 * KIB, "/"),
        FileSystem("cifs", None, None, "/mnt/with space"),
        FileSystem("tmpfs", 65536 * KIB, 65536 * KIB, "/dev/shm"),
    )


def test_mounts():
    text = "/dev/a / ext4 rw 0 0\nfiler:/x /mnt/my\\040disk nfs4 rw,vers=4.2 0 0\nover / overlay ro 0 0\nbad line\n"
    assert parse_mounts(text) == {"/": ("overlay", "ro"), "/mnt/my disk": ("nfs4", "rw,vers=4.2")}


@pytest.mark.parametrize(
    ("options", "count"),
    [("rw,size=65536k", 64 * 2**20), ("size=2g,rw", 2 * GIB), ("rw,size=100", 100), ("rw", None), ("size=50%", None)],
)
def test_the_size_of_a_tmpfs(options, count):
    assert parse_size_option(options) == count


@pytest.mark.parametrize(
    ("path", "mount"), [("/home/a/b", "/home"), ("/homes", "/"), ("/home", "/home"), ("/dev/shm/x", "/dev/shm")]
)
def test_the_mount_that_a_path_lies_below(path, mount):
    assert mount_of(path, dict.fromkeys(["/", "/home", "/dev/shm"])) == mount


def test_the_folders_that_count():
    assert folders_of({}, "/home/a", "/runs") == {
        "model cache": "/home/a/.cache/huggingface/hub", "checkpoints": "/runs", "temporary files": "/tmp",
        "shared memory": "/dev/shm",
    }  # fmt: skip
    assert folders_of({"HF_HOME": "/big/hf", "TMPDIR": "/big/tmp"}, None, None)["model cache"] == "/big/hf/hub"
    assert folders_of({"HF_HUB_CACHE": "/c", "HF_HOME": "/b"}, None, None)["model cache"] == "/c"
    assert "model cache" not in folders_of({}, None, "relative")


def test_df_that_fails_for_one_disk_still_tells_of_the_others(tmp_path):
    root = write(tmp_path, {"proc/mounts": "/dev/a / ext4 rw 0 0\n"})
    answers = {DISK_FREE: Answer(1, "/dev/a ext4 100 40 60 40% /\n", "df: /net: Stale file handle")}
    (disk,) = read_disks(root, answers, {"checkpoints": "/runs"})
    assert (disk.mount, disk.filesystem, disk.total_bytes, disk.free_bytes) == ("/", "ext4", 100 * KIB, 60 * KIB)
    (disk,) = read_disks(root, {DISK_FREE: Answer(None, "", "df: no answer within 1 s")}, {"checkpoints": "/runs"})
    assert (disk.filesystem, disk.free_bytes, disk.why("free_bytes")) == ("ext4", None, "df: no answer within 1 s")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("12:memory:/docker/4f1d2c\n", "docker"),
        ("0::/system.slice/docker-4f1d.scope\n", "docker"),
        ("1:name=systemd:/kubepods/besteffort/pod1\n", "kubernetes"),
        ("0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-12.scope\n", "podman"),
        ("0::/user.slice/session-3.scope\n", None),
        ("0::/home/mydocker\n", None),
        ("", None),
    ],
)
def test_containers_by_their_group(text, kind):
    assert parse_container_of_groups(text) == kind


def test_images_by_their_variables():
    assert image_of({"NVIDIA_PYTORCH_VERSION": "25.10"}) == ("pytorch", "25.10")
    assert image_of({"NVIDIA_VLLM_VERSION": "26.01.post1"}) == ("vllm", "26.01.post1")
    assert image_of({"NVIDIA_PYTORCH_VERSION": "$(touch x)", "NVIDIA_BUILD_ID": "1"}) == (None, None)


def test_docker_info():
    text = " Server Version: 29.2.1\n Runtimes: io.containerd.runc.v2 nvidia runc\n Name: my-host\n Cgroup Version: 2\n"
    assert parse_docker_info(text) == {
        "Server Version": "29.2.1", "Runtimes": "io.containerd.runc.v2 nvidia runc", "Cgroup Version": "2",
    }  # fmt: skip


def test_groups_and_users():
    text = "root:x:0:\ndocker:x:988:alice,bob\nbroken\ndocker2:x:1:eve\n"
    assert parse_group(text, "docker") == (988, frozenset({"alice", "bob"}))
    assert parse_group(text, "absent") is None
    assert parse_passwd("a:x:1000:1000:A B:/home/a:/bin/sh\nb:x:1001:1:::\n", 1000) == ("a", "/home/a")
    assert parse_passwd("a:x:1000", 1000) is None


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
    assert reason_for("UV_SYNC") == "one of UV_*, which the programs of that name read"
    assert all(reason_for(name) for name in (*WATCHED, *FAMILIES))


def test_an_environment_of_zero_bytes_or_lines():
    assert parse_environ("A=1\0B=x\ny\0=odd\0C\0") == {"A": "1", "B": "x\ny"}
    assert parse_environ("A=1\nB=2=3\n") == {"A": "1", "B": "2=3"}


# Whatever the text


PARSERS = [
    parse_meminfo_fields, parse_buddyinfo, parse_swaps, parse_pressure, parse_limits, parse_own_groups, parse_limit,
    parse_pairs, parse_cpu_list, parse_kernel_words, parse_status, parse_module_version, parse_df, parse_mounts,
    parse_size_option, parse_container_of_groups, parse_docker_info, parse_nvcc_version, parse_version_json,
    parse_score_setting, parse_environ,
]  # fmt: skip
PIECES = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from([
            "MemTotal:", " 9999999999999999999999999 kB\n", "Node 0, zone Normal ", "9" * 400, "some avg10=", "²",
            "total=", "Max open files  ", "0::/", "../", "\\777", "size=", "release 1.1, V1.1.1", "Uid:\t", "\0", "\n",
            "=", ":", "٣",
        ]),
    ),
    max_size=12,
).map("".join)  # fmt: skip


@pytest.mark.parametrize("parse", PARSERS)
@given(text=PIECES)
def test_no_text_stops_a_parser(parse, text):
    parse(text)  # any answer will do: it must not raise


@given(text=PIECES)
def test_no_settings_stop_uvs_parser(text):
    try:
        settings, indexes = parse_uv_settings(text)
    except ValueError:
        return
    assert all(isinstance(value, str) for value in settings.values()) and indexes >= 0


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


# Seen to take minutes before the expressions were bounded.
LONG = (
    "A",
    " ",
    "\n",
    " \n",
    "a.",
    "1.",
    "ab:",
    "Max a ",
    "NVRM version: NVIDIA UNIX ",
    "/home/",
    "token",
    "| ",
    "key : value\n",
)


@pytest.mark.parametrize("piece", LONG)
def test_long_texts_take_no_time_that_grows_with_their_square(piece):
    text = piece * (200_000 // len(piece))
    started = time.process_time()
    for parse in (*PARSERS, parse_nvidia_smi, parse_nvidia_smi_table, PRIVATE.hide, FAILED.search):
        parse(text)
    assert time.process_time() - started < 8
