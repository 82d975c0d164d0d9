"""The worst rows and the confusions add up to the errors."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sparksmith.score.alignment import align_row
from sparksmith.score.mistakes import WORST, Confusion, find_confusions, find_worst
from sparksmith.score.phones import split_words
from sparksmith.score.rates import score

transcriptions = st.lists(st.text("abetsʃˈ", max_size=5), max_size=4).map(" ".join)
corpora = st.lists(st.tuples(transcriptions, transcriptions), min_size=1, max_size=14)


def both(corpus):
    return [reference for reference, _ in corpus], [prediction for _, prediction in corpus]


def aligned(corpus, separated):
    return [align_row(*row, separated) for row in corpus]


def worst(corpus, separated, **options):
    places = [(line, "") for line in range(2, len(corpus) + 2)]
    return find_worst(places, *both(corpus), aligned(corpus, separated), **options)


@given(corpora)
def test_the_edits_are_those_of_the_rate(corpus):
    for separated, name in (("phones", "per"), ("words", "per"), (None, "cer")):
        errors = getattr(score(*both(corpus), separated), name).errors
        assert sum(each.count for each in find_confusions(aligned(corpus, separated))) == errors
        assert sum(row.errors for row in worst(corpus, separated, limit=len(corpus))) == errors


@given(corpora)
def test_a_row_of_its_own_has_the_errors_of_its_per(corpus):
    for row in worst(corpus, "words", limit=len(corpus)):
        per = score([row.reference], [row.prediction], "words").per
        assert (row.errors, row.total) == (per.errors, per.total)


@given(corpora, st.sampled_from(["phones", "words", None]))
def test_the_worst_come_first(corpus, separated):
    everything = worst(corpus, separated, limit=len(corpus))
    assert all(row.errors > 0 for row in everything)
    order = [(-row.errors, row.total, row.line) for row in everything]
    assert order == sorted(order)
    assert worst(corpus, separated) == everything[:WORST]


@given(corpora)
def test_of_is_how_often_the_references_hold_it(corpus):
    phones = [phone for reference, _ in corpus for word in split_words(reference, "words") for phone in word.phones]
    for each in find_confusions(aligned(corpus, "words")):
        assert each.expected != each.predicted
        assert each.of == (len(phones) if each.expected is None else phones.count(each.expected))


@given(st.lists(transcriptions, min_size=1, max_size=5), st.sampled_from(["phones", "words", None]))
def test_nothing_is_wrong_with_what_is_right(texts, separated):
    corpus = [(text, text) for text in texts]
    assert find_confusions(aligned(corpus, separated)) == ()
    assert worst(corpus, separated) == ()


def test_rows_that_differ_in_what_is_no_phone_are_not_wrong():
    assert worst([("ˈa b", "a b"), ("k  æ", "k æ")], "words") == ()
    assert worst([("k  æ", "k æ")], None)[0].errors == 1


def test_the_order_of_the_worst():
    """Three edits; then of those with one the row of fewest phones; then the earlier line."""
    corpus = [("a b c", "a b d"), ("a b c d", "d a a a"), ("a b", "a c"), ("a a b", "a a"), ("a", "a")]
    assert [(row.line, row.errors, row.total) for row in worst(corpus, "phones")] == [
        (3, 4, 4), (4, 1, 2), (2, 1, 3), (5, 1, 3),
    ]  # fmt: skip


def test_confusions_are_ordered_by_how_often_they_happen():
    corpus = [("a b", "o p"), ("a b", "o b"), ("c", "c c"), ("d d", "d")]
    assert find_confusions(aligned(corpus, "phones")) == (
        Confusion("a", "o", 2, 2),
        Confusion(None, "c", 1, 7),
        Confusion("b", "p", 1, 2),
        Confusion("d", None, 1, 2),
    )


def test_as_json():
    (row,) = worst([("tsˈav", "sˈa")], "words")
    assert row.to_json() == {
        "line": 2, "prompt": "", "reference": "tsˈav", "prediction": "sˈa", "errors": 2, "total": 3,
        "edits": [
            {"expected": "ts", "predicted": "s"}, {"expected": "a", "predicted": "a"},
            {"expected": "v", "predicted": None},
        ],
    }  # fmt: skip
    assert Confusion(None, "a", 1, 9).to_json() == {"expected": None, "predicted": "a", "count": 1, "of": 9}
