"""A conversation: what is shown, what is kept, and what becomes of the oldest turns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from answering import make_run
from small_models import GEMMA_TEMPLATE, save_small_qwen
from sparksmith.base.errors import SparksmithError
from sparksmith.data.examples import Message
from sparksmith.evaluate import chat
from sparksmith.evaluate.chat import Conversation
from sparksmith.evaluate.dataset import predict
from sparksmith.evaluate.find import find_model
from sparksmith.evaluate.load import load_ready


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    return load_ready(find_model(str(make_run(tmp_path_factory.mktemp("chat"), max_new_tokens=9).path)))


class Talk:
    """A conversation with what it showed and told."""

    def __init__(self, ready, **options):
        self.conversation = Conversation(ready, **options)
        self.shown, self.told = [], []

    def say(self, text):
        return self.conversation.answer(text, self.shown.append, self.told.append)

    @property
    def turns(self):
        return [turn.content for turn in self.conversation.turns]


def greedy(ready, *turns):
    """The greedy answer after these turns, as `predict` gives it."""
    roles = ["user", "assistant"] * len(turns)
    prompt = ready.encoder.encode_prompt([Message(*turn) for turn in zip(roles, turns, strict=False)])
    options = {"max_new_tokens": ready.max_new_tokens, "batch_size": 1, "precision": "fp32"}
    return predict(ready.model, ready.encoder, [prompt], **options)[0][0].text


def test_the_answer_is_shown_as_it_comes_and_kept_for_the_next(ready):
    talk = Talk(ready)
    first = talk.say("שלום")
    assert first == greedy(ready, "שלום") != ""
    assert "".join(talk.shown).strip() == first
    second = talk.say("מה")
    assert second == greedy(ready, "שלום", first, "מה")
    assert talk.turns == ["שלום", first, "מה", second]
    talk.conversation.clear()
    assert talk.turns == [] and talk.say("שלום") == first


def test_single_questions_are_asked_by_themselves(ready):
    talk = Talk(ready, single=True)
    talk.say("שלום")
    assert talk.say("מה") == greedy(ready, "מה")
    assert len(talk.turns) == 2


def test_a_temperature_samples(ready):
    torch.manual_seed(0)
    hot = Talk(ready, temperature=5.0, single=True)
    assert len({hot.say("שלום") for _ in range(4)}) > 1


def test_the_stop_token_is_not_shown_and_a_cut_answer_is_told(ready, monkeypatch):
    whole = Talk(ready)
    answer = whole.say("שלום")
    cut = whole.told == ["the answer was cut off after 9 tokens"]
    tokens = ready.encoder.tokenizer(answer)["input_ids"]
    assert cut and len(tokens) > 3
    monkeypatch.setattr(ready.encoder, "_stop_ids", [tokens[3]])
    talk = Talk(ready)
    stopped = talk.say("שלום")
    assert talk.told == []
    assert answer.startswith(stopped) and "".join(talk.shown).strip() == stopped != answer


def test_the_oldest_turns_are_dropped_with_a_notice(ready, monkeypatch):
    length = len(ready.encoder.encode_prompt([Message("user", "שלום")]))
    monkeypatch.setattr(ready.model.config, "max_position_embeddings", 2 * length + 2 * 9 + 2)
    talk = Talk(ready)
    first, second = talk.say("שלום"), talk.say("שלום")
    assert "forgotten" not in " ".join(talk.told)
    talk.told.clear()
    third = talk.say("שלום")
    assert (
        talk.told[0]
        == "the conversation is longer than the model takes: its first question and its answer are forgotten"
    )
    assert talk.turns == ["שלום", second, "שלום", third]
    assert third == greedy(ready, "שלום", second, "שלום")
    assert first == greedy(ready, "שלום")


def test_a_line_that_is_too_long_alone_is_an_error_and_changes_nothing(ready, monkeypatch):
    monkeypatch.setattr(ready.model.config, "max_position_embeddings", 30)
    talk = Talk(ready)
    talk.say("שלום")
    before = talk.turns
    with pytest.raises(SparksmithError, match=r"this line has .* tokens and the model takes 30"):
        talk.say("שלום" * 10)
    assert talk.turns == before


def test_a_long_line_leaves_a_short_answer(ready, monkeypatch):
    text = "שלום"
    limit = len(ready.encoder.encode_prompt([Message("user", text)])) + 2
    monkeypatch.setattr(ready.model.config, "max_position_embeddings", limit)
    talk = Talk(ready)
    talk.say(text)
    assert talk.told == ["the answer was cut off after 2 tokens"]


def test_an_interrupted_answer_is_kept_as_far_as_it_came(ready, monkeypatch):
    whole = Talk(ready).say("שלום")
    real = chat.Screen.put
    count = 0

    def interrupted(self, value):
        nonlocal count
        count += 1
        if count == 5:  # the prompt and three tokens
            raise KeyboardInterrupt
        real(self, value)

    talk = Talk(ready)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(chat.Screen, "put", interrupted)
        talk.say("שלום")
    (asked, kept) = talk.turns
    assert asked == "שלום" and whole.startswith(kept) and kept != whole
    assert "".join(talk.shown).strip() == kept
    assert talk.say("מה") == greedy(ready, "שלום", kept, "מה")


def test_an_answer_without_text_leaves_no_turn(ready, monkeypatch):
    tokens = ready.encoder.tokenizer(Talk(ready).say("שלום"))["input_ids"]
    monkeypatch.setattr(ready.encoder, "_stop_ids", [tokens[0]])
    talk = Talk(ready)
    assert talk.say("שלום") == ""
    assert talk.turns == []


def test_turns_go_on_alternating_under_a_strict_template(tmp_path):
    """Gemma's template refuses anything but user, assistant, user."""
    folder = save_small_qwen(tmp_path / "model", template=GEMMA_TEMPLATE.replace("_of_turn", ""))
    ready = replace(load_ready(find_model(str(folder)), system_prompt="Do."), max_new_tokens=20)
    ready.model.config.max_position_embeddings = 120
    talk = Talk(ready)
    talk.conversation.turns = [Message("user", "ask"), Message("assistant", "say")] * 4
    talk.say("more")
    assert talk.told[0].startswith("the conversation is longer than the model takes: its first 3 questions")


def test_without_a_template_there_is_no_conversation(tmp_path):
    ready = load_ready(find_model(str(save_small_qwen(tmp_path / "model", template=None))))
    with pytest.raises(SparksmithError, match="has no chat template") as raised:
        Conversation(ready)
    assert raised.value.hint == "sparksmith predict RUN TEXT"
