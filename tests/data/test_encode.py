"""What the model sees, and which part of it the loss counts, for each kind of template."""

from __future__ import annotations

import pytest

from small_models import GEMMA_TEMPLATE, MARKED_TEMPLATE, byte_tokenizer
from sparksmith.base.errors import SparksmithError
from sparksmith.data.encode import Encoder
from sparksmith.data.examples import Example, Message, pair

CONVERSATION = Example(
    7, "messages",
    (
        Message("user", "שלום"), Message("assistant", "ʃalˈom"),
        Message("user", "more, please"), Message("assistant", "a b\nc"),
    ),
)  # fmt: skip


def gemma():
    return byte_tokenizer(GEMMA_TEMPLATE, begin="<bos>", end="<eos>", marks=("<start_of_turn>", "<end_of_turn>"))


def marked(template: str | None = MARKED_TEMPLATE):
    return byte_tokenizer(template, begin="<|begin|>", end="<|endoftext|>", marks=("<|im_start|>", "<|im_end|>"))


def counted_text(encoder: Encoder, example: Example) -> str:
    """The counted tokens as text."""
    encoded = next(iter(encoder.encode([example])))
    return encoder.tokenizer.decode(
        [token for token, count in zip(encoded.input_ids, encoded.counted, strict=True) if count]
    )


def whole_text(encoder: Encoder, example: Example) -> str:
    return encoder.tokenizer.decode(next(iter(encoder.encode([example]))).input_ids)


def test_a_template_without_marks_counts_the_answers_and_their_ends():
    encoder = Encoder(gemma(), system_prompt=None, separator="\n")
    assert counted_text(encoder, CONVERSATION) == "ʃalˈom<end_of_turn>a b\nc<end_of_turn>"
    assert whole_text(encoder, CONVERSATION) == (
        "<bos><start_of_turn>user\nשלום<end_of_turn>\n<start_of_turn>model\nʃalˈom<end_of_turn>\n"
        "<start_of_turn>user\nmore, please<end_of_turn>\n<start_of_turn>model\na b\nc<end_of_turn>"
    )


def test_the_marks_of_a_template_are_used():
    encoder = Encoder(marked(), system_prompt=None, separator="\n")
    assert counted_text(encoder, CONVERSATION) == "ʃalˈom<|im_end|>a b\nc<|im_end|>"


def test_a_marked_template_and_rendered_prefixes_agree():
    plain = MARKED_TEMPLATE.replace("{% generation %}", "").replace("{% endgeneration %}", "")
    with_marks = next(iter(Encoder(marked(), system_prompt="s", separator="\n").encode([CONVERSATION])))
    without = next(iter(Encoder(marked(plain), system_prompt="s", separator="\n").encode([CONVERSATION])))
    assert with_marks == without


@pytest.mark.parametrize("tokenizer", [gemma(), marked(), marked(None)], ids=["gemma", "marked", "no template"])
@pytest.mark.parametrize("system_prompt", [None, "Answer in IPA."])
def test_a_prompt_is_what_training_saw_before_the_answer(tokenizer, system_prompt):
    if tokenizer.chat_template is None:
        system_prompt = None
    encoder = Encoder(tokenizer, system_prompt=system_prompt, separator="\n")
    example = pair(1, "מה קורה", "mˈa koʁˈe")
    encoded = next(iter(encoder.encode([example])))
    prompt = encoder.encode_prompt(example.messages[:-1])
    assert encoded.input_ids[: len(prompt)] == prompt
    assert not any(encoded.counted[: len(prompt)])
    assert all(encoded.counted[len(prompt) :])
    assert encoded.input_ids[-1] in encoder.stop_ids()


def test_no_template_puts_the_separator_between_and_the_end_after():
    encoder = Encoder(marked(None), system_prompt=None, separator=" => ")
    assert whole_text(encoder, pair(1, "a", "b")) == "a => b<|endoftext|>"
    assert counted_text(encoder, pair(1, "a", "b")) == "b<|endoftext|>"


