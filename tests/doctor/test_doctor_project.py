"""A project's folder as it is looked through: which files count, how much is read, and what is being written now."""

from __future__ import annotations

import os
import time

import pytest

from machines.faulty import PROJECT, look
from machines.load import build
from sparksmith.base.command import Answer
from sparksmith.doctor import project as reader
from sparksmith.doctor.examine import examine
from sparksmith.doctor.gather import gather
from sparksmith.doctor.marks import kind_of, parse_asks
from sparksmith.doctor.project import MOST_OF_A_MARK, SAVING_SECONDS, read_project
from sparksmith.machine.root import Root

ASKS = "m = load(attn_implementation='flash_attention_2')\n"


def places(folder, **options):
    facts = read_project(Root(), str(folder), **options)
    return [ask.place.removeprefix(f"{folder}/") for ask in facts.asks]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.py", "python"), ("a.ipynb", "notebook"), ("a.sh", "shell"), ("Makefile", "shell"), (".env", "start"),
        (".env.local", "variables"), ("prod.env", "variables"), ("Dockerfile", "image"), ("Dockerfile.x", "image"),
        ("a.yml", "yaml"), ("a.toml", "toml"), ("pyproject.toml", "requirements"), ("README.md", "readme"),
        ("requirements-gpu.txt", "requirements"), ("devcontainer.json", "devcontainer"), ("a.json", None),
        ("test_a.py", None), ("setup.py", None), (".gitlab-ci.yml", None), ("mkdocs.yml", None),
        (".envrc.before-sparksmith", None), (".env.before-sparksmith-2", None), ("a.sh.bak", None), ("NOTES.md", None),
    ],
)  # fmt: skip
def test_the_kind_of_a_file(name, kind):
    assert kind_of(name) == kind


@pytest.mark.parametrize(
    ("below", "counts"),
    [
        ("train.py", True), ("configs/spark.py", True), ("station/a.py", False), ("configs/h100.py", False),
        ("8xB200/a.py", False), ("a_4gpu.py", False), ("k8s/a.py", False), ("multi-node/a.py", False),
        ("ci/a.py", False), ("precision/a.py", True), ("l4/a.py", True), ("stationary.py", False),
    ],
)  # fmt: skip
def test_a_path_that_says_another_machine(below, counts):
    assert bool(parse_asks(f"/p/{below}", ASKS, below=below).asks) == counts


def test_folders_that_are_not_the_user_s(tmp_path):
    for folder in ("", "a", "a/b", "a/b/c", "tests", "examples", ".hidden", "venv", "node_modules", "clone", "env2"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "x.py").write_text(ASKS)
    (tmp_path / ".git").mkdir()
    (tmp_path / "clone/.git").write_text("gitdir: x\n")
    (tmp_path / "env2/pyvenv.cfg").touch()
    assert places(tmp_path) == ["x.py:1", "a/x.py:1", "a/b/x.py:1"]


def test_a_link_and_its_target_are_one_file(tmp_path):
    (tmp_path / "b.py").write_text(ASKS)
    (tmp_path / "a.py").symlink_to("b.py")
    (tmp_path / "c.py").symlink_to(tmp_path / "nowhere.py")
    assert places(tmp_path) == ["b.py:1"]


def test_a_mark_is_kept_so_often(tmp_path):
    (tmp_path / "a.py").write_text(ASKS * 1000)
    (tmp_path / "b.sh").write_text("export UV_SYNC=0\n")
    found = places(tmp_path)
    assert len(found) == MOST_OF_A_MARK + 1 and found[-1] == "b.sh:1"


def test_no_more_python_is_read_than_a_second_s_worth(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "MOST_PYTHON_BYTES", 3 * len(ASKS))
    for number in range(9):
        (tmp_path / f"{number}.py").write_text(ASKS)
    (tmp_path / "z.sh").write_text("export UV_SYNC=0\n")
    assert places(tmp_path) == ["0.py:1", "1.py:1", "2.py:1", "z.sh:1"]


def test_a_large_project_takes_little(tmp_path):
    """The doctor has 2.5 s for all that it does; this code is five times as dense as what people write."""
    filler = "def f(a, b):\n    return {'a': a, 'b': [b, 'text']}\n" * 200
    for number in range(300):
        (tmp_path / f"{number}.py").write_text(ASKS + filler)
    begun = time.process_time()
    read_project(Root(), str(tmp_path))
    assert time.process_time() - begun < 5


def broken(folder):
    checkpoint = folder / "outputs/checkpoint-500"
    checkpoint.mkdir(parents=True)
    for name in ("optimizer.pt", "trainer_state.json"):
        (checkpoint / name).touch()
    return checkpoint


def test_a_checkpoint_that_is_being_written_is_not_broken(tmp_path):
    checkpoint = broken(tmp_path)
    assert read_project(Root(), str(tmp_path)).checkpoints == ()
    past = time.time() - SAVING_SECONDS - 5
    for path in (*checkpoint.iterdir(), checkpoint):
        os.utime(path, (past, past))
    (found,) = read_project(Root(), str(tmp_path)).checkpoints
    assert found.path == str(checkpoint)
    (checkpoint / "optimizer.pt").touch()
    assert read_project(Root(), str(tmp_path)).checkpoints == ()


def test_of_a_copy_the_times_say_nothing(tmp_path):
    machine = build("spark", tmp_path)
    broken(machine / PROJECT.lstrip("/"))
    assert [finding.fault.id for finding in examine(look(machine))] == ["checkpoint-incomplete"]


def test_what_nobody_has_started_is_a_warning(tmp_path):
    machine = build("spark", tmp_path)
    (machine / PROJECT.lstrip("/") / "a.py").write_text("m = M.from_pretrained('google/gemma-3-1b-it')\n")
    (finding,) = examine(look(machine))
    assert (finding.fault.severity, finding.severity, finding.to_json()["severity"]) == ("fails", "warns", "warns")


def test_another_environment_says_nothing_of_the_project(tmp_path, monkeypatch):
    """Neither what is installed there, nor its Python, nor its TRL."""
    project, prefix = tmp_path / "p", tmp_path / "tool"
    site = prefix / "lib/python3.11/site-packages"
    for name in ("torch-2.13.0", "transformers-5.17.0", "trl-1.16.0", "vllm-0.32.0"):
        (site / f"{name}.dist-info").mkdir(parents=True)
        (site / f"{name}.dist-info/METADATA").write_text(f"Name: {name.partition('-')[0]}\nVersion: 1\n")
    (prefix / "pyvenv.cfg").write_text("home = /usr/bin\nversion_info = 3.11.9\n")
    project.mkdir()
    (project / "a.py").write_text(
        f"from trl import SFTConfig\n{ASKS}a = SFTConfig(label_smoothing_factor=0.1)\nx = 'Qwen/Qwen3.5-2B'\n"
    )
    (project / "requirements.txt").write_text("flash-attn\n./x-1.0-cp312-cp312-manylinux_2_28_x86_64.whl\n")
    monkeypatch.chdir(project)
    monkeypatch.setattr("sys.prefix", str(prefix))
    environ = {"PWD": str(project), "HOME": str(tmp_path / "home")}
    gathered = gather(commands=lambda argv, timeout_seconds: Answer(None, "", "not found"), environ=environ)
    assert gathered.place is not None and gathered.place.role == "running"
    assert gathered.examined.project is not None and len(gathered.examined.project.asks) >= 5
    told = {finding.fault.id for finding in examine(gathered.examined) if finding.in_files}
    assert told - {"wheel-other-platform"} == set()
    assert not any("environment's Python" in finding.here for finding in examine(gathered.examined))
