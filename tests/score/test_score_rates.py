"""Error rates, worked by hand, compared with jiwer where the definition is the same, and their bounds."""

from __future__ import annotations

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparksmith.score.phones import split_words
from sparksmith.score.rates import NAMES, Rate, Scores, rate_of, score


def counts(rate: Rate | None) -> tuple[int, int] | None:
    return (rate.errors, rate.total) if rate else None


# (references, predictions, what spaces separate, PER, WER, WER with stress, stress error, CER, exact match)
WORKED = [
    # Nothing wrong: 3 phones, 1 word, 5 code points (the spaces count in CER).
    (["k æ t"], ["k æ t"], "phones", (0, 3), (0, 1), None, None, (0, 5), (1, 1)),
    # æ for a: 1 of 3 phones, so 1 of 1 word; 1 of 5 code points.
    (["k æ t"], ["k a t"], "phones", (1, 3), (1, 1), None, None, (1, 5), (0, 1)),
    # t missing, with its space: 1 of 3 phones, 2 of 5 code points.
    (["k æ t"], ["k æ"], "phones", (1, 3), (1, 1), None, None, (2, 5), (0, 1)),
    # Nothing predicted: all 3 phones and the word are missing, all 5 code points.
    (["k æ t"], [""], "phones", (3, 3), (1, 1), None, None, (5, 5), (0, 1)),
    # More wrong than there is: one phone replaced and 3 too many = 4 of 1 phone; CER x -> "a b c d": 7 edits of 1.
    (["x"], ["a b c d"], "phones", (4, 1), (1, 1), None, None, (7, 1), (0, 1)),
    # Corpus level, not a mean of rates: 1 of 1 phone and 0 of 3 are 1 of 4 (a mean would say 50%); 1 of 2 words.
    (["a", "k æ t"], ["o", "k æ t"], "phones", (1, 4), (1, 2), None, None, (1, 6), (1, 2)),
    # Only the mark is elsewhere: no phone is wrong, so PER 0 of 5 and WER 0 of 1; the stress is on vowel 1, not 0.
    # CER: ˈ deleted and inserted = 2 of 6 code points.
    (["jˈeled"], ["jelˈed"], "words", (0, 5), (0, 1), (1, 1), (1, 1), (2, 6), (0, 1)),
    # No mark in the prediction is a stress error too.
    (["jˈeled"], ["jeled"], "words", (0, 5), (0, 1), (1, 1), (1, 1), (1, 6), (0, 1)),
    # A mark where the reference has none is not counted as stress: nothing to compare, so both rates are absent.
    (["jeled"], ["jˈeled"], "words", (0, 5), (0, 1), None, None, (1, 5), (0, 1)),
    # The mark before the consonant or the vowel is the same stress; CER sees it: 2 of 6.
    (["jalˈda"], ["jaldˈa"], "words", (0, 5), (0, 1), (0, 1), (0, 1), (2, 6), (0, 1)),
    # A wrong phone with the stress right: 1 of 5, WER 1, stress 0.
    (["jˈeled"], ["jˈelet"], "words", (1, 5), (1, 1), (1, 1), (0, 1), (1, 6), (0, 1)),
    # ts is one phone: s for ts is one of 3 phones.
    (["tsˈav"], ["sˈav"], "words", (1, 3), (1, 1), (1, 1), (0, 1), (1, 5), (0, 1)),
    # Two words, the second missing: its 2 phones of 4; 1 of 2 words; of the aligned one the stress is right.
    # CER: " dˈe" = 4 of 7.
    (["ˈab dˈe"], ["ˈab"], "words", (2, 4), (1, 2), (1, 2), (0, 1), (4, 7), (0, 1)),
    # The first word missing: the second is not compared with it. PER 2 of 4, WER 1 of 2.
    (["ˈab dˈe"], ["dˈe"], "words", (2, 4), (1, 2), (1, 2), (0, 1), (4, 7), (0, 1)),
    # Nothing predicted at all: no marked word to compare, so no stress error; but the data marks stress, so
    # the words do count as wrong with it.
    (["ˈab"], [""], "words", (2, 2), (1, 1), (1, 1), None, (3, 3), (0, 1)),
    # A word too many is one error: WER 1 of 1, PER 2 of 2.
    (["ˈab"], ["ˈab dˈe"], "words", (2, 2), (1, 1), (1, 1), (0, 1), (4, 3), (0, 1)),
    # A word cut in two: ab -> a b has no phone wrong; one word is wrong and one is too many.
    (["ab"], ["a b"], "words", (0, 2), (2, 1), None, None, (1, 2), (0, 1)),
    # No phones asked for: only CER (2 of 5: w->b, d->t) and exact match.
    (["words"], ["borts"], None, None, None, None, None, (2, 5), (0, 1)),
    # Composed and decomposed: the same phones, but 2 code points for 1 (1 replaced, 1 inserted = 2 of 1).
    (["\u00e9"], ["e\u0301"], "words", (0, 1), (0, 1), None, None, (2, 1), (0, 1)),
    # Spaces do not matter to phones.
    (["k æ t"], [" k  æ t"], "phones", (0, 3), (0, 1), None, None, (2, 5), (0, 1)),
]


