"""Whether a file of weights can be one: the header of safetensors, read without the library.

The format (huggingface/safetensors, README): eight bytes, little-endian, with the header's length; the header, JSON, in
which each tensor has its `data_offsets`; the tensors' bytes, to the end of the file.
"""

from __future__ import annotations

import json
from pathlib import Path

LONGEST_HEADER = 100_000_000  # as the library has it


def find_header_fault(path: Path) -> str | None:
    """What is wrong with the header of a .safetensors file, in words, or None. Raises `OSError`."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(LONGEST_HEADER, size - 8):
            return "has a header that is damaged"
        try:
            header = json.loads(file.read(length))
            ends = [int(tensor["data_offsets"][1]) for name, tensor in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            return "has a header that is damaged"
    expected = 8 + length + max(ends, default=0)
    return None if size == expected else f"has {size} bytes instead of {expected}"


def find_weight_faults(folder: Path) -> list[str]:
    """What is wrong with the .safetensors files of a model's folder, as far as their headers and sizes show."""
    found = []
    for path in sorted(folder.glob("*.safetensors")):
        try:
            fault = find_header_fault(path)
        except OSError as error:
            fault = f"cannot be read ({error.strerror})"
        if fault:
            found.append(f"{path.name} {fault}")
    return found
