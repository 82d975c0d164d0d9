"""sparksmith audit and sparksmith stack as they are typed: words, exit codes, JSON, errors."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

import sparksmith
from packages.made_environments import install, make_venv
from packages.made_wheels import PURE, make_wheel
from packages.make_elf import cubin, make_elf
from sparksmith.base.errors import ExitCode, SparksmithError, UsageProblem
from sparksmith.cli.audit import audit
from sparksmith.cli.main import main
from sparksmith.cli.stack import stack
from sparksmith.packages.judge_code import State
from sparksmith.policy.load import list_stacks

HOPPER = make_elf(fatbin=[cubin(90, "a")])
CUT = make_elf(fatbin=[cubin(120)])[:-500]


def schema(name: str) -> jsonschema.Draft202012Validator:
    content = json.loads((files("sparksmith.packages") / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(content)
    return jsonschema.Draft202012Validator(content)


def run(command, *words: str):
    return CliRunner().invoke(command, list(words), standalone_mode=False)


@pytest.mark.parametrize(
    ("content", "verdict", "plain", "strict"),
    [
        (None, "runs", 0, 0),
        (HOPPER, "will not run", 1, 1),
        (CUT, "cannot tell", 0, 1),
        (make_elf(fatbin=[cubin(120)]), "runs", 0, 0),
    ],
)
def test_exit_codes(tmp_path, content, verdict, plain, strict):
    content = {"sample/_C.so": content} if content else {}
    wheel = str(make_wheel(tmp_path, files=content, tag="cp312-abi3-manylinux_2_28_aarch64"))
    done = run(audit, wheel)
    assert done.output.splitlines()[-1] == f"verdict: {verdict}"
    assert done.return_value == plain
    assert run(audit, wheel, "--strict").return_value == strict


def test_json_follows_its_schema(tmp_path):
    make_wheel(tmp_path, "hopper", files={"hopper/_C.so": HOPPER})
    make_wheel(tmp_path, "cut", files={"cut/_C.so": CUT})
    make_wheel(tmp_path, "pure", tag=PURE)
    done = run(audit, str(tmp_path), "--json")
    record = json.loads(done.output)
    schema("audit").validate(record)
    assert done.return_value == ExitCode.MENDABLE
    assert (record["version"], record["kind"], record["target"]["name"]) == (1, "folder", "gb10")
    assert record["counts"] == {"runs": 1, "runs with a note": 0, "cannot tell": 1, "will not run": 1}
    assert record["notes"] == []


def test_the_schema_knows_every_state_of_a_library():
    known = schema("audit").schema["properties"]["packages"]["items"]["properties"]["libraries"]["items"]
    assert set(known["properties"]["state"]["enum"]) == {state.value for state in State}


def test_another_target(tmp_path, monkeypatch):
    wheel = str(make_wheel(tmp_path, files={"sample/_C.so": make_elf(fatbin=[cubin(110)])}))
    assert "verdict: will not run" in run(audit, wheel).output
    assert "verdict: runs" in run(audit, wheel, "--target", "jetson-thor").output
    own = tmp_path / "own.toml"
    own.write_text('[targets.mine]\nlike = "gb10"\ncompute_capability = "11.0"\n')
    assert "verdict: runs" in run(audit, wheel, "--target", str(own)).output
    assert "verdict: runs" in run(audit, wheel, "--target", f"{own}:mine").output


@pytest.mark.parametrize(
    ("target", "said", "hint"),
    [
        ("gb1", "there is no target gb1 (perhaps you meant gb10)", "the targets are gb10, h200"),
        ("absent.toml", "absent.toml cannot be read: No such file", "[targets.NAME]"),
        ("broken.toml", "broken.toml is not TOML", "[targets.NAME]"),
        ("wrong.toml", "drivver is not a key (perhaps you meant driver)", "[targets.NAME]"),
        ("wrong.toml:other", "has no target other", "it has mine"),
    ],
)
@pytest.mark.parametrize("command", [(audit, "torch"), (stack, "list"), (stack, "show", "train")])
def test_a_target_that_is_none_is_a_usage_error(tmp_path, monkeypatch, target, said, hint, command):
    monkeypatch.chdir(tmp_path)
    Path("broken.toml").write_text("[targets")
    Path("wrong.toml").write_text('[targets.mine]\nlike = "gb10"\ndrivver = 595\n')
    verb, *words = command
    done = run(verb, *words, "--target", target)
    assert isinstance(done.exception, UsageProblem)
    assert said in done.exception.message
    assert hint in str(done.exception.hint)


@pytest.mark.parametrize(
    ("word", "code", "said"),
    [
        ("absent.whl", 2, "absent.whl does not exist"),
        ("absent.yaml", 2, "absent.yaml does not exist"),
        (".venv", 2, ".venv does not exist"),
        ("env", 2, "env does not exist"),
        ("empty", 2, "empty holds no wheels, is no environment"),
        ("source.tar.gz", 2, "source.tar.gz is no wheel"),
        ("no-1.0-py3-none-any.whl", 1, "is no whole zip file"),
        ("venv", 1, "nothing is installed in venv"),
        ("venv/bin/python", 1, "nothing is installed in venv/bin/python"),  # a link to another machine's Python
        ("noise.txt", 1, "noise.txt cannot be read as text"),
        ("wrong.txt", 1, "wrong.txt, line 2"),
        ("a" * 5000, 1, "uv is missing"),  # too long for a file's name, and a requirement
        ("what is this?", 2, "does not exist, and is no requirement"),
        ("nul\0byte", 2, "does not exist, and is no requirement"),
    ],
)
def test_what_cannot_be_audited_is_said(tmp_path, monkeypatch, word, code, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sparksmith.packages.uv.find_uv", no_uv)
    Path("empty").mkdir()
    (tmp_path / "venv/lib/python3.12/site-packages").mkdir(parents=True)
    Path("venv/pyvenv.cfg").write_text("version = 3.12.3\n")
    Path("venv/bin").mkdir()
    Path("venv/bin/python").symlink_to("/absent/python3.12")
    Path("source.tar.gz").write_bytes(b"x")
    Path("no-1.0-py3-none-any.whl").write_bytes(b"no zip")
    Path("noise.txt").write_bytes(bytes(range(256)))
    Path("wrong.txt").write_text("torch\n!!\n")
    done = run(audit, word)
    assert isinstance(done.exception, SparksmithError), done.exception
    assert done.exception.exit_code == code
    assert said in done.exception.message
    assert done.exception.hint


def no_uv():
    from sparksmith.packages.uv import NoUv

    raise NoUv("uv is missing, and resolving needs it", "how to get it")


def test_nothing_named_is_a_usage_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sparksmith", "audit"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "Missing argument 'WHAT...'" in capsys.readouterr().err


def test_stacks_are_listed_with_their_verdicts():
    done = run(stack, "list", "--json")
    record = json.loads(done.output)
    assert record["version"] == 1
    names = [each["name"] for each in record["stacks"]]
    assert names[0] == "train"
    assert sorted(names) == list_stacks()
    for each in record["stacks"]:
        schema("stack").validate(each)
        if each["audit"]:
            schema("audit").validate(each["audit"])
    assert {each["name"]: each["verdict"] for each in record["stacks"]}["guide-2025"] == "will not run"
    text = run(stack, "list").output
    assert text.startswith("train: runs; all 99 packages run")
    assert "guide-2025: will not run; of 89 packages 1 will not run" in text


def test_a_stack_is_shown():
    record = json.loads(run(stack, "show", "train", "--json").output)
    schema("stack").validate(record)
    assert record["packages"]["torch"] == "2.13.0"
    assert Path(record["file"]).is_file()
    text = run(stack, "show", "guide-2025").output
    assert "will not run: bitsandbytes 0.48.0" in text
    assert text.endswith("verdict: will not run; of 89 packages 1 will not run, 88 run\n")
    with pytest.raises(SparksmithError, match="perhaps you meant train"):
        raise run(stack, "show", "trian").exception


TIMED = """
import sys, time
begun = time.perf_counter()
from sparksmith.cli.main import main
sys.argv = ["sparksmith", *sys.argv[1:]]
try:
    main()
