"""sparksmith doctor as it is typed: words, exit codes, JSON, standard input, errors."""

from __future__ import annotations

import io
import json
import random
import runpy
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

import sparksmith
from machines.load import NAMES, build
from sparksmith.base.errors import ExitCode
from sparksmith.cli.doctor import doctor
from sparksmith.doctor.deep import DeepResult, Step
from sparksmith.doctor.deep_child import Ending
from sparksmith.doctor.finding import Seen
from typed import check_refusal, type_words

PTXAS = "ptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'"
SCRIPTS = Path(sparksmith.__file__).parent.parent.parent / "scripts"


def schema(name):
    content = json.loads((files("sparksmith.doctor") / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(content)
    return jsonschema.Draft202012Validator(content)


def run(*words):
    return CliRunner().invoke(doctor, list(words), standalone_mode=False)


def pour_in(monkeypatch, capsys, given, words):
    """Type words, with bytes on standard input."""
    with tempfile.TemporaryFile() as file:
        file.write(given)
        file.seek(0)
        with io.TextIOWrapper(file) as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            return type_words(monkeypatch, capsys, words)


def hand_in(monkeypatch, *seen):
    """Checks that see this, and no others."""
    monkeypatch.setattr("sparksmith.doctor.examine.ALL_CHECKS", (lambda examined: seen,))


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    """A healthy Spark that no test changes."""
    return build("spark", tmp_path_factory.mktemp("spark") / "machine")


# what is found


@pytest.mark.parametrize(
    ("seen", "code", "first"),
    [
        ((), 0, "ok: nothing is wrong: NVIDIA DGX Spark, driver 580.126.09;"),
        ((Seen("swap-on", "16 GiB"),), 0, "warns: swap is on"),
        ((Seen("swap-on", "16 GiB"), Seen("driver-too-old", "535")), 1, "fails: the driver is older than 580"),
        ((Seen("memory-shown-na", "N/A"),), 0, "ok: nothing is wrong"),
    ],
)
def test_exit_codes_and_the_worst_first(spark, monkeypatch, seen, code, first):
    hand_in(monkeypatch, *seen)
    done = run("--root", str(spark))
    assert done.return_value == code
    told = next(line for line in done.stdout.splitlines() if line.startswith(("ok", "warns", "fails")))
    assert told.startswith(first)
    assert done.stdout.count("more: docs/reference/faults.md#") == len(
        [one for one in seen if "shown" not in one.fault]
    )


def test_a_fix_that_is_safe_is_offered_on_standard_error(spark, monkeypatch):
    hand_in(monkeypatch, Seen("page-cache-full", "3 GiB"))
    done = run("--root", str(spark))
    assert done.stderr.splitlines()[-1] == "hint: sparksmith doctor --fix --dry-run shows what it can mend by itself"
    assert "hint:" not in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_json_follows_its_schemas_on_every_machine(name, tmp_path):
    machine = build(name, tmp_path)
    done = run("--root", str(machine), "--json")
    record = json.loads(done.stdout)
    schema("doctor").validate(record)
    assert done.return_value == (record["outcome"] == "fails")
    assert {finding["severity"] for finding in record["findings"]} <= {"fails", "warns"}
    facts = json.loads(run("--root", str(machine), "--facts", "--json").stdout)
    schema("facts").validate(facts)
    assert len(run("--root", str(machine), "--facts").stdout.splitlines()) > 50
    for line in run("--root", str(machine)).stdout.splitlines():  # a command or a path is not broken
        assert len(line) <= 80 or line.startswith(" " * 8) or "/" in line


def test_the_schema_of_the_facts_is_that_of_their_types():
    page = runpy.run_path(str(SCRIPTS / "facts_schema.py"))["page"]()
    assert (files("sparksmith.doctor") / "schemas/facts.json").read_text(encoding="utf-8") == page, (
        "python scripts/facts_schema.py"
    )


def test_what_json_says_of_the_environment(spark):
    record = json.loads(run("--root", str(spark), "--json").stdout)
    assert record["environment"] == {
        "path": "/home/user/project/.venv", "role": "active", "python": "3.12.3", "torch": "2.13.0", "packages": 14,
        "audit": "runs",
    }  # fmt: skip
    assert record["target"] == {
        "name": "gb10", "title": "NVIDIA DGX Spark (GB10)", "why": "as its GPU is NVIDIA GB10",
    }  # fmt: skip
    assert (record["deep"], record["given_up"]) == (None, [])
    other = json.loads(run("--root", str(spark), "--json", "--target", "h200").stdout)
    assert other["target"]["why"] == "as asked for"


def test_what_the_audit_says_and_no_check_is_not_lost(tmp_path, monkeypatch):
    machine = build("spark", tmp_path)
    site = machine / "home/user/project/.venv/lib/python3.12/site-packages"
    (site / "odd-1.0.dist-info").mkdir()
    (site / "odd-1.0.dist-info/WHEEL").write_text("Wheel-Version: 1.0\nTag: cp312-cp312-manylinux_2_28_ppc64le\n")
    hand_in(monkeypatch)
    done = run("--root", str(machine))
    assert done.return_value == ExitCode.MENDABLE
    assert "fails: will not run on NVIDIA DGX Spark (GB10): odd 1.0" in done.stdout
    record = json.loads(run("--root", str(machine), "--json").stdout)
    assert [one["package"] for one in record["unexplained"]] == ["odd 1.0"]
    schema("doctor").validate(record)


# an error explained


def test_an_error_that_is_known():
    done = run("--error", PTXAS)
    assert done.return_value == ExitCode.DONE
    lines = done.stdout.splitlines()
    assert lines[0] == "fails: triton 3.5's compiler (ptxas 12.8) does not know sm_121"
    assert lines[1] == "  line 1: ptxas fatal : Value 'sm_121a' is not defined for option 'gpu-name'"
    assert lines[-1] == "  more: docs/reference/faults.md#triton-ptxas-sm121"


@pytest.mark.parametrize("how", ["text", "file", "-"])
def test_a_log_is_read_from_wherever_it_is(tmp_path, monkeypatch, capsys, how):
    log = b"step 1 of 7\n" * 3000 + b"\xff\x01\n" + PTXAS.encode() + b"\nmore\n"
    (tmp_path / "train.log").write_bytes(log)
    if how == "-":
        _, out, _ = pour_in(monkeypatch, capsys, log, "doctor --error - --json")
    else:
        out = run("--error", str(tmp_path / "train.log") if how == "file" else log.decode("latin-1"), "--json").stdout
    record = json.loads(out)
    schema("error").validate(record)
    assert [(match["id"], match["line"]) for match in record["matches"]] == [("triton-ptxas-sm121", 3002)]


def test_causes_come_before_their_effects():
    text = f"NotImplementedError: Unsloth cannot find any torch accelerator? You need a GPU.\n{PTXAS}\n"
    done = run("--error", text)
    assert done.stdout.index("triton-ptxas-sm121") > 0
    assert done.stdout.count("more: ") == 2


@pytest.mark.parametrize("given", [b"all is well\n", random.Random(0).randbytes(100_000), b""])
def test_what_is_not_known_says_what_to_do_next(monkeypatch, capsys, given):
    code, out, err = pour_in(monkeypatch, capsys, given, "doctor --error -")
    assert (code, err) == (ExitCode.MENDABLE, "")
    assert out.startswith("no known fault is told by this text\n")
    assert "sparksmith doctor --bundle" in out
    _, out, _ = pour_in(monkeypatch, capsys, given, "doctor --error - --json")
    assert json.loads(out) == {"version": 1, "matches": []}


def test_secrets_in_a_log_are_not_repeated():
    done = run("--error", f"HF_TOKEN=hf_QWERTYuiopASDFGH1234 {PTXAS}")
    assert "hf_QWERTY" not in done.stdout
    assert "[redacted]" in done.stdout


# fixes


def test_fix_says_first_and_does_then(tmp_path):
    machine = build("spark", tmp_path)
    envrc = machine / "home/user/project/.envrc"
    envrc.write_text("export UV_SYNC=0\n")
    done = run("--root", str(machine), "--fix", "--dry-run")
    assert (done.return_value, done.stdout) == (
        0,
        "would be done (uv-sync-misspelt):\n"
        "  /home/user/project/.envrc: export UV_SYNC=0 becomes export UV_NO_SYNC=1\n",
    )
    assert envrc.read_text() == "export UV_SYNC=0\n"
    done = run("--root", str(machine), "--fix")
    assert (done.return_value, done.stdout.splitlines()[0]) == (0, "done (uv-sync-misspelt):")
    assert envrc.read_text() == "export UV_NO_SYNC=1\n"
    done = run("--root", str(machine), "--fix")
    assert (done.return_value, done.stdout) == (0, "nothing to do\n")


def test_fix_of_a_copy_runs_no_command(spark, monkeypatch):
    hand_in(monkeypatch, Seen("page-cache-full", "3 GiB"), Seen("swap-on", "16 GiB"))
    done = run("--root", str(spark), "--fix")
    assert done.return_value == ExitCode.MENDABLE
    assert done.stdout == (
        "left to you (page-cache-full):\n  sudo sh -c 'sync; echo 3 > /proc/sys/vm/drop_caches'\n\n"
        "1 finding that it leaves to you: sparksmith doctor\n"
    )


# torch tried out


def test_deep(tmp_path, monkeypatch):
    (tmp_path / ".venv/lib/python3.12/site-packages/torch-2.13.0.dist-info").mkdir(parents=True)
    (tmp_path / ".venv/pyvenv.cfg").write_text("home = /usr/bin\n")
    asked = []

    def probe(python, *, say):
        asked.append(python)
        say("torch: ...")
        ending = Ending(-11, 1.5, "")
        return DeepResult(python, (Step("python", "ok", 0.1, {}),), ending, "torch")

    hand_in(monkeypatch)
    monkeypatch.setattr("sparksmith.doctor.deep.run_probe", probe)
    monkeypatch.setattr("sparksmith.machine.facts.ask", None)
    monkeypatch.setattr("sparksmith.doctor.gather.ask", None)
    monkeypatch.setattr("sparksmith.machine.commands.ASKED", ())
    monkeypatch.chdir(tmp_path)
    done = run(".venv", "--deep", "--json")
    assert asked == [tmp_path / ".venv/bin/python"]
    record = json.loads(done.stdout)
    schema("doctor").validate(record)
    assert record["deep"]["at"] == "torch"
    assert done.return_value == ExitCode.MENDABLE
    assert "crashed with SIGSEGV" in run(".venv", "--deep").stdout


# what is typed wrong

COPY = "--root {machine}"
BAD = [
    ("absent", 2, "absent does not exist", "the folder of a venv"),
    ("notes.txt", 2, "notes.txt is a file", "the folder of a venv"),
    ("empty", 2, "empty is no Python environment", "the folder of a venv"),
    ("''", 2, "ENV is empty", "the folder of a venv"),
    ("one two", 2, "unexpected extra argument (two)", "sparksmith doctor --help"),
    ("--root absent", 2, "--root: absent does not exist", "etc, proc and usr"),
    ("--root notes.txt", 2, "--root: notes.txt is a file", "etc, proc and usr"),
    ("--root empty", 2, "--root: empty holds no machine's files", "etc, proc and usr"),
    (f"absent {COPY}", 2, "absent does not exist below", "the folder of a venv"),
    ("--target gb11", 2, "--target: there is no target gb11 (perhaps you meant gb10)", "h200"),
    ("--target absent.toml", 2, "--target: absent.toml cannot be read", "targets.NAME"),
    ("--error ''", 2, "--error: the text is empty", "sparksmith doctor --error"),
    ("--error '  \n'", 2, "--error: the text is empty", "sparksmith doctor --error"),
    ("--error", 2, "'--error' requires an argument", "sparksmith doctor --help"),
    ("--error text --facts", 2, "--error and --facts are different questions", "one after the other"),
    ("--error text notes.txt", 2, "it looks at no ENV", "sparksmith doctor --error TEXT"),
    (f"--error text {COPY}", 2, "it looks at no ENV", "sparksmith doctor --error TEXT"),
    ("--fix --bundle", 2, "--fix and --bundle are different questions", "one after the other"),
    ("--dry-run", 2, "--dry-run goes with --fix", "sparksmith doctor --fix --dry-run"),
    ("--fix --json", 2, "--fix and --json do not go together", "sparksmith doctor --json"),
    ("--bundle --json", 2, "--bundle and --json do not go together", "sparksmith doctor --json"),
    (f"--deep {COPY}", 2, "--deep runs this machine's torch", "sparksmith doctor --deep"),
    ("--deep --facts", 2, "--deep runs this machine's torch", "sparksmith doctor --deep"),
    (f"--bundle empty {COPY}", 1, "empty is a folder", "sparksmith doctor ENV --bundle"),
    (f"--bundle notes.txt {COPY}", 1, "notes.txt is there already", "sparksmith doctor --bundle FILE"),
    (f"--bundle absent/x.tar.gz {COPY}", 1, "the folder absent does not exist", "sparksmith doctor --bundle FILE"),
    (f"--bundle /proc/x.tar.gz {COPY}", 1, "/proc/x.tar.gz cannot be written", "sparksmith doctor --bundle FILE"),
    ("--nonsense", 2, "No such option", "sparksmith doctor --help"),
]


@pytest.mark.parametrize(("words", "code", "message", "hint"), BAD, ids=[row[0] for row in BAD])
def test_bad_command_lines(spark, tmp_path, monkeypatch, capsys, words, code, message, hint):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("some notes\n")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    said = type_words(monkeypatch, capsys, f"doctor {words.format(machine=spark)}")
    check_refusal(said, code, message, hint)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("words", [["doctor"], ["doctor", "--facts"], ["doctor", "--error", PTXAS]])
@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_a_full_disk_behind_standard_output(spark, monkeypatch, capsys, words, extra):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", full)
        place = [] if "--error" in words else ["--root", str(spark)]
        code, _, err = type_words(monkeypatch, capsys, [*words, *place, *extra])
    assert code == ExitCode.MENDABLE
    assert "standard output cannot be written: No space left on device" in err


def test_standard_input_that_is_closed(monkeypatch, capsys):
    class Closed(io.StringIO):
        def fileno(self):
            raise OSError("closed")

    monkeypatch.setattr(sys, "stdin", Closed())
    check_refusal(type_words(monkeypatch, capsys, "doctor --error -"), 2, "standard input is closed", "< LOG")


@pytest.mark.effects
def test_the_help_is_light():
    script = "import sys; from sparksmith.cli.doctor import doctor; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "sparksmith.cli.doctor" in loaded
    assert not {"torch", "pydantic", "packaging", "sparksmith.doctor", "sparksmith.machine"} & loaded


# a command line that is wrong


@pytest.mark.parametrize("given", ["nowhere", "", ".", "a.txt"])
def test_an_env_that_is_none_is_a_wrong_command_line(given, tmp_path, monkeypatch, capsys):
    (tmp_path / "a.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    for more in ([], ["--json"], ["--fix", "--dry-run"], ["--facts"], ["--bundle", "out.tar.gz"]):
        code, out, err = type_words(monkeypatch, capsys, ["doctor", given, *more])
        assert (code, out) == (ExitCode.USAGE, "")
        assert "hint: give the folder of a venv" in err
    assert not (tmp_path / "out.tar.gz").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("trian.log", "there is no file trian.log (perhaps you meant train.log)"),
        ("./trian.log", "there is no file ./trian.log (perhaps you meant train.log)"),
        ("logs/none", "there is no file logs/none"),
        ("/nowhere/at/all", "there is no file /nowhere/at/all"),
        ("run.out", "there is no file run.out"),
        ("run.err", "there is no file run.err"),
        ("run.txt", "there is no file run.txt"),
        ("logs", "logs is a folder"),
        (".", ". is a folder"),
    ],
)
def test_a_log_that_is_not_there_is_not_taken_for_the_error(given, said, tmp_path, monkeypatch, capsys):
    (tmp_path / "train.log").write_text("all is well\n")
    (tmp_path / "logs").mkdir()
    monkeypatch.chdir(tmp_path)
    code, out, err = type_words(monkeypatch, capsys, ["doctor", "--error", given])
    assert (code, out) == (ExitCode.USAGE, "")
    assert f"--error: {said}\n" in err and "hint: name " in err


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Killed", 0),
        ("CUDA_ERROR_NO_DEVICE", 0),
        ("cudaErrorNoKernelImageForDevice", 0),
        ("AssertionError", 1),
        ("an error in train.log", 1),
        ("https://example.org/error.log", 1),
        ("<class/of/error>", 1),
        ("libodd.so.3", 1),
        ("train.log", 1),  # it is there, and tells of nothing
    ],
)
def test_a_word_that_is_an_error_or_a_log_that_is_there(text, code, tmp_path, monkeypatch):
    (tmp_path / "train.log").write_text("all is well\n")
    monkeypatch.chdir(tmp_path)
    assert run("--error", text).return_value == code


def test_what_only_a_message_tells_is_not_said_to_mean_that(monkeypatch):
    assert "means:" not in run("--error", "Killed").stdout
    assert "means: what lies behind is one of the other faults" in run("--error", "CUDA not available").stdout
    assert "means: the ptxas in the environment's triton" in run("--error", PTXAS).stdout
