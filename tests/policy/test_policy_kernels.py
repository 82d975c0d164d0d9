"""The packages of kernels that others bring along: the shipped rows are whole, and a wrong one is told."""

from __future__ import annotations

import pytest
from packaging.utils import canonicalize_name

from sparksmith.base.errors import SparksmithError
from sparksmith.policy.kernels import load_kernels, parse_kernels


def test_the_shipped_rows():
    rows = load_kernels()
    assert rows["sgl-deep-ep"].brought_by == "sglang"
    for name, row in rows.items():
        assert name == row.name == canonicalize_name(name)
        assert row.brought_by == canonicalize_name(row.brought_by)
        assert not row.work.endswith(".") and row.source and row.date >= "2026-11-29"


def test_every_problem_is_told_at_once():
    with pytest.raises(SparksmithError) as caught:
        parse_kernels('[a]\nbrought_by = "b"\nwork = 3\ndate = 2026-11-29\nwhy = "x"\n')
    assert str(caught.value).splitlines() == [
        "kernels.toml is wrong:", "  a: work is no str", "  a: source is missing", "  a: why is not a key",
    ]  # fmt: skip
