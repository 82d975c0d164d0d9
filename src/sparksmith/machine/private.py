"""What of a machine's facts is nobody's business: whose it is, what it is called, where the home folder lies.

Covers the host's and the user's name as words, home folders, URLs and addresses, and what `base.redact` covers. Does
not cover a name that another user gave to a folder outside of a home.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparksmith.base.redact import redact_text
from sparksmith.machine.own import read_user_id
from sparksmith.machine.root import Root

HOST, USER, HOME, URL, ADDRESS = "[host]", "[user]", "~", "[url]", "[address]"
HOST_FILES = ("proc/sys/kernel/hostname", "etc/hostname")
# Names that tell nothing, and that stand in many texts as words.
COMMON = frozenset((
    "root", "user", "users", "ubuntu", "debian", "nvidia", "admin", "home", "docker", "python", "python3", "linux",
    "localhost", "host", "spark", "dgx", "test", "cuda", "torch", "nobody", "default", "none", "true", "false", "set",
    "url", "device", "address", "proxy", "pypi", "index", "mirror", "cache", "registry", "gateway", "server", "git",
    "token", "oauth2",
))  # fmt: skip
HOMES = re.compile(r"(?:/home|/Users|/var/home|/export/home)/[^/\s:;,\"'\]\[(){}]+|/root(?=[/\s:;,\"']|$)")
MEDIA = re.compile(r"(/(?:media|run/media|run/user|mnt/users))/[^/\s:;,\"']+")
LINK = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s\"'<>|]+")
# not systemd's user@1000.service
SSH = re.compile(r"\b[\w.-]{1,64}@(?![\w-]+\.(?:service|slice|scope|socket)\b)[\w-]+(?:\.[\w-]+)*(?::[\w./~-]+)?")
# What ssh and docker say of a machine that they did not come to: how they were called, and which name was asked for.
CALLED = re.compile(r"(\bssh -[^\n\[\]]{0,300}? -- )\w[\w.:-]*|(?<!\S)\S{1,255}(?= docker system dial-stdio)")
CALLED_AS = re.compile(r"(\bssh -(?:[^\n\[\]]{0,300}? -)?l )\w[\w.-]*")
ASKED_FOR = re.compile(
    r"(?i)(\b(?:could not resolve host(?:name)?:? |connect to host |dial (?:tcp|udp)[46]?:? (?:lookup )?))[a-z][\w.-]*"
)
# In values of variables: a URL's or an ssh target's user and host.
URL_HOST = re.compile(r"\b[A-Za-z][\w+.-]{1,20}://(?:([^\s/@:]+)(?::[^\s/@]*)?@)?([^\s/@:,;\"'<>\[\]]+)")
SSH_HOST = re.compile(r"(?<![\w.:/@-])([\w.-]{1,64})@([A-Za-z][\w.-]*)")
HOST_VARIABLE = re.compile(r"(?i)(?:^|_)(?:host|hostname|addr|address|server|(?:https?|all|ftp)_proxy)$")
BARE_HOST = re.compile(r"([A-Za-z][\w-]*(?:\.[\w-]+)*)(?::\d{1,5})?")
IPV4 = re.compile(r"(?<![\d.-])(?<!==)(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?(?!\d|\.\d)")
MAC = re.compile(r"(?i)(?<![0-9a-f:])(?:[0-9a-f]{2}:){5}[0-9a-f]{2}(?![0-9a-f:])")
DEVICE = re.compile(r"\bGPU-[0-9a-f]{8}-[0-9a-f-]{20,}|(?i:(serial\s*(?:number|_number)?[\"']?\s*[:=]\s*[\"']?))[\w-]+")
VERSION_BEFORE = re.compile(r"(?i)(?:version|release|driver|V)[\s:\"']*$")


@dataclass(frozen=True)
class Private:
    """The words to hide."""

    hosts: frozenset[str]
    users: frozenset[str]
    homes: tuple[str, ...]
    home_shown: str = HOME
    other_home_shown: str = HOME

    def hide(self, text: str) -> str:
        """The text without them."""
        text = redact_text(text)
        for home in self.homes:
            text = re.sub(rf"{re.escape(home)}(?=[/\s:;,\"']|$)", self.home_shown, text)
        text = MEDIA.sub(rf"\1/{USER}", HOMES.sub(self._other, text))
        text = SSH.sub(f"{USER}@{HOST}", LINK.sub(URL, text))
        text = ASKED_FOR.sub(
            rf"\1{HOST}", CALLED_AS.sub(rf"\1{USER}", CALLED.sub(lambda match: f"{match[1] or ''}{HOST}", text))
        )
        text = DEVICE.sub(lambda match: f"{match[1] or ''}[device]", MAC.sub(ADDRESS, text))
        text = IPV4.sub(lambda match: _address(text, match), text)
        for words, shown in ((self.hosts, HOST), (self.users, USER)):
            for word in sorted(words, key=len, reverse=True):
                text = re.sub(rf"(?<![\w-]){re.escape(word)}(?![\w-])", shown, text)
        return text

    def _other(self, match: re.Match[str]) -> str:
        """Another home folder, but for the one that is already in place of ours."""
        return match[0] if match[0] == self.home_shown else self.other_home_shown

    def hide_all(self, value: Any) -> Any:
        """The same for what JSON can hold, the keys too."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, Mapping):
            return {self.hide(str(key)): self.hide_all(inner) for key, inner in value.items()}
        return [self.hide_all(inner) for inner in value] if isinstance(value, list | tuple) else value


