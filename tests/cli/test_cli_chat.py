"""chat as it is typed: over pipes and at a terminal."""

from __future__ import annotations

from answering import TOO_LONG, WORDS, converse, type_at_terminal
from sparksmith.base.files import write_json


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


def test_ctrl_c_twice_at_the_prompt_leaves(folder, monkeypatch, capsys):
    pressed = iter(["", "text", KeyboardInterrupt, KeyboardInterrupt, "never read"])

    def typed(prompt):
        key = next(pressed)
        if key is KeyboardInterrupt:
            raise key
        return key

    code, err = type_at_terminal(monkeypatch, capsys, ["chat", "run"], typed)
    assert code == 0
    assert next(pressed) == "never read"
    assert "/clear begins anew, /exit or Ctrl+D leaves" in err and err.count("Ctrl+C once more leaves") == 1


def test_ctrl_d_leaves(folder, monkeypatch, capsys):
    def typed(prompt):
        raise EOFError

    assert type_at_terminal(monkeypatch, capsys, ["chat", "run"], typed)[0] == 0
