"""First lines that look like column names, and responses that look like pronunciations."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from sparksmith.data.examples import pair
from sparksmith.data.headers import are_phones, doubt_first_row, guess_separated, share_first_row
from sparksmith.data.read import read_data

SAMPLES = Path(str(files("sparksmith.data") / "samples"))
SIGMORPHON = Path(__file__).resolve().parents[3] / "shared/data/sigmorphon2021"
PHONES = [("cat", "k æ t"), ("dog", "d ɒ ɡ"), ("oxen", "ɒ k s ə n"), ("ah", "ɑː"), ("child", "tʃ aɪ l d")]
HEBREW = [("שלום", "ʃalˈom"), ("ילד", "jˈeled"), ("בית", "bˈajit"), ("תודה", "todˈa")]
TALK = [
    ("How are you today?", "I am fine, thank you."), ("What is the time now?", "It is five past two."),
    ("Where do you live then?", "In a house by the sea."), ("Is it far from here?", "No, it is quite near."),
]  # fmt: skip


def examples(*rows):
    return [pair(line, prompt, response) for line, (prompt, response) in enumerate(rows, start=1)]


@pytest.mark.parametrize(
    ("rows", "first", "words"),
    [
        (PHONES, ("wort", "aussprache"), "phones in their second column"),
        (PHONES, ("Wort", "Aussprache"), "phones in their second column"),
        (PHONES, ("SPELLING", "HOW IT SOUNDS"), None),  # three words are no name
        (PHONES, ("mot", "prononciation api"), "phones in their second column"),
        (HEBREW, ("wort", "aussprache"), "another script"),
        (TALK, ("Frage", "Antwort"), "sentences"),
        # rows
        (PHONES, ("fox", "f ɒ k s"), None),
        (PHONES, ("a", "ə"), None),
        (PHONES, ("wort", "tʃ"), None),
        (PHONES, ("fox", "fox"), "phones in their second column"),
        (HEBREW, ("OK", "okˈej"), None),
        (TALK, ("Hello.", "Hello."), None),
        (TALK, ("Are you there now?", "Yes"), None),
        (PHONES[:2], ("wort", "aussprache"), None),  # too few to tell
        ([("cat", "Katze"), ("dog", "Hund"), ("ox", "Ochse"), ("cow", "Kuh")], ("wort", "uebersetzung"), None),
    ],
)
def test_a_first_row(rows, first, words):
    found = doubt_first_row(examples(first, *rows))
    assert found is None if words is None else words in str(found)


def test_both_files_begin_with_the_same_names():
    words = [("cat", "Katze"), ("dog", "Hund"), ("ox", "Ochse")]
    names = ("wort", "uebersetzung")
    assert share_first_row(examples(names, *words), examples(names, ("cow", "Kuh")))
    assert not share_first_row(examples(names, *words), examples(("cow", "Kuh"), names))
    assert not share_first_row(examples(names, *words), examples(names, *words[:2]))  # much the same data
    assert not share_first_row(examples(names, *words), examples(names))


@pytest.mark.parametrize("path", sorted(SAMPLES.rglob("*.tsv")), ids=lambda path: path.name)
def test_no_false_alarm_on_the_samples(path):
    check_no_false_alarm(path, "words")


@pytest.mark.skipif(not SIGMORPHON.is_dir(), reason="SIGMORPHON's data of 2021 is not beside this checkout")
@pytest.mark.parametrize(
    "name", [f"{language}_{part}.tsv" for language in ("hun", "arm_e") for part in ("train", "dev", "test")]
)
def test_no_false_alarm_on_sigmorphon(name):
    check_no_false_alarm(SIGMORPHON / name, "phones")


def check_no_false_alarm(path, separated):
    """Whichever row comes first; and names in front are seen."""
    rows = read_data(path).examples
    others = rows[:60]
    assert [row.line for row in rows if doubt_first_row([row, *others])] == []
    assert doubt_first_row([*examples(("wort", "aussprache")), *rows]) is not None
    assert guess_separated([row.response for row in rows]) == separated


def test_what_spaces_separate():
    assert guess_separated([response for _, response in PHONES]) == "phones"
    assert guess_separated([response for _, response in HEBREW]) == "words"
    assert guess_separated([response for _, response in TALK]) is None
    assert guess_separated(["a b", "c d", "yes", "no", "of"]) is None  # mostly not split
    assert not are_phones(["k a t", "d o incomprehensible"])
    assert not are_phones([])
