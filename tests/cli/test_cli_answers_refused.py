"""eval, predict and chat: whatever is typed wrong, and runs that are not of one piece."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

from answering import Terminal, make_run
from small_models import save_small_qwen
from sparksmith.base.files import write_json
from sparksmith.cli.main import main
from sparksmith.runs.checkpoints import seal_checkpoint
from typed import check_refusal, without_torch

LATIN = b"caf\xe9\n"
AB = b"a\tb\n"
CONFIG = b'{"model_type": "qwen3"}'
# (files to write, words, standard input, exit code, part of the message, part of the hint)
BAD_BEFORE_TORCH = [
    ({}, "eval absent eval.tsv", b"", 1, "absent does not exist", "RUN is the folder that train printed"),
    ({}, "eval run absent.tsv", b"", 1, "absent.tsv does not exist", "eval.tsv"),
    ({}, "eval eval.tsv eval.tsv", b"", 1, "eval.tsv is a file; a run's or a model's folder", "a run: run"),
    ({"e/x": b""}, "eval e eval.tsv", b"", 1, "e is neither a run nor a model", "ls e"),
    ({"e/plan.json": b"{}"}, "eval e eval.tsv", b"", 1, "the run e has no checkpoint yet", "first save"),
    ({"a.tsv": b""}, "eval run a.tsv", b"", 1, "a.tsv is empty", "TSV"),
    ({"a.tsv": LATIN}, "eval run a.tsv", b"", 1, "is not UTF-8: byte 0xe9 on line 1", "iconv"),
    ({"a.tsv": b"a\n"}, "eval run a.tsv", b"", 1, "1 column, 2 expected", "a tab"),
    ({"a.jsonl": b'{"text": "a"}\n'}, "eval run a.jsonl", b"", 1, "no prompts with responses", "TSV"),
    ({}, "eval run eval.tsv --batch_size 0", b"", 2, "0 is not in the range x>=1", "sparksmith eval --help"),
    ({}, "eval run eval.tsv --batch_size many", b"", 2, "'many' is not a valid int", "eval --help"),
    ({}, "eval run eval.tsv --device tpu", b"", 2, "'tpu' is not one of 'auto', 'cpu', 'cuda'", "eval --help"),
    ({}, "eval run eval.tsv --device cuda", b"", 1, "nvidia-smi shows no GPU", "--device cpu"),
    ({}, "eval run eval.tsv --precision fp8", b"", 2, "'fp8' is not one of", "eval --help"),
    ({"m/config.json": CONFIG}, "eval m eval.tsv --base", b"", 2, "m is a model: it is its own base", "eval m DATA"),
    ({"run/plan.json": b"{"}, "eval run eval.tsv", b"", 1, "plan.json cannot be read as JSON", "predict '"),
    ({}, "predict run", b"", 2, "nothing to answer: standard input has no text", "sparksmith predict RUN TEXT"),
    ({}, "predict run '' ' '", b"", 2, "nothing to answer: the text is empty", "sparksmith predict run TEXT"),
    ({}, "predict run text --file a.txt", b"", 2, "TEXT and --file are both given", "--file a.txt"),
    ({}, "predict run --file a.txt", b"", 1, "the file a.txt does not exist", "ls"),
    ({}, "predict run --file .", b"", 1, ". cannot be read: Is a directory", "ls -l ."),
    ({"a.txt": b"\n\n"}, "predict run --file a.txt", b"", 2, "a.txt has no text", "predict run TEXT"),
    ({"a.txt": b"a\n" + LATIN}, "predict run --file a.txt", b"", 1, "a.txt, line 2: byte 0xe9 is not UTF", "iconv"),
    ({}, "predict absent text", b"", 1, "absent does not exist", "RUN is the folder"),
    ({}, "predict run text --batch_size 0", b"", 2, "0 is not in the range", "predict --help"),
    ({}, "predict run text --device cuda", b"", 1, "nvidia-smi shows no GPU", "--device cpu"),
    ({"run/checkpoint-1/model.safetensors": b""}, "predict run text", b"", 1, "no whole checkpoint", "--resume_from"),
    ({}, "chat absent", b"", 1, "absent does not exist", "RUN is the folder"),
    ({}, "chat run --temperature 11", b"", 2, "11.0 is not in the range", "chat --help"),
    ({}, "chat run --device cuda", b"", 1, "nvidia-smi shows no GPU", "--device cpu"),
    ({"m/config.json": CONFIG, "m/tokenizer_config.json": b"{}"}, "chat m", b"", 1, "m has no chat template",
     "sparksmith predict m TEXT"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("files", "words", "given", "code", "message", "hint"), BAD_BEFORE_TORCH, ids=[row[1] for row in BAD_BEFORE_TORCH]
)
def test_what_can_be_known_is_said_before_torch_is_imported(
    type_in, folder, monkeypatch, files, words, given, code, message, hint
):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    monkeypatch.setattr("sparksmith.machine.gpu.read_gpus", list)
    if "standard input" not in message:  # a pipe is read when the model can answer
        without_torch(monkeypatch)
    check_refusal(type_in(words, given), code, message, hint)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_standard_input_that_is_closed(folder, monkeypatch, capsys):
    for words in ("predict run", "chat run"):
        monkeypatch.setattr(sys, "argv", ["sparksmith", *words.split()])
        monkeypatch.setattr(sys, "stdin", None)
        with pytest.raises(SystemExit) as stopped:
            main()
        shown = capsys.readouterr()
        assert stopped.value.code == 2 and "error: standard input is closed\nhint: " in shown.err


def test_predict_at_a_terminal_without_text(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sparksmith", "predict", "run"])
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("os.isatty", lambda descriptor: True)
    with pytest.raises(SystemExit) as stopped:
        main()
    err = capsys.readouterr().err
    assert stopped.value.code == 2 and "standard input is a terminal" in err and "--file - to type lines" in err


def test_an_argument_that_is_not_utf8(type_in):
    check_refusal(type_in(["predict", "run", "a", "caf\udce9"]), 2, "TEXT 2 is not UTF-8", "predict run TEXT")


def spoil_adapter(folder):
    shutil.rmtree(folder / "run")
    made = make_run(folder / "made", full_finetuning="false", lora_r=4)
    shutil.rmtree(made.base)
    save_small_qwen(made.base)
    made.path.rename(folder / "run")


def spoil_config(folder):
    path = folder / "run/checkpoint-1/config.json"
    config = json.loads(path.read_text())
    config["num_hidden_layers"] += 1
    write_json(path, {**config, "layer_types": ["full_attention"] * config["num_hidden_layers"]})
    seal_checkpoint(path.parent, 1)


def spoil_tokenizer(folder):
    other = save_small_qwen(folder / "other")
    shutil.copy(other / "tokenizer.json", folder / "run/checkpoint-1/tokenizer.json")
    seal_checkpoint(folder / "run/checkpoint-1", 1)


def spoil_weights(folder):
    (folder / "run/checkpoint-1/model.safetensors").write_bytes(b"nothing")
    seal_checkpoint(folder / "run/checkpoint-1", 1)


def spoil_template(folder):
    (folder / "run/checkpoint-1/chat_template.jinja").write_text("{{ raise_exception('never') }}")
    seal_checkpoint(folder / "run/checkpoint-1", 1)


def spoil_nothing(folder):
    pass


@pytest.mark.parametrize(
    ("spoil", "message", "hint"),
    [
        (spoil_adapter, "does not fit on", "base_model_name_or_path"),
        (spoil_config, "lacks 11 of its model's weights", "another checkpoint"),
        (spoil_tokenizer, "they do not belong together", "another checkpoint"),
        (spoil_weights, "checkpoint-1 is passed over, it is not whole: model.safetensors has a header", "--output_dir"),
        (spoil_template, "chat template refuses this conversation", "mend that line"),
    ],
)
@pytest.mark.parametrize("words", ["eval run eval.tsv --json", "predict run text"])
def test_a_run_that_is_not_of_one_piece(type_in, folder, spoil, message, hint, words):
    spoil(folder)
    check_refusal(type_in(words), 1, message, hint)


def test_a_gpu_that_torch_does_not_see(type_in, monkeypatch):
    monkeypatch.setattr("sparksmith.machine.gpu.read_gpus", lambda: ["a GPU"])
    check_refusal(type_in("predict run text --device cuda"), 1, "sees no GPU", "--device cpu")
