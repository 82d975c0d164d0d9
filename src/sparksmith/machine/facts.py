"""Everything that is observed of a machine, joined: of the running one, or of a copy under another root.

Reads and changes nothing, imports no torch, raises nothing: a fact that cannot be known is None, with the reason beside
it (`Subject.unknown`). Commands are asked of the running machine only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from sparksmith.base.command import Answer, ask
from sparksmith.machine.cgroup import CgroupFacts, read_cgroup
from sparksmith.machine.commands import Argv, is_silent, start_asking
from sparksmith.machine.container import ContainerFacts, read_container
from sparksmith.machine.disk import Disk, folders_of, read_disks
from sparksmith.machine.distributions import printable
from sparksmith.machine.docker import DockerFacts, read_docker
from sparksmith.machine.gpu_state import GpuFacts, read_gpu_facts
from sparksmith.machine.logins import LoginFacts, read_logins
from sparksmith.machine.memory_state import MemoryFacts, PressureFacts, read_memory_facts, read_pressure
from sparksmith.machine.network import NetworkFacts, read_network
from sparksmith.machine.own import ProcessFacts, read_process
from sparksmith.machine.private import Private, read_private
from sparksmith.machine.pythons import PythonSummary, read_pythons
from sparksmith.machine.root import Root
from sparksmith.machine.ssh import SshFacts, read_ssh
from sparksmith.machine.system import SystemFacts, read_system
from sparksmith.machine.toolkit import ToolkitFacts, read_toolkits
from sparksmith.machine.uv import UvFacts, read_uv
from sparksmith.machine.variables import VariableFacts, read_variables

FACTS_VERSION = 1
ENVIRON = "proc/self/environ"


@dataclass(frozen=True)
class MachineFacts:
    """What was observed, by subject. `silent` are the commands that were given up after a second. `private` is what
    `to_json` hides; the facts themselves still have paths as they are."""

    system: SystemFacts
    gpu: GpuFacts
    toolkits: ToolkitFacts
    memory: MemoryFacts
    pressure: PressureFacts
    cgroup: CgroupFacts
    process: ProcessFacts
    disks: tuple[Disk, ...]
    container: ContainerFacts
    pythons: tuple[PythonSummary, ...]
    uv: UvFacts
    variables: VariableFacts
    logins: LoginFacts
    ssh: SshFacts
    network: NetworkFacts
    docker: DockerFacts
    silent: tuple[str, ...]
    private: Private = field(repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """For `doctor --facts --json`: no secrets, URLs, addresses, names of the host or the user, or home paths."""
        facts = {one.name: _plain(getattr(self, one.name)) for one in fields(self) if one.name != "private"}
        hidden: dict[str, Any] = self.private.hide_all({"version": FACTS_VERSION, **facts})
        return hidden


@dataclass(frozen=True)
class Asked:
    """What a reading is about beside the machine: the project's folder, the environment to look at and the folder for
    checkpoints, as absolute paths of that machine. The folder in which the process runs is the project where none is
    given."""

    project: str | None = None
    environment: str | None = None
    checkpoints: str | None = None


def read_machine(
    root: Path | Root = Path("/"),
    *,
    commands: Callable[..., Answer] = ask,
    environ: Mapping[str, str] | None = None,
    asked: Asked = Asked(),
) -> MachineFacts:
    """Look now. `environ` is the running process' own, or what a copy holds of one, unless given."""
    root = root if isinstance(root, Root) else Root(root)
    if environ is None:
        environ = os.environ if root.live else parse_environ(root.text(ENVIRON) or "")
    project = asked.project or (os.getcwd() if root.live else environ.get("PWD"))  # noqa: PTH109
    wait = start_asking(root, commands)
    private, user, home = read_private(root, environ)
    pythons = read_pythons(root, environ, project, asked.environment)  # takes longest, while the commands answer
    uv, ssh, network = read_uv(root, environ, home, project), read_ssh(root), read_network(root)
    answers = wait()
    disks = read_disks(root, answers, folders_of(environ, home, asked.checkpoints or project))
    return MachineFacts(
        system=read_system(root),
        gpu=read_gpu_facts(root, answers),
        toolkits=read_toolkits(root, answers, environ),
        memory=read_memory_facts(root),
        pressure=read_pressure(root),
        cgroup=read_cgroup(root),
        process=read_process(root),
        disks=disks,
        container=read_container(root, environ, disks),
        pythons=pythons,
        uv=uv,
        variables=read_variables(environ),
        logins=read_logins(root, environ, home),
        ssh=ssh,
        network=network,
        docker=read_docker(root, answers, environ, user),
        silent=tuple(_shown(argv) for argv, answer in answers.items() if is_silent(answer)),
        private=private,
    )


def parse_environ(text: str) -> dict[str, str]:
    """NAME=value, each ended by a zero byte or, in a copy, by a line's end."""
    entries = text.split("\0") if "\0" in text else text.splitlines()
    return {name: value for name, equals, value in (entry.partition("=") for entry in entries) if equals and name}


def _shown(argv: Argv) -> str:
    return " ".join(argv[:2]).partition("=")[0]


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {printable(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, str):
        return printable(value)
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value
