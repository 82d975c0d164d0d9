"""A machine's files, as far as `read_machine` reads them, packed into a folder that it can read again.

Only what was read is written, and of each file only what a fact is made from; names, addresses, home folders and
secrets are replaced (`private.py`), so that the copy can be shown. What was only looked for becomes an empty file.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from sparksmith.base.command import Answer, ask
from sparksmith.base.errors import SparksmithError
from sparksmith.machine.commands import DISK_FREE, DOCKER_INFO, NOT_KEPT, NVIDIA_SMI_Q, Argv, file_of, start_asking
from sparksmith.machine.disk import mount_of
from sparksmith.machine.docker import FAILED as DOCKER_ERROR
from sparksmith.machine.docker import LINE as DOCKER_LINE
from sparksmith.machine.docker import parse_group
from sparksmith.machine.facts import ENVIRON, Asked, MachineFacts, parse_environ, read_machine
from sparksmith.machine.logins import NETRC, WANDB_HOST, has_netrc_entry
from sparksmith.machine.own import read_user_id
from sparksmith.machine.private import HOST_FILES, Private, parse_passwd
from sparksmith.machine.root import Root
from sparksmith.machine.system import parse_kernel_words
from sparksmith.machine.uv import parse_uv_settings
from sparksmith.machine.variables import read_variables

HOME_SHOWN = "/home/user"
NOT_LISTED = ("proc", "dev")  # their names are many; those that count are looked for or read one by one
DEVICES = ("nvidia", "dxg", "nvmap")
NAME_BYTES = 1000
OTHERS = re.compile(r"proc/\d+/comm")  # names of processes that are no business of ours
NAMED = ("sshd\n", "systemd\n")  # of those, the ones that a fact is made from
SMI_PRIVATE = re.compile(r"(?i)serial|uuid|\bguid\b|\bpdi\b|part number|host id|board id|chassis")


def collect_tree(
    destination: Path,
    root: Path = Path("/"),
    *,
    commands: Callable[..., Answer] = ask,
    environ: Mapping[str, str] | None = None,
    asked: Asked = Asked(),  # noqa: B008 - frozen
) -> MachineFacts:
    """Read the machine and write what was read below `destination`, a new or empty folder. Raises `SparksmithError`
    where that is not empty."""
    destination.mkdir(parents=True, exist_ok=True)
    if any(destination.iterdir()):
        raise SparksmithError(f"{destination} is not empty", "give the name of a new folder")
    reader = Root(root)
    answers: dict[Argv, Answer] = {}

    def keep(argv: Argv, **options: float) -> Answer:
        answers[argv] = commands(argv, **options)
        return answers[argv]

    environ = dict(os.environ) if environ is None and reader.live else environ
    facts = read_machine(reader, commands=keep, environ=environ, asked=asked)
    environ = parse_environ(reader.texts.get(ENVIRON, "")) if environ is None else environ
    private = replace(facts.private, home_shown=_home_in_copy(facts, environ), other_home_shown=HOME_SHOWN)
    if not reader.live:
        answers = {argv: answer for argv, answer in start_asking(reader)().items() if NOT_KEPT not in answer.stderr}
    texts = {
        name: _kept_of(name, text, reader)
        for name, text in list(reader.texts.items())
        if name != ENVIRON and not name.startswith("commands/") and not (OTHERS.fullmatch(name) and text not in NAMED)
    }
    texts |= dict(_answer_file(argv, answer) for argv, answer in list(answers.items()))
    project = asked.project or (str(Path.cwd()) if reader.live else environ.get("PWD", ""))
    own = {"PWD": project, "HOME": environ.get("HOME", ""), "USER": environ.get("USER", "")}
    watched = {**read_variables(environ).values, **own}
    texts[ENVIRON] = "".join(f"{name}={value}\n" for name, value in watched.items() if value and "\n" not in value)
    folders = {folder for folder in reader.listings if folder not in NOT_LISTED}
    markers = {f"{folder}/{name}" for folder in folders for name in reader.listings[folder]} | reader.found
    markers |= {f"dev/{name}" for name in reader.listings.get("dev", ()) if name.startswith(DEVICES)}
    _Copy(destination, reader.links, private).write(texts, markers, reader.folders)
    return facts


def _home_in_copy(facts: MachineFacts, environ: Mapping[str, str]) -> str:
    """A home without a name, on the disk that the user's own is on."""
    mount = mount_of(environ.get("HOME", ""), {disk.mount: disk for disk in facts.disks if disk.mount})
    return HOME_SHOWN if mount is None or mount_of(HOME_SHOWN, {mount: None}) else f"{mount}/user"


