"""What a page that is posted must not tell: who ran it, on which host, from which index, where things lie.

Secrets are taken out by base/redact.py. Beyond them: home folders become ~, other absolute paths lose what stands
before their last name, names of users and hosts and addresses outside the public sites are hidden. Rows of data keep
their words, names among them; only secrets, home folders and addresses are taken out of those. Does not cover a name
that is spelled otherwise, and a host that no address and no setting of this machine names.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sparksmith.base.redact import redact_text

PUBLIC = frozenset({
    "huggingface.co", "hf.co", "github.com", "pypi.org", "download.pytorch.org", "wandb.ai", "pytorch.org",
})  # fmt: skip
# names of nobody, which other words of a record may well be
GENERIC_USERS = frozenset({
    "root", "user", "users", "shared", "public", "nobody", "ubuntu", "admin", "runner", "home", "nvidia", "spark",
    "dgx", "test", "dev", "data", "model", "gpu", "train", "tiny", "me", "jovyan", "vscode",
})  # fmt: skip
GENERIC_HOSTS = frozenset({"localhost", "localdomain"})
SETTINGS_WITH_HOSTS = re.compile(r"(?i)(index_url|_proxy|hf_endpoint|index)$")

HOMES = re.compile(r"(?<![\w.~-])(?:/home/|/Users/|/export/home/)([^/\s'\"]+)|(?<![\w.~/-])/root(?=[/\s'\"]|$)")
ADDRESS = re.compile(r"\b(https?|ftp|ssh|git|socks5h?|git\+https?|git\+ssh)://[^\s'\"<>()]+")
HOST_AND_PORT = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}:\d+\b")
HOST_WORD = re.compile(r"(?i)\b(host(?:name)?\s*=\s*)['\"][^'\"]*['\"]")
PATH = re.compile(r"(?<![\w.~/:>-])/(?:[^\s/'\":,;()<>]+/)+([^\s/'\":,;()<>]*)")


class Discretion:
    """Takes out of texts what is nobody's business. `users` and `hosts` are names to hide as whole words."""

    def __init__(self, run: Path, home: str, users: Iterable[str] = (), hosts: Iterable[str] = ()) -> None:
        self.run = str(run)
        self.home = home.rstrip("/")
        self.users = _any_of({name for name in users if len(name) > 1 and name.lower() not in GENERIC_USERS})
        self.hosts = _any_of({name for name in hosts if len(name) > 1 and name.lower() not in GENERIC_HOSTS})

    def text(self, text: str) -> str:
        """A text from a record: a message, a reason, a value of a key."""
        if text == self.run:
            return self.folder()
        text = self.words_of_data(text)
        text = PATH.sub(lambda match: f"…/{match[1]}" if match[1] else "…/", text)
        return self.names(text)

    def names(self, text: str) -> str:
        """The names of users and hosts hidden."""
        for pattern, word in ((self.users, "[user]"), (self.hosts, "[host]")):
            if pattern is not None:
                text = pattern.sub(word, text)
        return text

    def words_of_data(self, text: str) -> str:
        """A row of data: only what cannot be meant to be learnt."""
        text = redact_text(ADDRESS.sub(_public_address, text))
        text = HOST_AND_PORT.sub("[address]", HOST_WORD.sub(r"\1'[host]'", text))
        if len(self.run) > 1:
            text = re.sub(rf"{re.escape(self.run)}/(?=\S)", "", text)
            text = re.sub(rf"{re.escape(self.run)}(?![\w.-])", lambda _: self.folder(), text)
        if len(self.home) > 1:
            text = re.sub(rf"{re.escape(self.home)}(?![\w.-])", "~", text)
        return HOMES.sub("~", text)

    def folder(self) -> str:
        """The run's folder: from the home on where it lies there, else its own name."""
        if len(self.home) > 1 and self.run.startswith(f"{self.home}/"):
            return self.names("~" + self.run.removeprefix(self.home))
        return self.names(Path(self.run).name)

    def value(self, value: Any) -> Any:
        """The same for what JSON can hold. Keys stay as they are."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.value(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner) for inner in value]
        return value

    def command(self, words: list[str]) -> str:
        """A command to be typed; ~ stays outside the quotes, so that a shell opens it."""
        shown = []
        for word in words:
            inside = word.startswith(f"{self.run}/")
            told = self.folder() + self.names(word.removeprefix(self.run)) if inside else self.text(word)
            shown.append("~/" + shlex.quote(told[2:]) if told.startswith("~/") else shlex.quote(told))
        return " ".join(shown)


def discretion_of(run: Path, records: Iterable[Any] = ()) -> Discretion:
    """What to hide of a run: who and where this process is, and whose homes its records name."""
    users = {os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME", "SUDO_USER")}
    home = str(Path.home())
    users.add(Path(home).name)
    users |= {name for record in records for name in _users_in(record)}
    host = socket.gethostname()
    hosts = {host, host.split(".")[0], os.environ.get("HOSTNAME", "")}
    for name, value in os.environ.items():
        if SETTINGS_WITH_HOSTS.search(name) and (found := urlsplit(value).hostname) and not _is_public(found):
            hosts.add(found)
    return Discretion(run, home, users, hosts)


def _users_in(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield from (match[1] for match in HOMES.finditer(value) if match[1])
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _users_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _users_in(inner)


def _any_of(names: set[str]) -> re.Pattern[str] | None:
    if not names:
        return None
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def _is_public(host: str) -> bool:
    return any(host == known or host.endswith(f".{known}") for known in PUBLIC)


def _public_address(match: re.Match[str]) -> str:
    try:
        host = urlsplit(match[0]).hostname or ""
    except ValueError:
        host = ""
    return match[0] if _is_public(host) else f"{match[1]}://[address]"
