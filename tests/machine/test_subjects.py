"""Memory, limits, system, disks and containers: the texts of real kernels and tools, worked out by hand."""

from __future__ import annotations

import pytest

from sparksmith.base.command import Answer
from sparksmith.machine.cgroup import least, parse_limit, parse_own_groups, read_cgroup
from sparksmith.machine.commands import DISK_FREE
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
from sparksmith.machine.docker import parse_docker_info, parse_group
from sparksmith.machine.gpu_state import parse_module_version
from sparksmith.machine.memory_state import parse_buddyinfo, parse_memory, parse_pressure, parse_swaps
from sparksmith.machine.own import parse_limits
from sparksmith.machine.private import Private, parse_passwd
from sparksmith.machine.root import Root
from sparksmith.machine.subject import UNLIMITED
from sparksmith.machine.system import parse_cpu_list, parse_kernel_words, parse_pairs, parse_status

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
