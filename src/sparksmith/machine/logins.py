"""Whether the hub and wandb would know the user. Tokens are not read: only whether one is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sparksmith.machine.root import Root
from sparksmith.machine.subject import Subject, explained

HUB_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
WANDB_HOST = "api.wandb.ai"
NETRC = ".netrc"


@dataclass(frozen=True)
class LoginFacts(Subject):
    """`hub` and `wandb` say where a login was found: "variable" or "file", or "" where none is."""

    hub: str | None
    wandb: str | None


def has_netrc_entry(text: str, host: str = WANDB_HOST) -> bool:
    """Whether a .netrc has an entry for a host."""
    words = text.split()
    return any(word == "machine" and words[place + 1 : place + 2] == [host] for place, word in enumerate(words))


def read_logins(root: Root, environ: Mapping[str, str], home: str | None) -> LoginFacts:
    """Look at the variables, and at where the libraries keep what they were told."""
    hub: str | None = "variable" if any(environ.get(name) for name in HUB_VARIABLES) else None
    wandb: str | None = "variable" if environ.get("WANDB_API_KEY") else None
    cache = environ.get("XDG_CACHE_HOME") or (f"{home.rstrip('/')}/.cache" if home else None)
    folder = environ.get("HF_HOME") or (f"{cache}/huggingface" if cache else None)
    token = environ.get("HF_TOKEN_PATH") or (f"{folder}/token" if folder else None)
    if hub is None and token:
        hub = "file" if root.exists(token) else ""
    netrc = environ.get("NETRC") or (f"{home.rstrip('/')}/{NETRC}" if home else None)
    if wandb is None and netrc:
        wandb = "file" if has_netrc_entry(root.text(netrc) or "") else ""
    return explained(LoginFacts(hub, wandb), "where the home folder is, is not known")
