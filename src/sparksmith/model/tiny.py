"""`tiny`: a small decoder of Qwen3's architecture and a tokenizer of characters, made from the data, not downloaded.

The tokenizer's vocabulary is every character of the training data, and four marks for turns. Where spaces separate
phones, each phone with the space before it is one token too, so that a response is as long as it has phones; a phone
never seen falls back to its characters. It is a plain Transformers tokenizer that other tools load.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sparksmith.recipe.plan import Plan

PAD, UNKNOWN, END = "<|pad|>", "<|unknown|>", "<|end|>"
TURNS = ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
CHAT_TEMPLATE = (
    "{%- for message in messages -%}{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{%- if message['role'] == 'assistant' -%}{{ '" + END + "' }}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}"
)


def make_tokenizer(prompts: Iterable[str], responses: Iterable[str], *, phones: bool) -> Any:
    """A tokenizer over the characters of the texts; with `phones`, also over " phone" pieces of the responses."""
    from tokenizers import AddedToken, Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    responses = list(responses)
    characters = sorted({character for text in [*prompts, *responses] for character in text})
    if phones and " " not in characters:
        characters.append(" ")
    special = [PAD, UNKNOWN, END, *TURNS]
    pieces = [*special, *characters]
    merges: list[tuple[str, str]] = []
    if phones:
        known = set(pieces)
        for phone in sorted(
            {phone for response in responses for phone in response.split(" ")[1:]}, key=lambda p: (len(p), p)
        ):
            piece = " "
            for character in phone:
                if piece + character not in known:
                    known.add(piece + character)
                    pieces.append(piece + character)
                    merges.append((piece, character))
                piece += character
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token=UNKNOWN))
    raw.decoder = decoders.Fuse()
    raw.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token=PAD, unk_token=UNKNOWN, eos_token=END, clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


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

    logging.disable_progress_bar()  # it is written in less time than a bar needs
    torch.manual_seed(plan.seed)
    return AutoModelForCausalLM.from_config(
        make_config(plan, tokenizer), dtype=torch.float32, attn_implementation="sdpa"
    )  # fmt: skip
