"""Commands are shown as they can be typed: by their path where the environment is not on the PATH."""

from __future__ import annotations

import sys

from sparksmith.report.commands import command_name, relative, typable


def test_the_plain_name_where_it_is_on_the_path():
    assert command_name() == "sparksmith"
    assert typable("sparksmith train sft") == "sparksmith train sft"


def test_the_path_where_it_is_not(monkeypatch, tmp_path):
    (tmp_path / "my env/bin").mkdir(parents=True)
    (tmp_path / "my env/bin/sparksmith").touch()
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "my env"))
    monkeypatch.chdir(tmp_path)
    assert command_name() == "'my env/bin/sparksmith'"
    assert typable("first sparksmith recipe list; sparksmith --help") == (
        "first 'my env/bin/sparksmith' recipe list; 'my env/bin/sparksmith' --help"
    )


def test_other_uses_of_the_word_stay(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sparksmith").touch()
    monkeypatch.chdir(tmp_path)
    for text in ("python -m sparksmith.train F", "/opt/sparksmith stays", "Sparksmith trains on Linux"):
        assert typable(text) == text


def test_paths_under_the_working_directory_are_short(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert relative(tmp_path / "outputs") == "outputs"
    assert relative(tmp_path.parent / "other") == str(tmp_path.parent / "other")
