"""Checks of packages: a tree or a small environment for each fault, and what is broken or half installed."""

from __future__ import annotations

import pytest
from check_cases import cases, compare, unseen

from machines.load import build
from packages.made_environments import install, make_venv
from packages.make_elf import cubin, make_elf, ptx
from sparksmith.doctor.examine import examine
from sparksmith.doctor.gather import gather
from sparksmith.policy.faults import load_faults

VENV = "home/user/project/.venv"
X86 = "cp312-cp312-manylinux_2_28_x86_64"
CUDA_13 = make_elf(fatbin=[cubin(120)], needed=["libcudart.so.13"])
CUDA_12 = make_elf(fatbin=[cubin(90)], needed=["libcudart.so.12"])
FOR_12 = make_elf(fatbin=[cubin(120)], needed=["libcudart.so.12"])
BESIDE_TORCH = make_elf(fatbin=[cubin(120)], needed=["libtorch.so", "libcudart.so.13"])
TORCH = {"torch/version.py": b"cuda = '13.0'\n", "torch/lib/libtorch_cuda.so": CUDA_13}
TORCH_CPU = {"torch/version.py": b"cuda = None\n", "torch/lib/libtorch_cpu.so": make_elf()}
BITSANDBYTES = "bitsandbytes/libbitsandbytes_cuda"


def look(tree):
    """What the doctor itself gathers of a tree, its packages judged."""
    return gather(tree).examined


def machine(folder, base="spark", torch=TORCH, version="2.13.0"):
    """A machine whose project has a fresh environment, with this torch and nothing else."""
    tree = build(base, folder / "m")
    (tree / VENV).rename(folder / "old")
    site = make_venv(tree / VENV)
    if torch is not None:
        install(site, "torch", version, files=torch)
    return tree, site


def told(tree):
    return [(finding.fault.id, finding.here) for finding in examine(look(tree))]


@pytest.mark.parametrize("said", cases("packages"))
def test_a_tree_has_what_it_has_and_nothing_else(said, tmp_path):
    compare(said, tmp_path, look)


# what the audit reads in their files: name, version, files, more of install(), the faults, a word of the first
AUDITED = {
    "healthy": ("sample", "1.0", {"sample/_C.abi3.so": BESIDE_TORCH}, {}, [], ""),
    "cuda-major-mixed": ("sample", "1.0", {"sample/_C.abi3.so": FOR_12}, {}, ["cuda-major-mixed"], "sample: it needs"),
    "sgl-kernel-cuda12": ("sgl-kernel", "0.3.21", {"sgl_kernel/ops.abi3.so": FOR_12}, {}, ["sgl-kernel-cuda12"], ""),
    "cupy-cuda12x": ("cupy-cuda12x", "13.6.0", {"cupy/_core/core.abi3.so": FOR_12}, {}, ["cupy-cuda12x"], "cupy"),
    "cupy-cuda11x": (
        "cupy-cuda11x", "13.6.0", {"cupy/_core/core.abi3.so": make_elf(needed=["libcublas.so.11"])}, {},
        ["cupy-cuda11x"], "libcublas.so.11",
    ),
    "vllm-before-0-20": ("vllm", "0.19.1", {"vllm/_C.abi3.so": CUDA_12}, {}, ["vllm-before-0-20"], "vllm 0.19.1"),
    "no-kernel-image": (
        "sample", "1.0", {"sample/_C.abi3.so": make_elf(fatbin=[cubin(90, "a")])}, {}, ["no-kernel-image"], "sample",
    ),
    "ptx-too-new": (
        "sample", "1.0", {"sample/_C.abi3.so": make_elf(fatbin=[ptx(120, (9, 2))])}, {}, ["ptx-too-new"], "PTX",
    ),
    "glibc-too-old": ("sample", "1.0", {"sample/_C.abi3.so": make_elf(glibc=["2.41"])}, {}, ["glibc-too-old"], "2.41"),
    "bitsandbytes-no-cuda13": (
        "bitsandbytes", "0.47.0", {f"{BITSANDBYTES}126.so": CUDA_12}, {}, ["bitsandbytes-no-cuda13"], "12.6",
    ),
    "bitsandbytes-other-minor": (
        "bitsandbytes", "0.48.0", {f"{BITSANDBYTES}131.so": CUDA_13}, {}, ["bitsandbytes-other-minor"], "13.1",
    ),
    "flash-attn-present": (
        "flash-attn", "2.8.3", {"flash_attn_2_cuda.abi3.so": CUDA_12}, {}, ["flash-attn-present"], "libcudart.so.12",
    ),
    "xformers-no-cuda": (
        "xformers", "0.0.32", {"xformers/_C.abi3.so": make_elf(fatbin=[cubin(90, "a")])}, {}, ["xformers-no-cuda"], "",
    ),
    "xformers-other-torch": (
        "xformers", "0.0.32", {"xformers/_C.abi3.so": BESIDE_TORCH}, {"requires": ["torch==2.8.0"]},
        ["xformers-no-cuda"], "built for torch 2.8, and here is 2.13.0",
    ),
    "extension-other-torch": (
        "torchvision", "0.27.0", {"torchvision/_C.abi3.so": BESIDE_TORCH}, {"requires": ["torch==2.12.0"]},
        ["extension-other-torch"], "torchvision 0.27.0 is built for torch 2.12, and here is 2.13.0",
    ),
    "same-minor-torch": (
        "torchvision", "0.28.1", {"torchvision/_C.abi3.so": BESIDE_TORCH}, {"requires": ["torch==2.13.1"]}, [], "",
    ),
    "pure-other-torch": ("sample", "1.0", {"sample/a.py": b""}, {"requires": ["torch==2.8.0"]}, [], ""),
    "unsloth-bounds": (
        "unsloth", "2026.10.7", {"unsloth/a.py": b""}, {"requires": ["torch<2.13"], "tags": ["py3-none-any"]},
        ["unsloth-bounds"], "unsloth 2026.10.7 asks for torch<2.13",
    ),
    "package-will-not-run": (
        "sample", "1.0", {"sample/_C.abi3.so": make_elf(machine="x86_64")}, {"tags": [X86]},
        ["package-will-not-run"], "sample: it is for x86_64",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "version", "files", "more", "faults", "word"), AUDITED.values(), ids=AUDITED.keys())
