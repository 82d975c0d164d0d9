"""`tiny`: its tokenizer gives back what it is given, and is a plain Transformers tokenizer."""

from __future__ import annotations

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from plans import PAIRS, make_plan
from sparksmith.data.encode import Encoder
from sparksmith.data.examples import pair
from sparksmith.model import make, tiny

PHONES = ["h ɛ l oː", "t͡ʃ aː t͡ʃ", "k ɛ r y l"]


def test_the_letters_of_a_phone_with_its_space_are_one_token_and_its_marks_are_tokens_of_their_own():
    tokenizer = tiny.make_tokenizer(["hello"], PHONES, phones=True)
    assert tokens(tokenizer, "t͡ʃ aː t͡ʃ") == ["t", "͡", "ʃ", " a", "ː", " t͡ʃ"]
    assert tokens(tokenizer, "h t͡ʃː ɛː") == ["h", " t͡ʃ", "ː", " ɛ", "ː"]  # neither is in the data
    assert tokens(tokenizer, "h k") == ["h", " ", "k"]  # " k" never stood after a space in the data


def test_where_the_letters_of_a_phone_end():
    phones = ["t͡sʰ", "lː", "ɛ̃", "k͈", "a˥˧", "ˈaː", "ts", "ʰ", "d͜ʒʲ", "õ"]
    assert [tiny.letters_of(phone) for phone in phones] == ["t͡s", "l", "ɛ", "k", "a", "ˈ", "ts", "ʰ", "d͜ʒ", "õ"]


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="hɛloːtʃ͡akryl ", max_size=30))
def test_text_of_known_characters_comes_back_as_it_was(text):
    for phones in (True, False):
        tokenizer = tiny.make_tokenizer(["hello"], PHONES, phones=phones)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert tokenizer.unk_token_id not in ids


def test_an_unknown_character_is_the_unknown_token():
    tokenizer = tiny.make_tokenizer(["ab"], ["cd"], phones=False)
    assert tokenizer("axb", add_special_tokens=False)["input_ids"][1] == tokenizer.unk_token_id


def test_saved_and_loaded_it_is_the_same(tmp_path):
    from transformers import AutoTokenizer

    tokenizer = tiny.make_tokenizer([p for p, _ in PAIRS], [r for _, r in PAIRS], phones=True)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    texts = [f"{prompt} {response}" for prompt, response in PAIRS]
    assert loaded(texts)["input_ids"] == tokenizer(texts)["input_ids"]
    assert loaded.chat_template == tokenizer.chat_template
    assert loaded.decode(loaded(texts[0])["input_ids"]) == texts[0]


def test_an_example_costs_three_tokens_over_its_characters():
    tokenizer = tiny.make_tokenizer(["שלום"], ["ʃalˈom"], phones=False)
    encoded = next(iter(Encoder(tokenizer, system_prompt=None, separator="\n").encode([pair(1, "שלום", "ʃalˈom")])))
    assert len(encoded.input_ids) == len("שלום") + len("ʃalˈom") + 3
    assert unicodedata.is_normalized("NFC", tokenizer.decode(encoded.input_ids))


def tokens(tokenizer, text):
    return tokenizer.convert_ids_to_tokens(tokenizer(text, add_special_tokens=False)["input_ids"])


def comes_back(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return tokenizer.unk_token_id not in ids and tokenizer.decode(ids) == text


def test_a_syllable_never_seen_is_known_by_its_letters():
    tokenizer = tiny.make_tokenizer(["한", "글"], ["h a n", "k ɯ l"], phones=True)
    assert tokens(tokenizer, "흔") == ["\u1112", "\u1173", "\u11ab"]  # the letters of 한 and 글


def test_a_letter_with_a_mark_is_the_letter_and_the_mark():
    tokenizer = tiny.make_tokenizer(["e", "à", "ó"], ["e"], phones=False)
    assert tokens(tokenizer, "é") == tokens(tokenizer, "e\u0301") == ["e", "\u0301"]
    assert tokens(tokenizer, "E\u0301")[0] == tokenizer.unk_token


def test_responses_come_back_as_the_data_write_them():
    responses = [
        "ɐ̃ w̃", "õ", "ç a", "n ĩ̯", "ṍ", "o e", "t͡ʃ õː", "ã̠",  # NFD puts the marks of ĩ̯ and ã̠ into another order
        "하 한 학", "が か", "e\u0301",  # 하 is how 한 begins; the last one is not NFC, and é does not occur
        "300 \u212b", "\ufb2a", "\u212a K",  # signs that NFC writes otherwise; K also occurs
    ]  # fmt: skip
    for phones in (False, True):
        tokenizer = tiny.make_tokenizer(["coração"], responses, phones=phones)
        came = [response for response in responses if comes_back(tokenizer, response)]
        assert came == responses[:-1]
        assert tokenizer.decode(tokenizer("\u212a K", add_special_tokens=False)["input_ids"]) == "K K"
    assert tokens(tokenizer, "ĩ̯") == ["ĩ", "\u032f"] and tokens(tokenizer, "한") == ["한"]


def test_of_two_spellings_the_usual_one_comes_back():
    tokenizer = tiny.make_tokenizer([], ["õ", "o\u0303", "\u00c5", "\u212b"], phones=False)
    assert comes_back(tokenizer, "õ\u00c5")
    assert tokenizer.decode(tokenizer("o\u0303\u212b", add_special_tokens=False)["input_ids"]) == "õ\u00c5"


WRITTEN = st.text(
    alphabet="aeiouõĩẽçɐkŋ \u0303\u0301\u0323\u032f\u02d0하한학ᆫ가각がか\u212bé\ufb2a", max_size=12
).map(lambda text: unicodedata.normalize("NFC", text))  # fmt: skip


@given(st.lists(WRITTEN, min_size=1, max_size=6), st.lists(st.text(alphabet="àéõ흔e\u0303", max_size=6), max_size=3))
def test_whatever_nfc_the_responses_are_they_come_back(responses, prompts):
    for phones in (False, True):
        tokenizer = tiny.make_tokenizer(prompts, responses, phones=phones)
        for response in responses:
            assert comes_back(tokenizer, response)
        for prompt in prompts:
            back = tokenizer.decode(tokenizer(prompt, add_special_tokens=False)["input_ids"])
            assert unicodedata.normalize("NFC", back) == unicodedata.normalize("NFC", prompt)


def test_saved_and_loaded_letters_come_apart_the_same(tmp_path):
    from transformers import AutoTokenizer

    tokenizer = tiny.make_tokenizer(["한국", "é"], ["õ ĩ̯", "하 한"], phones=True)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for text in ("é 흑 õ ĩ̯ 하한", "é", "ç"):
        assert tokens(loaded, text) == tokens(tokenizer, text)
    assert comes_back(loaded, "õ ĩ̯ 하 한")


def test_weights_follow_the_seed(tmp_path):
    import torch

    def weights(seed):
        plan = make_plan(tmp_path, seed=seed)
        tokenizer = make.make_tokenizer(plan, ["a"], ["b"], None)
        return make.make_model(plan, tokenizer, tmp_path).model.embed_tokens.weight

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_about_a_million_parameters_of_qwen3(tmp_path):
    plan = make_plan(tmp_path)
    model = make.make_model(plan, make.make_tokenizer(plan, ["a"], ["b"], None), tmp_path)
    assert model.config.model_type == "qwen3"
    assert 0.8e6 < make.count_parameters(model)[0] < 1.2e6
