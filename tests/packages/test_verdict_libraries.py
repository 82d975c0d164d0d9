"""Libraries other than CUDA's and torch's that nothing brings."""

from __future__ import annotations

import pytest
from made_facts import ARM, library, package, torch

from sparksmith.packages.verdict import judge
from sparksmith.policy.targets import load_target

GB10 = load_target("gb10")
CORE = "mlx/core.cpython-312-aarch64-linux-gnu.so"
MLX = package(
    "mlx", "0.32.4", library(CORE, needed=("libmlx.so", "libstdc++.so.6", "libc.so.6"), bytes=1_500_000),
    requires=('mlx-cuda-13==0.32.4; extra == "cuda13"',),
)  # fmt: skip
BACKEND = package("mlx-cuda-13", "0.32.4", library("mlx/lib/libmlx.so", "sm_121a", soname="libmlx.so"))


def of_libraries(*packages, kind="list") -> list[tuple[str, str]]:
    """(verdict, what was seen) of the rule library-missing."""
    whole = judge(packages, GB10, kind=kind, subject="requirements.txt")
    findings = [*whole.findings, *(each for package in whole.packages for each in package.findings)]
    return [(each.verdict.value, each.seen) for each in findings if each.rule == "library-missing"]


def test_a_module_that_cannot_be_imported():
    """mlx of the package index: on Linux it requires none of the packages that bring its library."""
    whole = judge([MLX], GB10, kind="list", subject="mlx")
    (finding,) = whole.packages[0].findings
    assert (whole.verdict, finding.rule) == ("cannot tell", "library-missing")
    assert finding.seen == f"{CORE} needs libmlx.so, which nothing here brings"
    assert finding.fix == (
        "add the package that brings it (perhaps one that its extras name), or install it on the machine"
    )
    (evidence,) = finding.evidence
    assert (evidence.file, evidence.what, evidence.bytes) == (CORE, "NEEDED libmlx.so", 1_500_000)
    assert of_libraries(MLX, BACKEND) == []


def test_of_a_lone_wheel_and_of_a_folder_it_is_a_detail():
    told = [("runs", f"{CORE} needs libmlx.so, which another package or the system has to bring")]
    assert of_libraries(MLX, kind="wheel") == of_libraries(MLX, kind="folder") == told
    assert of_libraries(MLX, kind="environment") == []  # there the loader's own search is told


def test_what_a_source_may_bring():
    """tensorrt_cu13_bindings needs what tensorrt_cu13_libs fetches when it is built."""
    source = package("mlx-libs", "1", file="mlx_libs-1.tar.gz", tags=())
    whole = judge([MLX, source], GB10, kind="list", subject="x")
    (finding,) = whole.packages[0].findings
    assert (whole.packages[0].name, finding.verdict, finding.fix) == ("mlx", "cannot tell", None)
    assert finding.seen == f"{CORE} needs libmlx.so, which only mlx-libs may bring, whose libraries are not seen"
    pure = package("pure", "1", file="pure-1.tar.gz", tags=(), compiles=())
    assert of_libraries(MLX, pure)[0][1].endswith("which nothing here brings")


def test_a_package_without_modules_loads_its_one_library_by_name():
    """mxnet 1.9.1 was built against Arm's performance libraries."""
    openblas = library("mxnet/libopenblas.so.0", soname="libopenblas.so.0")
    main = library("mxnet/libmxnet.so", needed=("libarmpl_lp64_mp.so", "libopenblas.so.0", "libm.so.6"))
    assert of_libraries(package("mxnet", "1.9.1", main, openblas)) == [
        ("cannot tell", "mxnet/libmxnet.so needs libarmpl_lp64_mp.so, which nothing here brings")
    ]
    # of several the package loads the one that fits
    codecs = [library(f"torchcodec/libcore{major}.so", needed=(f"libavutil.so.{major}",)) for major in (57, 58)]
    assert of_libraries(package("torchcodec", "0.17.0", *codecs)) == []


