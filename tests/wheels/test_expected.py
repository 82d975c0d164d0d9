"""The table of real wheels against their shipped facts; `make test-wheels` reads the wheels themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from packaging.utils import parse_wheel_filename

from sparksmith.packages.facts import PackageFacts
from sparksmith.packages.known import parse_row, shipped_rows
from wheels.check_wheels import Row, differences, read_rows

ROWS = read_rows()


def shipped() -> Iterator[tuple[tuple[str, str, str], PackageFacts]]:
    """Facts by name, version and machine."""
    for line in shipped_rows().splitlines():
        facts = parse_row(line)
        if not facts.file.endswith(".whl"):  # a source distribution
            continue
        name, version, _, tags = parse_wheel_filename(facts.file)
        for tag in tags:
            machine = "x86_64" if tag.platform.endswith("x86_64") else "aarch64"
            yield (name, str(version), machine), facts


SHIPPED = dict(shipped())


def has_a_wheel(row: Row) -> bool:
    """Not one that would be built, nor one that exists for other platforms only."""
    return "source" not in row.rules and not ("tag" in row.rules and row.platform == "aarch64")


def test_the_table_says_why_and_says_nothing_twice():
    assert len(ROWS) >= 25
    assert len({(row.name, row.version, row.platform) for row in ROWS}) == len(ROWS)
    assert all(row.why for row in ROWS)
    assert all(bool(row.rules) is (row.verdict != "runs") for row in ROWS)


@pytest.mark.parametrize("row", [row for row in ROWS if has_a_wheel(row)], ids=str)
def test_the_verdict_from_shipped_facts_is_the_one_judged_by_hand(row):
    assert differences(row, SHIPPED[row.name, row.version, row.platform]) == []
