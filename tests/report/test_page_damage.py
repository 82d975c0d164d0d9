"""Whatever stands in a run's records, there is a page."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_runs import write_lines, write_made_run
from sparksmith.report.compare import render_comparison
from sparksmith.report.page import State, render_run

RECORDS = ("manifest", "plan", "settings", "evaluation", "data", "events", "metrics", "predictions")
STRANGE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({}), st.just([[]]),
    st.just(10**400), st.just(-1), st.just({"rate": "high"}), st.just("\ud7ff\x00"),
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_made_run(tmp_path_factory.mktemp("damage") / "run", steps=400)


def places(value, path=()):
    """The paths to everything in a record, the first two of each list."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


def put(value, path, strange):
    if not path:
        return strange
    key, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = put(copy[key], rest, strange)
    return copy


@settings(max_examples=100)
@given(st.data())
def test_one_strange_value_anywhere(run, data):
    path = getattr(run, data.draw(st.sampled_from(RECORDS)))
    before = path.read_text(encoding="utf-8")
    of_lines = path.suffix == ".jsonl"
    record = [json.loads(line) for line in before.splitlines()] if of_lines else json.loads(before)
    where = data.draw(st.sampled_from([place for place in places(record) if place]))
    changed = put(record, where, data.draw(STRANGE))
    try:
        if of_lines:
            write_lines(path, changed)
        else:
            path.write_text(json.dumps(changed), encoding="utf-8")
        assert "</html>" in render_run(run)
        assert "</html>" in render_comparison([run, run], [State("finished", "")] * 2)
    finally:
        path.write_text(before, encoding="utf-8")
