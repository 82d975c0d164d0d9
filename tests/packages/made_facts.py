"""Facts of packages as they are on the package index (aarch64, cp312), by hand, and shorthands to write more."""

from __future__ import annotations

import re

from sparksmith.packages.facts import DeviceCode, LibraryFacts, PackageFacts, ToolFacts

ARM = "manylinux_2_28_aarch64"
CODE = re.compile(r"(sm|compute)_(\d+)([af]?)(?:@(\d+)\.(\d+))?")


def code(*names: str) -> tuple[DeviceCode, ...]:
    """Device code from its names: sm_120f, compute_120@9.0 (the ISA of PTX)."""
    made = []
    for name in names:
        found = CODE.fullmatch(name)
        assert found, name
        isa = (int(found[4]), int(found[5])) if found[4] else None
        kind = "cubin" if found[1] == "sm" else "ptx"
        made.append(DeviceCode(kind, int(found[2]), found[3], isa, count=2, bytes=2_000_000))
    return tuple(made)


def stub(path: str, size: int) -> LibraryFacts:
    """A library with an entry for sm_75 that holds no kernel."""
    return LibraryFacts(path, size, "aarch64", device_code=(DeviceCode("cubin", 75, "", None, count=1, bytes=592),))


def library(path: str, *names: str, needed: tuple[str, ...] = (), machine: str = "aarch64", **more) -> LibraryFacts:
    """An ELF file with device code of these names."""
    return LibraryFacts(
        path, bytes=more.pop("bytes", 9_000_000), machine=machine, needed=needed, device_code=code(*names), **more
    )


def package(name: str, version: str, *libraries: LibraryFacts, tag: str = f"cp312-cp312-{ARM}", **more) -> PackageFacts:
    """A wheel; pure Python without libraries."""
    tag = tag if libraries or "tools" in more or tag != f"cp312-cp312-{ARM}" else "py3-none-any"
    file = more.pop("file", f"{name.replace('-', '_')}-{version}-{tag}.whl")
    tags = more.pop("tags", (tag,))
    return PackageFacts(name, version, file, sha256=None, bytes=9000, tags=tags, libraries=libraries, **more)


def installed(facts: PackageFacts) -> PackageFacts:
    """The same, as an installed distribution."""
    return PackageFacts(**{**{name: getattr(facts, name) for name in facts.__slots__}, "file": ""})


TORCH_CODE = ("sm_80", "sm_90", "sm_100", "sm_110", "sm_120")
CPU_PART = library("torch/lib/libtorch_cpu.so", needed=("libc10.so", "libgomp.so.1", "libc.so.6"), bytes=200_000)


def torch(version: str, cuda: str) -> PackageFacts:
    """A torch for CUDA `cuda`; '' for a CPU build."""
    if not cuda:
        return package("torch", version, CPU_PART, declared_cuda="")
    major = cuda.partition(".")[0]
    needed = (f"libcudart.so.{major}", f"libcublas.so.{major}", "libcufft.so.12", "libcusparse.so.12")
    gpu = library("torch/lib/libtorch_cuda.so", *TORCH_CODE, needed=needed, bytes=489_000_000)
    return package("torch", version, CPU_PART, gpu, declared_cuda=cuda)


def triton(version: str, **compilers: tuple[tuple[int, int], tuple[str, ...]]) -> PackageFacts:
    """A triton with these compilers: name=(release, architectures)."""
    tools = tuple(
        ToolFacts(f"triton/backends/nvidia/bin/{name.replace('_', '-')}", 26_000_000, "aarch64", release, known)
        for name, (release, known) in compilers.items()
    )
    return package("triton", version, library("triton/_C/libtriton.so"), tools=tools)


def bitsandbytes(version: str, *releases: str) -> PackageFacts:
    """A bitsandbytes with a library for each of these CUDA releases ("130")."""
    codes = {"11": ("sm_80", "sm_90"), "12": ("sm_80", "sm_90"), "13": ("sm_80", "sm_90", "sm_120")}
    libraries = [library("bitsandbytes/libbitsandbytes_cpu.so")]
    for release in releases:
        needed = tuple(f"{name}.so.{release[:2]}" for name in ("libcudart", "libcublas", "libcublasLt"))
        path = f"bitsandbytes/libbitsandbytes_cuda{release}.so"
        libraries.append(library(path, *codes[release[:2]], needed=(*needed, "libcusparse.so.12"), bytes=3_900_000))
    return package("bitsandbytes", version, *libraries, tag="py3-none-manylinux_2_24_aarch64")


def vllm(version: str, major: int, **more) -> PackageFacts:
    """A vLLM for a CUDA major; from 13 on its flash attention for Hopper is dead elsewhere, on purpose."""
    needed = (f"libcudart.so.{major}", "libtorch.so", "libc10.so")
    main = ("sm_80", "sm_90", "sm_120f") if major == 13 else ("sm_80", "sm_90", "sm_100a")
    return package(
        "vllm", version,
        library("vllm/_C.abi3.so", *main, needed=needed, bytes=300_000_000),
        library("vllm/vllm_flash_attn/_vllm_fa3_C.abi3.so", "sm_80", "sm_90a", needed=needed, bytes=200_000_000),
        library("vllm/_flashmla_C.abi3.so", "sm_90a", "sm_100a", needed=needed),
        tag="cp38-abi3-manylinux_2_31_aarch64", **more,
    )  # fmt: skip


OLD_PTXAS = ("sm_75", "sm_80", "sm_90", "sm_90a", "sm_100", "sm_100a", "sm_101", "sm_101a", "sm_120", "sm_120a")
NEW_PTXAS = (*OLD_PTXAS, "sm_120f", "sm_121", "sm_121a", "sm_121f")
