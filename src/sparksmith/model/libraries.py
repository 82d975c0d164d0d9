"""How the libraries behave in our processes. To be called before torch is imported; imports nothing heavy itself."""

from __future__ import annotations

import logging
import os
import warnings

ENVIRONMENT = {
    # Threads that wait for each other's cores: with libgomp's default of spinning without end, two other busy processes
    # on two cores made 100 steps of `g2p-hebrew` take over 70 s instead of 5 s; with a bound on the spinning 12 s, and
    # no loss on an idle machine (benchmarks/RESULTS.md, 2026-11-21).
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
