"""Small random models of real architectures, saved as folders: what tests and the check on a GPU train."""

from __future__ import annotations

from pathlib import Path

# Gemma 3's own form of turns; a system message goes into the first user turn, and roles must alternate.
GEMMA_TEMPLATE = (
    "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}{%- set first = messages[0]['content'] + '\n\n' -%}"
    "{%- set turns = messages[1:] -%}{%- else -%}{%- set first = '' -%}{%- set turns = messages -%}{%- endif -%}"
    "{%- for message in turns -%}"
    "{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{%- endif -%}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n'"
    " + (first if loop.first else '') + (message['content'] | trim) + '<end_of_turn>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}"
)
# ChatML with the assistant's part marked, as TRL's training templates are.
MARKED_TEMPLATE = (
    "{%- for message in messages -%}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{%- if message['role'] == 'assistant' -%}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{%- else -%}{{ message['content'] + '<|im_end|>' }}{%- endif -%}{{ '\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)


def byte_tokenizer(template: str | None, *, begin: str, end: str, marks: tuple[str, ...]):
    """A byte-level tokenizer without merges: every text has tokens, none is unknown."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", begin, end, *marks]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: number for number, piece in enumerate([*special, *alphabet])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", bos_token=begin, eos_token=end, clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = template
    return tokenizer


def save_small_gemma(folder: Path, seed: int = 0) -> Path:
    """A random model of Gemma 3's shape (sliding and full attention, soft norms) with its chat template."""
    import torch
    from transformers import AutoModelForCausalLM, Gemma3TextConfig

    tokenizer = byte_tokenizer(
        GEMMA_TEMPLATE, begin="<bos>", end="<eos>", marks=("<start_of_turn>", "<end_of_turn>")
    )  # fmt: skip
    config = Gemma3TextConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, sliding_window=32, max_position_embeddings=1024, query_pre_attn_scalar=16,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return _save(AutoModelForCausalLM, config, tokenizer, folder, seed, torch)


def save_small_qwen(folder: Path, template: str | None = MARKED_TEMPLATE, seed: int = 0) -> Path:
    """A random model of Qwen3's shape; with marks in its template, or without a template."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen3Config

    tokenizer = byte_tokenizer(template, begin="<|begin|>", end="<|endoftext|>", marks=("<|im_start|>", "<|im_end|>"))
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=1024, tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return _save(AutoModelForCausalLM, config, tokenizer, folder, seed, torch)


def _save(factory, config, tokenizer, folder: Path, seed: int, torch) -> Path:
    torch.manual_seed(seed)
    factory.from_config(config, dtype=torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
