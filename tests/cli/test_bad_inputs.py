"""Whatever is typed wrong: exit code 1 or 2, one error, a hint, no traceback, and no torch imported for it."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

import sparksmith
from sparksmith.cli.main import VERBS, main
from sparksmith.cli.recipe import recipe
from typed import ELSEWHERE, FLAG, check_refusal, every_flag, flags_of, type_words, unknown_flags, without_torch

SOURCE = Path(sparksmith.__file__).parent
LATIN = "café\tk a f e\n".encode("latin-1")

# (files to write, words, exit code, part of the message, part of the hint)
BAD = [
    ({}, "trian", 2, "there is no command trian (perhaps you meant train)", "sparksmith --help"),
    ({}, "--nonsense", 2, "No such option", "--help"),
    ({}, "train", 2, "no data: neither the recipe nor a flag names a data_file", "--data_file FILE"),
    ({}, "train --data_file absent.tsv", 1, "absent.tsv does not exist", "data is a TSV"),
    ({"near.tsv": b"a\tb\n"}, "train --data_file absent.tsv", 1, "does not exist", "there are near.tsv"),
    ({}, "train --data_file .", 1, ". is a folder", "ls ."),
    ({"a.tsv": b""}, "train --data_file a.tsv", 1, "a.tsv is empty", "TSV, CSV or JSONL"),
    ({"a.tsv": b"\x7fELF\0\0"}, "train --data_file a.tsv", 1, "is not a text file", "TSV, CSV or JSONL"),
    ({"a.tsv": LATIN}, "train --data_file a.tsv", 1, "is not UTF-8: byte 0xe9 on line 1", "iconv"),
    ({"a.tsv": b"one\ntwo\n"}, "train --data_file a.tsv", 1, "a.tsv has 2 bad lines", "a tab"),
    ({"a.jsonl": b"{}\n"}, "train --data_file a.jsonl", 1, "it has nothing", "each line is"),
    ({"a.xlsx": b"PK\n"}, "train --data_file a.xlsx", 1, "cannot be told from its name", "--data_format"),
    ({"a.tsv": b"a\tb\n"}, "train --data_file a.tsv --eval_file b.tsv", 1, "b.tsv does not exist", "a.tsv"),
    ({}, "train no-such-recipe", 1, "neither a file nor a shipped recipe", "g2p-hebrew"),
    ({}, "train absent.yaml", 1, "the recipe absent.yaml does not exist", "sparksmith recipe list"),
    ({"r.yaml": b"a: [1\n"}, "train r.yaml", 1, "not YAML", "sparksmith recipe show sft"),
    ({"r.yaml": b"- 1\n"}, "train r.yaml", 1, "`key: value` lines", "sparksmith recipe show sft"),
    ({"r.yaml": b"sede: 1\nmodel: 5\n"}, "train r.yaml", 1, "perhaps you meant seed", "sparksmith recipe schema"),
    ({"r.yaml": LATIN}, "train r.yaml", 1, "is not UTF-8", None),
    ({}, "train sft another", 2, "unexpected extra argument (another)", "sparksmith train --help"),
    ({}, "train --batchsize 8", 2, "--batchsize", "sparksmith train --help"),
    ({}, "train --batch_size", 2, "requires an argument", "sparksmith train --help"),
    ({}, "train --batch_size eight", 2, "--batch_size: 'eight' is not possible: it is a whole number", "train --help"),
    ({}, "train --batch_size 8 --micro_batch_size 3", 2, "is not a multiple of micro_batch_size 3", "--batch_size 9"),
    ({}, "train --batch_size 8 --micro_batch_size 2 --gradient_accumulation_steps 2", 2, "8 is not", "--batch_size 4"),
    ({}, "train --report_to mlflow", 2, "it is one of 'none', 'tensorboard', 'wandb'", "train --help"),
    ({}, "train --num_train_epochs inf", 2, "finite number", "train --help"),
    ({}, "train --load_in_4bit", 2, "--load_in_4bit is not possible: QLoRA is not built yet", "train --help"),
    ({}, "train --fp16 True", 2, "--fp16 is not possible", "train --help"),
    ({}, "train --resume_from_checkpoint r.yaml", 2, "is a recipe, not a checkpoint", "train r.yaml --resume_from"),
    ({}, "train --json", 2, "--json goes with --dry-run", "--dry-run --json"),
    ({}, "train --system_prompt_file absent.txt --data_file a.tsv", 1, "prompt absent.txt cannot be read", None),
    ({}, "recipe", 2, None, None),
    ({}, "recipe shwo sft", 2, "No such command 'shwo'", "sparksmith recipe --help"),
    ({}, "recipe show stf", 1, "there is no recipe stf (perhaps you meant sft)", "g2p-hebrew"),
    ({}, "recipe show", 2, "Missing argument 'NAME'", "sparksmith recipe show --help"),
    ({}, "eval", 2, "Missing argument 'RUN'", "sparksmith eval --help"),
    ({}, "eval outputs", 2, "Missing argument 'DATA'", "sparksmith eval --help"),
    ({}, "eval outputs absent.tsv", 1, "absent.tsv does not exist", "TSV, CSV or JSONL"),
    ({"a.tsv": b"a\tb\n"}, "eval outputs a.tsv", 1, "outputs does not exist", "RUN is the folder that train printed"),
    ({"a.tsv": b"a\tb\n"}, "eval a.tsv a.tsv", 1, "a.tsv is a file; a run's or a model's folder", "sparksmith runs"),
    ({"a.tsv": b"a\tb\n", "run/x": b""}, "eval run a.tsv", 1, "run is neither a run nor a model", "ls run"),
    ({"a.tsv": b"a\tb\n", "run/plan.json": b"{}"}, "eval run a.tsv", 1, "run has no checkpoint yet", "first save"),
    ({"a.jsonl": b'{"text": "a"}\n'}, "eval outputs a.jsonl", 1, "no prompts with responses", "TSV of two columns"),
    ({"a.tsv": b"a\tb\n"}, "eval outputs a.tsv --batch_size 0", 2, "0 is not in the range", "sparksmith eval --help"),
    ({}, "predict", 2, "Missing argument 'RUN'", "sparksmith predict --help"),
    ({}, "predict absent text", 1, "absent does not exist", "RUN is the folder"),
    ({"m/config.json": b"{}"}, "predict m ''", 2, "nothing to answer: the text is empty", "sparksmith predict m TEXT"),
]  # fmt: skip


@pytest.fixture
def type_in(tmp_path, monkeypatch, capsys):
    """Type a command line into a folder with these files; returns (exit code, standard output, standard error)."""

    def run(files, words):
        folder = tmp_path / "it's a folder"
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        without_torch(monkeypatch)
        return type_words(monkeypatch, capsys, words)

    return run


@pytest.mark.parametrize(("files", "words", "code", "message", "hint"), BAD, ids=[row[1] for row in BAD])
def test_bad_command_lines(type_in, files, words, code, message, hint):
    said = type_in(files, words)
    if message is None:  # a group without a command shows its help
        assert said[:2] == (code, "") and said[2].startswith("Usage: ")
        return
    check_refusal(said, code, message, hint)


def test_nothing_is_written_by_a_command_line_that_is_refused(type_in, tmp_path):
    type_in({"a.tsv": b"one\n"}, "train --data_file a.tsv --output_dir made")
    assert [path.name for path in (tmp_path / "it's a folder").iterdir()] == ["a.tsv"]


def test_an_unforeseen_error_is_a_defect(type_in, monkeypatch):
    monkeypatch.setattr("sparksmith.cli.train.find_recipe", lambda name: 1 / 0)
    code, out, err = type_in({}, "train")
    assert (code, out) == (70, "")
    assert "error: a defect of Sparksmith: ZeroDivisionError" in err
    assert "hint: please report it" in err


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 0)])
def test_other_ends(monkeypatch, raised, code):
    def interrupted(*arguments, **options):
        raise raised

    import io

    monkeypatch.setattr("sparksmith.cli.main.cli.main", interrupted)
    monkeypatch.setattr(sys, "stderr", io.StringIO())  # a broken pipe closes it
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == code


def strings_of(path: Path) -> list[tuple[int, str]]:
    """(line, text) of each string in a source file that is no docstring; an f-string's holes are braces."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    found = []
    for node in ast.walk(tree):
        if id(node) in documentation | inner:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append((node.lineno, node.value))
        elif isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            found.append((node.lineno, "".join(map(str, parts))))
    return found


