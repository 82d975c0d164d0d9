"""Batched greedy answers are those of one by one and of Transformers' own loop, on any architecture, in any memory."""

from __future__ import annotations

import pytest
import torch

from plans import PAIRS, make_plan
from small_models import byte_tokenizer, save_small_gemma, save_small_qwen
from sparksmith.base.errors import SparksmithError
from sparksmith.model import make
from sparksmith.model.generate import Answer, generate_greedy, longest_sequence, stream_answer

PAD, NEVER = 0, [10**6]
# 3 to 80 tokens: some longer than Gemma's window of 32
PROMPTS = [[5 + (7 * row + 3 * at + at * row) % 200 for at in range(3 + (13 * row) % 78)] for row in range(24)]


def spread(model):
    """The same model with layers that outweigh the embeddings: a random one as made repeats its last token for ever."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and not any(part in name for part in ("embed", "wte", "wpe", "lora")):
                parameter *= 10
    return model.eval()


def load(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")


def make_small(kind, folder):
    """A random model; GPT-2 has learned positions, Llama separate output weights, Mistral a window on every layer."""
    import transformers

    torch.manual_seed(1)
    size = len(byte_tokenizer(None, begin="<b>", end="<e>", marks=()))
    shape = {
        "vocab_size": size, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
    }  # fmt: skip
    if kind == "gemma":
        return load(save_small_gemma(folder))
    if kind in {"qwen", "qwen with LoRA"}:
        model = load(save_small_qwen(folder))
    elif kind == "gpt2":
        config = transformers.GPT2Config(vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=256)
        model = transformers.GPT2LMHeadModel(config)
    elif kind == "llama":
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape))
    else:
        model = transformers.MistralForCausalLM(transformers.MistralConfig(**shape, sliding_window=16))
    if kind == "qwen with LoRA":
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
        with torch.no_grad():  # fresh adapters change nothing
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.1)
    return model


def generate(model, prompts=PROMPTS, **options):
    options = {"pad_id": PAD, "max_new_tokens": 20, "batch_size": 64, **options}
    return generate_greedy(model, prompts, **options)


def pick_stops(model):
    """Stop tokens that end most rows, at different steps but not at once, and leave three at least to be cut off."""
    free = [answer.tokens for answer in generate(model, stop_ids=NEVER).answers]
    begins = {token for tokens in free for token in tokens[:2]}
    chosen: set[int] = set()
    for token in sorted({token for tokens in free for token in tokens} - begins):
        if sum(not (chosen | {token}).isdisjoint(tokens) for tokens in free) <= len(free) - 3:
            chosen.add(token)
    return sorted(chosen)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    return spread(load(save_small_qwen(tmp_path_factory.mktemp("qwen"))))


@pytest.fixture(scope="module")
def stops(qwen):
    return pick_stops(qwen)


@pytest.mark.parametrize("kind", ["gemma", "qwen", "qwen with LoRA", "gpt2", "llama", "mistral"])
def test_batched_is_one_by_one_is_transformers(kind, tmp_path):
    model = spread(make_small(kind, tmp_path))
    stops = pick_stops(model)
    single = generate(model, batch_size=1, stop_ids=stops).answers
    assert {answer.end for answer in single} == {"stop", "cut"}  # both happen in this test
    assert len({tuple(answer.tokens) for answer in single}) > len(PROMPTS) // 2
    for batch_size in (5, 64):
        assert generate(model, batch_size=batch_size, stop_ids=stops).answers == single
    for prompt, answer in zip(PROMPTS, single, strict=True):
        ids = torch.tensor([prompt])
        theirs = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=20, pad_token_id=PAD,
            eos_token_id=stops,
        )[0, len(prompt) :].tolist()  # fmt: skip
        stopped = theirs[-1] in stops
        assert answer == Answer(theirs[:-1] if stopped else theirs, "stop" if stopped else "cut")


def test_a_tiny_model(tmp_path):
    plan = make_plan(tmp_path)
    tokenizer = make.make_tokenizer(plan, [p for p, _ in PAIRS], [r for _, r in PAIRS], None)
    model = spread(make.make_model(plan, tokenizer, tmp_path))
    prompts = [tokenizer(prompt)["input_ids"] for prompt, _ in PAIRS]
    stops = [tokenizer.eos_token_id, 12]
    batched = generate(model, prompts, stop_ids=stops, pad_id=tokenizer.pad_token_id)
    assert batched.answers == generate(model, prompts, stop_ids=stops, batch_size=1).answers


class Watched(torch.nn.Module):
    """A model that writes down how many rows each call has, and may run out of memory from some number on."""

    def __init__(self, model, fits=10**6):
        super().__init__()
        self.model, self.config, self.fits = model, model.config, fits
        self.rows, self.lengths = [], []

    def forward(self, input_ids, **options):
        self.rows.append(len(input_ids))
        self.lengths.append(input_ids.shape[1])
        if len(input_ids) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return self.model(input_ids=input_ids, **options)


def test_rows_that_are_done_leave_the_batch(qwen, stops):
    watched = Watched(qwen)
    answers = generate(watched, stop_ids=stops).answers
    steps = [len(answer.tokens) + (answer.end == "stop") for answer in answers]  # the stop token is computed too
    assert watched.rows[0] == len(PROMPTS) and watched.rows == sorted(watched.rows, reverse=True)
    assert watched.rows[-1] <= len(PROMPTS) // 2
    assert len(watched.rows) == max(steps)
    for step, rows in enumerate(watched.rows):
        left = sum(needed > step for needed in steps)
        assert left <= rows <= max(2 * left - 1, 1) or rows == len(PROMPTS)


def test_the_longest_prompts_come_first(qwen, stops):
    watched, seen = Watched(qwen), []
    generate(watched, stop_ids=stops, batch_size=10, on_batch=seen.append)
    prefills = [length for length in watched.lengths if length > 1]
    assert prefills == sorted(prefills, reverse=True)
    assert prefills[0] == max(map(len, PROMPTS))
    assert seen == [10, 20, 24]


def test_out_of_memory_halves_the_batch_for_all_that_is_left(qwen, stops):
    watched, said, seen = Watched(qwen, fits=7), [], []
    made = generate(watched, stop_ids=stops, batch_size=20, on_warning=said.append, on_batch=seen.append)
    assert said == [
        "out of memory with 20 answers at once: going on with 10",
        "out of memory with 10 answers at once: going on with 5",
    ]
    assert seen == [5, 10, 15, 20, 24]
    assert made.batch_size == 5
    assert made.answers == generate(qwen, stop_ids=stops).answers
    assert max(watched.rows[2:]) == 5


def test_out_of_memory_in_the_middle_of_an_answer_begins_the_batch_again(qwen, stops):
    class Fragile(Watched):
        def forward(self, input_ids, **options):
            if len(self.rows) == 4:
                self.rows.append(0)
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().forward(input_ids, **options)

    said = []
    made = generate(Fragile(qwen), stop_ids=stops, on_warning=said.append)
    assert made.answers == generate(qwen, stop_ids=stops).answers
    assert said == ["out of memory with 24 answers at once: going on with 12"]


def test_out_of_memory_with_one_answer_is_an_error_with_a_hint(qwen, stops):
    with pytest.raises(SparksmithError, match="out of memory with one answer at once, to a prompt of 68") as raised:
        generate(Watched(qwen, fits=0), stop_ids=stops, batch_size=4)
    assert "--device cpu" in str(raised.value.hint)


def test_other_errors_are_not_taken_for_it(qwen, stops):
    class Broken(Watched):
        def forward(self, input_ids, **options):
            raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        generate(Broken(qwen), stop_ids=stops)


def test_a_prompt_that_fills_the_model_is_told_and_never_cut(qwen, monkeypatch):
    monkeypatch.setattr(qwen.config, "max_position_embeddings", 60)
    assert longest_sequence(qwen) == 60
    prompts = [[7] * 59, [8] * 60, [9] * 61, [10] * 3]
    seen = []
    made = generate(qwen, prompts, stop_ids=NEVER, on_batch=seen.append).answers
    assert [answer.end for answer in made] == ["cut", "too_long", "too_long", "cut"]
    # each answer is as long as its own prompt lets it be, beside longer ones and alone
    assert [len(answer.tokens) for answer in made] == [1, 0, 0, 20]
    assert generate(qwen, prompts, stop_ids=NEVER, batch_size=1).answers == made
    assert seen == [4]
    assert generate(qwen, [[9] * 70], stop_ids=NEVER).answers == [Answer([], "too_long")]


def test_the_length_of_a_composite_model_is_its_decoders():
    from types import SimpleNamespace

    from transformers import Gemma3Config, GPT2Config, MptConfig

    text = {"max_position_embeddings": 77, "num_hidden_layers": 1}
    assert longest_sequence(SimpleNamespace(config=Gemma3Config(text_config=text))) == 77
    assert longest_sequence(SimpleNamespace(config=GPT2Config(n_positions=33))) == 33
    assert longest_sequence(SimpleNamespace(config=MptConfig())) is None


def test_stops_before_the_stop_token(qwen):
    free = generate(qwen, stop_ids=NEVER).answers
    assert all(answer.end == "cut" and len(answer.tokens) == 20 for answer in free)
    stop = free[0].tokens[3]
    for whole, part in zip(free, generate(qwen, stop_ids=[stop]).answers, strict=True):
        tokens = whole.tokens
        stopped = stop in tokens
        assert part == (Answer(tokens[: tokens.index(stop)], "stop") if stopped else whole)


def test_leaves_the_model_as_it_was(qwen, stops):
    before = qwen.generation_config
    qwen.train()
    generate(qwen, stop_ids=stops, batch_size=10)
    assert qwen.training and qwen.generation_config is before
    qwen.eval()
    assert generate(qwen, [], stop_ids=stops).answers == []


class Kept:
    """A streamer that keeps what it is given."""

    def __init__(self):
        self.given, self.ended = [], False

    def put(self, value):
        self.given.append(value.flatten().tolist())

    def end(self):
        self.ended = True


def stream(model, prompt, stops, **options):
    kept = Kept()
    stream_answer(model, prompt, kept, pad_id=PAD, stop_ids=stops, max_new_tokens=20, **options)
    assert kept.given[0] == prompt and kept.ended
    return [token for part in kept.given[1:] for token in part]


def test_a_stream_is_the_greedy_answer(qwen, stops):
    before = qwen.generation_config
    for prompt, answer in zip(PROMPTS[:6], generate(qwen, stop_ids=stops).answers, strict=False):
        tokens = stream(qwen, prompt, stops)
        assert tokens[: len(answer.tokens)] == answer.tokens
        assert tokens[len(answer.tokens) :] == [] if answer.end == "cut" else tokens[-1] in stops
    assert qwen.generation_config is before


def test_a_stream_at_a_temperature_is_sampled(qwen, stops):
    torch.manual_seed(0)
    drawn = {tuple(stream(qwen, PROMPTS[0], stops, temperature=5.0)) for _ in range(4)}
    assert len(drawn) == 4
    assert {tuple(stream(qwen, PROMPTS[0], stops, temperature=1e-6)) for _ in range(2)} == {
        tuple(stream(qwen, PROMPTS[0], stops))
    }


def test_a_hub_models_own_wishes_for_sampling_are_left_out(qwen, stops):
    prompt = PROMPTS[1]
    plain = generate(qwen, [prompt], stop_ids=stops).answers[0].tokens
    qwen.generation_config.repetition_penalty = 50.0
    try:
        assert generate(qwen, [prompt], stop_ids=stops).answers[0].tokens == plain
        assert stream(qwen, prompt, stops)[: len(plain)] == plain
    finally:
        qwen.generation_config.repetition_penalty = 1.0