@pytest.mark.parametrize(
    ("references", "predictions", "separated", "per", "wer", "with_stress", "stress", "cer", "exact"), WORKED
)
def test_worked_by_hand(references, predictions, separated, per, wer, with_stress, stress, cer, exact):
    found = score(references, predictions, separated)
    assert counts(found.per) == per
    assert counts(found.wer) == wer
    assert counts(found.wer_with_stress) == with_stress
    assert counts(found.stress_error) == stress
    assert counts(found.cer) == cer
    assert counts(found.exact_match) == exact


def test_rates():
    """Rows of 1 of 4, 3 of 2 and nothing to count: 4 of 6 in all, a mean of (1/4 + 3/2) / 2."""
    rate = rate_of([(1, 4), (3, 2), (0, 0)])
    assert (rate.errors, rate.total, rate.rate) == (4, 6, 4 / 6)
    assert rate.mean_of_rows == 0.875
    assert rate.to_json() == {
        "rate": 4 / 6, "errors": 4, "total": 6, "low": rate.low, "high": rate.high, "mean_of_rows": 0.875,
    }  # fmt: skip
    assert rate_of([(0, 0), (0, 0)]) == Rate(0, 0, 0.0, 0.0, 0.0)
    assert Rate(0, 0, 0.0, 0.0, 0.0).rate == 0.0


def exactly(rate: float, errors: int, total: int) -> dict[str, float]:
    return {"rate": rate, "errors": errors, "total": total, "low": rate, "high": rate, "mean_of_rows": rate}


def test_as_json():
    """One row: every resample is that row."""
    assert score(["a b"], ["a c"], "phones").to_json() == {
        "per": exactly(0.5, 1, 2),
        "wer": exactly(1.0, 1, 1),
        "wer_with_stress": None,
        "stress_error": None,
        "cer": exactly(1 / 3, 1, 3),
        "exact_match": exactly(0.0, 0, 1),
    }
    assert set(Scores.__dataclass_fields__) == set(NAMES) == set(score(["a"], ["a"], None).to_json())


@pytest.mark.parametrize(("references", "predictions"), [([], []), (["a"], []), (["a"], ["a", "b"])])
def test_there_must_be_a_prediction_for_each_reference(references, predictions):
    with pytest.raises(ValueError, match=f"{len(predictions)} predictions for {len(references)} references"):
        score(references, predictions, "words")


transcriptions = st.lists(st.text("abetsʃˈ", max_size=5), max_size=4).map(" ".join)
corpora = st.lists(st.tuples(transcriptions, transcriptions), min_size=1, max_size=5)
separations = st.sampled_from(["phones", "words"])


def split_corpus(corpus):
    return [reference for reference, _ in corpus], [prediction for _, prediction in corpus]


@given(st.lists(transcriptions, min_size=1, max_size=5), st.none() | separations)
def test_a_text_against_itself_is_perfect(texts, separated):
    found = score(texts, texts, separated)
    assert counts(found.exact_match) == (len(texts), len(texts))
    assert found.exact_match.low == found.exact_match.high == 1.0
    for rate in (found.cer, found.per, found.wer, found.wer_with_stress, found.stress_error):
        assert rate is None or (rate.errors == rate.low == rate.high == rate.mean_of_rows == 0)


@given(corpora, separations)
def test_bounds(corpus, separated):
    references, predictions = split_corpus(corpus)
    found = score(references, predictions, separated)
    words = [[split_words(text, separated) for text in side] for side in (references, predictions)]
    phones = [[sum(len(word.phones) for word in row) for row in side] for side in words]
    assert found.per.total == sum(phones[0])
    assert found.wer.total == sum(map(len, words[0]))
    # at least the difference in number, at most all of the longer side; the mark can only add to the wrong words
    assert sum(abs(a - b) for a, b in zip(*phones, strict=True)) <= found.per.errors <= sum(map(max, *phones))
    assert sum(abs(len(a) - len(b)) for a, b in zip(*words, strict=True)) <= found.wer.errors
    assert found.wer.errors <= sum(len(a) + len(b) for a, b in zip(*words, strict=True))
    assert 0 <= found.exact_match.errors <= found.exact_match.total == len(corpus)
    assert found.cer.errors <= sum(max(len(r), len(p)) for r, p in corpus)
    assert (found.cer.errors == 0) == (found.exact_match.errors == len(corpus))
    marked = any(word.stressed_vowel is not None for row in words[0] for word in row)
    assert (found.wer_with_stress is not None) == marked
    if marked:
        assert found.wer.errors <= found.wer_with_stress.errors
    if found.stress_error is not None:
        assert marked
        assert 0 <= found.stress_error.errors <= found.stress_error.total <= found.wer.total
    if separated == "phones":
        assert found.wer.errors <= len(corpus)
        assert (found.wer.errors == 0) == (found.per.errors == 0) or any(
            not word.phones for side in words for row in side for word in row
        )


