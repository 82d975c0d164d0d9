"""Packages for AMD's GPUs, which look as if they held no GPU code at all."""

from __future__ import annotations

import pytest
from made_facts import library, package

from sparksmith.packages.verdict import judge
from sparksmith.policy.targets import load_target

H200 = load_target("h200")
X86 = "cp312-cp312-manylinux_2_28_x86_64"


def of(*libraries):
    """The verdict, and (rule, seen) of its findings."""
    (found,) = judge([package("p", "1", *libraries, tag=X86)], H200, kind="wheel", subject="x").packages
    return found.verdict, [(each.rule, each.seen) for each in found.findings]


def so(path: str, *needed: str, codes: tuple[str, ...] = ()):
    return library(path, *codes, needed=needed, machine="x86_64")


def test_a_package_that_is_all_for_amd():
    """jax-rocm7-plugin."""
    modules = [so(f"jax_rocm7_plugin/_{name}.so", "libamdhip64.so.7", "libc.so.6") for name in ("solver", "sparse")]
    assert of(*modules) == (
        "will not run", [("amd", "it is for AMD's GPUs: it needs libamdhip64.so.7")]
    )  # fmt: skip


def test_a_package_that_runs_without_its_part_for_amd():
    """onnxruntime-rocm: a module for the CPU, and providers that it loads by name."""
    module = so("onnxruntime/capi/onnxruntime_pybind11_state.so", "libc.so.6")
    provider = so(
        "onnxruntime/capi/libonnxruntime_providers_rocm.so", "libamdhip64.so.7", "libMIOpen.so.1", "libhipblas.so.3"
    )
    assert of(module, provider) == (
        "runs with a note",
        [("amd", "its GPU part is for AMD's GPUs: it needs libMIOpen.so.1, libamdhip64.so.7, libhipblas.so.3")],
    )


def test_a_package_for_both_makers_says_nothing():
    """bitsandbytes has a library for each CUDA and for each ROCm."""
    both = [so("b/libb_cuda130.so", "libcudart.so.13"), so("b/libb_rocm72.so", "libamdhip64.so.7", "libhipblas.so.3")]
    assert of(*both) == ("runs", [])
    code = [so("b/libb.so", codes=("sm_90",)), so("b/libb_rocm72.so", "libamdhip64.so.7")]
    assert of(*code) == ("runs", [])


@pytest.mark.parametrize("name", ["librocksdb.so.9", "libhipster.so", "libroc.so.1", "librocket.so.2"])
def test_other_names_are_not_amds(name):
    assert [rule for rule, _ in of(so("p/deep/down/_c.so", name))[1]] == ["library-missing"]