def test_what_the_audit_reads_is_told_as_the_fault_that_it_is(
    name, version, files, more, faults, word, tmp_path
):  # fmt: skip
    tree, site = machine(tmp_path)
    install(site, name, version, files=files, **more)
    found = told(tree)
    assert [fault for fault, _ in found] == faults
    assert not found or word in found[0][1]


def test_a_cpu_build_is_told_where_a_gpu_is(tmp_path):
    tree, _ = machine(tmp_path, torch=TORCH_CPU, version="2.10.0")
    assert [fault for fault, _ in told(tree)] == ["torch-cpu-build"]


def test_without_a_gpu_nothing_is_said_of_cuda(tmp_path):
    tree = build("laptop", tmp_path / "m")
    site = make_venv(tree / "home/user/project/.venv")
    install(site, "torch", "2.13.0", files=TORCH_CPU, tags=[X86])
    install(site, "trl", "1.16.0", tags=["py3-none-any"])
    with (tree / "proc/self/environ").open("a") as environ:
        environ.write("VIRTUAL_ENV=/home/user/project/.venv\n")
    assert [fault for fault, _ in told(tree)] == ["disk-nearly-full"]


def test_a_newer_driver_compiles_newer_ptx(tmp_path):
    tree, site = machine(tmp_path)
    install(site, "sample", files={"sample/_C.abi3.so": make_elf(fatbin=[ptx(120, (9, 2))])})
    smi = tree / "commands/nvidia-smi -q.txt"
    smi.write_text(smi.read_text().replace(": 13.0", ": 13.2"))
    assert told(tree) == []


# broken, missing, half installed


def test_no_torch_at_all(tmp_path):
    tree, site = machine(tmp_path, torch=None)
    assert told(tree) == []
    install(site, "sample", files={"sample/_C.abi3.so": BESIDE_TORCH})
    ((fault, here),) = told(tree)
    assert (fault, "built against torch, and none is here" in here) == ("package-will-not-run", True)


def test_a_record_that_lies(tmp_path):
    tree, site = machine(tmp_path)
    (site / "torch/lib/libtorch_cuda.so").unlink()
    fault, here = told(tree)[0]
    assert (fault, here.startswith("torch 2.13.0: one of its libraries is not there")) == ("package-incomplete", True)


def test_a_torch_without_files_or_record(tmp_path):
    tree, site = machine(tmp_path, torch=None)
    install(site, "torch", "2.13.0", record="")
    found = examine(look(tree))
    assert [(each.fault.id, each.command) for each in found] == [
        ("package-incomplete", "uv pip install --reinstall 'torch==2.13.0'")
    ]  # fmt: skip


@pytest.mark.parametrize("record", ["\0\xff\n,,,\n", '"', "../../../etc/passwd,sha256=x,1\n", "torch/a.so,,-1\n" * 99])
def test_a_record_of_rubbish_is_no_crash(record, tmp_path):
    tree, site = machine(tmp_path, torch=None)
    information = install(site, "torch", "2.13.0", record=record)
    (information / "METADATA").write_bytes(b"\xff\0Name: \nVersion:\n")
    assert {fault for fault, _ in told(tree)} <= {"package-incomplete"}


def test_an_environment_that_cannot_be_read(tmp_path):
    tree, _ = machine(tmp_path)
    for file in (tree / VENV / "lib").rglob("*"):
        if file.is_file():
            file.unlink()
    assert {fault for fault, _ in told(tree)} <= {"package-incomplete"}


def test_every_fault_is_shown():
    shown = {fault for _, _, _, _, faults, _ in AUDITED.values() for fault in faults}
    assert unseen("packages") - shown == {"package-incomplete"}  # above
    in_trees = {fault for said in cases("packages") for fault in said.values[0]["finds"]}
    audited = {row.id for row in load_faults() if row.kind and {"machine", "asked"} & set(row.seen_in)}
    assert audited - shown - in_trees == {"torch-cpu-build"}  # above
