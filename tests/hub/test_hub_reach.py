"""Whether the hub can be asked, and what its errors mean, without a network."""

from __future__ import annotations

import socket

import pytest

from sparksmith.base import hub
from sparksmith.base.hub import explain_hub_error, why_unreachable


@pytest.fixture
def asked(monkeypatch):
    """The addresses to which a connection was tried; each answers unless `asked.error` is set."""

    class Asked(list):
        error: Exception | None = None

    tried = Asked()

    def connect(address, timeout):
        tried.append((*address, timeout))
        if tried.error:
            raise tried.error
        return socket.socket()

    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(hub, "getproxies", dict)
    monkeypatch.setattr("socket.create_connection", connect)
    return tried


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        (None, ("huggingface.co", 443)), ("http://127.0.0.1:8099/", ("127.0.0.1", 8099)),
        ("http://mirror.example", ("mirror.example", 80)), ("", ("huggingface.co", 443)),
    ],
)  # fmt: skip
def test_the_address_that_is_asked(asked, monkeypatch, endpoint, address):
    if endpoint is not None:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert why_unreachable() is None
    assert asked == [(*address, 5.0)]


def test_a_host_that_does_not_answer_is_given_five_seconds(asked):
    asked.error = TimeoutError("timed out")
    assert why_unreachable() == "huggingface.co cannot be reached: timed out"


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_is_not_asked(asked, monkeypatch, name):
    monkeypatch.setenv(name, "1")
    assert why_unreachable() == f"huggingface.co cannot be reached: {name} is set"
    assert asked == []


@pytest.mark.parametrize(("bypassed", "tries"), [(False, 0), (True, 1)])
def test_a_proxy_is_left_to_the_hubs_client(asked, monkeypatch, bypassed, tries):
    monkeypatch.setattr(hub, "getproxies", lambda: {"https": "http://proxy.example:3128"})
    monkeypatch.setattr(hub, "proxy_bypass", lambda host: bypassed)
    assert why_unreachable() is None
    assert len(asked) == tries


def test_what_is_no_matter_of_the_network():
    explained = explain_hub_error(ValueError("model type `odd`\nmore"), "model", "a/b", "do without")
    assert explained.message == "the model a/b cannot be loaded: model type `odd`"
    assert explained.hint == "look at https://huggingface.co/a/b"


class HfHubHTTPError(Exception):
    """As the hub's own class is called."""


class GatedRepoError(HfHubHTTPError):
    pass


class RepositoryNotFoundError(HfHubHTTPError):
    pass


class HFValidationError(ValueError):
    pass


class RemoteProtocolError(Exception):
    pass


@pytest.mark.parametrize(
    ("inner", "message", "hint"),
    [
        (GatedRepoError("401"), "the model a/b is gated on the hub", "/a/b, then: hf auth login"),
        (HfHubHTTPError("403 Forbidden: x"), "the model a/b is gated on the hub", "hf auth login"),
        (RepositoryNotFoundError("401"), "the hub has no model a/b, or it is private", "/models;"),
        (HFValidationError("Repo id must"), "a/b is no name on the hub: Repo id must", "owner/name"),
        (RemoteProtocolError("peer closed"), "broke off: peer closed", "try again"),
        (HfHubHTTPError("500 Server Error\nmore"), "nor could it be fetched: 500 Server Error", "do without"),
        (HfHubHTTPError("401 Client Error: Invalid credentials"), "does not accept your token", "hf auth login"),
        (ConnectionRefusedError("refused"), "nor could it be fetched: refused", "do without"),
    ],
)
def test_what_an_error_means_also_where_it_is_wrapped(inner, message, hint):
    wrapped = OSError("We couldn't connect")
    wrapped.__cause__ = inner
    for error in (inner, wrapped):
        explained = explain_hub_error(error, "model", "a/b", "do without")
        assert message in explained.message and "\n" not in explained.message
        assert hint in str(explained.hint)
