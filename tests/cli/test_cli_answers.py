"""eval, predict and chat as they are typed: what goes where, line by line, and whatever is typed wrong."""

from __future__ import annotations

import io
import json
import os
import re
import select
import shlex
import shutil
import sys
import threading

import jsonschema
import pytest

from answering import make_run
from plans import PAIRS
from small_models import save_small_qwen
from sparksmith.base.files import sha256_of, write_json
from sparksmith.cli.lines import read_batches
from sparksmith.cli.main import main
from sparksmith.cli.predict import one_line
from sparksmith.evaluate.dataset import evaluate
from sparksmith.evaluate.find import find_model
from sparksmith.evaluate.load import load_base, load_ready
from sparksmith.runs.checkpoints import seal_checkpoint
from sparksmith.runs.records import schema

WORDS = [prompt for prompt, _ in PAIRS]
TOO_LONG = WORDS[0] * 60
DATA = "".join(f"{prompt}\t{response}\n" for prompt, response in PAIRS)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run that was evaluated on eval.tsv."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "eval.tsv").write_text(DATA, encoding="utf-8")
    return make_run(folder, spaces_separate="words", max_new_tokens=9, eval_file=str(folder / "eval.tsv"))


@pytest.fixture(scope="module")
def answers(made):
    """What the run answers to each word, from the inside."""
    from sparksmith.data.examples import Message
    from sparksmith.evaluate.dataset import predict

    ready = load_ready(find_model(str(made.path)))
    prompts = [ready.encoder.encode_prompt([Message("user", word)]) for word in WORDS]
    replies, _ = predict(ready.model, ready.encoder, prompts, max_new_tokens=9, batch_size=1, precision="fp32")
    found = dict(zip(WORDS, (reply.text for reply in replies), strict=True))
    assert len(set(found.values())) > len(WORDS) // 2
    return found


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """The working directory: run, which a test may spoil, and eval.tsv."""
    path = tmp_path / "it's a folder"
    shutil.copytree(made.path, path / "run")
    (path / "eval.tsv").write_text(DATA, encoding="utf-8")
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def type_in(folder, monkeypatch, capsys):
    """Type words, with bytes waiting on standard input; returns (exit code, standard output, standard error)."""

    def run(words, given=b""):
        monkeypatch.setattr(sys, "argv", ["sparksmith", *(shlex.split(words) if isinstance(words, str) else words)])
        reading, writing = os.pipe()
        os.write(writing, given)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            with pytest.raises(SystemExit) as stopped:
                main()
        shown = capsys.readouterr()
        return stopped.value.code, shown.out, shown.err

    return run


# eval


def test_eval_json_is_the_record_of_evaluation_json(type_in, made):
    code, out, err = type_in("eval run eval.tsv --json")
    assert code == 0
    record = json.loads(out)
    jsonschema.validate(record, schema("evaluation"))
    assert (record["model"], record["data"], record["rows"]) == ("run/checkpoint-1", "eval.tsv", len(PAIRS))
    assert record["decoding"] == {"method": "greedy", "batch_size": 64, "max_new_tokens": 9, "precision": "fp32"}
    assert record["scores"]["wer"]["total"] == sum(len(response.split()) for _, response in PAIRS)
    assert len(record["worst"]) == 10 and record["untrained"] is None
    assert err == f"predicting the answers: {len(PAIRS)}/{len(PAIRS)}\n"  # talk


def test_eval_shows_scores_worst_rows_and_confusions(type_in):
    code, out, err = type_in("eval run eval.tsv")
    assert code == 0
    for part in ("PER", "WER", "the worst rows", "phones taken for others", PAIRS[0][1]):
        assert part in out
    assert "hint: --base scores the untrained model beside it" in err
    assert "hint" not in type_in("eval run eval.tsv --no-base")[2]