except SystemExit as stopped:
    code = stopped.code
print(code, time.perf_counter() - begun, *sorted(sys.modules), file=sys.stderr)
"""


def bare(home: Path) -> dict[str, str]:
    """Variables without a way to uv, with which this Sparksmith is what Python finds."""
    source = str(Path(sparksmith.__file__).parents[1])
    return {"PATH": "", "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": source}


@pytest.mark.effects
def test_a_known_file_is_audited_at_once_without_uv_torch_or_network(tmp_path):
    stack_file = files("sparksmith.policy") / "stacks/train.txt"
    seconds = []
    for _ in range(2):  # other work on the machine may fall into one
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", TIMED, "audit", str(stack_file)], capture_output=True, text=True, check=True,
            env=bare(tmp_path),
        )  # fmt: skip
        seconds.append(time.perf_counter() - begun)
    code, inside, *loaded = done.stderr.split()
    assert (code, done.stdout.splitlines()[0]) == ("0", str(stack_file))
    assert not {"torch", "numpy", "pydantic", "yaml", "rich", "jinja2", "transformers"} & set(loaded)
    assert float(inside) < 3.0
    assert min(seconds) < 4.0  # 0.3 s on a machine with nothing else to do


# reads that hang; as under a shell, SIGINT is not ignored
HANGS = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from sparksmith.packages import installed
from sparksmith.packages.wheel import read
def hang(*what):
    print("at it", flush=True)
    time.sleep(30)
read.examine = installed.examine = hang
from sparksmith.cli.main import main
sys.argv = ["sparksmith", *sys.argv[1:]]
main()
"""


