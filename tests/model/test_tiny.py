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


def test_a_phone_with_its_space_is_one_token():
    tokenizer = tiny.make_tokenizer(["hello"], PHONES, phones=True)
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("t͡ʃ aː oː k", add_special_tokens=False)["input_ids"])
    assert pieces == ["t", "͡", "ʃ", " aː", " oː", " ", "k"]  # " k" never stood after a space in the data


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
