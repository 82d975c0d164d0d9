"""Checks of network: a tree for each fault, and trees that look like it."""

from __future__ import annotations

import pytest
from check_cases import cases, compare, unseen

from sparksmith.doctor.check_network import matches


@pytest.mark.parametrize("said", cases("network"))
def test_a_tree_has_what_it_has_and_nothing_else(said, tmp_path):
    compare(said, tmp_path)


def test_every_fault_has_a_tree():
    assert unseen("network") == set()


@pytest.mark.parametrize(
    ("value", "taken"),
    [("enp1s0f0np0", True), ("enp1", True), ("=enp1", False), ("=enp1s0f0np0", True), ("eth,enp", True), ("eth", False),
     ("^eth", True), ("^enp", False), ("^=enp1", True), ("enp1s0f0np0:18515", True), (",", False)],
)  # fmt: skip
def test_names_are_taken_as_nccl_takes_them(value, taken):
    assert matches(value, "enp1s0f0np0") is taken
