"""Packages together: judged against their own torch, and what is wrong among them."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files

import jsonschema
import pytest
from made_facts import ARM, NEW_PTXAS, bitsandbytes, code, installed, library, package, torch, triton, vllm

from sparksmith.packages.facts import Compiled, LibraryFacts
from sparksmith.packages.finding import Verdict, worst
from sparksmith.packages.loading import MissingLibrary
from sparksmith.packages.resolution import Fallback
from sparksmith.packages.verdict import judge
from sparksmith.policy.faults import RULES
from sparksmith.policy.targets import load_target

GB10 = load_target("gb10")
TRITON = triton("3.7.1", ptxas_blackwell=((13, 1), NEW_PTXAS))
CUDART = package(
    "nvidia-cuda-runtime", "13.0.96", library("nvidia/cu13/lib/libcudart.so.13", soname="libcudart.so.13"),
    tag=f"py3-none-{ARM}",
)  # fmt: skip
CUBLAS = package(
    "nvidia-cublas", "13.1.0",
    library("nvidia/cu13/lib/libcublas.so.13", "sm_120", soname="libcublas.so.13", needed=("libcublasLt.so.13",)),
    library("nvidia/cu13/lib/libcublasLt.so.13", "sm_120", soname="libcublasLt.so.13"), tag=f"py3-none-{ARM}",
)  # fmt: skip
OTHERS = [
    package(f"nvidia-{name}", "12", library(f"nvidia/{name}.so", "sm_120", soname=f"lib{name}.so.12"),
            tag=f"py3-none-{ARM}")
    for name in ("cufft", "cusparse")
]  # fmt: skip
BASE = [TRITON, CUDART, CUBLAS, *OTHERS]


def judge_list(*packages, kind="list", **more):
    return judge(packages, GB10, kind=kind, subject="requirements.txt", **more)


def verdicts(whole) -> dict[str, str]:
    return {each.name: each.verdict.value for each in whole.packages}


def about_the_set(whole) -> list[tuple[str, str]]:
    return [(each.rule, each.verdict.value) for each in whole.findings]


def test_a_good_set():
    whole = judge_list(torch("2.13.0", "13.0"), bitsandbytes("0.50.2", "118", "129", "130", "132"), *BASE)
    assert (whole.verdict, whole.findings) == ("runs", ())
    assert set(verdicts(whole).values()) == {"runs"}
    assert (whole.setting.cuda, whole.setting.cuda_of) == ((13, 0), "as torch 2.13.0 is")
    states = {each.path: each.state for package in whole.packages for each in package.libraries}
    assert states["bitsandbytes/libbitsandbytes_cuda130.so"] == "runs"
    assert states["bitsandbytes/libbitsandbytes_cuda132.so"] == "not used"
    assert states["bitsandbytes/libbitsandbytes_cuda118.so"] == "not used"


def test_bitsandbytes_is_judged_by_the_library_of_torchs_cuda():
    whole = judge_list(torch("2.15.0", "13.2"), bitsandbytes("0.48.0", "129", "130"), *BASE)
    assert verdicts(whole)["bitsandbytes"] == "will not run"
    (finding,) = next(each for each in whole.packages if each.name == "bitsandbytes").findings
    assert (finding.rule, finding.fault) == ("cuda-library-minor", "bitsandbytes-other-minor")
    assert finding.seen == "it has libraries for CUDA 12.9, 13.0"
    assert finding.expected == "one for CUDA 13.2 (as torch 2.15.0 is)"
    assert judge_list(torch("2.13.0", "13.0"), bitsandbytes("0.48.0", "129", "130"), *BASE).verdict == "runs"
    assert judge_list(torch("2.15.0", "13.2"), bitsandbytes("0.50.2", "130", "132"), *BASE).verdict == "runs"
    # with a torch for CUDA 12 its CUDA 12 library counts, which has no code for 12.1
    old = judge_list(torch("2.10.0+cu129", "12.9"), bitsandbytes("0.48.0", "129", "130"), TRITON)
    (finding,) = next(each for each in old.packages if each.name == "bitsandbytes").findings
    assert finding.rule == "device-code"


def test_kernels_that_another_package_brings_for_some_work_only():
    dead = package("sgl_flash_mla", "1.0.0", library("flash_mla/cuda.abi3.so", "sm_90a", "sm_100a"))
    whole = judge_list(torch("2.15.0", "13.2"), dead, package("sglang", "0.5.23"), *BASE)
    assert (whole.verdict, verdicts(whole)["sgl_flash_mla"]) == ("runs with a note", "runs with a note")
    (finding,) = next(each for each in whole.packages if each.name == "sgl_flash_mla").findings
    assert finding.seen == (
        "none of its GPU code runs on 12.1: sm_90a, sm_100a; sglang uses it for DeepSeek V4's attention only, and runs "
        "without"
    )
    assert (finding.fix, finding.fault) == (None, None)
    # by themselves they are what was asked for
    for whole in (judge_list(torch("2.15.0", "13.2"), dead, *BASE), judge([dead], GB10, kind="wheel", subject="x")):
        assert verdicts(whole)["sgl_flash_mla"] == "will not run"


@pytest.mark.parametrize(("target", "verdict"), [("jetson-thor", "runs with a note"), ("gb10", "runs")])
def test_nvshmem_does_not_fail_every_torch_on_a_jetson_thor(target, verdict):
    """nvidia-nvshmem-cu13 3.7.2 has no sm_110; torch loads it for symmetric memory alone."""
    host = library(
        "nvidia/nvshmem/lib/libnvshmem_host.so.3", "sm_90", "sm_100", "sm_120", soname="libnvshmem_host.so.3"
    )
    nvshmem = package("nvidia-nvshmem-cu13", "3.7.2", host, tag=f"py3-none-{ARM}")
    whole = judge([torch("2.15.0", "13.2"), nvshmem], load_target(target), kind="list", subject="torch")
    assert verdicts(whole)["nvidia-nvshmem-cu13"] == verdict


def test_a_set_for_cuda_12_goes_by_its_torch():
    runtime = library("nvidia/cuda_runtime/lib/libcudart.so.12", soname="libcudart.so.12")
    cudart = package("nvidia-cuda-runtime-cu12", "12.8.90", runtime, tag=f"py3-none-{ARM}")
    kernels = package("kernels", "1", library("kernels/_C.abi3.so", "sm_120", needed=("libcudart.so.12",)))
    whole = judge_list(torch("2.9.0+cu128", "12.8"), cudart, kernels, kind="folder")
    assert (whole.verdict, about_the_set(whole)) == ("runs", [])
    assert judge([kernels], GB10, kind="wheel", subject="x").verdict == "will not run"
    # beside a torch for CUDA 13 the kernels fail, the CUDA 12 runtime is ballast
    mixed = judge_list(torch("2.13.0", "13.0"), cudart, kernels, *BASE)
    assert verdicts(mixed)["kernels"] == "will not run"
    assert verdicts(mixed)["nvidia-cuda-runtime-cu12"] == "runs with a note"
    (finding,) = mixed.findings
    assert (finding.rule, finding.fault) == ("cuda-majors", "cuda-major-mixed")
    assert finding.seen == "packages for different CUDA majors: CUDA 12: kernels; CUDA 13: torch"


def test_a_torch_that_the_driver_is_too_old_for():
    whole = judge_list(torch("3.0.0", "14.0"), kind="folder")
    (finding,) = whole.packages[0].findings
    assert (finding.rule, finding.seen) == ("cuda-newer", "it is built for CUDA 14.0")


def test_torchs_cuda_is_read_from_its_libraries_where_it_does_not_say():
    silent = replace(torch("2.13.0", "13.0"), declared_cuda=None)
    whole = judge_list(silent, bitsandbytes("0.48.0", "130"), *BASE)
    assert (whole.verdict, whole.setting.cuda, whole.setting.cuda_text) == ("runs", (13, None), "13")


def test_what_a_naive_resolution_writes():
    """vllm 0.11.2 for CUDA 12 beside the CPU torch that it pins."""
    whole = judge_list(
        torch("2.9.0", ""), vllm("0.11.2", 12, requires=("torch==2.9.0",)), *BASE, platform="aarch64-unknown-linux-gnu"
    )
    assert whole.verdict == "will not run"
    assert {name for name, verdict in verdicts(whole).items() if verdict == "will not run"} == {"torch", "vllm"}
    by_name = {each.name: each for each in whole.packages}
    assert by_name["torch"].findings[0].fault == "torch-cpu-build"
    assert "vllm-before-0-20" in {finding.fault for finding in by_name["vllm"].findings}
    naive = [finding for finding in whole.findings if finding.fault == "naive-platform"]
    assert "--python-platform aarch64-manylinux_2_39" in str(naive[0].fix)


@pytest.mark.parametrize("platform", ["x86_64-manylinux_2_28", "x86_64-unknown-linux-gnu", "linux", "windows", "macos"])
def test_what_was_resolved_for_another_machine_is_said(platform):
    (found,) = judge_list(torch("2.13.0", "13.0"), *BASE, platform=platform).findings
    assert (found.verdict, found.rule) == ("runs with a note", "resolved-for")
    assert platform in found.seen and "--python-platform aarch64-manylinux_2_39 --python-version 3.12" in found.fix


def test_what_was_resolved_for_this_machine_is_not():
    assert judge_list(torch("2.13.0", "13.0"), *BASE, platform="aarch64-manylinux_2_39").findings == ()


def test_a_build_with_a_label_is_no_known_fault():
    whole = judge_list(torch("2.13.0", "13.0"), vllm("0.19.1+cu130", 13), *BASE)
    assert verdicts(whole)["vllm"] == "runs with a note"
    x86 = load_target("h200")
    assert not judge([package("vllm", "0.19.1")], x86, kind="wheel", subject="x").packages[0].findings


UNSLOTH = package("unsloth", "2026.10.7", requires=(
    "torch<2.15,>=2.4", "transformers!=4.57.0,<=5.17.0", "bitsandbytes!=0.46.0,!=0.48.0,>=0.45.5",
    "trl<=1.15.0; extra == 'never'", "numpy; sys_platform == 'win32' and python_version < '3'", "a broken line <",
))  # fmt: skip


@pytest.mark.parametrize(("kind", "verdict"), [("list", "will not run"), ("environment", "runs with a note")])
def test_bounds_between_packages(kind, verdict):
    packages = [UNSLOTH, bitsandbytes("0.48.0", "130"), torch("2.13.0", "13.0"), package("trl", "1.16.0"), *BASE]
    whole = judge_list(*packages, kind=kind)
    (finding,) = whole.findings
    assert (finding.rule, finding.verdict, finding.fault) == ("bounds", verdict, "unsloth-bounds")
    assert finding.seen == ("unsloth 2026.10.7 asks for bitsandbytes!=0.46.0,!=0.48.0,>=0.45.5, and here is 0.48.0")
    assert whole.verdict == verdict
    good = judge_list(UNSLOTH, bitsandbytes("0.50.2", "130"), torch("2.13.0+cu130", "13.0"), *BASE, kind=kind)
    assert good.findings == ()


def test_a_torch_that_is_missing():
    whole = judge_list(vllm("0.32.0", 13), CUDART)
    assert about_the_set(whole) == [("torch-missing", "will not run")]
    assert whole.findings[0].evidence[0].what == "NEEDED libtorch.so"
    assert about_the_set(judge_list(vllm("0.32.0", 13), CUDART, kind="folder")) == [
        ("torch-missing", "runs with a note")
    ]


def test_libraries_from_outside():
    whole = judge_list(torch("2.13.0", "13.0"), TRITON)
    assert about_the_set(whole) == [("library-missing", "runs with a note")]
    assert "libcublas.so.13, libcudart.so.13, libcufft.so.12 and 1 more" in whole.findings[0].seen
    # of an environment the loader's own search is told
    missing = [MissingLibrary("torch", "torch/_C.so", "libgfortran.so.5")]
    environment = judge_list(installed(torch("2.13.0", "13.0")), kind="environment", missing=missing)
    assert about_the_set(environment) == [("library-missing", "runs with a note")]
    assert environment.findings[0].seen.startswith("torch/_C.so needs libgfortran.so.5")


def test_a_resolver_that_settled_for_less():
    fallback = Fallback(
        "hidden", "vllm", "0.11.2", "0.32.0", reason="for glibc 2.31 or newer", asked="vllm", allowed=True
    )
    whole = judge_list(torch("2.13.0", "13.0"), *BASE, fallbacks=[fallback])
    assert about_the_set(whole) == [("fallback", "runs with a note")]
    assert whole.findings[0].seen == (
        "vllm 0.11.2 was taken; the newest, 0.32.0, has wheels that do not fit here (for glibc 2.31 or newer)"
    )
    assert "vllm>=0.32.0" in str(whole.findings[0].fix)


def test_libraries_for_several_cudas_in_one_package():
    both = package(
        "kernels", "1", library("k/k12.so", "sm_90", needed=("libcudart.so.12",)),
        library("k/k13.so", "sm_120", needed=("libcudart.so.13",)),
    )  # fmt: skip
    whole = judge_list(torch("2.13.0", "13.0"), both, *BASE)
    assert verdicts(whole)["kernels"] == "runs with a note"
    assert whole.findings == ()


def test_a_torchvision_for_another_cuda():
    vision = package("torchvision", "0.24.0", library("torchvision/_C.so", "sm_120"), declared_cuda="12.8")
    whole = judge_list(torch("2.13.0", "13.0"), vision, *BASE)
    assert verdicts(whole)["torchvision"] == "will not run"
    cpu = replace(vision, declared_cuda="", libraries=(library("torchvision/_C.so"),))
    (finding,) = next(
        each for each in judge_list(torch("2.13.0", "13.0"), cpu, *BASE).packages if each.name == "torchvision"
    ).findings
    assert (finding.rule, finding.verdict) == ("cpu-build", "runs with a note")


@pytest.mark.parametrize(
    ("name", "version", "rules"),
    [
        ("nvidia-nccl-cu12", "2.27.5", ["cuda-name"]),
        ("jax-cuda12-plugin", "0.12.0", ["cuda-name"]),
        ("kernels", "1.0+cu128torch2.9", ["cuda-name"]),
        ("kernels", "1.0+cu128", ["cuda-name"]),
        ("kernels", "1.0+cu130", []),
        ("nvidia-nccl-cu13", "2.28.9", []),
        ("mlx-cuda-13", "0.32.4", []),
        ("cu12345", "1.0", []),
        ("focus12", "1.0", []),
    ],
)
def test_a_name_that_speaks_of_another_cuda(name, version, rules):
    facts = package(name, version, library("lib/libnccl.so.2", "sm_120"))
    (found,) = judge([facts], GB10, kind="wheel", subject="x").packages
    assert [finding.rule for finding in found.findings] == rules
    assert found.verdict == ("runs with a note" if rules else "runs")


def test_ptxas_that_says_nothing():
    (found,) = judge([triton("4.0", ptxas=((14, 0), ()))], GB10, kind="wheel", subject="x").packages
    assert (found.verdict, found.findings[0].rule) == ("cannot tell", "ptxas")


def test_the_worst_of_all():
    assert worst([]) is Verdict.RUNS
    assert worst([Verdict.NOTE, Verdict.FAILS, Verdict.UNKNOWN]) is Verdict.FAILS
    assert worst([Verdict.UNKNOWN, Verdict.NOTE]) is Verdict.UNKNOWN
    assert worst([Verdict.NOTE, Verdict.RUNS]) is Verdict.NOTE


def test_the_record_follows_its_schema():
    schema = json.loads((files("sparksmith.packages") / "schemas" / "audit.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    ptx = package("ptx", "1", library("ptx/_C.abi3.so", "compute_120@9.0", "sm_90a"))
    whole = judge_list(torch("2.9.0", ""), vllm("0.11.2", 12), bitsandbytes("0.48.0", "130"), UNSLOTH, ptx)
    record = json.loads(json.dumps(whole.to_json()))
    validator.validate(record)
    assert record["counts"] == {"runs": 2, "runs with a note": 1, "cannot tell": 0, "will not run": 2}
    assert record["verdict"] == "will not run"
    assert not validator.is_valid({**record, "version": 2})
    assert not validator.is_valid({**record, "verdict": "maybe"})


def test_every_rule_that_the_judges_use_is_known_to_the_faults():
    named = set()
    folder = files("sparksmith.packages")
    for entry in folder.iterdir():
        if entry.name.startswith("judge_"):
            text = entry.read_text(encoding="utf-8")
            named |= {rule for rule in RULES if f'"{rule}"' in text}
    assert named == set(RULES)


def test_a_library_without_a_machine_of_ours_is_left_alone():
    odd = LibraryFacts("p/libfirmware.so", 10, "riscv64", device_code=code("sm_80"))
    (found,) = judge([package("p", "1", odd, library("p/_c.so"))], GB10, kind="wheel", subject="x").packages
    assert found.verdict == "runs"
    assert [each.state for each in found.libraries] == ["not used", "no GPU code"]


def test_cuda_source_is_compiled_at_first_use():
    """gsplat 1.5.3: nothing of it is compiled before, for any GPU."""
    source = (Compiled("CUDA", "gsplat/cuda/csrc/Tile.cu", "a source file, and 19 more", 36982),)
    gsplat = package("gsplat", "1.5.3", tag="py3-none-any", compiles=source)
    found = judge_list(torch("2.15.0", "13.2"), gsplat)
    (told,) = (each for one in found.packages for each in one.findings)
    assert (found.verdict, told.rule, told.verdict) == (Verdict.NOTE, "at-use", Verdict.NOTE)
    assert told.expected == ("nvcc of CUDA 13.2 (as torch 2.15.0 is), which has to know sm_121, and a C++ compiler")
    assert "TORCH_CUDA_ARCH_LIST=12.1 " in str(told.fix)
