"""Transcriptions split into words and phones."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparksmith.score.phones import STRESS, VOWELS, Word, is_vowel, split_phones, split_words

TIE_ABOVE, TIE_BELOW = "͡", "͜"


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("", []),
        ("a", ["a"]),
        ("jeled", ["j", "e", "l", "e", "d"]),
        ("jˈeled", ["j", "ˈ", "e", "l", "e", "d"]),
        # affricates are one phone, their parts in another order are two
        ("tsav", ["ts", "a", "v"]),
        ("tʃips", ["tʃ", "i", "p", "s"]),
        ("dʒins", ["dʒ", "i", "n", "s"]),
        ("sta", ["s", "t", "a"]),
        ("tts", ["t", "ts"]),
        ("tss", ["ts", "s"]),
        ("dz", ["d", "z"]),
        ("ʃt", ["ʃ", "t"]),
        # a stress mark stands between: it does not join
        ("tˈs", ["t", "ˈ", "s"]),
        # tie bars join whatever they tie
        (f"t{TIE_ABOVE}sa", [f"t{TIE_ABOVE}s", "a"]),
        (f"d{TIE_BELOW}za", [f"d{TIE_BELOW}z", "a"]),
        (f"k{TIE_ABOVE}pa", [f"k{TIE_ABOVE}p", "a"]),
        (f"t{TIE_ABOVE}ʃʰa", [f"t{TIE_ABOVE}ʃʰ", "a"]),
        # length, aspiration and other modifiers belong to the phone before
        ("aːb", ["aː", "b"]),
        ("aˑ", ["aˑ"]),
        ("pʰa", ["pʰ", "a"]),
        ("tʲi", ["tʲ", "i"]),
        ("tsʰ", ["tsʰ"]),
        ("kʷ", ["kʷ"]),
        ("ə˞", ["ə˞"]),
        ("tʼa", ["tʼ", "a"]),
        ("t̪ʰa", ["t̪ʰ", "a"]),
        # combining marks: nasal, syllabic, unreleased, tones
        ("ɔ̃", ["ɔ̃"]),
        ("bʌtn̩", ["b", "ʌ", "t", "n̩"]),
        ("ma˥", ["m", "a˥"]),
        ("ẽ̝ː", ["ẽ̝ː"]),
    ],
)
def test_phones_of_a_word(word, phones):
    assert split_phones(word) == phones


@pytest.mark.parametrize(
    ("text", "separated", "words"),
    [
        ("", "words", []),
        (" \n", "phones", []),
        ("jˈeled", "words", [Word(("j", "e", "l", "e", "d"), 0)]),
        ("jeladˈim", "words", [Word(("j", "e", "l", "a", "d", "i", "m"), 2)]),
        ("ˈaba  ʔima", "words", [Word(("a", "b", "a"), 0), Word(("ʔ", "i", "m", "a"), None)]),
        # the mark may stand before the syllable: it is the next vowel that counts
        ("jeˈladim", "words", [Word(("j", "e", "l", "a", "d", "i", "m"), 1)]),
        ("ˈtsaχ", "words", [Word(("ts", "a", "χ"), 0)]),
        # a mark with no vowel after it stresses nothing; of two marks the first counts
        ("adˈ", "words", [Word(("a", "d"), None)]),
        ("ˈpst", "words", [Word(("p", "s", "t"), None)]),
        ("ˈabˈa", "words", [Word(("a", "b", "a"), 0)]),
        ("ˈ", "words", [Word((), None)]),
        # spaces separate phones: a row is one word, and an affricate is what stands between spaces
        ("k æ t", "phones", [Word(("k", "æ", "t"), None)]),
        ("t ʃ", "phones", [Word(("t", "ʃ"), None)]),
        ("tʃ ˈa", "phones", [Word(("tʃ", "a"), 0)]),
        ("h ə l ˈoʊ", "phones", [Word(("h", "ə", "l", "oʊ"), 1)]),
        ("h ə ˈ l oʊ", "phones", [Word(("h", "ə", "l", "oʊ"), 1)]),
        ("t͡s aː", "phones", [Word(("t͡s", "aː"), None)]),
    ],
)
def test_words(text, separated, words):
    assert split_words(text, separated) == words


@pytest.mark.parametrize("text", ["ɔ̃", "é", "ç", "ãː"])
def test_composed_and_decomposed_are_the_same(text):
    for separated in ("words", "phones"):
        first = split_words(unicodedata.normalize("NFC", text), separated)
        assert split_words(unicodedata.normalize("NFD", text), separated) == first
        assert len(first[0].phones) == 1


@pytest.mark.parametrize(
    ("phone", "vowel"),
    [
        ("a", True),
        ("aː", True),
        ("ã", True),
        ("é", True),
        ("oʊ", True),
        ("ə˞", True),
        ("j", False),
        ("w", False),
        ("ts", False),
        ("ç", False),
    ],
)
def test_vowels(phone, vowel):
    assert is_vowel(phone) is vowel


IPA = st.text("ptkbdɡszʃʒmnlʁχʔjaeiouəɔːʰʲ̃͡" + STRESS, max_size=12)


@given(IPA)
def test_no_character_is_lost_or_added(word):
    assert "".join(split_phones(word)) == word
    (*words,) = split_words(word, "words")
    assert "".join("".join(each.phones) for each in words) == unicodedata.normalize("NFC", word).replace(STRESS, "")


@given(st.lists(IPA.filter(bool), max_size=4))
def test_a_stressed_vowel_is_a_vowel_of_its_word(words):
    for separated in ("words", "phones"):
        for word in split_words(" ".join(words), separated):
            vowels = sum(is_vowel(phone) for phone in word.phones)
            assert word.stressed_vowel is None or 0 <= word.stressed_vowel < vowels
            assert all(STRESS not in phone for phone in word.phones)


def test_the_vowel_letters_are_single_letters():
    assert all(len(letter) == 1 and letter.isalpha() for letter in VOWELS)
    assert not VOWELS & set("jwɥɰ")
