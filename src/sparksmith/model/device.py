"""Whether torch sees the GPU."""

from __future__ import annotations

from sparksmith.base.errors import SparksmithError


def check_cuda() -> None:
    """Raises `SparksmithError` where torch sees no GPU; what nvidia-smi shows it need not see."""
    import torch

    if not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        raise SparksmithError(
            f"the GPU is to be used, and torch {torch.__version__} ({built}) sees no GPU",
            "--device cpu, or install the torch of the `train` stack: make",
        )
