"""The environment variables that decide what training does, and why each is looked at.

A token is never read: only that it is set. A value that is a URL or an address is not kept either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sparksmith.base.redact import redact_text
from sparksmith.machine.distributions import printable
from sparksmith.machine.subject import Subject

SET = "[set]"  # in place of a value that is nobody's business
WATCHED: dict[str, str] = {
    "CUDA_HOME": "where source builds, and Triton's ptxas at last, look for the toolkit",
    "CUDA_PATH": "the same for some build scripts",
    "CUDA_VISIBLE_DEVICES": "an empty one hides the GPU",
    "CUDA_LAUNCH_BLOCKING": "set while debugging and forgotten, it makes everything slow",
    "CUDA_MODULE_LOADING": "EAGER loads every kernel into memory",
    "CUDA_VERSION": "which CUDA an image was made with",
    "NVIDIA_VISIBLE_DEVICES": "`void` in a container: it was started without --gpus",
    "NVIDIA_DRIVER_CAPABILITIES": "without `compute` a container has no CUDA",
    "NVIDIA_DISABLE_REQUIRE": "switches off an image's check of the driver",
    "NVIDIA_PYTORCH_VERSION": "the release of NVIDIA's PyTorch image",
    "PYTORCH_CUDA_ALLOC_CONF": "some settings of the allocator make memory grow without bound",
    "PYTORCH_ALLOC_CONF": "the same, by its newer name",
    "PYTORCH_NO_CUDA_MEMORY_CACHING": "allocates anew each time",
    "TORCH_CUDA_ARCH_LIST": "what source builds are compiled for; without 12.x nothing runs on a GB10",
    "TORCHINDUCTOR_CACHE_DIR": "where compiled kernels are kept",
    "TORCHDYNAMO_DISABLE": "switches compiling off",
    "TRITON_PTXAS_PATH": "the ptxas that Triton calls instead of its own",
    "TRITON_PTXAS_BLACKWELL_PATH": "the same for Blackwell, in newer Tritons",
    "TRITON_CACHE_DIR": "where Triton keeps kernels; on a network disk it is slow",
    "LD_LIBRARY_PATH": "puts other CUDA libraries before those of the packages",
    "LD_PRELOAD": "the same, for all programs",
    "LIBRARY_PATH": "where a linker looks at build time",
    "PATH": "which nvcc and ptxas are found",
    "PYTHONPATH": "puts other packages before the environment's",
    "PYTHONHOME": "another standard library",
    "PYTHONNOUSERSITE": "whether packages in the home folder are seen",
    "PYTHONDONTWRITEBYTECODE": "doubles the time that importing takes, every time",
    "VIRTUAL_ENV": "the environment that is active",
    "CONDA_PREFIX": "the conda environment that is active",
    "CC": "the compiler that Triton and inductor call",
    "CXX": "the compiler that extensions are built with",
    "MAX_JOBS": "how many compilers a source build starts; many take all memory",
    "PIP_CONSTRAINT": "an image of NVIDIA's holds versions fast with it",
    "PIP_BREAK_SYSTEM_PACKAGES": "lets pip write over the system's packages",
    "PIP_INDEX_URL": "another index has other builds",
    "PIP_EXTRA_INDEX_URL": "the same",
    "HF_HOME": "where models are kept",
    "HF_HUB_CACHE": "the same",
    "HF_HUB_OFFLINE": "nothing is downloaded",
    "TRANSFORMERS_OFFLINE": "the same",
    "TRANSFORMERS_CACHE": "no longer read by Transformers 5",
    "HF_HUB_ENABLE_HF_TRANSFER": "an older huggingface-hub stops where hf_transfer is not installed",
    "HF_TOKEN": "gated models need one",
    "HUGGING_FACE_HUB_TOKEN": "the same, by its older name",
    "WANDB_API_KEY": "`--report_to wandb` needs one",
    "WANDB_MODE": "offline or disabled",
    "XDG_CACHE_HOME": "where caches are kept",
    "TMPDIR": "where temporary files go",
    "OMP_NUM_THREADS": "threads of the CPU's arithmetic",
    "TOKENIZERS_PARALLELISM": "threads of the tokenizer",
    "MASTER_ADDR": "where the ranks of a run meet",
    "RAY_memory_monitor_refresh_ms": "Ray's monitor counts page cache as used and kills (vLLM on a Spark sets 0)",
    "DOCKER_HOST": "another docker than this machine's",
    "KUBERNETES_SERVICE_HOST": "a container of Kubernetes",
    "container": "a container that says what it is",
}
# All variables of these families, so that one that is misspelt is seen too (UV_SYNC for UV_NO_SYNC).
FAMILIES = (
    "UV_", "NCCL_", "GLOO_", "UCX_", "VLLM_", "TRITON_", "TORCH", "PYTORCH_", "UNSLOTH_", "BNB_", "XFORMERS_", "FLASH",
    "ACCELERATE_", "DS_", "LIGER_", "SPARKSMITH_",
)  # fmt: skip
SECRET = re.compile(r"(?i)(?:^|_)(?:\w*token|\w*api_?key|\w*secret\w*|\w*passw(?:or)?d\w*|credentials?|auth|username)$")
ADDRESS = re.compile(r"(?i)://|@|^\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?$|^[0-9a-f:]{6,}:[0-9a-f:]*$")
ADDRESSES = re.compile(r"(?i)(?:_URL|_INDEX\w*|_HOST\w*|_ADDR\w*|_FIND_LINKS|_PROXY|INSECURE_HOST)$")
MOST_CHARACTERS = 4000


@dataclass(frozen=True)
class VariableFacts(Subject):
    """`values` by name, of those that are set; SET stands for one that is secret or an address."""

    values: Mapping[str, str]


def keep_value(name: str, value: str) -> str:
    """What may be kept of a variable's value."""
    is_address = ADDRESS.search(value) and not name.endswith("_VERSION")  # 13.0.2.006 is none
    if SECRET.search(name) or ADDRESSES.search(name) or is_address:
        return SET if value else ""
    return printable(redact_text(value))[:MOST_CHARACTERS]


def read_variables(environ: Mapping[str, str]) -> VariableFacts:
    """The watched ones, and the families'."""
    return VariableFacts(
        {
            name: keep_value(name, value)
            for name, value in sorted(environ.items())
            if name.isprintable() and (name in WATCHED or name.startswith(FAMILIES))
        }
    )
