"""The verdicts of packages that people install on a Spark, from their facts as written down by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_facts import (
    ARM,
    NEW_PTXAS,
    OLD_PTXAS,
    bitsandbytes,
    code,
    library,
    package,
    stub,
    torch,
    triton,
    vllm,
)

from sparksmith.packages.facts import DeviceCode, PackageFacts
from sparksmith.packages.verdict import judge
from sparksmith.policy.targets import load_target

GB10 = load_target("gb10")
CUBLAS = library("nvidia/cu13/lib/libcublas.so.13", "sm_90", "sm_120", needed=("libcublasLt.so.13",),
                 soname="libcublas.so.13")  # fmt: skip
CUBLAS_LT = library("nvidia/cu13/lib/libcublasLt.so.13", "sm_90a", "sm_120", "sm_121", soname="libcublasLt.so.13")
NVIDIA = "py3-none-manylinux_2_27_aarch64"

# facts, verdict, the rules of its findings, what the fix asks for
TABLE: list[tuple[PackageFacts, str, list[str], str]] = [
    (torch("2.9.0", ""), "will not run", ["cpu-build"], "torch>=2.11"),
    (torch("2.10.0", ""), "will not run", ["cpu-build"], "torch>=2.11"),
    (torch("2.11.0", "13.0"), "runs", [], ""),
    (torch("2.13.0", "13.0"), "runs", [], ""),
    (torch("2.14.1", "13.0"), "runs", [], ""),
    (torch("2.15.0", "13.2"), "runs", [], ""),
    (
        package(
            "torchvision", "0.28.0",
            library("torchvision/_C.so", "sm_90", "sm_120", "compute_120@9.0", needed=("libcudart.so.13", "libc10.so")),
            declared_cuda="13.0",
        ),
        "runs", [], "",
    ),
    (triton("3.5.0", ptxas=((12, 8), OLD_PTXAS)), "will not run", ["ptxas"], "triton>=3.7.1"),
    (triton("3.7.1", ptxas=((12, 8), OLD_PTXAS), ptxas_blackwell=((13, 1), NEW_PTXAS)), "runs", [], ""),
    (triton("3.8.0", ptxas=((12, 9), OLD_PTXAS), ptxas_blackwell=((13, 3), NEW_PTXAS)), "runs", [], ""),
    (triton("3.9.0", ptxas=((12, 9), OLD_PTXAS), ptxas_blackwell=((13, 4), NEW_PTXAS)), "runs", [], ""),
    (
        package("bitsandbytes", "0.45.5", library("bitsandbytes/libbitsandbytes_cuda126.so", "sm_90", machine="x86_64"),
                tag="py3-none-manylinux_2_24_x86_64"),
        "will not run", ["tag"], "a wheel for aarch64",
    ),
    (bitsandbytes("0.47.0", "118", "126", "129"), "will not run", ["cuda-library-major"], "bitsandbytes>=0.50.2"),
    (bitsandbytes("0.48.0", "118", "129", "130"), "runs", [], ""),
    (bitsandbytes("0.50.2", "118", "129", "130", "132"), "runs", [], ""),
    (vllm("0.10.2", 12), "will not run", ["cuda-major", "device-code", "known"], "vllm>=0.20"),
    (vllm("0.19.1", 12), "will not run", ["cuda-major", "device-code", "known"], "vllm>=0.20"),
    (vllm("0.20.0", 13), "runs with a note", ["device-code"], ""),
    (vllm("0.32.0", 13), "runs with a note", ["device-code"], ""),
    (
        package("sgl-kernel", "0.3.21", library("sgl_kernel/common_ops.abi3.so", "sm_120", needed=("libcudart.so.12",)),
                tag="cp310-abi3-manylinux2014_aarch64"),
        "will not run", ["cuda-major"], "sglang-kernel>=0.4.10",
    ),
    (
        package("sglang-kernel", "0.4.10", library("sgl_kernel/ops.abi3.so", "sm_120f", needed=("libcudart.so.13",)),
                tag="cp310-abi3-manylinux2014_aarch64"),
        "runs", [], "",
    ),
    (
        package("cupy-cuda12x", "13.6.0", library("cupy/_core/core.so", needed=("libnvrtc.so.12", "libcublas.so.12"))),
        "will not run", ["cuda-major"], "cupy-cuda13x",
    ),
    (
        package("cupy-cuda13x", "14.0.0", library("cupy/_core/core.so", needed=("libnvrtc.so.13", "libcublas.so.13"))),
        "runs", [], "",
    ),
    *(
        (package(name, "1.0", file=f"{name}-1.0.tar.gz", tags=()), "cannot tell", ["source"], "build it on the machine")
        for name in ("flash-attn", "xformers", "deepspeed", "causal-conv1d", "mamba-ssm")
    ),
    *(
        (package(*spelled.split("==")), "runs", [], "")
        for spelled in ("transformers==5.17.0", "trl==1.16.0", "peft==0.21.2", "accelerate==1.15.0", "datasets==5.2.0",
                        "liger-kernel==0.8.5", "torchao==0.18.0", "flashinfer-python==0.7.2", "unsloth==2026.10.7",
                        "unsloth-zoo==2026.10.7")
    ),
    (package("nvidia-cublas", "13.1.0.3", CUBLAS, CUBLAS_LT, tag=NVIDIA), "runs", [], ""),
    (package("nvidia-nccl-cu13", "2.28.9", library("nvidia/nccl/lib/libnccl.so.2", "sm_90", "sm_120"), tag=NVIDIA),
     "runs", [], ""),
    (package("trl", "1.15.0"), "runs", ["known"], "trl>=1.14,!=1.15.*,<1.17"),
    (package("unsloth", "2024.8"), "runs with a note", ["known"], "unsloth>=2026.10"),
    (
        package("nvidia-cublas-cu12", "12.9.1", library("nvidia/cublas/lib/libcublas.so.12", "sm_120",
                                                        needed=("libcublasLt.so.12",), soname="libcublas.so.12"),
                library("nvidia/cublas/lib/libcublasLt.so.12", "sm_120", soname="libcublasLt.so.12"), tag=NVIDIA),
        "runs with a note", ["cuda-unused"], "leave it out",
    ),
    *(
        (package(f"nvidia-{name}", "12.6.3.3", library(f"lib{name}.so.12", "sm_120", soname=f"lib{name}.so.12",
                                                       needed=("libnvJitLink.so.13",)), tag=NVIDIA),
         "runs", [], "")
        for name in ("cufft", "cusparse", "cusolver")
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "verdict", "rules", "fix"), TABLE, ids=[f"{row[0].name}-{row[0].version}" for row in TABLE]
)
def test_a_wheel_alone_on_a_spark(facts, verdict, rules, fix):
    whole = judge([facts], GB10, kind="wheel", subject=facts.file)
    (found,) = whole.packages
    assert [finding.rule for finding in found.findings] == rules
    assert (whole.verdict, found.verdict) == (verdict, verdict)
    assert fix in " ".join(finding.fix or "" for finding in found.findings)
    for finding in found.findings:
        assert finding.evidence and finding.seen and finding.expected
        assert finding.verdict != "will not run" or finding.fix


def test_the_evidence_names_file_entry_and_bytes():
    (found,) = judge([vllm("0.12.0", 12)], GB10, kind="wheel", subject="x").packages
    finding = found.findings[0]
    assert finding.rule == "cuda-major"
    assert finding.seen == "it needs CUDA 12: libcudart.so.12"
    assert finding.expected == "CUDA 13 (gb10's, with driver 580)"
    first = finding.evidence[0]
    assert (first.file, first.what, first.bytes) == ("vllm/_C.abi3.so", "NEEDED libcudart.so.12", 300_000_000)


def test_x86_wheels_on_a_spark_and_arm_wheels_on_a_server():
    x86 = package("torch", "2.15.0", library("torch/lib/libtorch_cuda.so", "sm_90", machine="x86_64",
                                             needed=("libcudart.so.13",)),
                  tag="cp312-cp312-manylinux_2_28_x86_64", declared_cuda="13.2")  # fmt: skip
    (found,) = judge([x86], GB10, kind="wheel", subject="x").packages
    assert [finding.rule for finding in found.findings] == ["tag"]
    assert found.findings[0].seen == "it is for x86_64, not for aarch64"
    assert "--python-platform aarch64-manylinux_2_39" in str(found.findings[0].fix)
    assert [each.state for each in found.libraries] == ["not used"]
    assert judge([x86], load_target("h200"), kind="wheel", subject="x").verdict == "runs"
    assert judge([torch("2.15.0", "13.2")], load_target("h200"), kind="wheel", subject="x").verdict == "will not run"


@pytest.mark.parametrize(
    ("target", "names", "verdict", "rules"),
    [
        ("gb10", ["sm_120"], "runs", []),
        ("gb10", ["sm_121"], "runs", []),
        ("gb10", ["sm_120f"], "runs", []),
        ("gb10", ["sm_121f"], "runs", []),
        ("gb10", ["sm_121a"], "runs", []),
        ("gb10", ["sm_120a"], "will not run", ["device-code"]),
        ("gb10", ["sm_122"], "will not run", ["device-code"]),
        ("gb10", ["sm_90", "sm_100", "sm_100f", "sm_110"], "will not run", ["device-code"]),
        ("gb10", ["compute_90@8.0"], "runs with a note", ["ptx-only"]),
        ("gb10", ["compute_121@9.0"], "runs with a note", ["ptx-only"]),
        ("gb10", ["compute_120f@9.0"], "runs with a note", ["ptx-only"]),
        ("gb10", ["compute_120@9.1"], "will not run", ["ptx-isa"]),
        ("gb10", ["compute_120@9.1", "sm_120"], "runs", []),
        ("gb10", ["compute_90a@8.0"], "will not run", ["device-code"]),
        ("gb10", ["compute_100f@9.0"], "will not run", ["device-code"]),
        ("gb10", ["compute_130@9.0"], "will not run", ["device-code"]),
        ("rtx5090", ["sm_120a"], "runs", []),
        ("rtx5090", ["sm_121"], "will not run", ["device-code"]),
        ("rtx4090", ["sm_80"], "runs", []),
        ("rtx4090", ["sm_86"], "runs", []),
        ("rtx4090", ["sm_90"], "will not run", ["device-code"]),
        ("h200", ["sm_90a"], "runs", []),
        ("b200", ["sm_100f"], "runs", []),
        ("b200", ["sm_103"], "will not run", ["device-code"]),
        ("b200", ["sm_120"], "will not run", ["device-code"]),
        ("jetson-thor", ["sm_110"], "runs", []),
        ("jetson-thor", ["sm_120", "sm_100"], "will not run", ["device-code"]),
    ],
)
def test_which_code_runs_where(target, names, verdict, rules):
    row = load_target(target)
    facts = package("kernels", "1.0", library("kernels/_C.abi3.so", *names, machine=row.machine),
                    tag=f"cp310-abi3-manylinux_2_28_{row.machine}")  # fmt: skip
    (found,) = judge([facts], row, kind="wheel", subject="x").packages
    assert (found.verdict, [finding.rule for finding in found.findings]) == (verdict, rules)


def test_an_empty_entry_in_a_large_package():
    """libcufftw calls libcufft; an entry for sm_75 is all that it has."""
    cufft = library("nvidia/cu13/lib/libcufft.so.12", "sm_75", "sm_120", bytes=286_000_000, code_sections=(".data",))
    cufftw = stub("nvidia/cu13/lib/libcufftw.so.12", 400_000)
    facts = package("nvidia-cufft", "12.0.0.61", cufft, cufftw, tag=NVIDIA)
    (found,) = judge([facts], GB10, kind="wheel", subject="x").packages
    assert (found.verdict, found.findings) == ("runs", ())
    assert [each.state for each in found.libraries] == ["runs", "next to no GPU code"]
    # in a small package the little that there is counts
    (found,) = judge([package("p", "1", cufftw)], GB10, kind="wheel", subject="x").packages
    assert found.verdict == "will not run"


def test_dead_code_beside_another_packages_library():
    """cuEquivariance's module for torch: kernels for two GPUs, all else in libcue_ops.so of cuequivariance-ops."""
    needed = ("libcue_ops.so", "libtorch_cuda.so", "libcublas.so.13", "libcuda.so.1", "libc.so.6")
    facts = package("cue-ops-torch", "1.0", library("cue/_ext.so", "sm_90a", "sm_100a", needed=needed))
    (found,) = judge([facts], GB10, kind="wheel", subject="x").packages
    assert (found.verdict, found.findings[0].rule) == ("cannot tell", "device-code")
    assert found.findings[0].seen == (
        "none of its GPU code runs on 12.1: sm_90a, sm_100a; it calls libcue_ops.so, of another package, "
        "where more may be"
    )
    alone = package("cue-ops-torch", "1.0", library("cue/_ext.so", "sm_90a", "sm_100a", needed=needed[1:]))
    assert judge([alone], GB10, kind="wheel", subject="x").verdict == "will not run"


