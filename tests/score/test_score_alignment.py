"""Words beside words and phones beside phones, by the fewest edits."""

from __future__ import annotations

from functools import cache, reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from sparksmith.score.alignment import Edit, align_row, align_units, align_words
from sparksmith.score.phones import split_words


@pytest.mark.parametrize(
    ("reference", "prediction", "expected"),
    [
        ("ab cd", "ab cd", [("ab", "ab"), ("cd", "cd")]),
        ("ab cd", "cd", [("ab", None), ("cd", "cd")]),
        ("ab", "ab cd", [("ab", "ab"), (None, "cd")]),
        ("", "ab", [(None, "ab")]),
        ("ab", "", [("ab", None)]),
        ("", "", []),
        # 2 edits and 1 edit are fewer than dropping a word and adding another (4)
        ("abed ole", "aled olo", [("abed", "aled"), ("ole", "olo")]),
        # as many edits as d beside de with d left out, but one word wrong and not two
        ("a d de", "a d", [("a", "a"), ("d", "d"), ("de", None)]),
        # the short word fell out: aligning by place would pair hu with halaχ
        ("hu halaχ habajta", "halaχ habajta", [("hu", None), ("halaχ", "halaχ"), ("habajta", "habajta")]),
    ],
)
def test_alignment(reference, prediction, expected):
    pairs = align_words(split_words(reference, "words"), split_words(prediction, "words"))
    assert [tuple("".join(word.phones) if word else None for word in pair) for pair in pairs] == expected


small_words = st.text("abtsʃ", min_size=1, max_size=4)
sentences = st.lists(small_words, max_size=5).map(" ".join)
units = st.lists(st.sampled_from(["a", "b", "aː", "t͡s", "ts"]), max_size=8)


@given(sentences, sentences)
def test_the_alignment_keeps_both_sides_and_has_the_fewest_edits_and_wrong_words(reference, prediction):
    left, right = split_words(reference, "words"), split_words(prediction, "words")
    pairs = align_words(left, right)
    assert [word for word, _ in pairs if word] == left
    assert [word for _, word in pairs if word] == right

    def cost(a, b):
        wrong = a is None or b is None or a.phones != b.phones
        return Levenshtein.distance(a.phones if a else (), b.phones if b else ()), int(wrong)

    def plus(first, second):
        return first[0] + second[0], first[1] + second[1]

    @cache
    def fewest(i, j):  # straight from the definition
        if not i and not j:
            return 0, 0
        options = []
        if i:
            options.append(plus(fewest(i - 1, j), cost(left[i - 1], None)))
        if j:
            options.append(plus(fewest(i, j - 1), cost(None, right[j - 1])))
        if i and j:
            options.append(plus(fewest(i - 1, j - 1), cost(left[i - 1], right[j - 1])))
        return min(options)

    assert reduce(plus, (cost(a, b) for a, b in pairs), (0, 0)) == fewest(len(left), len(right))


@given(units, units)
def test_edits_keep_both_sides_and_are_the_fewest(expected, predicted):
    edits = align_units(expected, predicted)
    assert [edit.expected for edit in edits if edit.expected is not None] == expected
    assert [edit.predicted for edit in edits if edit.predicted is not None] == predicted
    assert sum(not edit.right for edit in edits) == Levenshtein.distance(expected, predicted)
    assert all(edit.right or edit.expected != edit.predicted for edit in edits)
    assert align_units(expected, predicted) == edits


@given(units, units)
def test_as_many_edits_both_ways(expected, predicted):
    there, back = align_units(expected, predicted), align_units(predicted, expected)
    assert sum(not edit.right for edit in there) == sum(not edit.right for edit in back)


@given(units)
def test_a_sequence_beside_itself_is_right(expected):
    assert align_units(expected, expected) == tuple(Edit(unit, unit) for unit in expected)


def beside(edits, side):
    """What the edits of one word hold of the reference (0) or of the prediction (1)."""
    return tuple(edit[side] for edit in edits if edit[side] is not None)


@given(sentences, sentences)
def test_a_row_has_the_fewest_edits_and_keeps_both_sides(reference, prediction):
    sides = split_words(reference, "words"), split_words(prediction, "words")
    aligned = align_row(reference, prediction, "words")
    flat = [[phone for word in side for phone in word.phones] for side in sides]
    assert [[edit[side] for edits in aligned for edit in edits if edit[side] is not None] for side in (0, 1)] == flat
    assert sum(not edit.right for edits in aligned for edit in edits) == Levenshtein.distance(*flat)


@given(sentences, sentences)
def test_no_phone_stands_for_one_of_another_word_where_that_costs_no_edit(reference, prediction):
    left, right = split_words(reference, "words"), split_words(prediction, "words")
    pairs = [(word.phones if word else (), found.phones if found else ()) for word, found in align_words(left, right)]
    aligned = [(beside(edits, 0), beside(edits, 1)) for edits in align_row(reference, prediction, "words")]
    flat = [[phone for word in side for phone in word.phones] for side in (left, right)]
    if sum(Levenshtein.distance(*pair) for pair in pairs) == Levenshtein.distance(*flat):
        assert aligned == pairs
    else:
        assert [expected for expected, _ in aligned] == [word.phones for word in left]


@given(st.text(max_size=9), st.text(max_size=9))
def test_without_phones_the_units_are_code_points(reference, prediction):
    (edits,) = align_row(reference, prediction, None)
    assert "".join(edit.expected or "" for edit in edits) == reference
    assert "".join(edit.predicted or "" for edit in edits) == prediction
    assert sum(not edit.right for edit in edits) == Levenshtein.distance(reference, prediction)


@pytest.mark.parametrize(
    ("reference", "prediction", "separated", "aligned"),
    [
        ("", "", "words", ()),
        ("", "", "phones", ()),
        ("", "", None, ((),)),
        # the border between words has moved: no phone is wrong, and the words are those of the reference
        ("abd e", "ab de", "words", ((("a", "a"), ("b", "b"), ("d", "d")), (("e", "e"),))),
        # 1 edit with k beside k, by words 3; what is added at a border stands with the word before it
        ("ab k", "absk", "words", ((("a", "a"), ("b", "b"), (None, "s")), (("k", "k"),))),
        # as many edits either way: b of the second word is left out, and does not stand for b of the first
        ("ab b", "ab", "words", ((("a", "a"), ("b", "b")), (("b", None),))),
        # a word that is a mark alone has no phones
        ("ab ˈ kz", "a bkz", "words", ((("a", "a"), ("b", "b")), (), (("k", "k"), ("z", "z")))),
        ("ab c", "ab", "words", ((("a", "a"), ("b", "b")), (("c", None),))),
        # marks are no phones, and composed is decomposed
        ("ˈa", "a", "words", ((("a", "a"),),)),
        ("ç", "c\u0327", "phones", ((("ç", "ç"),),)),
        ("ç", "c\u0327", None, (((None, "c"), ("ç", "\u0327")),)),
    ],
)
def test_rows(reference, prediction, separated, aligned):
    found = align_row(reference, prediction, separated)
    assert tuple(tuple((edit.expected, edit.predicted) for edit in edits) for edits in found) == aligned


def test_as_json():
    assert [edit.to_json() for edit in align_units("ab", "b")] == [
        {"expected": "a", "predicted": None},
        {"expected": "b", "predicted": "b"},
    ]
