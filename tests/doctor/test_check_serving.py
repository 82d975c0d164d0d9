"""Checks of serving: a tree for each fault, and trees that look like it."""

from __future__ import annotations

import pytest
from check_cases import cases, compare, unseen

from sparksmith.doctor.gather import gather


@pytest.mark.parametrize("said", cases("serving"))
def test_a_tree_has_what_it_has_and_nothing_else(said, tmp_path):
    compare(said, tmp_path, lambda tree: gather(tree).examined)


def test_every_fault_has_a_tree():
    assert unseen("serving") == set()