def test_eval_shows_the_untrained_model_from_the_runs_own_record(type_in, folder):
    found = find_model("run")
    ready = load_ready(found)
    from sparksmith.data.read import read_data

    examples = read_data(folder / "eval.tsv").examples
    base = evaluate(
        load_base(found, ready).model, ready.encoder, examples, separated="words", max_new_tokens=9, batch_size=64,
        precision="fp32",
    )  # fmt: skip
    base.keep(found.folder)
    assert sha256_of(folder / "eval.tsv") == found.plan.eval_data.sha256
    code, out, err = type_in("eval run eval.tsv --json")
    assert code == 0 and json.loads(out)["untrained"] == base.scores.to_json()
    assert "untrained" not in err  # nothing was computed for it
    assert json.loads(type_in("eval run eval.tsv --json --no-base")[1])["untrained"] is None
    # asked in another way, or on other data, it says nothing of these answers
    assert json.loads(type_in("eval run eval.tsv --json --max_new_tokens 4")[1])["untrained"] is None
    (folder / "other.tsv").write_text(DATA.replace("כן", "לא"), encoding="utf-8")
    assert json.loads(type_in("eval run other.tsv --json")[1])["untrained"] is None
    # computed anew, it is the same
    (folder / "run/untrained.json").unlink()
    code, out, err = type_in("eval run eval.tsv --json --base")
    assert json.loads(out)["untrained"] == base.scores.to_json()
    assert "predicting the untrained model's answers: 22/22" in err
    assert "untrained" in type_in("eval run eval.tsv --base")[1]


def test_eval_of_a_plain_model(type_in, folder):
    save_small_qwen(folder / "model", template=None)
    (folder / "two.tsv").write_text("a\tb\nc\td\n")
    code, out, err = type_in("eval model two.tsv --json --max_new_tokens 3 --batch_size 1 --separator ' -> '")
    record = json.loads(out)
    assert code == 0 and "hint" not in err
    jsonschema.validate(record, schema("evaluation"))
    assert record["model"] == "model" and record["scores"]["per"] is None and record["untrained"] is None
    assert record["decoding"]["batch_size"] == 1


def test_eval_reports_prompts_that_are_too_long(type_in, folder):
    (folder / "long.tsv").write_text(f"{WORDS[0]}\ta\n{TOO_LONG}\tb\n", encoding="utf-8")
    code, out, err = type_in("eval run long.tsv --json")
    assert code == 0
    assert json.loads(out)["too_long"] == [2]
    assert "warning: 1 of 2 prompts fill the model's 137 tokens (lines 2)" in err


# predict


def test_predict_answers_its_arguments_in_order(type_in, answers):
    code, out, err = type_in(["predict", "run", *WORDS])
    assert (code, err) == (0, "")
    assert out.splitlines() == [answers[word] for word in WORDS]


@pytest.mark.parametrize("how", ["--file lines.txt", "--file -", "", "--file lines.txt --batch_size 3"])
def test_predict_answers_each_line_with_a_line(type_in, folder, answers, how):
    lines = [WORDS[0], "", f"  {WORDS[1]} ", WORDS[2]]
    text = "\ufeff" + "\r\n".join(lines)  # a byte order mark, Windows line ends, no end after the last
    (folder / "lines.txt").write_text(text, encoding="utf-8", newline="")
    code, out, err = type_in(f"predict run {how}", b"" if "txt" in how else text.encode())
    assert (code, err) == (0, "")
    assert out.split("\n") == [answers[WORDS[0]], "", answers[WORDS[1]], answers[WORDS[2]], ""]


def test_predict_reads_a_file_on_standard_input(folder, monkeypatch, capsys, answers):
    (folder / "lines.txt").write_text("\n".join(WORDS), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["sparksmith", "predict", "run"])
    with (folder / "lines.txt").open() as stream, pytest.raises(SystemExit) as stopped:
        monkeypatch.setattr(sys, "stdin", stream)
        main()
    assert stopped.value.code == 0
    assert capsys.readouterr().out.splitlines() == [answers[word] for word in WORDS]


def test_predict_json_keeps_to_its_schema(type_in, answers):
    code, out, err = type_in("predict run --json", f"{WORDS[0]}\n\n{TOO_LONG}\n".encode())
    first, empty, long = map(json.loads, out.splitlines())
    for record in (first, empty, long):
        jsonschema.validate(record, schema("predict"))
    assert first == {"version": 1, "prompt": WORDS[0], "answer": answers[WORDS[0]], "ended": False}  # 9 tokens, no end
    assert empty == {"version": 1, "prompt": "", "answer": "", "ended": True}
    assert (long["answer"], long["ended"]) == ("", False)
    assert re.fullmatch(r"its prompt has \d+ tokens, and the model takes 137", long["error"])
    assert code == 1 and err == f"warning: line 3 is not answered: {long['error']}\n"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**first, "extra": 1}, schema("predict"))


