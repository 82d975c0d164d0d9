"""Machines with one fault each, and machines that look like it and have none: `faults/SUBJECT.toml`.

A table says its `base`, a machine of this folder, what is changed of it (`load.change` knows the keys), `variables`
that are set there, and what the doctor `finds`: the ids of all that it must tell, in its order. `here` stands in the
first of them, `command` is what it says to type, `severity` how bad it is there. A name `not-...` is that of a machine
which only looks like it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from machines.load import HERE, build, change
from sparksmith.doctor.finding import Examined
from sparksmith.doctor.project import read_project
from sparksmith.machine.facts import read_machine
from sparksmith.machine.root import Root
from sparksmith.policy.targets import load_target

ENVIRON = "proc/self/environ"
PROJECT, HOME = "/home/user/project", "/home/user"


def read_cases(subject: str) -> dict[str, dict[str, Any]]:
    """The tables of a subject by name."""
    return tomllib.loads((HERE / "faults" / f"{subject}.toml").read_text(encoding="utf-8"))


def build_case(said: dict[str, Any], folder: Path) -> Path:
    """The whole tree of a table."""
    tree = change(build(said["base"], folder), said)
    with (tree / ENVIRON).open("a", encoding="utf-8") as environ:
        environ.writelines(f"{name}={value}\n" for name, value in said.get("variables", {}).items())
    return tree


def look(tree: Path) -> Examined:
    """What the checks are handed of a tree; its packages are not judged."""
    machine = read_machine(tree)
    target = load_target("gb10" if machine.system.architecture == "aarch64" else "h200")
    python = next((one for one in machine.pythons if one.role != "system" or one.packages), None)
    return Examined(machine, target, python, project=read_project(Root(tree), PROJECT, HOME))
