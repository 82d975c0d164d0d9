"""Which libraries no loader would find, and which it would after all."""

from __future__ import annotations

from pathlib import Path

import pytest

from packages.made_environments import install, make_venv
from packages.make_elf import make_elf
from sparksmith.packages.installed import read_environment_facts

SITE = "lib/python3.12/site-packages"
MODULE = "x/_C.cpython-312-aarch64-linux-gnu.so"


def missing(root: Path) -> list[tuple[str, str, str | None]]:
    """(library, needed, elsewhere)"""
    found = read_environment_facts(root, use_cache=False).missing
    return [(one.library.removeprefix(f"{SITE}/"), one.needed, one.elsewhere) for one in found]


def test_nowhere(tmp_path):
    """vLLM's wheel for CUDA 12 beside a torch for CUDA 13."""
    site = make_venv(tmp_path)
    install(site, "torch", files={"torch/lib/libtorch.so": make_elf()})
    install(site, "vllm", files={"vllm/_C.abi3.so": make_elf(needed=["libtorch.so", "libcudart.so.12", "libc.so.6"])})
    assert missing(tmp_path) == [("vllm/_C.abi3.so", "libcudart.so.12", None)]
    (one,) = read_environment_facts(tmp_path).missing
    assert one.sentence() == (
        f"{SITE}/vllm/_C.abi3.so needs libcudart.so.12, which is neither in this environment nor in the system"
    )


@pytest.mark.parametrize(
    ("needed", "runpath", "where"),
    [
        ("liby.so.1", "$ORIGIN", "x/liby.so.1"),
        ("liby.so.1", "/absent:${ORIGIN}/../y.libs", "y.libs/liby.so.1"),
        ("liby.so.1", "$ORIGIN/../nvidia/cu13/lib", "nvidia/cu13/lib/liby.so.1"),
        ("liby.so.1", None, "x/deep/liby.so.1"),  # its own package loads it
    ],
)
def test_beside(tmp_path, needed, runpath, where):
    files = {MODULE: make_elf(needed=[needed], runpath=runpath), where: make_elf()}
    install(make_venv(tmp_path), "x", files=files)
    assert missing(tmp_path) == []


def test_a_file_beside_that_no_record_names(tmp_path):
    site = make_venv(tmp_path)
    install(site, "x", files={MODULE: make_elf(needed=["liby.so.1"], runpath="$ORIGIN/../y")})
    assert missing(tmp_path) == [(MODULE, "liby.so.1", None)]
    (site / "y").mkdir()
    (site / "y/liby.so.1").touch()
    assert missing(tmp_path) == []


def test_what_torch_loads_before(tmp_path):
    site = make_venv(tmp_path)
    module = make_elf(needed=["libcublas.so.13", "libtorch_python.so"])
    install(site, "x", files={MODULE: module})
    install(site, "nvidia-cublas", files={"nvidia/cu13/lib/libcublas.so.13": make_elf()})
    assert missing(tmp_path) == [
        (MODULE, "libtorch_python.so", None),
        (MODULE, "libcublas.so.13", "nvidia-cublas"),
    ]
    install(site, "torch", files={"torch/lib/libtorch_python.so": make_elf()})
    assert missing(tmp_path) == []


def test_what_a_required_package_has(tmp_path):
    site = make_venv(tmp_path)
    install(site, "x", files={MODULE: make_elf(needed=["libarrow.so.2600"])})
    install(site, "pyarrow", files={"pyarrow/libarrow.so.2600": make_elf()})
    assert missing(tmp_path) == [(MODULE, "libarrow.so.2600", "pyarrow")]
    (one,) = read_environment_facts(tmp_path).missing
    assert "which pyarrow has, where no loader looks" in one.sentence()
    install(site, "y", requires=["PyArrow>=20 ; python_version > '3'"])
    (site / "x-1.0.dist-info/METADATA").write_text("Name: x\nVersion: 1.0\nRequires-Dist: y[all]\n")
    assert missing(tmp_path) == []


