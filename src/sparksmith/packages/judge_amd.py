"""Is it for AMD's GPUs: libraries that need ROCm's, which no NVIDIA machine has."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sparksmith.packages.facts import PackageFacts
from sparksmith.packages.finding import Evidence, Finding, Setting, Verdict, own_libraries, some
from sparksmith.packages.judge_cuda import OF_CUDA

# ROCm's own libraries: HIP, the ones on top of it (hipblas, rocblas, rocm_smi64, MIOpen, rccl), and what lies below
OF_AMD = re.compile(
    r"lib(?:amdhip64|amd_comgr|hip(?:blas|blaslt|fft|fft\w*|rand|solver|sparse|sparselt|rtc)?|hiprtc[\w-]*|MIOpen"
    r"|migraphx\w*|roc(?:blas|fft|rand|solver|sparse|m_smi64|m-core|tx64|tracer64|profiler[\w-]*)|rccl|hsa-runtime64)"
    r"\.so(?:\.[\d.]+)?$"
)


def check_amd(package: PackageFacts, setting: Setting) -> Iterator[Finding]:
    """Findings of the rule amd. A package that has a part for CUDA too (bitsandbytes) loads the one that fits."""
    libraries = own_libraries(package, setting.target)
    needs = {each: names for each in libraries if (names := [name for name in each.needed if OF_AMD.match(name)])}
    if not needs or any(each.device_code or any(OF_CUDA.fullmatch(name) for name in each.needed) for each in libraries):
        return
    whole = all(each in needs for each in libraries)
    told = some(sorted({name for found in needs.values() for name in found}))
    yield Finding(
        Verdict.FAILS if whole else Verdict.NOTE, "amd",
        f"it is for AMD's GPUs: it needs {told}" if whole else f"its GPU part is for AMD's GPUs: it needs {told}",
        "a build for CUDA", "ask for its build for CUDA",
        tuple(
            Evidence(each.path, f"NEEDED {some(found)}", each.bytes)
            for each, found in sorted(needs.items(), key=lambda one: -one[0].bytes)[:3]
        ),
    )  # fmt: skip
