"""Transcriptions split into words and phones.

With `phones`, spaces separate phones and a row is one word (SIGMORPHON's and WikiPron's format). With `words`, spaces
separate words, and a phone is a base character with its modifiers; ts, tʃ and dʒ are one phone.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

Separated = Literal["phones", "words"]
STRESS = "ˈ"
MARKS = "ˈˌ"  # primary and secondary stress are no phones; only the primary is scored
AFFRICATES = ("ts", "tʃ", "dʒ")
TIE_BARS = "͜͡"
# The vowel letters of the IPA chart (International Phonetic Association, 2020 revision).
VOWELS = frozenset("aeiouyɑɐɒæɛɜɝɞəɚɘɪɨʊʉʌɔøœɶɵɤɯʏɿʅ")
SPLIT = re.compile(r"\S+")


@dataclass(frozen=True)
class Word:
    """One word: its phones without the stress mark, and which of its vowels is stressed, counted from 0."""

    phones: tuple[str, ...]
    stressed_vowel: int | None


def split_words(text: str, separated: Separated) -> list[Word]:
    """The words of a transcription; none for an empty one."""
    text = unicodedata.normalize("NFC", text)
    if separated == "phones":
        phones = SPLIT.findall(text)
        return [_make_word(phones)] if phones else []
    return [_make_word(split_phones(word)) for word in SPLIT.findall(text)]


def split_phones(word: str) -> list[str]:
    """The phones of one word without spaces; a stress mark is an item of its own."""
    phones: list[str] = []
    joined = False
    for character in word:
        modifies = unicodedata.category(character) in {"Mn", "Mc", "Me", "Lm", "Sk"} and character not in MARKS
        affricate = bool(phones) and phones[-1] + character in AFFRICATES
        if phones and phones[-1] not in MARKS and (modifies or joined or affricate):
            phones[-1] += character
        else:
            phones.append(character)
        joined = character in TIE_BARS
    return phones


def _make_word(items: list[str]) -> Word:
    phones: list[str] = []
    stressed: int | None = None
    vowels = 0
    for item in items:
        if STRESS in item and stressed is None:
            stressed = vowels
        phone = "".join(character for character in item if character not in MARKS)
        if phone:
            phones.append(phone)
            vowels += is_vowel(phone)
    if stressed is not None and stressed >= vowels:
        stressed = None  # a mark with no vowel after it stresses nothing
    return Word(tuple(phones), stressed)


def is_vowel(phone: str) -> bool:
    """Whether a phone's base character is a vowel letter, length and diacritics aside."""
    return unicodedata.normalize("NFD", phone)[0] in VOWELS