def test_the_stop_token_is_found_whatever_its_letters_are():
    """The answer that it is looked for after must not be found inside of it."""
    template = MARKED_TEMPLATE.replace("<|im_end|>", "<|eob|>")
    tokenizer = byte_tokenizer(template, begin="<|begin|>", end="<|endoftext|>", marks=("<|im_start|>", "<|eob|>"))
    stops = Encoder(tokenizer, system_prompt=None, separator="\n").stop_ids()
    assert tokenizer.convert_ids_to_tokens(stops) == ["<|endoftext|>", "<|eob|>"]


def test_a_template_that_shows_no_answer_ends_none():
    tokenizer = marked("{%- for m in messages -%}{{ '<|im_start|>' + m['role'] }}{%- endfor -%}")
    assert Encoder(tokenizer, system_prompt=None, separator="\n").stop_ids() == [tokenizer.eos_token_id]


def test_an_empty_text_has_the_end_or_no_token():
    empty = Example(1, "text", text="")
    tokenizer = marked()
    assert whole_text(Encoder(tokenizer, system_prompt=None, separator="\n"), empty) == "<|endoftext|>"
    tokenizer.eos_token = None
    encoded = next(iter(Encoder(tokenizer, system_prompt=None, separator="\n").encode([empty])))
    assert (encoded.input_ids, encoded.counted) == ([], [])


def test_plain_text_is_counted_whole():
    encoder = Encoder(gemma(), system_prompt=None, separator="\n")
    assert counted_text(encoder, Example(1, "text", text="once upon")) == "once upon<eos>"


def test_train_on_all_counts_the_prompt_too():
    encoder = Encoder(gemma(), system_prompt=None, separator="\n", train_on="all")
    assert counted_text(encoder, pair(1, "a", "b")) == whole_text(encoder, pair(1, "a", "b"))


def test_the_system_prompt_stands_before_and_an_examples_own_wins():
    encoder = Encoder(marked(), system_prompt="ours", separator="\n")
    assert whole_text(encoder, pair(1, "a", "b")).startswith("<|im_start|>system\nours<|im_end|>")
    own = Example(1, "messages", (Message("system", "own"), Message("user", "a"), Message("assistant", "b")))
    assert "ours" not in whole_text(encoder, own)


def test_earlier_answers_that_the_template_rewrites_are_not_counted_and_told():
    """Qwen3's template, for one, drops the thoughts of earlier answers."""
    rewriting = (
        "{%- for m in messages -%}{{ '<|im_start|>' + m['role'] + '\n' }}"
        "{{ m['content'].split('</think>')[-1] if not loop.last else m['content'] }}{{ '<|im_end|>\n' }}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
    )
    turns = (
        Message("user", "q"),
        Message("assistant", "hm</think>a"),
        Message("user", "q"),
        Message("assistant", "x</think>b"),
    )
    encoder = Encoder(marked(rewriting), system_prompt=None, separator="\n")
    assert counted_text(encoder, Example(1, "messages", turns)) == "x</think>b<|im_end|>"
    assert encoder.turns_not_found == 1


def test_a_conversation_without_a_template_is_refused_with_its_line():
    with pytest.raises(SparksmithError, match="line 7 is a conversation"):
        list(Encoder(marked(None), system_prompt=None, separator="\n").encode([CONVERSATION]))


def test_what_the_template_refuses_is_said():
    bad = Example(3, "messages", (Message("user", "a"), Message("user", "b"), Message("assistant", "c")))
    with pytest.raises(SparksmithError, match="roles must alternate"):
        list(Encoder(gemma(), system_prompt=None, separator="\n").encode([bad]))


def test_a_system_prompt_without_a_template_is_refused():
    with pytest.raises(SparksmithError, match="no chat template"):
        Encoder(marked(None), system_prompt="s", separator="\n")
