"""Where the user's own files lie."""

from __future__ import annotations

import pytest

from sparksmith.base.folders import cache_folder, state_folder


@pytest.mark.parametrize(
    ("folder", "variable", "otherwise"),
    [(cache_folder, "XDG_CACHE_HOME", ".cache"), (state_folder, "XDG_STATE_HOME", ".local/state")],
)
def test_folders_are_where_the_user_says(own_home, monkeypatch, folder, variable, otherwise):
    monkeypatch.setenv(variable, "/somewhere")
    assert str(folder()) == "/somewhere/sparksmith"
    for no_folder in ("relative", ""):
        monkeypatch.setenv(variable, no_folder)
        assert folder() == own_home / otherwise / "sparksmith"
    monkeypatch.delenv(variable)
    assert folder() == own_home / otherwise / "sparksmith"
