"""Each fix that is marked safe: what it does to its tree, that the finding is gone then, and that twice is once."""

from __future__ import annotations

import stat

import pytest

from machines.load import build
from sparksmith.base.command import Answer
from sparksmith.doctor.examine import examine
from sparksmith.doctor.finding import Finding
from sparksmith.doctor.fixes import FIXES, KEPT, Edit, Fix, apply_fix, describe_fix, plan_fixes
from sparksmith.doctor.gather import gather
from sparksmith.policy.faults import load_faults

ROWS = {fault.id: fault for fault in load_faults()}
PROJECT = "home/user/project"
SITE = f"{PROJECT}/.venv/lib/python3.12/site-packages"


def look(machine):
    """What was gathered, and the findings."""
    gathered = gather(machine)
    return gathered, examine(gathered.examined)


def ids(findings):
    return [finding.fault.id for finding in findings]


def apply_all(machine, run=None, *, live=True, root_user=True):
    gathered, findings = look(machine)
    fixes = plan_fixes(gathered, findings)
    assert run is not None or not any(fix.command for fix in fixes) or not live
    return [one for fix in fixes for one in apply_fix(fix, machine, live=live, root_user=root_user, run=run)]


def test_every_safe_fault_has_its_fix():
    assert set(FIXES) == {fault.id for fault in ROWS.values() if fault.safe}


# commands, replaced by what the kernel and Python make of them


def page_cache_full(machine):
    meminfo = machine / "proc/meminfo"
    before = meminfo.read_text()
    lines = [f"MemFree:  {3 * 2**20} kB" if line.startswith("MemFree:") else line for line in before.splitlines()]
    meminfo.write_text("\n".join(lines) + "\n")
    return lambda: meminfo.write_text(before)


def memory_fragmented(machine):
    buddyinfo = machine / "proc/buddyinfo"
    before = buddyinfo.read_text()
    words = [line.split() for line in before.splitlines()]
    buddyinfo.write_text("".join(" ".join([*line[:-4], "0", "0", "0", "0"]) + "\n" for line in words))
    return lambda: buddyinfo.write_text(before)


def byte_code_not_kept(machine):
    environ = machine / "proc/self/environ"
    environ.write_text(environ.read_text() + "PYTHONDONTWRITEBYTECODE=1\n")
    (machine / SITE / "torch").mkdir(exist_ok=True)
    (machine / SITE / "torch/__init__.py").touch()
    return (machine / SITE / "torch/__pycache__").mkdir


COMMANDS = {
    "page-cache-full": (page_cache_full, ("sh", "-c", "sync; echo 3 > /proc/sys/vm/drop_caches"), True),
    "memory-fragmented": (memory_fragmented, ("sh", "-c", "echo 1 > /proc/sys/vm/compact_memory"), True),
    "byte-code-not-kept": (
        byte_code_not_kept,
        (f"/{PROJECT}/.venv/bin/python", "-m", "compileall", "-q", f"/{PROJECT}/.venv/lib"),
        False,
    ),
}


@pytest.mark.parametrize("fault", COMMANDS)
def test_a_command_makes_the_finding_vanish_and_twice_is_once(tmp_path, fault):
    machine = build("spark", tmp_path)
    make, command, as_root = COMMANDS[fault]
    effect = make(machine)
    asked = []

    def run(argv, timeout_seconds):
        asked.append(tuple(argv))
        effect()
        return Answer(0, "", "")

    gathered, findings = look(machine)
    assert ids(findings) == [fault]
    (fix,) = plan_fixes(gathered, findings)
    assert (fix.command, fix.as_root, fix.edits) == (command, as_root, ())
    (told,) = apply_all(machine, run)
    assert (told.state, told.fault, asked) == ("done", fault, [command])
    assert look(machine)[1] == []
    assert apply_all(machine, run) == []
    assert asked == [command]


@pytest.mark.parametrize(("live", "root_user"), [(False, True), (True, False)])
def test_a_command_is_shown_where_it_cannot_be_run(tmp_path, live, root_user):
    machine = build("spark", tmp_path)
    page_cache_full(machine)

    def run(argv, timeout_seconds):
        pytest.fail("it was run")

    (told,) = apply_all(machine, run, live=live, root_user=root_user)
    assert (told.state, told.text) == ("left", "sudo sh -c 'sync; echo 3 > /proc/sys/vm/drop_caches'")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(1, "", "first\nRead-only file system\n"), "exit 1: Read-only file system"),
        (Answer(None, "", "sh: not found"), "it could not be run: sh: not found"),
        (Answer(2, "", ""), "exit 2"),
    ],
)
def test_a_command_that_fails(tmp_path, answer, said):
    machine = build("spark", tmp_path)
    page_cache_full(machine)
    (told,) = apply_all(machine, lambda argv, timeout_seconds: answer)
    assert told.state == "failed"
    assert told.text.endswith(said)