def test_the_evidence_names_the_section():
    dead = library("x/libx.so", "sm_90", code_sections=(".nv_fatbin", ".data"))
    (found,) = judge([package("x", "1.0", dead)], GB10, kind="wheel", subject="x").packages
    assert found.findings[0].evidence[0].what == ".nv_fatbin and .data: sm_90"


def test_the_words_of_dead_code():
    facts = package("kernels", "1.0", library("kernels/_C.abi3.so", "sm_80", "sm_90a", "compute_120@9.2"))
    (found,) = judge([facts], GB10, kind="wheel", subject="x").packages
    assert found.findings[0].seen == (
        "the only code for 12.1 is PTX that driver 580 cannot compile: compute_120 (PTX 9.2)"
    )
    assert found.findings[0].fault == "ptx-too-new"
    assert found.findings[0].evidence[0].bytes == 6_000_000
    assert found.findings[0].evidence[0].what == ".nv_fatbin: compute_120 (PTX 9.2), sm_80, sm_90a"
    assert found.libraries[0].code == ("sm_80", "sm_90a", "compute_120 (PTX 9.2)")


def test_the_code_that_decides_is_not_cut_off():
    """catboost and cupy-cuda11x have PTX for compute_90 behind finished code for ten older GPUs."""
    old = [f"sm_{number}" for number in (35, 37, 50, 52, 53, 60, 61, 62, 70, 72)]
    facts = package("catboost", "1.2.10", library("_catboost.so", *old, "compute_90@7.8"))
    (found,) = judge([facts], GB10, kind="wheel", subject="x").packages
    (finding,) = found.findings
    assert (finding.rule, finding.seen) == ("ptx-only", "its only code for 12.1 is PTX: compute_90 (PTX 7.8)")
    assert finding.evidence[0].what.startswith(".nv_fatbin: compute_90 (PTX 7.8), sm_35, sm_37")


def test_made_code_is_read_as_it_is_meant():
    assert [each.variant for each in code("sm_90a", "compute_120f@9.0", "sm_80")] == ["a", "f", ""]
    assert ARM == "manylinux_2_28_aarch64"


@pytest.mark.parametrize(("size", "verdict"), [(3_584, "runs"), (32_768, "runs"), (32_769, "runs with a note")])
def test_a_little_ptx_is_a_detail(size, verdict):
    """libcufile has 3.5 KiB of it, in every set for CUDA 13: nobody has to know."""
    code_of = tuple(
        DeviceCode(kind, 86, "", (7, 1) if kind == "ptx" else None, 1, bytes_of)
        for kind, bytes_of in (("cubin", 14_696), ("ptx", size))
    )
    facts = package("nvidia-cufile", "1.15.1.6", replace(library("lib/libcufile.so.0"), device_code=code_of))
    found = judge([facts], GB10, kind="wheel", subject="x").packages[0]
    assert (found.verdict, [each.rule for each in found.findings]) == (verdict, ["ptx-only"])