def test_found_by_soname(tmp_path):
    files = {MODULE: make_elf(needed=["liby.so.1"]), "x/liby-1a2b.so": make_elf(soname="liby.so.1")}
    install(make_venv(tmp_path), "x", files=files)
    assert missing(tmp_path) == []


def test_through_another_library(tmp_path):
    files = {MODULE: make_elf(needed=["libfirst.so"]), "x/libfirst.so": make_elf(needed=["libsecond.so"])}
    install(make_venv(tmp_path), "x", files=files)
    assert missing(tmp_path) == [("x/libfirst.so", "libsecond.so", None)]


@pytest.mark.parametrize(
    "path",
    [
        "bitsandbytes/libbitsandbytes_cuda118.so",  # for another CUDA
        "nvidia/nvshmem/lib/nvshmem_transport_ucx.so.3",  # for another fabric
        "mpi4py/MPI.openmpi.cpython-312-aarch64-linux-gnu.so",  # one of several
        "x/_C.cpython-311-aarch64-linux-gnu.so",  # for another Python
    ],
)
def test_what_is_loaded_by_name_is_left_alone(tmp_path, path):
    install(make_venv(tmp_path), "x", files={path: make_elf(needed=["libcudart.so.11.0"])})
    assert missing(tmp_path) == []


def test_libraries_of_another_machine_are_left_alone(tmp_path):
    site = make_venv(tmp_path)
    install(site, "a", files={"a/_C.abi3.so": make_elf()})
    install(site, "x", files={"x/_C.abi3.so": make_elf(machine="x86_64", needed=["libabsent.so"])})
    assert missing(tmp_path) == []


@pytest.mark.parametrize(
    "name",
    [
        "libc.so.6", "ld-linux-aarch64.so.1", "libpthread.so.0", "libstdc++.so.6", "libgcc_s.so.1", "libgomp.so.1",
        "libcuda.so.1", "libnvidia-ml.so.1", "libnvidia-ptxjitcompiler.so.1", "libpython3.12.so.1.0", "libz.so.1",
        "libGL.so.1", "libnvscibuf.so.1",
    ],
)  # fmt: skip
def test_what_a_foreign_system_is_believed_to_have(tmp_path, name):
    (tmp_path / "etc").mkdir()
    (tmp_path / "usr/lib").mkdir(parents=True)  # a root, but no libc: nothing is known of its system
    install(make_venv(tmp_path / "venv"), "x", files={MODULE: make_elf(needed=[name])})
    assert missing(tmp_path / "venv") == []


def test_a_containers_own_folders_are_looked_into(tmp_path):
    libraries = tmp_path / "usr/lib/aarch64-linux-gnu"
    libraries.mkdir(parents=True)
    (libraries / "libc.so.6").touch()
    (libraries / "libstdc++.so.6").touch()
    (tmp_path / "etc/ld.so.conf.d").mkdir(parents=True)
    (tmp_path / "etc/ld.so.conf.d/cuda.conf").write_text("# CUDA\n/usr/local/cuda/lib\n")
    (tmp_path / "etc/alternatives").mkdir()
    (tmp_path / "etc/alternatives/cuda").symlink_to("/usr/local/cuda-13.0")
    (tmp_path / "usr/local/cuda-13.0/lib").mkdir(parents=True)
    (tmp_path / "usr/local/cuda").symlink_to("/etc/alternatives/cuda")
    (tmp_path / "usr/local/cuda-13.0/lib/libcudart.so.13").touch()
    needed = ["libc.so.6", "libm.so.6", "libstdc++.so.6", "libcudart.so.13", "libcuda.so.1", "libGL.so.1"]
    install(make_venv(tmp_path / "opt/venv"), "cv2", files={"cv2/_C.abi3.so": make_elf(needed=needed)})
    assert missing(tmp_path / "opt/venv") == [("cv2/_C.abi3.so", "libGL.so.1", None)]


def test_names_are_printed_on_one_line(tmp_path):
    install(make_venv(tmp_path), "x", files={MODULE: make_elf(needed=["lib\nx: runs.so"])})
    assert missing(tmp_path) == [(MODULE, "lib\\nx: runs.so", None)]