COMMAND = re.compile(r"(?<![\w./-])sparksmith (\S+)(?: ([a-z]+)\b)?")


@pytest.mark.parametrize(
    ("typed", "hint", "unknown"),
    [
        ("train sft", "hint: --output_dir OTHER, or --device cpu", []),
        ("eval run data", "hint: --data_file FILE", ["--data_file"]),
        ("clean run", "hint: sparksmith stop run, or another --output_dir", ["--output_dir"]),
        ("clean run", "hint: sparksmith train --output_dir OTHER", []),
        ("runs show run", "hint: sparksmith runs --json", []),
        ("eval run data", "hint: sparksmith predict run --base", []),  # of what was typed
        ("predict run text", "hint: sparksmith predict run --base", ["--base"]),
        ("train", "hint: hf download a --repo-type dataset, and --batch-size 3", []),
    ],
)
def test_the_search_for_flags(typed, hint, unknown):
    assert unknown_flags(typed.split(), hint) == unknown


def test_a_flag_has_every_spelling():
    assert {"--batch_size", "--batch-size", "--per_device_train_batch_size"} <= flags_of("train")
    assert "--output" not in flags_of("train") and "--output" in flags_of("report")


HINTING = ("base", "cli", "data", "evaluate", "jobs", "model", "recipe", "report", "runs", "train")  # rooms


def test_every_flag_in_a_message_is_one_of_some_verb():
    """That it is one of the verb in which the message appears is looked at wherever a test types a command."""
    known = set(every_flag())
    unknown, seen = [], 0
    for path in sorted(path for room in HINTING for path in (SOURCE / room).rglob("*.py")):
        for line, text in strings_of(path):
            found = FLAG.findall(ELSEWHERE.sub("", text))
            seen += len(found)
            unknown += [f"{path.relative_to(SOURCE)}:{line}: {flag}" for flag in found if flag not in known]
    assert unknown == []
    assert seen > 100


def test_every_command_in_a_hint_exists():
    seen, unknown = set(), []
    for path in sorted(SOURCE.rglob("*.py")):
        for line, text in strings_of(path):
            for verb, word in COMMAND.findall(text):
                verb = verb.rstrip(".,;:)`")
                seen.add(verb)
                known = verb in VERBS or verb in {"--help", "--version"}
                if verb == "recipe":
                    known = word in recipe.commands
                if not known:
                    unknown.append(f"{path.relative_to(SOURCE)}:{line}: sparksmith {verb} {word}".strip())
    assert unknown == []
    assert {"train", "eval", "predict", "recipe"} <= seen  # the search finds what it looks for


def test_the_search_for_commands_finds_one_that_does_not_exist(tmp_path):
    file = tmp_path / "a.py"
    file.write_text(
        '"""sparksmith docs"""\nx = f"hint {1}: sparksmith clean {2}"\ny = "python -m sparksmith.train a"\n'
    )
    assert [COMMAND.findall(text) for _, text in strings_of(file)] == [[("clean", "")], []]
