"""Checks of memory: a tree for each fault, and trees that look like it."""

from __future__ import annotations

import pytest
from check_cases import cases, compare, unseen

from machines.faulty import build_case, look, read_cases
from sparksmith.doctor.check_memory import check_leftovers
from sparksmith.machine.capture import collect_tree


@pytest.mark.parametrize("said", cases("memory"))
def test_a_tree_has_what_it_has_and_nothing_else(said, tmp_path):
    compare(said, tmp_path)


def test_every_fault_has_a_tree():
    assert unseen("memory") == set()


def test_a_copy_of_a_machine_still_knows_its_orphans(tmp_path):
    tree = build_case(read_cases("memory")["leftover-process-of-a-terminal"], tmp_path / "m")
    collect_tree(tmp_path / "copy", tree)
    assert [seen.command for seen in check_leftovers(look(tmp_path / "copy"))] == ["kill 114687"]
