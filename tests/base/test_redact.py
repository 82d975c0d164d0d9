"""What is a secret is hidden; what only looks a little like one is not."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparksmith.base.redact import HIDDEN, redact, redact_text

# Made up, in the shapes of the real ones.
HF = "hf_" + "abcdEFGH" * 4
GITHUB = "ghp_" + "a1B2" * 9
GITHUB_FINE = "github_pat_" + "11AAAA_" * 8
OPENAI = "sk-proj-" + "a1B2-_" * 6
WANDB = "0123456789abcdef" * 2 + "01234567"
WANDB_NEW = "wandb_v1_" + "aB3_" * 8


@pytest.mark.parametrize("secret", [HF, GITHUB, GITHUB_FINE, OPENAI, WANDB, WANDB_NEW])
@pytest.mark.parametrize(
    "around", ["{}", "a {} b", '"{}"', "login({})", "x={}", "Bearer {}", "line\n{}\nline", "({})."]
)
def test_tokens_of_known_shape(secret, around):
    found = redact_text(around.format(secret))
    assert secret not in found
    assert found == around.format(HIDDEN)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:pass@host/x", "https://[redacted]@host/x"),
        ("https://:pass@host/x", "https://[redacted]@host/x"),
        ("git+https://abcdefgh1234@github.com/a/b", "git+https://[redacted]@github.com/a/b"),
        ("http_proxy=http://me:word@proxy:3128", "http_proxy=http://[redacted]@proxy:3128"),
        ("HF_TOKEN=abc", "HF_TOKEN=[redacted]"),
        ("export WANDB_API_KEY='abc def'", "export WANDB_API_KEY='[redacted] def'"),
        ("--hub-token=abc --seed 1", "--hub-token=[redacted] --seed 1"),
        ("api_key: abc, next", "api_key: [redacted], next"),
        ('{"password": "abc", "a": 1}', '{"password": "[redacted]", "a": 1}'),
        ("passwd = abc", "passwd = [redacted]"),
        ("client_secret=abc;x", "client_secret=[redacted];x"),
        ("AWS_SECRET_ACCESS_KEY: abc", "AWS_SECRET_ACCESS_KEY: [redacted]"),
        ("my-credentials: abc", "my-credentials: [redacted]"),
        ("access_token=abc&x=1", "access_token=[redacted]"),
    ],
)
def test_named_secrets(text, expected):
    assert redact_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        hashlib.sha256(b"data").hexdigest(),
        f"--hash=sha256:{hashlib.sha256(b'wheel').hexdigest()}",
        hashlib.md5(b"x", usedforsecurity=False).hexdigest(),
        hashlib.sha512(b"x").hexdigest(),
        "tokens_per_second",
        '"tokens_per_second": 1234.5, "tokens_seen": 99',
        "max_new_tokens: 64",
        "max_new_tokens=64",
        "123 tokens: all of them",
        "eos_token: </s>",
        "pad_token=<pad>",
        "non_padding_tokens: 12",
        "the tokenizer has no chat template",
        "tokenizer: x",
        "https://huggingface.co/unsloth/gemma-3-270m-it",
        "https://host:8080/path@2",
        "ssh://git@host/path",
        "unsloth/gemma-3-270m-it",
        "outputs/g2p-hebrew-1/checkpoint-400",
        "20261121-031500-1a2b",
        "learning_rate: 2e-4",
        "jˈeled ˈaba tsˈav",
        "sk-learn",
        "hf_hub",
        "a secret place",
        "passwords are not written down",
        "tiktoken==0.12.0",
        "because there is no tiktoken == 99 and you require tiktoken==99",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact_text(text) == text
    assert redact({"value": [text]}) == {"value": [text]}


def test_a_sha256_stays_under_any_neighbour():
    digest = hashlib.sha256(b"x").hexdigest()
    facts = {"path": "/data/a.tsv", "sha256": digest, "rows": 5}
    assert redact(facts) == facts
    assert redact_text(json.dumps(facts)) == json.dumps(facts)


def test_records():
    record = {
        "kind": "warning",
        "message": f"cannot log in with {HF}",
        "wandb_api_key": "plain words",
        "password": "x",
        "token": HF,
        "tokens": 12,
        "tokens_per_second": 5.5,
        "eos_token": "</s>",
        "secret": None,
        "api_key": {"inner": "kept", "password": "gone"},
        "list": [OPENAI, ("a", "HF_TOKEN=b")],
        7: True,
    }
    assert redact(record) == {
        "kind": "warning",
        "message": "cannot log in with [redacted]",
        "wandb_api_key": HIDDEN,
        "password": HIDDEN,
        "token": HIDDEN,
        "tokens": 12,
        "tokens_per_second": 5.5,
        "eos_token": "</s>",
        "secret": None,
        "api_key": {"inner": "kept", "password": HIDDEN},
        "list": [HIDDEN, ["a", "HF_TOKEN=[redacted]"]],
        7: True,
    }
    assert record["password"] == "x"  # a copy


@given(st.text(max_size=80))
def test_twice_is_once(text):
    once = redact_text(text)
    assert redact_text(once) == once


@given(
    st.text("abc =:;,\"'\n@/", max_size=20),
    st.sampled_from([HF, GITHUB, GITHUB_FINE, OPENAI, WANDB, WANDB_NEW]),
    st.text(" =:;,\"'\n/", min_size=1, max_size=20),
)
def test_a_token_never_passes(before, secret, after):
    text = f"{before} {secret}{after}"
    assert secret not in redact_text(text)
    assert secret not in json.dumps(redact({"a": [{"b": text}]}))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text("xyz ", max_size=5),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("xyz", max_size=3), inner),
    )
)
def test_what_holds_no_secret_is_left_as_it_is(value):
    assert redact(value) == value