class _Copy:
    """Writes below `destination` and nowhere else: names lose what is private, and are taken past links, which are made
    last, so that nothing is ever written through one."""

    def __init__(self, destination: Path, links: Mapping[str, str], private: Private) -> None:
        self.destination, self.links, self.private = destination, links, private

    def place(self, name: str) -> Path:
        """Where a path of the machine lies in the copy."""
        for link, target in self.links.items():
            if name.startswith(f"{link}/"):
                name = target + name.removeprefix(link)
        shown = os.path.normpath(self.private.hide(f"/{name.lstrip('/')}"))
        return self.destination / shown.lstrip("/")

    def write(self, texts: Mapping[str, str], markers: set[str], folders: set[str]) -> None:
        """Files with their texts; empty ones for what was only looked for; folders; links."""
        for name, text in texts.items():
            file = self.place(name)
            with contextlib.suppress(FileExistsError, NotADirectoryError, IsADirectoryError):  # two homes in one place
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(self.private.hide(text), encoding="utf-8")
        for name in folders:
            self._mark(self.place(name), is_folder=True)
        for name in sorted(markers - self.links.keys(), key=len, reverse=True):  # what lies in a folder makes it one
            if len(name.encode("utf-8", "surrogateescape")) <= NAME_BYTES and "\0" not in name:
                self._mark(self.place(name), is_folder=name.endswith((".dist-info", ".egg-info", ".service.d")))
        for name, target in self.links.items():
            link = self.place(name)
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists() and not link.is_symlink():
                link.symlink_to(self.private.hide(target))

    def _mark(self, marker: Path, is_folder: bool) -> None:
        with contextlib.suppress(FileExistsError, NotADirectoryError):
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.mkdir() if is_folder else marker.touch()


def _kept_of(name: str, text: str, root: Root) -> str:
    """What of a file's text a fact is made from."""
    if name in HOST_FILES:
        return "host\n"
    if name == "proc/cmdline":
        return f"{' '.join(parse_kernel_words(text))}\n"
    if name == "proc/mounts":
        return _without_sources(text)
    if name in ("etc/passwd", "etc/group"):
        number = read_user_id(root)
        entry = parse_passwd(root.text("etc/passwd") or "", number) if number is not None else None
        if name == "etc/passwd":
            return f"{entry[0]}:x:{number}:{number}::{entry[1]}:/bin/sh\n" if entry else ""
        group = parse_group(text, "docker")
        return f"docker:x:{group[0]}:{','.join(group[1] & {entry[0] if entry else ''})}\n" if group else ""
    if name == "etc/dgx-release":
        return "".join(f"{line}\n" for line in text.splitlines() if "SERIAL" not in line.upper())
    if name.endswith(NETRC):
        return f"machine {WANDB_HOST}\n" if has_netrc_entry(text) else ""
    if name.endswith(".toml"):
        return _settings_only(name, text)
    return text


def _settings_only(name: str, text: str) -> str:
    """The settings of a uv.toml or a pyproject.toml that are facts, as TOML again; indexes as so many without names."""
    table = ("tool", "uv") if name.endswith("pyproject.toml") else ()
    try:
        settings, indexes = parse_uv_settings(text, table)
    except ValueError:
        return "it is not TOML\n"
    own = [f"{key} = {_quoted(value)}" for key, value in settings.items() if not key.startswith("pip.")]
    own += [f"index = [{', '.join(['{}'] * indexes)}]"] if indexes else []
    pip = [
        f"{key.removeprefix('pip.')} = {_quoted(value)}" for key, value in settings.items() if key.startswith("pip.")
    ]
    heading = f"[{'.'.join(table)}]" if table else ""
    return "\n".join([heading, *own, *([f"[{'.'.join([*table, 'pip'])}]", *pip] if pip else []), ""])


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _without_sources(text: str) -> str:
    """Lines of mounts or df without what is mounted, which may be a server's name."""
    return "".join(f"- {line.partition(' ')[2].lstrip()}\n" for line in text.splitlines() if " " in line)


def _answer_file(argv: Argv, answer: Answer) -> tuple[str, str]:
    """Where a copy keeps an answer, and what of it."""
    said = answer.stdout + answer.stderr if answer.code is not None else answer.stdout
    if argv == DOCKER_INFO:
        said = "".join(f"{line}\n" for line in said.splitlines() if DOCKER_LINE.match(line) or DOCKER_ERROR.match(line))
    elif argv == DISK_FREE:
        said = _without_sources(said)
    elif argv == NVIDIA_SMI_Q:
        said = "".join(f"{line}\n" for line in said.splitlines() if not SMI_PRIVATE.search(line.partition(" : ")[0]))
    if answer.ok:
        return file_of(argv), said
    how = answer.stderr.removeprefix(f"{argv[0]}: ") if answer.code is None else f"exit {answer.code}\n{said}"
    return file_of(argv, failed=True), how + "\n"