# edits


@pytest.fixture
def misspelt(tmp_path):
    """A Spark with a project whose .envrc sets UV_SYNC twice."""
    machine = build("spark", tmp_path)
    envrc = machine / PROJECT / ".envrc"
    envrc.write_text('source .venv/bin/activate\nexport UV_SYNC=0\nexport UV_SYNC="0"  # not UV_SYNC_EXTRA=0\n')
    envrc.chmod(0o640)
    return machine


def test_an_edit_makes_the_finding_vanish_and_twice_is_once(misspelt):
    envrc = misspelt / PROJECT / ".envrc"
    before = envrc.read_text()
    assert set(ids(look(misspelt)[1])) == {"uv-sync-misspelt"}
    (told,) = apply_all(misspelt, live=False)
    assert told.state == "done"
    assert told.text == f"/{PROJECT}/.envrc: UV_NO_SYNC=1 is written there; the old file is .envrc.{KEPT} beside it"
    assert envrc.read_text() == (
        'source .venv/bin/activate\nexport UV_NO_SYNC=1\nexport UV_NO_SYNC="1"  # not UV_SYNC_EXTRA=0\n'
    )
    assert stat.S_IMODE(envrc.stat().st_mode) == 0o640
    kept = envrc.with_name(f".envrc.{KEPT}")
    assert (kept.read_text(), stat.S_IMODE(kept.stat().st_mode)) == (before, 0o640)
    assert look(misspelt)[1] == []
    listed = sorted((misspelt / PROJECT).iterdir())
    assert apply_all(misspelt, live=False) == []
    assert sorted((misspelt / PROJECT).iterdir()) == listed


def test_only_the_named_file_is_touched(misspelt):
    before = {path: path.stat().st_mtime_ns for path in misspelt.rglob("*") if path.is_file()}
    apply_all(misspelt, live=False)
    after = {path: path.stat().st_mtime_ns for path in misspelt.rglob("*") if path.is_file()}
    changed = {path.name for path in after if before.get(path) != after[path]}
    assert changed == {".envrc", f".envrc.{KEPT}"}


def test_an_older_copy_is_kept(misspelt):
    older = misspelt / PROJECT / f".envrc.{KEPT}"
    older.write_text("mine")
    (told,) = apply_all(misspelt, live=False)
    assert told.text.endswith(f"the old file is .envrc.{KEPT}-2 beside it")
    assert older.read_text() == "mine"