@given(corpora, corpora, separations)
def test_a_corpus_is_the_sum_of_its_parts(first, second, separated):
    whole, left, right = (score(*split_corpus(part), separated) for part in (first + second, first, second))
    for name in ("cer", "exact_match", "per", "wer"):
        parts = counts(getattr(left, name)), counts(getattr(right, name))
        assert counts(getattr(whole, name)) == tuple(map(sum, zip(*parts, strict=True)))


@given(corpora, separations)
def test_edits_are_the_same_both_ways(corpus, separated):
    references, predictions = split_corpus(corpus)
    there, back = score(references, predictions, separated), score(predictions, references, separated)
    assert there.per.errors == back.per.errors
    assert there.cer.errors == back.cer.errors
    assert there.wer.errors == back.wer.errors
    assert there.exact_match == back.exact_match


# Four words a row, each of a consonant of its own four times over, so that words of other places never look alike.
marked_sentences = st.tuples(
    *(st.sampled_from([f"{c}{c}ˈa{c}{c}a", f"{c}{c}a{c}{c}ˈa", f"{c}{c}ˈe{c}{c}a", f"{c}{c}ˈa{c}{c}i"]) for c in "bkmz")
).map(list)
tokens = st.lists(st.sampled_from(["a", "b", "tʃ", "aː", "k"]), min_size=1, max_size=8)
token_corpora = st.lists(st.tuples(tokens, tokens), min_size=1, max_size=5)


@given(token_corpora)
def test_per_is_jiwers_wer_over_phones(corpus):
    references, predictions = ([" ".join(row[side]) for row in corpus] for side in (0, 1))
    found = jiwer.process_words(references, predictions)
    rate = score(references, predictions, "phones").per
    assert rate.errors == found.substitutions + found.deletions + found.insertions
    assert rate.rate == pytest.approx(found.wer)


@given(st.lists(st.tuples(*[st.lists(st.sampled_from("abkmz"), min_size=1, max_size=7)] * 2), min_size=1, max_size=5))
def test_wer_is_jiwers_where_every_word_is_one_phone(corpus):
    """Then a word and its phone cost the same, and both align by the fewest edits."""
    references, predictions = ([" ".join(row[side]) for row in corpus] for side in (0, 1))
    found = jiwer.process_words(references, predictions)
    rate = score(references, predictions, "words").wer
    assert rate.errors == found.substitutions + found.deletions + found.insertions
    assert rate.rate == pytest.approx(found.wer)


@given(token_corpora)
def test_the_mean_of_rows_is_the_mean_of_jiwers(corpus):
    references, predictions = ([" ".join(row[side]) for row in corpus] for side in (0, 1))
    rows = list(zip(references, predictions, strict=True))
    found = score(references, predictions, "phones")
    assert found.cer.mean_of_rows == pytest.approx(sum(jiwer.cer(*row) for row in rows) / len(rows))
    assert found.per.mean_of_rows == pytest.approx(sum(jiwer.wer(*row) for row in rows) / len(rows))


@given(st.lists(st.tuples(marked_sentences, marked_sentences), min_size=1, max_size=5))
def test_wer_with_stress_is_jiwers_where_no_word_is_missing_and_marks_stand_before_vowels(corpus):
    """heb-g2p-benchmark's WER. Words of as many on both sides, none of them near another's: aligned by place."""
    references, predictions = ([" ".join(row[side]) for row in corpus] for side in (0, 1))
    rate = score(references, predictions, "words").wer_with_stress
    found = [jiwer.wer(*row) for row in zip(references, predictions, strict=True)]
    assert rate.rate == pytest.approx(jiwer.wer(references, predictions))
    assert rate.mean_of_rows == pytest.approx(sum(found) / len(found))


@given(token_corpora)
def test_cer_is_jiwers(corpus):
    references, predictions = ([" ".join(row[side]) for row in corpus] for side in (0, 1))
    assert score(references, predictions, None).cer.rate == pytest.approx(jiwer.cer(references, predictions))
