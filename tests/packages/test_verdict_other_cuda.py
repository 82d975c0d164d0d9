"""Packages for another CUDA than the target's: those that bring it themselves, copies of their own, names that tell."""

from __future__ import annotations

import pytest
from made_facts import ARM, library, package, torch

from sparksmith.packages.verdict import judge
from sparksmith.policy.targets import load_target

GB10 = load_target("gb10")
NVIDIA = f"py3-none-{ARM}"


def part(name: str, soname: str, *needed: str, version: str = "12.9.86"):
    """A package with one library of CUDA's own."""
    return package(
        f"nvidia-{name}", version, library(f"nvidia/{name}/lib/{soname}", soname=soname, needed=needed), tag=NVIDIA
    )


NVRTC = part("cuda-nvrtc-cu12", "libnvrtc.so.12")
CUFFT = part("cufft-cu12", "libcufft.so.11", version="11.4.1.4")
JIT_LINK = part("nvjitlink-cu12", "libnvJitLink.so.12")
PLUGIN = package(
    "OpenMM-CUDA-12", "8.6.1",
    library("OpenMM.libs/lib/plugins/libOpenMMCUDA.so", needed=("libnvrtc.so.12", "libcufft.so.11", "libcuda.so.1")),
    tag=NVIDIA,
)  # fmt: skip


def judge_list(*packages, kind="list"):
    return judge(packages, GB10, kind=kind, subject="requirements.txt")


def findings(whole) -> dict[str, list[str]]:
    named = {each.name: [finding.rule for finding in each.findings] for each in whole.packages}
    named[""] = [finding.rule for finding in whole.findings]
    return {name: rules for name, rules in named.items() if rules}


@pytest.mark.parametrize("kind", ["list", "environment", "folder"])
def test_a_set_without_a_torch_that_brings_its_cuda(kind):
    """openmm[cuda12] of the package index: the driver runs CUDA 12, and each soname that it needs is there."""
    whole = judge_list(PLUGIN, NVRTC, CUFFT, JIT_LINK, kind=kind)
    assert (whole.verdict, findings(whole)) == ("runs", {})


def test_the_same_package_where_its_cuda_is_not_there():
    assert findings(judge([PLUGIN], GB10, kind="wheel", subject="x"))["OpenMM-CUDA-12"] == ["cuda-major"]
    assert findings(judge_list(PLUGIN, CUFFT))["OpenMM-CUDA-12"] == ["cuda-major"]
    # a torch has loaded its own CUDA before
    beside = judge_list(PLUGIN, NVRTC, CUFFT, torch("2.13.0", "13.0"))
    assert findings(beside)["OpenMM-CUDA-12"] == ["cuda-major"]
    unused = next(each for each in beside.packages if each.name == "nvidia-cuda-nvrtc-cu12").findings[0]
    assert (unused.rule, unused.fix) == ("cuda-unused", None)  # the plugin asks for it
    alone = judge_list(NVRTC, torch("2.13.0", "13.0")).packages[0].findings[0]
    assert alone.fix == "leave it out, unless something asks for it"


def test_a_cuda_that_the_driver_does_not_run_does_not_come_along():
    newer = package("kernels", "1", library("kernels/_C.so", needed=("libcudart.so.14",)))
    runtime = part("cuda-runtime", "libcudart.so.14", version="14.0.0")
    assert findings(judge_list(newer, runtime))["kernels"] == ["cuda-major"]


def test_dead_code_fails_whatever_comes_along():
    dead = package("kernels", "1", library("kernels/_C.so", "sm_90a", needed=("libnvrtc.so.12",)))
    assert findings(judge_list(dead, NVRTC))["kernels"] == ["device-code"]


def test_packages_for_two_cudas_that_both_come_along():
    newer = package("kernels", "1", library("kernels/_C.so", needed=("libcudart.so.13",)))
    runtime = part("cuda-runtime", "libcudart.so.13", version="13.0.96")
    assert judge_list(PLUGIN, NVRTC, CUFFT, newer, runtime).verdict == "runs"


