"""What all facts have in common: a field that is None could not be known, and the reason stands beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Literal, TypeVar

Limit = int | Literal["unlimited"]
UNLIMITED: Literal["unlimited"] = "unlimited"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Facts of one subject; `unknown` holds the reason for each field that is None."""

    unknown: Mapping[str, str] = field(default_factory=dict)

    def why(self, name: str) -> str | None:
        """Why a field is None."""
        return self.unknown.get(name)


AnySubject = TypeVar("AnySubject", bound=Subject)


def explained(facts: AnySubject, default: str, **reasons: str) -> AnySubject:
    """The same facts, with a reason for every field that is None: its own, else `default`."""
    gaps = [one.name for one in fields(facts) if getattr(facts, one.name) is None]
    return replace(facts, unknown={name: reasons.get(name, default) for name in gaps})
