"""docker and podman: there, reachable, and able to hand a container the GPU."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sparksmith.base.command import Answer
from sparksmith.machine.commands import DOCKER_INFO, Answers, why_silent
from sparksmith.machine.distributions import printable
from sparksmith.machine.own import read_group_ids
from sparksmith.machine.root import Root, whole_number
from sparksmith.machine.subject import Subject, explained

LINE = re.compile(r"^\s*(Server Version|Cgroup Version|Cgroup Driver|Default Runtime|Runtimes):\s*(\S.*)$")
DENIED = re.compile(r"(?i)permission denied")
FAILED = re.compile(r"(?im)^[ \t]{0,20}(?:ERROR|Cannot connect|permission denied|failed to connect)[^\n]{0,1000}$")


@dataclass(frozen=True)
class DockerFacts(Subject):
    """`docker` and `podman` are where the programs lie. `reachable` is whether docker's daemon answered; `denied` that
    it refused this user. `in_group` says whether this process is in the group docker, `listed_in_group` whether
    /etc/group lists the user there (then a new login is due). `nvidia_runtime` and `cdi` are two ways to a GPU in a
    container; `nvidia_ctk` is where NVIDIA's container toolkit lies."""

    docker: str | None
    podman: str | None
    reachable: bool | None
    denied: bool
    version: str | None
    cgroup_version: int | None
    cgroup_driver: str | None
    runtimes: tuple[str, ...] | None
    default_runtime: str | None
    in_group: bool | None
    listed_in_group: bool | None
    nvidia_ctk: str | None
    cdi: tuple[str, ...]

    @property
    def nvidia_runtime(self) -> bool | None:
        """Whether docker knows the runtime nvidia."""
        return "nvidia" in self.runtimes if self.runtimes is not None else None


def parse_docker_info(text: str) -> dict[str, str]:
    """The few lines of `docker info` that count. Those of a client without a daemon are none of them."""
    return {match[1]: printable(match[2].strip())[:200] for line in text.splitlines() if (match := LINE.match(line))}


def parse_group(text: str, name: str) -> tuple[int, frozenset[str]] | None:
    """A group's number and members, from /etc/group."""
    for line in text.splitlines():
        words = line.split(":")
        if words[0] == name and len(words) >= 4 and (number := whole_number(words[2])) is not None:
            return number, frozenset(member for member in words[3].strip().split(",") if member)
    return None


def read_docker(root: Root, answers: Answers, environ: Mapping[str, str], user: str | None) -> DockerFacts:
    """Join the programs on the PATH, what docker says, and the groups."""
    docker = root.program("docker", environ)
    answer = answers.get(DOCKER_INFO, Answer(None, "", "docker was not asked"))
    said = parse_docker_info(answer.stdout)
    reachable = True if "Server Version" in said else False if answer.code is not None else None
    group = parse_group(root.text("etc/group") or "", "docker")
    own = read_group_ids(root)
    why = _first_error(answer) or why_silent(DOCKER_INFO, answer)
    runtimes = said.get("Runtimes")
    return explained(
        DockerFacts(
            docker=docker,
            podman=root.program("podman", environ),
            reachable=reachable if docker or reachable else None,
            denied=bool(DENIED.search(answer.stderr + answer.stdout)) and not reachable,
            version=said.get("Server Version"),
            cgroup_version=whole_number(said.get("Cgroup Version", "")),
            cgroup_driver=said.get("Cgroup Driver"),
            runtimes=tuple(runtimes.split()) if runtimes else None,
            default_runtime=said.get("Default Runtime"),
            in_group=group[0] in own if group and own is not None else None,
            listed_in_group=user in group[1] if group and user else None,
            nvidia_ctk=root.program("nvidia-ctk", environ),
            cdi=tuple(
                printable(name) for folder in ("etc/cdi", "var/run/cdi", "run/cdi") for name in root.names(folder)
            ),
        ),
        why,
        docker="docker is not on the PATH",
        podman="podman is not on the PATH",
        nvidia_ctk="nvidia-ctk is not on the PATH",
        in_group="there is no group docker" if own is not None else root.why("proc/self/status"),
        listed_in_group="there is no group docker" if user else "whose process this is is not known",
    )


def _first_error(answer: Answer) -> str | None:
    match = FAILED.search(f"{answer.stderr}\n{answer.stdout}") if not answer.ok else None
    return f"docker info: {printable(match[0].strip())[:1000]}" if match else None
