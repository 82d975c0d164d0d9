"""How the libraries behave in our processes. To be called before torch is imported; imports nothing heavy itself."""

from __future__ import annotations

import logging
import os
import warnings

ENVIRONMENT = {
    # Threads that wait for each other's cores spin: beside two busy processes on two cores, libgomp's default took 62 s
    # for 84 steps of `g2p-hebrew`, a bound on the spinning 12 s for 100 (benchmarks/RESULTS.md, 2026-11-21).
    "GOMP_SPINCOUNT": "10000",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}
SPEAK_AT_IMPORT = ("torch.utils._pytree", "bitsandbytes")


def settle_libraries() -> None:
    """Set what is not set yet, and keep chatter out of the progress line; errors still raise."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in SPEAK_AT_IMPORT:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=UserWarning)