def test_what_would_be_done_changes_nothing(misspelt):
    before = {path: path.read_bytes() for path in misspelt.rglob("*") if path.is_file()}
    gathered, findings = look(misspelt)
    (fix,) = plan_fixes(gathered, findings)
    told = describe_fix(fix, live=False, root_user=False)
    assert [one.state for one in told] == ["would", "would"]
    assert told[0].text == f"/{PROJECT}/.envrc: export UV_SYNC=0 becomes export UV_NO_SYNC=1"
    assert {path: path.read_bytes() for path in misspelt.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("text", ["export UV_SYNC=1\n", "export UV_SYNC=0.5\n"])
def test_what_was_meant_otherwise_is_left_to_the_user(tmp_path, text):
    machine = build("spark", tmp_path)
    envrc = machine / PROJECT / ".envrc"
    envrc.write_text(text)
    finding = Finding(ROWS["uv-sync-misspelt"], "x", (f"/{PROJECT}/.envrc:1",))
    (fix,) = plan_fixes(gather(machine), [finding])
    (told,) = apply_fix(fix, machine, live=False, root_user=False)
    assert (told.state, told.text) == ("left", f"look at UV_SYNC in /{PROJECT}/.envrc")
    assert envrc.read_text() == text


def test_what_only_a_shell_sets_is_typed_there(tmp_path):
    machine = build("spark", tmp_path)
    environ = machine / "proc/self/environ"
    environ.write_text(environ.read_text() + "UV_SYNC=0\n")
    (told,) = apply_all(machine, live=False)
    assert (told.state, told.text) == ("left", "unset UV_SYNC; export UV_NO_SYNC=1")


@pytest.mark.parametrize("content", [None, b"\xff UV_SYNC=0\n", b"UV_SYNC=0\n" * 200_000])
def test_a_file_that_cannot_be_edited_is_left(tmp_path, content):
    machine = build("spark", tmp_path)
    file = machine / PROJECT / ".envrc"
    if content is not None:
        file.write_bytes(content)
    finding = Finding(ROWS["uv-sync-misspelt"], "x", (f"/{PROJECT}/.envrc:1",))
    (fix,) = plan_fixes(gather(machine), [finding])
    assert (fix.edits, fix.left) == ((), f"look at UV_SYNC in /{PROJECT}/.envrc")


def test_a_file_that_changed_meanwhile_is_left_alone(misspelt):
    gathered, findings = look(misspelt)
    (fix,) = plan_fixes(gathered, findings)
    (misspelt / PROJECT / ".envrc").write_text("export UV_SYNC=0\nexport MINE=1\n")
    (told,) = apply_fix(fix, misspelt, live=False, root_user=False)
    assert told.state == "failed"
    assert "was changed meanwhile" in told.text
    assert (misspelt / PROJECT / ".envrc").read_text() == "export UV_SYNC=0\nexport MINE=1\n"


def test_a_folder_that_cannot_be_written(misspelt, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    before = (misspelt / PROJECT / ".envrc").read_bytes()
    monkeypatch.setattr("sparksmith.doctor.fixes.tempfile.mkstemp", refuse)
    (told,) = apply_all(misspelt, live=False)
    assert (told.state, told.text) == ("failed", f"/{PROJECT}/.envrc cannot be edited: Permission denied")
    assert (misspelt / PROJECT / ".envrc").read_bytes() == before


def test_a_link_of_a_copy_leads_nowhere_else(tmp_path):
    machine = build("spark", tmp_path / "machine")
    outside = tmp_path / "outside"
    outside.write_text("export UV_SYNC=0\n")
    (machine / PROJECT / ".envrc").symlink_to(outside)
    finding = Finding(ROWS["uv-sync-misspelt"], "x", (f"/{PROJECT}/.envrc:1",))
    (fix,) = plan_fixes(gather(machine), [finding])
    apply_fix(fix, machine, live=False, root_user=False)
    assert outside.read_text() == "export UV_SYNC=0\n"


def test_an_edit_s_lines():
    assert Edit("/a", "one\n  two\n", "one\n  three\n").changes() == [("two", "three")]


def test_the_system_s_python_is_not_compiled(tmp_path):
    gathered = gather(build("spark-container", tmp_path))
    finding = Finding(ROWS["byte-code-not-kept"], "x", (), "python3 -m compileall")
    assert plan_fixes(gathered, [finding]) == [Fix(finding, left="python3 -m compileall")]


def test_what_speaks_of_it_is_left_alone(tmp_path):
    machine = build("spark", tmp_path)
    said = {
        ".env": "# UV_SYNC=0 must not be used\nUV_SYNC=0 # UV_SYNC=0, alas\n",
        "a.yaml": "note: 'set UV_SYNC=0'\nenv:\n  UV_SYNC: '0'\n",
        "Dockerfile": "# ENV UV_SYNC 0\nENV UV_SYNC 0\n",
        "README.md": "Not `UV_SYNC=0`:\n```sh\nexport UV_SYNC=0\n```\n",
    }
    for name, text in said.items():
        (machine / PROJECT / name).write_text(text)
    told = apply_all(machine, live=False)
    assert [one.state for one in told] == ["done"] * 4
    assert {name: (machine / PROJECT / name).read_text() for name in said} == {
        ".env": "# UV_SYNC=0 must not be used\nUV_NO_SYNC=1 # UV_SYNC=0, alas\n",
        "a.yaml": "note: 'set UV_SYNC=0'\nenv:\n  UV_NO_SYNC: '1'\n",
        "Dockerfile": "# ENV UV_SYNC 0\nENV UV_NO_SYNC 1\n",
        "README.md": "Not `UV_SYNC=0`:\n```sh\nexport UV_NO_SYNC=1\n```\n",
    }
    assert look(machine)[1] == []


def test_a_link_and_its_target_are_edited_once(tmp_path):
    machine = build("spark", tmp_path)
    (machine / PROJECT / "run.sh").write_text("export UV_SYNC=0\n")
    (machine / PROJECT / "link.sh").symlink_to("run.sh")
    (told,) = apply_all(machine, live=False)
    assert told.state == "done"
    assert (machine / PROJECT / "link.sh").is_symlink()
    assert (machine / PROJECT / "run.sh").read_text() == "export UV_NO_SYNC=1\n"


def test_a_file_that_is_read_only_is_left(tmp_path):
    machine = build("spark", tmp_path)
    file = machine / PROJECT / "a.sh"
    file.write_text("export UV_SYNC=0\n")
    file.chmod(0o444)
    (told,) = apply_all(machine, live=False)
    assert (told.state, told.text) == ("left", f"look at UV_SYNC in /{PROJECT}/a.sh, which is read-only")
    assert file.read_text() == "export UV_SYNC=0\n"


def test_a_place_that_is_not_wrong_is_left(tmp_path):
    machine = build("spark", tmp_path)
    (machine / PROJECT / "a.sh").write_text("# UV_SYNC=0\nexport UV_SYNC=0\n")
    finding = Finding(ROWS["uv-sync-misspelt"], "x", (f"/{PROJECT}/a.sh:1", f"/{PROJECT}/a.sh:2"))
    (fix,) = plan_fixes(gather(machine), [finding])
    assert (fix.edits, fix.left) == ((), f"look at UV_SYNC in /{PROJECT}/a.sh")