def test_cudas_own_libraries_are_no_users_of_it():
    """CUDA 12's cuSPARSE and cuSOLVER need more of CUDA 12; beside CUDA 13 they are ballast as the rest of it."""
    cusparse = part("cusparse-cu12", "libcusparse.so.12", "libnvJitLink.so.12")
    cusolver = part("cusolver-cu12", "libcusolver.so.11", "libcublas.so.12", "libcusparse.so.12")
    for whole in (judge_list(cusparse, cusolver, torch("2.13.0", "13.0")), judge_list(cusparse, cusolver)):
        assert findings(whole)["nvidia-cusparse-cu12"] == findings(whole)["nvidia-cusolver-cu12"] == ["cuda-name"]
        assert "cuda-majors" not in findings(whole).get("", [])
    (found,) = judge([cusparse], GB10, kind="wheel", subject="x").packages
    assert found.findings[0].seen == "its name says CUDA 12, whose own libraries it brings"


def test_nvjitlink_tells_the_major():
    """libraft-cu13 and pylibraft-cu12 need it under the major of CUDA."""
    right = package("raft", "1", library("raft/_c.so", needed=("libnvJitLink.so.13", "libcusparse.so.12")))
    wrong = package("raft", "1", library("raft/_c.so", needed=("libnvJitLink.so.12", "libcusparse.so.12")))
    assert findings(judge([right], GB10, kind="wheel", subject="x")) == {}
    assert findings(judge([wrong], GB10, kind="wheel", subject="x")) == {"raft": ["cuda-major"]}


COPY = "libcudart-9335f6a2.so.12.1.105"


def test_a_private_copy_is_used_by_its_package():
    """spconv-cu121 and pygpubench: their module needs exactly the file that the wheel brings."""
    copy = library(f"spconv.libs/{COPY}", soname=COPY)
    facts = package("spconv-cu121", "2.3.8", library("spconv/core_cc.so", "sm_120", needed=(COPY,)), copy)
    assert findings(judge([facts], GB10, kind="wheel", subject="x")) == {}
    helper = library("spconv.libs/libhelper-12345678.so", needed=(COPY,), soname="libhelper-12345678.so")
    through = package("kernels", "1", library("k/_C.so", needed=("libhelper-12345678.so",)), helper, copy)
    assert findings(judge([through], GB10, kind="wheel", subject="x")) == {}
    idle = package("kernels", "1", library("k/_C.so"), copy)
    assert findings(judge([idle], GB10, kind="wheel", subject="x")) == {"kernels": ["cuda-unused"]}


def test_libraries_that_need_each_other_do_not_use_each_other():
    cublas = package(
        "nvidia-cublas-cu12", "12.9.1",
        library("lib/libcublas.so.12", soname="libcublas.so.12", needed=("libcublasLt.so.12",)),
        library("lib/libcublasLt.so.12", soname="libcublasLt.so.12"),
        library("lib/libnvblas.so.12", soname="libnvblas.so.12", needed=("libcublas.so.12",)), tag=NVIDIA,
    )  # fmt: skip
    (found,) = judge([cublas], GB10, kind="wheel", subject="x").packages
    assert found.findings[0].seen == "it brings libcublas.so.12, libcublasLt.so.12, CUDA 12's own"


def test_of_a_package_for_another_machine_its_name_says_nothing_more():
    facts = package(
        "spconv-cu121", "2.3.8", library("spconv/core_cc.so", machine="x86_64"),
        tag="cp312-cp312-manylinux_2_28_x86_64",
    )  # fmt: skip
    assert findings(judge([facts], GB10, kind="wheel", subject="x")) == {"spconv-cu121": ["tag"]}
    meta = package("tensorrt-cu12", "11.0")  # without any library it tells what will be asked for
    assert findings(judge([meta], GB10, kind="wheel", subject="x")) == {"tensorrt-cu12": ["cuda-name"]}