def parse_passwd(text: str, user: int) -> tuple[str, str] | None:
    """A user's name and home, by number, from /etc/passwd."""
    for line in text.splitlines():
        words = line.split(":")
        if len(words) >= 7 and words[2] == str(user):
            return words[0], words[5]
    return None


def read_private(root: Root, environ: Mapping[str, str]) -> tuple[Private, str | None, str | None]:
    """The words to hide, the user's name, and the home folder."""
    number = read_user_id(root)
    entry = parse_passwd(root.text("etc/passwd") or "", number) if number is not None else None
    user = entry[0] if entry else environ.get("USER") or environ.get("LOGNAME")
    home = environ.get("HOME") or (entry[1] if entry else None)
    hosts = {name for file in HOST_FILES if (name := root.line(file))} | {environ.get("HOSTNAME", "")}
    hosts |= {name.split(".")[0] for name in hosts}
    users = {environ.get(name, "") for name in ("USER", "LOGNAME", "SUDO_USER")} | {user or ""}
    other_users, other_hosts = find_others(environ)
    hosts, users = hosts | other_hosts, users | other_users
    homes = {path.rstrip("/") for path in (environ.get("HOME"), entry[1] if entry else None) if path}
    return (
        Private(
            frozenset(filter(_tells, hosts)),
            frozenset(filter(_tells, users)),
            tuple(sorted((path for path in homes if path.count("/") > 1 or path == "/root"), key=len, reverse=True)),
        ),
        user,
        home,
    )


def find_others(environ: Mapping[str, str]) -> tuple[set[str], set[str]]:
    """Users and hosts that variables name, in URLs and targets of ssh: programs repeat them in what they say."""
    users: set[str] = set()
    hosts: set[str] = set()
    for name, value in environ.items():
        for user, host in [*URL_HOST.findall(value), *SSH_HOST.findall(value)]:
            users.add(user)
            hosts.add(host.rstrip("."))
        if HOST_VARIABLE.search(name) and (bare := BARE_HOST.fullmatch(value)):
            hosts.add(bare[1])
    return users, {host for host in hosts if not IPV4.fullmatch(host)}


def _tells(word: str) -> bool:
    return len(word) > 2 and word.lower() not in COMMON and not word.isdigit()


def _address(text: str, match: re.Match[str]) -> str:
    """An address, unless it is a version: the whole value, or after that word, or with a part that no address has."""
    parts = match[0].partition(":")[0].split(".")
    is_version = any(int(part) > 255 or (len(part) > 1 and part[0] == "0") for part in parts)
    alone = match.span() == (0, len(text))
    if is_version or alone or VERSION_BEFORE.search(text[max(0, match.start() - 12) : match.start()]):
        return match[0]
    return ADDRESS
