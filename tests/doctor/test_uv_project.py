"""What uv would keep of torch, from pyproject.toml and uv.lock."""

from __future__ import annotations

import pytest

from sparksmith.doctor.uv_project import Listed, parse_listed

LOCK = 'version = 1\n\n[[package]]\nname = "{name}"\nversion = "2.9.0"\nsource = {{ registry = "x" }}\n'


@pytest.mark.parametrize(
    ("pyproject", "torch"),
    [
        ("[project]\ndependencies = []", False),
        ("[project]\n", False),
        ('[project]\ndependencies = ["torch>=2"]', True),
        ('[project]\ndependencies = ["torch @ https://example.org/torch.whl"]', True),
        ('[project]\ndependencies = ["torch-geometric"]', None),
        ('[project]\ndependencies = ["trl"]', None),
        ('[project]\ndynamic = ["dependencies"]', None),
        ('[project]\ndynamic = ["version"]', False),
        ('[dependency-groups]\ndev = ["torch"]\n[project]\n', True),
        ('[dependency-groups]\ngpu = ["torch"]\n[project]\n', False),
        ('[dependency-groups]\ngpu = ["torch"]\n[project]\n[tool.uv]\ndefault-groups = ["gpu"]', True),
        ('[dependency-groups]\ngpu = ["torch"]\n[project]\n[tool.uv]\ndefault-groups = "all"', True),
        ('[dependency-groups]\ndev = [{include-group = "dev"}]\n[project]\n', False),
        ('[project]\n[tool.uv]\ndev-dependencies = ["torch"]', True),
        ('[project]\n[project.optional-dependencies]\ngpu = ["torch"]', False),
        ('[project]\ndependencies = "torch"', False),
    ],
)
def test_without_a_lock(pyproject, torch):
    assert parse_listed(pyproject, None) == Listed(True, torch)


@pytest.mark.parametrize(
    "pyproject", [None, "[tool.ruff]\nline-length = 100", '[tool.poetry.dependencies]\ntorch = "*"', "{", "project = 1"]
)
def test_what_uv_does_not_manage(pyproject):
    assert parse_listed(pyproject, None) == Listed()


def test_a_lock():
    project = '[project]\ndependencies = ["trl"]'
    assert parse_listed(project, LOCK.format(name="torch")) == Listed(True, True, frozenset({"2.9.0"}))
    assert parse_listed(project, LOCK.format(name="regex")) == Listed(True, False)
    assert parse_listed(project, '[[package]]\nname = "torch"\n') == Listed(True, True)
    assert parse_listed(None, LOCK.format(name="torch")) == Listed(torch=True)
