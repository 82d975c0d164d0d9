"""The shipped stacks as text, from the records that `sparksmith stack --json` prints."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import Any

from sparksmith.report.audit import count, describe_audit, paint, wrap

NOT_KNOWN = "not all of its wheels are known for this target"


def describe_stacks(records: Iterable[dict[str, Any]], width: int = 80, *, colour: bool = False) -> Iterator[str]:
    """A few lines for each: name, verdict, why."""
    for number, record in enumerate(records):
        if number:
            yield ""
        said = count(record["audit"]) if record["audit"] else NOT_KNOWN
        yield f"{record['name']}: {paint(record['verdict'], colour)}; {said}"
        yield from wrap(record["why"], "  ", "  ", width)


def describe_stack(
    record: dict[str, Any], *, verbose: bool = False, width: int = 80, colour: bool = False
) -> Iterator[str]:
    """What it is, where that is known from, how it is installed, and its audit."""
    yield from wrap(f"{record['name']}: {record['why']}", "", "  ", width)
    pins = ", ".join(f"{name} {version}" for name, version in record["packages"].items())
    yield from wrap(f"packages: {pins}", "", "  ", width)
    yield from wrap(f"verified {record['verified']}: {record['source']}", "", "  ", width)
    file = shlex.quote(record["file"])
    yield f"uv pip install -r {file}" if record["works"] else f"as the guides say it: {file}"
    yield ""
    if record["audit"] is None:
        yield f"{NOT_KNOWN}; this finds out:"
        yield f"sparksmith audit {file}"
        return
    yield from describe_audit(record["audit"], verbose=verbose, width=width, colour=colour)