def interrupted(folder: Path, word: Path, begun: Callable[[subprocess.Popen[str]], object]) -> tuple[int, float, str]:
    """The exit code, the seconds that it took to end after Ctrl+C, and what was said."""
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS, "audit", str(word)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=bare(folder),
    )  # fmt: skip
    try:
        begun(process)
        before = time.perf_counter()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)[1]
        return process.returncode, time.perf_counter() - before, said
    finally:
        process.kill()
        process.wait()


def first_line(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "at it\n"


@pytest.mark.effects
@pytest.mark.parametrize("kind", ["wheel", "folder", "environment"])
def test_ctrl_c_ends_the_reading_at_once(tmp_path, kind):
    library = {"sample/_C.so": make_elf(fatbin=[cubin(120)])}
    word = make_wheel(tmp_path / "wheels", files=library)
    make_wheel(tmp_path / "wheels", "other", files=library)
    install(make_venv(tmp_path / "venv"), "sample", files=library)
    word = {"wheel": word, "folder": word.parent, "environment": tmp_path / "venv"}[kind]
    code, seconds, said = interrupted(tmp_path, word, first_line)
    assert (code, said.strip()) == (ExitCode.INTERRUPTED, "")
    assert seconds < 2.0  # 0.2 s on a machine with nothing else to do


@pytest.mark.effects
def test_ctrl_c_waits_for_no_server(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        rows = "".join(
            f'[[packages]]\nname = "p{number}"\nversion = "1"\nwheels = [{{ url = "http://127.0.0.1:'
            f'{server.getsockname()[1]}/p{number}-1-py3-none-any.whl" }}]\n'
            for number in range(5)
        )
        lock = tmp_path / "pylock.toml"
        lock.write_text(f'lock-version = "1.0"\n{rows}')
        held = []
        code, seconds, said = interrupted(tmp_path, lock, lambda process: held.append(server.accept()[0]))
        for each in held:
            each.close()
    assert (code, said.strip()) == (ExitCode.INTERRUPTED, "")
    assert seconds < 2.0  # a minute for each wheel where they are waited for
