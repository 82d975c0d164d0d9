"""The header of safetensors, against files that the library writes and cut or changed ones."""

from __future__ import annotations

import pytest

from sparksmith.runs.weights import find_header_fault, find_weight_faults


def made(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


ONE = b'{"a": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}, "__metadata__": {"format": "pt"}}'
DAMAGED = "has a header that is damaged"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (made(ONE, b"abc"), None),
        (made(b"{}"), None),
        (made(ONE, b"ab"), f"has {8 + len(ONE) + 2} bytes instead of {8 + len(ONE) + 3}"),
        (made(ONE, b"abcd"), f"has {8 + len(ONE) + 4} bytes instead of {8 + len(ONE) + 3}"),
        (b"", DAMAGED),
        (b"nothing", DAMAGED),
        (made(ONE, b"abc", length=2**63), DAMAGED),
        (made(ONE, b"abc", length=20), DAMAGED),
        (made(b"[1]"), DAMAGED),
        (made(b'{"a": {}}'), DAMAGED),
        (made(b'{"a": 1}'), DAMAGED),
        (made(b"\xff\xff"), DAMAGED),
    ],
)
def test_headers(tmp_path, content, fault):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert find_header_fault(path) == fault
    assert find_weight_faults(tmp_path) == ([f"model.safetensors {fault}"] if fault else [])


def test_what_the_library_writes_is_whole(tmp_path):
    import torch
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(3, 4), "b": torch.zeros(5, dtype=torch.bfloat16)}, tmp_path / "a.safetensors")
    assert find_weight_faults(tmp_path) == []
