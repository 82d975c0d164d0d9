"""`tiny`: a small decoder of Qwen3's architecture and a tokenizer of characters, made from the data, not downloaded.

The tokenizer's vocabulary is every character of the training data, and four marks for turns. Characters are taken
apart into letters and marks first (Unicode NFD), so that a Hangul syllable never seen is known by its letters and é by
its e; what occurs in a response is put together again, so that a response is written as the data write it. Where spaces
separate phones, a phone's letters with the space before them are one token, and its marks (length, aspiration, tone)
are tokens of their own: a long consonant that training hardly has is made of a consonant and a length that it has
often. A phone never seen falls back to its characters. It is a plain Transformers tokenizer that other tools load.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from sparksmith.recipe.plan import Plan

PAD, UNKNOWN, END = "<|pad|>", "<|unknown|>", "<|end|>"
TURNS = ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
BOWS = "\u035c\u0361"  # the ties under and over two letters
CHAT_TEMPLATE = (
    "{%- for message in messages -%}{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{%- if message['role'] == 'assistant' -%}{{ '" + END + "' }}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}"
)


def make_tokenizer(prompts: Iterable[str], responses: Iterable[str], *, phones: bool) -> Any:
    """A tokenizer over the texts' characters; with `phones`, also over a phone's letters with the space before."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    responses = list(responses)
    normalizer = normalizers.Sequence(
        [normalizers.NFD(), *(normalizers.Replace(apart(letter), letter) for letter in letters_written(responses))]
    )
    texts = {normalizer.normalize_str(text) for text in [*prompts, *responses]}
    responses = [normalizer.normalize_str(text) for text in responses]
    characters = sorted({character for text in texts for character in text})
    if phones and " " not in characters:
        characters.append(" ")
    special = [PAD, UNKNOWN, END, *TURNS]
    pieces = [*special, *characters]
    merges: list[tuple[str, str]] = []
    if phones:
        known = set(pieces)
        phones_written = {phone for response in responses for phone in response.split(" ")[1:]}
        for letters in sorted({letters_of(phone) for phone in phones_written}, key=lambda text: (len(text), text)):
            piece = " "
            for character in letters:
                if piece + character not in known:
                    known.add(piece + character)
                    pieces.append(piece + character)
                    merges.append((piece, character))
                piece += character
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token=UNKNOWN))
    raw.normalizer = normalizer
    raw.decoder = decoders.Fuse()
    raw.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token=PAD, unk_token=UNKNOWN, eos_token=END, clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def letters_of(phone: str) -> str:
    """A phone up to its first mark: t͡s of t͡sʰ, l of lː; the stress mark alone where a phone begins with one."""
    for place, character in enumerate(phone):
        if is_mark(character):
            return phone[: max(place, 1)]
    return phone


def is_mark(character: str) -> bool:
    """Whether it says more of the letter beside it: ː, ʰ, ˈ, a tone; but the bow of t͡s makes one letter of two."""
    return character not in BOWS and unicodedata.category(character) in ("Lm", "Sk", "Mn")


def apart(text: str) -> str:
    """The letters and marks that a text is made of (Unicode NFD)."""
    return unicodedata.normalize("NFD", text)


def letters_written(texts: Iterable[str]) -> list[str]:
    """The letters with their marks that the texts write otherwise than NFD does, those of most parts first.

    A letter goes with all of its marks, because NFD sorts them (ĩ̯ becomes i, ̯, ̃); 한 goes before 하, which is its
    beginning. Of two spellings of one letter, such as the signs of kelvin and ångström, NFC's is taken.
    """
    spellings: dict[str, set[str]] = {}
    for letter in {letter for text in texts for letter in split_letters(text)}:
        spellings.setdefault(apart(letter), set()).add(letter)
    chosen = []
    for parts, written in spellings.items():
        usual = unicodedata.normalize("NFC", parts)
        letter = usual if usual in written else min(written)
        if letter != parts:
            chosen.append(letter)
    return sorted(chosen, key=lambda letter: (-len(apart(letter)), letter))


def split_letters(text: str) -> Iterator[str]:
    """Each letter with the marks that follow it."""
    letter = ""
    for character in text:
        if letter and not unicodedata.combining(character):
            yield letter
            letter = ""
        letter += character
    if letter:
        yield letter


def make_config(plan: Plan, tokenizer: Any) -> Any:
    """Qwen3's configuration at the plan's width and depth, with tied embeddings."""
    from transformers import Qwen3Config

    return Qwen3Config(
        hidden_size=plan.tiny_hidden_size,
        num_hidden_layers=plan.tiny_layers,
        num_attention_heads=plan.tiny_heads,
        num_key_value_heads=plan.tiny_heads,
        head_dim=plan.tiny_hidden_size // plan.tiny_heads,
        intermediate_size=3 * plan.tiny_hidden_size,
        vocab_size=len(tokenizer),
        max_position_embeddings=max(plan.max_length, 64) + plan.max_new_tokens,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )


def make_model(plan: Plan, tokenizer: Any) -> Any:
    """Random weights from the plan's seed, fp32."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    from sparksmith.model.norms import fuse_norms

    logging.disable_progress_bar()  # it is written in less time than a bar needs
    torch.manual_seed(plan.seed)
    model = AutoModelForCausalLM.from_config(
        make_config(plan, tokenizer), dtype=torch.float32, attn_implementation="sdpa"
    )  # fmt: skip
    fuse_norms(model)
    return model