def test_predict_tells_a_line_that_is_too_long_and_goes_on(type_in, answers):
    code, out, err = type_in(["predict", "run", WORDS[0], TOO_LONG, WORDS[1]])
    assert code == 1
    assert out.splitlines() == [answers[WORDS[0]], "", answers[WORDS[1]]]
    assert err.startswith("warning: line 2 is not answered: its prompt has ")


def test_a_line_break_in_an_answer_is_escaped():
    assert one_line("a\nb\r\nc") == "a\\nb\\r\\nc"


def converse(monkeypatch, words, talk):
    """Run the command with pipes on both sides, and talk(ask) beside it: ask(line) gives the next line of output."""
    asking, asked = os.pipe()
    answering, answered = os.pipe()

    def ask(line):
        os.write(asked, line.encode())
        said = b""
        while not said.endswith(b"\n") and select.select([answering], [], [], 30)[0]:
            said += os.read(answering, 1)
        return said.decode().rstrip("\n")

    heard = []

    def beside():
        try:
            heard.extend(talk(ask))
        finally:
            os.close(asked)  # so that the command ends, whatever was heard

    thread = threading.Thread(target=beside)
    with (
        os.fdopen(asking) as stdin,
        os.fdopen(answered, "w", encoding="utf-8") as stdout,
        monkeypatch.context() as patch,
    ):
        patch.setattr(sys, "argv", ["sparksmith", *words])
        patch.setattr(sys, "stdin", stdin)
        patch.setattr(sys, "stdout", stdout)
        thread.start()
        with pytest.raises(SystemExit) as stopped:
            main()
        thread.join(60)
    os.close(answering)
    return stopped.value.code, heard


def test_predict_answers_a_line_before_the_next_is_written(folder, monkeypatch, answers):
    code, heard = converse(monkeypatch, ["predict", "run"], lambda ask: [ask(f"{word}\n") for word in WORDS[:4]])
    assert (code, heard) == (0, [answers[word] for word in WORDS[:4]])


def test_lines_that_wait_are_read_together():
    reading, writing = os.pipe()
    os.write(writing, b"one\ntwo\nthr")
    batches = read_batches(reading, 10, "it")
    assert next(batches) == ["one", "two"]  # the third is not whole yet
    os.write(writing, b"ee\nfour\n\nsix")
    os.close(writing)
    assert next(batches) == ["three", "four", "", "six"]
    assert list(batches) == []
    os.close(reading)


def test_no_more_lines_than_asked_for_are_given_at_once(tmp_path):
    (tmp_path / "lines").write_text("".join(f"{number}\n" for number in range(7)))
    with (tmp_path / "lines").open("rb") as file:
        assert list(read_batches(file.fileno(), 3, "it")) == [["0", "1", "2"], ["3", "4", "5"], ["6"]]


def test_the_lines_before_a_broken_one_are_answered(type_in, answers):
    code, out, err = type_in("predict run", f"{WORDS[0]}\n".encode() + b"caf\xe9\n" + f"{WORDS[1]}\n".encode())
    assert (code, out) == (1, f"{answers[WORDS[0]]}\n")
    assert err.startswith("error: standard input, line 2: byte 0xe9 is not UTF-8\nhint: iconv")


def test_who_reads_may_leave(folder, monkeypatch, capsys):
    reading, writing = os.pipe()
    os.close(reading)
    (folder / "lines.txt").write_text("\n".join(WORDS), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["sparksmith", "predict", "run", "--file", "lines.txt"])
    with os.fdopen(writing, "w", encoding="utf-8") as stdout, pytest.raises(SystemExit) as stopped:
        monkeypatch.setattr(sys, "stdout", stdout)
        main()
    assert (stopped.value.code, capsys.readouterr().err) == (0, "")


