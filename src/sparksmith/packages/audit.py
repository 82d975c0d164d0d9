"""From what was asked to a verdict: read or resolve it, gather the facts, judge them. The verb `audit`, without words.

    audit(["torch==2.13.0"], load_target("gb10")).verdict

What acts (uv, the network, the cache) is handed in: `resolve` and `gather` by default.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from packaging.requirements import InvalidRequirement
from packaging.utils import canonicalize_name

from sparksmith.base.errors import SparksmithError, perhaps
from sparksmith.base.redact import redact_text
from sparksmith.machine.python_env import printable
from sparksmith.packages.addresses import local_path
from sparksmith.packages.extras import fetch_extras
from sparksmith.packages.facts import PackageFacts
from sparksmith.packages.fallback import held_back_by
from sparksmith.packages.fetch import Progress
from sparksmith.packages.finding import Verdict, some
from sparksmith.packages.gather import Gathered, gather, read_file
from sparksmith.packages.inputs import Asked, Environment, Lock, Project, Wheels, read_subject
from sparksmith.packages.installed import Installed, read_environment_facts
from sparksmith.packages.known import KnownWheels
from sparksmith.packages.pinned import resolve_pinned
from sparksmith.packages.platform import Platform
from sparksmith.packages.requirements import Line, RequirementLines, parse_requirement, read_requirements
from sparksmith.packages.resolution import Chosen, Resolution
from sparksmith.packages.resolve import resolve
from sparksmith.packages.verdict import SetVerdict, judge
from sparksmith.policy.load import Stack, audited_file, stack_file
from sparksmith.policy.targets import Target

STACK_VERSION = 1
ROUNDS_AT_MOST = 5  # of sources that ask for sources: tensorrt, tensorrt_cu13, tensorrt_cu13_libs
HEAD_BYTES = 4096  # uv writes its command into the first lines of what it compiles
UV_PLATFORM = re.compile(r"^#.*\buv pip compile\b.*--python-platform[= ](\S+)", re.MULTILINE)
PYTHON = re.compile(r"(\d+)\.(\d+)")
EXTRA = re.compile(r"\bextra\s*==\s*['\"]([^'\"]+)")

Resolve = Callable[[Asked | Project | Lock, Platform, KnownWheels], Resolution]
Say = Callable[[str], None]  # what is being done, for whoever waits


class Gather(Protocol):
    """As `gather.gather`."""

    def __call__(
        self, resolution: Resolution, known: KnownWheels, *, progress: Progress | None = None
    ) -> list[Gathered]: ...


def audit(
    words: Sequence[str],
    target: Target,
    *,
    known: KnownWheels | None = None,
    say: Say = lambda text: None,
    progress: Progress | None = None,
    resolve: Resolve = resolve,
    gather: Gather = gather,
) -> SetVerdict:
    """The verdict on what the words of a command line name. Raises `SparksmithError`: nothing there, nothing to judge.

    `progress` hears of fetched bytes, from several threads.
    """
    subject = read_subject(words)
    shown = " ".join(printable(redact_text(word) if "://" in word else word) for word in words)
    if isinstance(subject, Wheels):
        return _judge_wheels(subject, target, shown, say)
    if isinstance(subject, Environment):
        say(f"reading {subject.root}")
        return judge_environment(subject.root, target, shown)
    platform = Platform.of(target)
    known = known or KnownWheels()
    say(f"resolving for {platform.describe()}")
    found = resolve(subject, platform, known)
    if not found.packages:
        raise SparksmithError(
            f"{shown} asks for no package on {platform.describe()}" + "".join(f"\n  {note}" for note in found.notes),
            "look at the markers behind the semicolons; --target names another machine",
        )
    say(f"looking at {len(found.packages)} packages" if len(found.packages) > 1 else "looking at one package")
    gathered = gather(found, known, progress=progress)
    file = subject.file if isinstance(subject, Asked) else None
    wants_python = None if isinstance(subject, Asked) else (subject.file.name, subject.requires_python)
    for _ in range(ROUNDS_AT_MOST):
        more = asked_by_sources(gathered, platform)
        if not more or (wider := _with(subject, more)) is None:
            break
        say(f"resolving with what sources ask for: {', '.join(line.name for line in more)}")
        subject = wider
        try:
            found = resolve(subject, platform, known)
        except SparksmithError:
            break  # then nobody can tell what they would bring
        gathered = gather(found, known, progress=progress)
    wheels = {package.name: package.wheel for package in found.packages if package.wheel}
    extras = {name: fetch_extras(wheels[name]) for name in dict(found.no_extras) if name in wheels}
    return judge_resolution(
        found, gathered, target, shown, resolved_for=compiled_for(file) if file else None, wants_python=wants_python,
        extras=extras,
    )  # fmt: skip


def _with(subject: Asked | Project | Lock, more: Sequence[Line]) -> Asked | None:
    """The same list with more lines: of a project what it asks for, unless it takes something from elsewhere; of a lock
    nothing, for it is whole."""
    if isinstance(subject, Asked):
        return replace(subject, requirements=replace(subject.requirements, lines=(*subject.requirements.lines, *more)))
    if isinstance(subject, Project) and not subject.sources:
        return Asked(RequirementLines((*subject.lines, *more)))
    return None


def asked_by_sources(gathered: Sequence[Gathered], platform: Platform) -> list[Line]:
    """What source distributions ask for and nothing else brought in: a resolver that builds nothing does not see it."""
    here = {canonicalize_name(each.chosen.name) for each in gathered}
    lines: dict[str, Line] = {}
    for facts in (each.facts for each in gathered if each.facts and each.chosen.wheel is None):
        for text in facts.requires:
            with contextlib.suppress(InvalidRequirement):
                line = parse_requirement(text)
                if line.name not in here and not line.requirement.url and line.wanted_on(platform):
                    lines.setdefault(line.name, line)
    return list(lines.values())


def judge_resolution(
    resolution: Resolution,
    gathered: Sequence[Gathered],
    target: Target,
    subject: str,
    resolved_for: str | None = None,
    wants_python: tuple[str, str] | None = None,
    extras: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> SetVerdict:
    """The verdict on what would be installed. `resolved_for` is the platform that a pinned file was compiled for, as uv
    spells it, `wants_python` a project's file and the versions of Python that it allows, `extras` what packages have
    of which one was asked for that is none.

    What the user pinned, or another package of the set holds back, was not taken without a word.
    """
    packages = [each.facts or _unread(each) for each in gathered]
    built = {each.chosen.name for each in gathered if each.chosen.wheel is None}  # of these it is said anyway
    silent = [
        fallback
        for fallback in resolution.fallbacks
        if (fallback.allowed or not fallback.asked)
        and fallback.name not in built
        and not held_back_by(fallback, packages, resolution.platform)
    ]
    notes = [*resolution.notes, *_tell_extras(resolution, packages, extras)]
    unseen = [str(line.requirement) for line in asked_by_sources(gathered, resolution.platform)]
    if lacking := sum(each.facts is None and not _is_here(each.chosen) for each in gathered):
        wheels = f"{lacking} wheels" if lacking > 1 else "one wheel"
        notes.append(f"{wheels} could not be looked at; try again with a network: what was read is remembered")
    return judge(
        packages, target, kind="list", subject=subject, platform=resolved_for, fallbacks=silent, unseen=unseen,
        notes=notes, wants_python=wants_python,
    )  # fmt: skip


def _tell_extras(
    resolution: Resolution, packages: Sequence[PackageFacts], extras: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """The extras that were asked for and are none, with the nearest of those that there are."""
    by_name: dict[str, PackageFacts] = {canonicalize_name(package.name): package for package in packages}
    for name, extra in resolution.no_extras:
        package = by_name.get(name)
        there = {found[1] for line in (package.requires if package else ()) if (found := EXTRA.search(line))}
        there |= {printable(each) for each in extras.get(name, ())}
        near = perhaps(extra, sorted(there)) or (f" (it has {some(sorted(there), 8)})" if extras.get(name) else "")
        yield (
            f"{name}{f' {package.version}' if package else ''} has no extra {extra}{near}: "
            "an installer warns, and brings nothing for it"
        )


def _is_here(chosen: Chosen) -> bool:
    """Whether its wheel is a file of this machine, which no network brings."""
    return chosen.wheel is not None and local_path(chosen.wheel.url) is not None


def judge_environment(root: Path, target: Target, subject: str) -> SetVerdict:
    """The verdict on what is installed. Raises `SparksmithError` where that is nothing."""
    return judge_installed(read_environment_facts(root), target, subject)


def judge_installed(installed: Installed, target: Target, subject: str) -> SetVerdict:
    """The same of what was read before. Raises `SparksmithError` where nothing is installed."""
    if not installed.packages:
        raise SparksmithError(
            f"nothing is installed in {subject}" + "".join(f"\n  {problem}" for problem in installed.problems),
            "audit what is to be installed instead: a requirements file, or requirements like 'torch>=2.11'",
        )
    notes = list(installed.problems)
    machine = installed.environment.machine
    if machine is not None and machine != target.machine:
        notes.insert(
            0,
            f"this environment is for {machine}, and {target.title} is {target.machine}: what is installed here says "
            "little about it; audit the requirements that it was made from",
        )
    found = PYTHON.match(installed.environment.python or "")
    python = (int(found[1]), int(found[2])) if found else None
    return judge(
        installed.packages, target, kind="environment", subject=subject, python=python, missing=installed.missing,
        notes=notes,
    )  # fmt: skip


def audit_stack(stack: Stack, target: Target, known: KnownWheels | None = None) -> SetVerdict | None:
    """The verdict on a shipped stack, from known facts alone; None where they do not cover the target."""
    known = known or KnownWheels()
    found = resolve_pinned(Asked(read_requirements(audited_file(stack))), Platform.of(target), known)
    return judge_resolution(found, gather(found, known), target, stack.name) if found else None


def stack_to_json(stack: Stack, audited: SetVerdict | None) -> dict[str, Any]:
    """A stack with its audit (schemas/stack.json). Without facts it cannot be told."""
    return {
        "version": STACK_VERSION, "name": stack.name, "works": stack.works, "why": stack.why,
        "verified": stack.verified, "source": stack.source, "file": str(stack_file(stack)), "packages": stack.packages,
        "verdict": (audited.verdict if audited else Verdict.UNKNOWN).value,
        "audit": audited.to_json() if audited else None,
    }  # fmt: skip


def compiled_for(file: Path) -> str | None:
    """The platform that uv was told when it wrote a requirements file, from its head; None where that says nothing."""
    try:
        with file.open("rb") as opened:
            head = opened.read(HEAD_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    return found[1] if (found := UV_PLATFORM.search(head.replace("\r\n", "\n"))) else None


def _judge_wheels(subject: Wheels, target: Target, shown: str, say: Say) -> SetVerdict:
    packages = []
    for number, path in enumerate(subject.paths, 1):
        say(f"reading {path.name}" + ("" if subject.alone else f" ({number} of {len(subject.paths)})"))
        try:
            packages.append(read_file(path, hash_it=False))
        except SparksmithError as error:
            if subject.alone:
                raise
            packages.append(
                PackageFacts(
                    printable(path.name), "", printable(path.name), None, 0, problems=(printable(error.message),)
                )
            )
    return judge(packages, target, kind="wheel" if subject.alone else "folder", subject=shown)


def _unread(gathered: Gathered) -> PackageFacts:
    """A package whose wheel could not be had or read."""
    chosen = gathered.chosen
    file = chosen.wheel.file if chosen.wheel else ""
    return PackageFacts(chosen.name, chosen.version, file, None, 0, problems=(gathered.problem,))
