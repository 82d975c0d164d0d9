"""Files and folders that somebody has spoilt, and words in the wrong place: one message each, nothing touched."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from asked import machine
from made_runs import write_made_run
from records import write_run
from sparksmith.base.files import write_json
from typed import check_refusal, type_words, without_torch

AB = b"a\tb\nc\td\n"
FIVE = b"sede: 1\nbatch_size: 0\nlearning_rate: fast\nmodel: [1]\nheader: maybe\n"
DEEP = b"[" * 100_000 + b"\n"

# (files to write, words, exit code, part of the message, part of the hint)
NASTY = [
    # train
    ({"r.yaml": FIVE}, "train r.yaml", 1, "r.yaml has 5 mistakes", "sparksmith recipe schema"),
    ({}, "train --data_file /dev/null", 1, "/dev/null is empty", "data is a TSV"),
    ({}, "train --data_file /dev/zero", 1, "/dev/zero is not a text file", "data is a TSV"),
    ({"a.jsonl": DEEP}, "train --data_file a.jsonl", 1, "a.jsonl has 1 bad line:", "each line is"),
    ({"a.jsonl": b'{"prompt": 1, "completion": "b"}\n'}, "train --data_file a.jsonl", 1, "are text", "each line is"),
    ({"a.csv": b'a,"b\nc,d\n'}, "train --data_file a.csv", 1, "not CSV", "use TSV"),
    ({"a.tsv": b"\ta\n"}, "train --data_file a.tsv", 1, "the prompt is empty", "a tab"),
    ({"a.tsv": b" \n\n"}, "train --data_file a.tsv", 1, "a.tsv is empty", "data is a TSV"),
    ({"a.tsv": AB}, "train --data_file a.tsv --max_steps -3", 2, "--max_steps: '-3' is not possible", "--help"),
    ({"a.tsv": AB}, "train --data_file a.tsv --batch_size 0", 2, "--batch_size: '0' is not possible", "--help"),
    ({"a.tsv": AB}, "train --data_file a.tsv --metric_for_best_model beauty", 2, "'beauty' is not possible", "--help"),
    ({"a.tsv": AB}, "train --data_file a.tsv --dataset_train_split dev", 2, "owner/name:SPLIT", "train --help"),
    ({"a.tsv": AB}, "train --data_file a.tsv --device cuda", 1, "nvidia-smi shows no GPU", "--device cpu"),
    ({"a.tsv": AB}, "train --data_file a.tsv --model a.tsv", 1, "a.tsv is a file; a model is a folder", "ls"),
    ({"a.tsv": AB}, "train --data_file a.tsv --model run", 1, "run is a run, not a model", "--model run/checkpoint-"),
    ({"a.tsv": AB}, "train --data_file a.tsv --output_dir a.tsv", 1, "a.tsv cannot be made", "--output_dir FOLDER"),
    ({"a.tsv": AB}, "train --data_file a.tsv --output_dir run", 1, "holds a run already", "--output_dir OTHER"),
    ({"a.tsv": AB}, "train a.tsv", 1, "a.tsv is data, not a recipe", "--data_file a.tsv"),
    ({}, "train run", 1, "run is neither a file nor a shipped recipe", "a file of your own ends in .yaml"),
    ({}, "train --output_dir cut --resume_from_checkpoint", 1, "settings.json is not of this version", "start afresh"),
    ({}, "train --output_dir loop --resume_from_checkpoint", 1, "there is no run in", "--output_dir FOLDER"),
    # eval
    ({"a.tsv": AB}, "eval a.tsv run", 2, "a.tsv is a file and run a folder: the run comes first", "eval run a.tsv"),
    ({"a.tsv": AB}, "eval outs a.tsv", 1, "outs is neither a run nor a model, but holds runs", "runs: outs/a, outs/b"),
    ({"a.tsv": AB}, "eval outs/c a.tsv", 1, "outs/c does not exist", "runs: outs/a, outs/b"),
    ({"a.tsv": AB}, "eval cut a.tsv", 1, "the run cut has no checkpoint yet", "let it train"),
    ({"a.tsv": AB}, "eval run a.tsv --spaces_separate letters", 2, "'letters' is not one of", "eval --help"),
    ({"a.tsv": AB}, "eval run a.tsv --data_file a.tsv", 2, "No such option", "eval --help"),
    ({"a.tsv": AB}, "eval run a.tsv --data_format parquet", 1, "a.tsv is no parquet file", "--data_format"),
    ({"a.bin": b"\0\1"}, "eval run a.bin", 1, "a.bin is not a text file", "data is a TSV"),
    ({"a": b"word\n"}, "eval run a", 1, "the format of a cannot be told", "--data_format"),
    ({"m/config.json": b"{}", "m/model.safetensors": b"no", "a.tsv": AB}, "eval m a.tsv", 1, "m is not whole", "all"),
    ({"m/adapter_config.json": b"{", "a.tsv": AB}, "eval m a.tsv", 1, "adapter_config.json cannot be read", None),
    # predict and chat
    ({"a.bin": b"a\nb\0c\n"}, "predict m --file a.bin", 1, "a.bin is not a text file (line 2 has NUL", "a prompt each"),
    ({}, "predict m --file /dev/zero", 1, "/dev/zero is not a text file", "a prompt each"),
    ({}, "predict m --file /dev/null", 2, "/dev/null has no text", "predict m TEXT"),
    ({}, "predict m --file a/b/c", 1, "a/b/c does not exist", "ls"),
    ({}, "predict outs text", 1, "outs is neither a run nor a model, but holds runs", "runs: outs/a, outs/b"),
    ({}, "predict m text --max_new_tokens -1", 2, "-1 is not in the range", "predict --help"),
    ({}, "predict m text --header yes", 2, "No such option", "predict --help"),
    ({}, "chat outs", 1, "outs is neither a run nor a model, but holds runs", "runs: outs/a, outs/b"),
    ({}, "chat m --batch_size 3", 2, "No such option", "chat --help"),
    # report, runs, logs, stop, clean
    ({}, "report outs", 1, "outs is no run, but holds some", "runs: outs/a, outs/b"),
    ({}, "report run --output .", 1, ". is a folder", "--output report.html"),
    ({}, "report run --output gone/a.html", 1, "gone/a.html cannot be written", "--output FILE"),
    ({"p.html": b"<p>"}, "report run --output p.html", 1, "p.html is there already", "--output OTHER.html"),
    ({"comparison.html": b"<p>"}, "report run outs/a", 1, "comparison.html is there already", "--output OTHER.html"),
    ({}, "report run run/checkpoint-600", 2, "one and the same run", "sparksmith report run"),
    ({}, "report run --json", 2, "No such option", "report --help"),
    ({}, "runs show loop", 1, "loop does not exist", "runs: "),
    ({}, "runs show run run", 2, "unexpected extra argument", "runs show --help"),
    ({}, "runs run", 2, "No such command 'run'", "sparksmith runs --help"),
    ({}, "logs outs", 1, "outs is no run, but holds some", "runs: outs/a, outs/b"),
    ({}, "stop outs", 1, "outs is no run, but holds some", "runs: outs/a, outs/b"),
    ({}, "clean outs", 1, "outs is no run, but holds some", "runs: outs/a, outs/b"),
    ({}, "clean cut --output_dir x", 2, "No such option", "clean --help"),
]  # fmt: skip


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    """A run, runs in a folder, a run whose plan is cut, a link to itself."""
    folder = tmp_path_factory.mktemp("nasty") / "it's a folder"
    write_made_run(folder / "run")
    write_run(folder / "outs/a")
    write_run(folder / "outs/b")
    cut = write_run(folder / "cut")
    write_json(cut.settings, {})
    cut.plan.write_text('{"version": 1, "mod')
    (folder / "loop").symlink_to("loop")
    return folder


@pytest.mark.parametrize(
    ("files", "words", "code", "message", "hint"), NASTY, ids=[f"{number} {row[1]}" for number, row in enumerate(NASTY)]
)
def test_nasty(spoilt, tmp_path, monkeypatch, capsys, files, words, code, message, hint):
    folder = tmp_path / "here"
    shutil.copytree(spoilt, folder, symlinks=True)
    (folder / "m").mkdir()
    files = {"m/config.json": b"{}", "m/tokenizer_config.json": b'{"chat_template": "x"}', **files}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sparksmith.machine.collect.collect", machine)
    monkeypatch.setattr("sparksmith.machine.gpu.read_gpus", list)
    monkeypatch.setattr("sparksmith.cli.train.check_torch", lambda: None)
    without_torch(monkeypatch)
    before = contents(folder)
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        check_refusal(type_words(monkeypatch, capsys, words), code, message, hint)
    assert contents(folder) == before


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file of a folder with its bytes, and what else lies there."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def test_they_are_all_different():
    assert len({(str(files), words) for files, words, *_ in NASTY}) == len(NASTY) >= 50
