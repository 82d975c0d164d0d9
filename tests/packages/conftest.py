"""A uv that is not asked."""

from __future__ import annotations

import pytest
from asked_uv import FakeUv

from sparksmith.packages import resolve as resolving
from sparksmith.packages import uv


@pytest.fixture
def fake(monkeypatch):
    def install(*answers, **more):
        made = FakeUv(*answers, **more)
        monkeypatch.setattr(uv, "find_uv", lambda: "/somewhere/uv")
        for name in ("compile_for", "newest_of", "versions_beside"):
            plain = getattr(uv, name)
            monkeypatch.setattr(resolving, name, lambda *a, plain=plain, **more: plain(*a, **more, ask=made))
        return made

    return install