def test_ctrl_c_ends_predict_quietly(type_in, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("sparksmith.evaluate.dataset.generate_greedy", interrupted)
    code, out, err = type_in(["predict", "run", WORDS[0]])
    assert (code, out, err.strip()) == (130, "", "")


# chat


def test_chat_over_a_pipe(type_in, answers):
    lines = [WORDS[0], "", "/clear", WORDS[1], "/help", WORDS[0], "/exit", WORDS[2]]
    code, out, err = type_in("chat run", "\n".join(lines).encode())
    assert code == 0
    assert [line.strip() for line in out.splitlines()] == [answers[WORDS[0]], answers[WORDS[1]], answers[WORDS[0]]]
    assert "(this model was trained on single questions: each line is asked by itself)" in err
    assert "(a new conversation)" in err and "(there is no /help; /clear begins anew" in err


def test_chat_remembers_where_the_model_knows_conversations(type_in, folder, answers):
    write_json(folder / "run/data.json", {"files": [{"role": "train", "kind": "messages"}]})
    code, out, err = type_in("chat run", f"{WORDS[0]}\n{WORDS[0]}\n".encode())
    first, second = (line.strip() for line in out.splitlines())
    assert code == 0 and first == answers[WORDS[0]] != second
    assert "single questions" not in err


def test_chat_answers_each_line_before_the_next(folder, monkeypatch, answers):
    code, heard = converse(monkeypatch, ["chat", "run"], lambda ask: [ask(f"{word}\n").strip() for word in WORDS[:3]])
    assert (code, heard) == (0, [answers[word] for word in WORDS[:3]])


def test_chat_goes_on_after_a_line_that_is_too_long(type_in, answers):
    code, out, err = type_in("chat run", f"{TOO_LONG}\n{WORDS[0]}\n".encode())
    assert (code, out.strip()) == (0, answers[WORDS[0]])
    assert "error: this line has " in err and "hint: a shorter line" in err


def test_ctrl_c_ends_an_answer_and_a_second_one_leaves(type_in, monkeypatch, answers):
    from sparksmith.evaluate import chat

    real = chat.stream_answer
    interrupts = [2, 4, 5]  # of six answers
    count = 0

    def interrupted(*arguments, **options):
        nonlocal count
        count += 1
        if count in interrupts:
            raise KeyboardInterrupt
        real(*arguments, **options)

    monkeypatch.setattr(chat, "stream_answer", interrupted)
    code, out, err = type_in("chat run", "".join(f"{word}\n" for word in WORDS[:4]).encode())
    assert code == 0
    assert [line.strip() for line in out.splitlines() if line.strip()] == [answers[WORDS[0]], answers[WORDS[2]]]
    assert err.count("(Ctrl+C once more leaves)") == 2  # each after an answer, so neither left


class Terminal(io.StringIO):
    """Standard input at which Ctrl+C is pressed."""

    def isatty(self):
        return True

    def fileno(self):
        return 0


def test_ctrl_c_twice_at_the_prompt_leaves(folder, monkeypatch, capsys):
    pressed = iter(["", "text", KeyboardInterrupt, KeyboardInterrupt, "never read"])

    def typed(prompt):
        key = next(pressed)
        if key is KeyboardInterrupt:
            raise key
        return key

    monkeypatch.setattr("builtins.input", typed)
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "argv", ["sparksmith", "chat", "run"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0
    assert next(pressed) == "never read"
    err = capsys.readouterr().err
    assert "/clear begins anew, /exit or Ctrl+D leaves" in err and err.count("Ctrl+C once more leaves") == 1


def test_ctrl_d_leaves(folder, monkeypatch, capsys):
    def typed(prompt):
        raise EOFError

    monkeypatch.setattr("builtins.input", typed)
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "argv", ["sparksmith", "chat", "run"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0


# Whatever is typed wrong

LATIN = b"caf\xe9\n"
AB = b"a\tb\n"
CONFIG = b'{"model_type": "qwen3"}'
# (files to write, words, standard input, exit code, part of the message, part of the hint)
BAD_BEFORE_TORCH = [
    ({}, "eval absent eval.tsv", b"", 1, "absent does not exist", "RUN is the folder that train printed"),
    ({}, "eval run absent.tsv", b"", 1, "absent.tsv does not exist", "eval.tsv"),
    ({}, "eval eval.tsv eval.tsv", b"", 1, "eval.tsv is a file; a run's or a model's folder", "ls"),
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
    ({"run/plan.json": b"{"}, "eval run eval.tsv", b"", 1, "plan.json cannot be read as JSON", None),
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
TORCH = ("torch", "transformers", "trl")


def check_refusal(found, code, message, hint):
    exit_code, out, err = found
    assert (exit_code, out) == (code, "")
    assert "Traceback" not in err
    assert len(re.findall("^error:", err, re.MULTILINE)) == 1
    assert message in err
    if hint is not None:
        (line,) = [line for line in err.splitlines() if line.startswith("hint: ")]
        assert hint in line


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
        for name in TORCH:
            monkeypatch.setitem(sys.modules, name, None)
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
        (spoil_weights, "cannot be loaded", "ls "),
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
