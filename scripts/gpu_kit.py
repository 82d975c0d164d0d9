"""Gather into gpu-kit/ what a CUDA machine without a network needs to run Sparksmith: `make gpu-kit DATA=FOLDER`.

usage: gpu_kit.py UV DATA

The machine is taken to have Python 3.12 on x86-64 with torch, transformers, accelerate, peft and their needs (as
NVIDIA's and most clouds' images do); the kit brings what such an image lacks, unpacked in site/ so that no installer is
needed there. Of bitsandbytes only the library of CUDA 13.0 comes along. At most 40 MiB.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KIT = ROOT / "gpu-kit"
LIMIT_MIB = 40
# Pure Python where the name does not say otherwise. datasets 4.8.5 takes an older pyarrow than 5.2.0 does.
PACKAGES = (
    "trl==1.16.0", "datasets==4.8.5", "dill==0.4.1", "multiprocess==0.70.19", "liger-kernel==0.8.5",
    "bitsandbytes==0.50.2", "pydantic==2.14.3", "pydantic-core==2.50.4", "annotated-types", "typing-inspection",
    "typing-extensions", "rapidfuzz==3.14.6", "click==8.5.1", "pyelftools==0.33", "rich==15.0.0",
)  # fmt: skip
PLATFORMS = ("x86_64-manylinux_2_28",)
DROPPED = ("*.so.debug", "**/tests", "**/__pycache__")


def install(uv: str, target: Path) -> None:
    """The wheels, chosen for the machine and not for this one, unpacked."""
    for platform in PLATFORMS:
        command = [
            uv, "pip", "install", "--quiet", "--target", str(target), "--no-deps", "--only-binary", ":all:",
            "--python-version", "3.12", "--python-platform", platform, *PACKAGES,
        ]  # fmt: skip
        subprocess.run(command, check=True)


def trim(site: Path) -> None:
    """Leave out what no run there can use."""
    for library in (site / "bitsandbytes").glob("*.so"):
        if library.name not in {"libbitsandbytes_cuda130.so", "libbitsandbytes_cpu.so"}:
            library.unlink()
    for pattern in DROPPED:
        for found in site.glob(pattern):
            shutil.rmtree(found) if found.is_dir() else found.unlink()
    shutil.rmtree(site / "bin", ignore_errors=True)


def copy_project(data: Path) -> None:
    """The package, the check with the small model that it makes, and the data."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src/sparksmith", KIT / "site/sparksmith", ignore=ignore)
    shutil.copy(ROOT / "benchmarks/gpu_check.py", KIT / "gpu_check.py")
    shutil.copy(ROOT / "tests/small_models.py", KIT / "small_models.py")
    shutil.copytree(data, KIT / "data", ignore=ignore)
    check = KIT / "check"
    check.write_text(
        "# Run on the CUDA machine: bash gpu-kit/check [--quick]\n"
        'here=$(cd "$(dirname "$0")" && pwd)\n'
        'PYTHONPATH="$here/site:$here" exec "${PYTHON:-python3}" "$here/gpu_check.py" --data "$here/data" "$@"\n'
    )


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    data = Path(sys.argv[2])
    if not data.is_dir():
        raise SystemExit(f"error: {data} is no folder\nhint: make gpu-kit DATA=FOLDER with the files to train on")
    with tempfile.TemporaryDirectory() as scratch:
        site = Path(scratch) / "site"
        install(sys.argv[1], site)
        trim(site)
        shutil.rmtree(KIT, ignore_errors=True)
        KIT.mkdir()
        shutil.move(site, KIT / "site")
    copy_project(data)
    size = sum(file.stat().st_size for file in KIT.rglob("*") if file.is_file()) / 2**20
    if size > LIMIT_MIB:
        raise SystemExit(
            f"error: {os.path.relpath(KIT)} has {size:.1f} MiB, over {LIMIT_MIB}: is {data} the right folder?"
        )
    print(f"{os.path.relpath(KIT)}: {size:.1f} MiB; on the CUDA machine: make gpu-check, or bash gpu-kit/check")


if __name__ == "__main__":
    main()
