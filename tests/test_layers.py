"""Who may import whom, what needs no torch, and what needs nothing but the standard library."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import sparksmith

SOURCE = Path(sparksmith.__file__).parent

# room: the rooms that it may import; a dotted name is one module of a room
MAY_IMPORT: dict[str, set[str]] = {
    "base": set(),
    "policy": {"base"},
    "machine": {"base"},
    "runs": {"base"},
    "score": {"base"},
    "jobs": {"base", "runs"},
    "recipe": {"base", "policy", "machine"},
    "packages": {"base", "policy", "machine.python_env"},
    "doctor": {"base", "policy", "machine", "packages"},
    "data": {"base", "recipe"},
    "model": {"base", "recipe"},
    "train": {"base", "recipe", "runs", "jobs", "data", "score", "model"},
    "evaluate": {"base", "recipe", "runs", "jobs", "data", "score", "model"},
    "report": {"base", "runs", "score.rates"},
}
MAY_IMPORT["cli"] = {*MAY_IMPORT}
# the Job's entry puts the parts together, as cli does
ENTRIES = {"train.__main__": {"evaluate", "machine", "report"}, "__main__": {"cli"}}
NEEDS_TORCH = ("model", "train", "evaluate", "data.encode", "data.collate")
STANDARD_LIBRARY_ONLY = ("base", "policy", "runs", "jobs")
EVERYONE_MAY_IMPORT = {""}  # the package itself, for its version


def name_of(path: Path) -> str:
    """data/read.py as data.read."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


FILES = sorted(path for path in SOURCE.rglob("*.py"))
MODULES = {name_of(path): path for path in FILES}


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file; `from a import b` is a.b where that is a module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                inner = whole.removeprefix("sparksmith.")
                found.add(whole if node.module.split(".")[0] == "sparksmith" and inner in MODULES else node.module)
    return found


def ours(path: Path) -> set[str]:
    """What a file imports of Sparksmith: room.module."""
    return {
        name.removeprefix("sparksmith").lstrip(".") for name in imports_of(path) if name.split(".")[0] == "sparksmith"
    }


def allows(allowed: set[str], target: str) -> bool:
    return any(target == name or target.startswith(f"{name}.") for name in allowed)


def breaches(module: str, imported: set[str]) -> list[str]:
    """What a module imports though its room may not."""
    room = module.split(".")[0]
    allowed = MAY_IMPORT.get(room, set()) | {room} | ENTRIES.get(module, set())
    return sorted(target for target in imported - EVERYONE_MAY_IMPORT if not allows(allowed, target))


def test_every_room_is_in_the_table():
    rooms = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("module", [name for name in MODULES if name])
def test_who_imports_whom(module):
    assert breaches(module, ours(MODULES[module])) == []


@pytest.mark.parametrize(
    ("module", "imported", "wrong"),
    [
        ("base.files", "base.errors", False),
        ("base.files", "machine.gpu", True),
        ("report.scores", "score.rates", False),
        ("report.scores", "score.phones", True),
        ("report.scores", "recipe.plan", True),
        ("train.job", "evaluate.dataset", True),
        ("train.__main__", "evaluate.dataset", False),
        ("train.__main__", "cli.main", True),
        ("runs.layout", "score.rates", True),
        ("cli.train", "train.job", False),
    ],
)
def test_the_table_is_read_as_it_is_meant(module, imported, wrong):
    assert breaches(module, {imported}) == ([imported] if wrong else [])


def test_no_circle_among_the_rooms():
    open_rooms = {room: {name.split(".")[0] for name in allowed} for room, allowed in MAY_IMPORT.items()}
    while free := [room for room, needs in open_rooms.items() if not needs & set(open_rooms)]:
        for room in free:
            del open_rooms[room]
    assert open_rooms == {}


@pytest.mark.parametrize("module", [name for name in MODULES if name.split(".")[0] in STANDARD_LIBRARY_ONLY])
def test_standard_library_only(module):
    foreign = {
        name
        for name in imports_of(MODULES[module])
        if name.split(".")[0] not in {*sys.stdlib_module_names, "sparksmith"}
    }
    assert foreign == set()


def run_python(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


WITHOUT_TORCH = """
import importlib, sys
sys.modules["torch"] = None
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sorted(sys.modules))
"""


@pytest.mark.effects
def test_the_other_rooms_need_no_torch():
    free = [name for name in MODULES if not allows(set(NEEDS_TORCH), name) and not name.endswith("__main__")]
    assert {"recipe.plan", "data.read", "data.order", "score.rates", "report.scores", "cli.train", "jobs.start"} <= set(
        free
    )
    loaded = run_python(WITHOUT_TORCH, *(f"sparksmith.{name}".rstrip(".") for name in free)).split()
    assert not {"transformers", "trl", "peft", "datasets", "accelerate", "tokenizers", "numpy"} & set(loaded)


IMPORTED_BY = """
import json, sys
words = sys.argv[1:]
sys.argv = ["sparksmith", *words]
from sparksmith.cli.main import main
try:
    main()
except SystemExit as stopped:
    assert stopped.code in (0, 1, 2), stopped.code
print(json.dumps(sorted(sys.modules)))
"""


def loaded_by(*words: str) -> set[str]:
    return set(json.loads(run_python(IMPORTED_BY, *words).splitlines()[-1]))


@pytest.mark.effects
@pytest.mark.parametrize("words", [["--help"], ["--version"], ["trian"]])
def test_the_help_is_light(words):
    loaded = loaded_by(*words)
    assert not {"pydantic", "rich", "yaml", "torch", "rapidfuzz", "sparksmith.recipe", "sparksmith.cli.train"} & loaded
    assert "click" in loaded


@pytest.mark.effects
@pytest.mark.parametrize(
    "words", [["train", "--help"], ["train", "--data_file", "absent.tsv"], ["eval", "run", "absent.tsv"]]
)
def test_torch_is_not_imported_before_it_is_needed(words):
    assert not {"torch", "transformers", "trl", "numpy"} & loaded_by(*words)
