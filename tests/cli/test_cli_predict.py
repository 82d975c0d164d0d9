"""predict as it is typed: a line for each prompt, in order."""

from __future__ import annotations

import json
import os
import re
import sys

import jsonschema
import pytest

from answering import TOO_LONG, WORDS, converse
from sparksmith.cli.lines import read_batches
from sparksmith.cli.main import main
from sparksmith.cli.predict import one_line
from sparksmith.runs.records import schema


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


def test_a_text_that_is_a_file_is_told(type_in, folder, answers):
    (folder / "in.txt").write_text("x")
    code, out, err = type_in(["predict", "run", "in.txt"])
    assert (code, len(out.splitlines())) == (0, 1)
    assert err == "warning: in.txt is a file, and is answered as a text; --file in.txt answers its lines\n"


def test_a_table_is_told(type_in, folder):
    (folder / "two.tsv").write_text(f"{WORDS[0]}\ta\n\n{WORDS[1]}\tb\n", encoding="utf-8")
    code, out, err = type_in("predict run --file two.tsv")
    assert (code, len(out.splitlines())) == (0, 3)
    assert "two.tsv is a table" in err and "cut -f1 two.tsv | sparksmith predict run" in err
    (folder / "one.txt").write_text(f"{WORDS[0]}\ta\n{WORDS[1]}\n", encoding="utf-8")
    assert type_in("predict run --file one.txt")[2] == ""


def test_a_line_break_in_an_answer_is_escaped():
    assert one_line("a\nb\r\nc") == "a\\nb\\r\\nc"


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