def test_a_library_deeper_down_is_a_note():
    deep = library("tensorflow_text/core/ops.so", needed=("libtensorflow_framework.so.2",))
    text = package("tensorflow-text", "2.21.1", deep, library("tensorflow_text/core/more.so"))
    assert [verdict for verdict, _ in of_libraries(text)] == ["runs with a note"]
    own = library("cv2.libs/libavdevice-cd75d6de.so.63", needed=("libcaca.so.0",))
    opencv = package("opencv", "5", library("cv2.abi3.so", needed=("libavdevice-cd75d6de.so.63",)), own)
    assert of_libraries(opencv) == [
        ("runs with a note", "cv2.libs/libavdevice-cd75d6de.so.63 needs libcaca.so.0, which nothing here brings")
    ]


def test_an_option_among_many_modules_is_a_detail():
    """numba's thread pool of TBB, beside those of OpenMP and its own."""
    folder = "numba/np/ufunc"
    pools = [library(f"{folder}/{name}.cpython-312-aarch64-linux-gnu.so") for name in ("omppool", "workqueue")]
    tbb = library(f"{folder}/tbbpool.cpython-312-aarch64-linux-gnu.so", needed=("libtbb.so.12",))
    assert [verdict for verdict, _ in of_libraries(package("numba", "0.65.0", *pools, tbb))] == ["runs"]


def test_what_another_package_of_the_set_loads():
    cudf = package("cudf", "1", library("cudf/lib.abi3.so", needed=("libcudf.so",)))
    libcudf = package("libcudf", "1", library("libcudf/lib64/libcudf.so", needed=("librmm.so",), soname="libcudf.so"))
    assert of_libraries(cudf, libcudf) == [
        ("runs with a note", "libcudf/lib64/libcudf.so needs librmm.so, which nothing here brings")
    ]
    assert of_libraries(libcudf) == []  # nothing loads it
    librmm = package("librmm", "1", library("librmm/lib64/librmm.so"))
    assert of_libraries(cudf, libcudf, librmm) == []


@pytest.mark.parametrize(
    "name",
    [
        "libc.so.6", "libstdc++.so.6", "libX11.so.6", "libxcb.so.1", "libcuda.so.1", "libnvidia-ml.so.1",
        "libtorch_cuda.so", "libc10.so", "/opt/x/libx.so", "libnppicc.so.13",
    ],
)  # fmt: skip
def test_what_a_system_a_driver_torch_or_a_toolkit_brings(name):
    facts = package("kernels", "1", library("kernels/_C.abi3.so", needed=(name,)))
    assert of_libraries(facts, torch("2.13.0", "13.0"), kind="folder") == []


def test_a_module_for_another_python_or_machine_is_not_loaded():
    foreign = [
        library("x/_C.cpython-310-aarch64-linux-gnu.so", needed=("libgone.so.1",)),
        library("x/_C.cpython-312-x86_64-linux-gnu.so", needed=("libgone.so.1",), machine="x86_64"),
    ]
    assert of_libraries(package("x", "1", *foreign, library("x/_C.cpython-312-aarch64-linux-gnu.so"))) == []


def test_cudas_libraries_are_asked_for_in_the_major_of_who_needs_them():
    needed = ("libnvrtc.so.12", "libcufft.so.11", "libcurand.so.10")
    cupy = package("cupy-cuda12x", "14.2.0", library("cupy/core.so", needed=needed))
    assert of_libraries(cupy) == []  # it fails for its CUDA anyway, and CUDA 13's toolkit has no libcufft.so.11
    nvrtc = package("nvidia-cuda-nvrtc-cu12", "12.9.86", library("n/libnvrtc.so.12"), tag=f"py3-none-{ARM}")
    whole = judge([cupy, nvrtc], GB10, kind="list", subject="x")
    (finding,) = whole.findings
    assert (finding.rule, finding.verdict) == ("library-missing", "runs with a note")
    assert finding.seen == "no package brings libcufft.so.11, libcurand.so.10, needed by cupy-cuda12x"
    assert finding.fix == "install the CUDA 12 toolkit, or the nvidia packages that hold them"


def test_a_bound_that_stands_twice_is_told_once():
    asking = package(
        "compressed", "1",
        requires=("torch<2.15.0,>=2.14.0", 'torch<2.15.0,>=2.14.0; python_version >= "3"'),
    )  # fmt: skip
    whole = judge([asking, torch("2.13.0", "13.0")], GB10, kind="list", subject="x")
    (bounds,) = (each for each in whole.findings if each.rule == "bounds")
    assert bounds.seen == "compressed 1 asks for torch<2.15.0,>=2.14.0, and here is 2.13.0"
    assert len(bounds.evidence) == 1
