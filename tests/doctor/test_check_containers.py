"""Checks of containers: a tree for each fault, and trees that look like it."""

from __future__ import annotations

import pytest
from check_cases import cases, compare, unseen


@pytest.mark.parametrize("said", cases("containers"))
def test_a_tree_has_what_it_has_and_nothing_else(said, tmp_path):
    compare(said, tmp_path)


def test_every_fault_has_a_tree():
    assert unseen("containers") == set()
