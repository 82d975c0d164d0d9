"""Can the target's system and Python load it: tags, Requires-Python, the machine and the glibc of its ELF files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags, parse_tag

from sparksmith.packages.facts import PackageFacts
from sparksmith.packages.finding import Evidence, Finding, Setting, Verdict, own_libraries, some
from sparksmith.packages.judge_source import check_source, is_source, wanted_tag
from sparksmith.packages.platform import OLD_NAMES
from sparksmith.policy.targets import show_version

MANYLINUX = re.compile(r"manylinux_(\d+)_(\d+)_(\w+)")
MINORS = range(8, 16)  # of Python 3: what uv brings
EXTENSION = re.compile(r"\.(cpython-\w+|abi3)[\w.-]*\.so$")


def check_platform(package: PackageFacts, setting: Setting) -> Iterator[Finding]:
    """Findings of the rules source, problem, tag, python, machine and glibc."""
    if is_source(package):
        yield check_source(package, setting)
        yield from _check_requires_python(package, setting)
        return
    for problem in package.problems:
        yield Finding(Verdict.UNKNOWN, "problem", problem, "a package that can be read whole")
    tags, strange = _parse_tags(package.tags)
    if strange:
        yield Finding(
            Verdict.UNKNOWN, "problem", f"its tags are none: {some(strange)}", "tags like py3-none-any",
            evidence=(Evidence(package.file or package.name, "WHEEL: Tag"),),
        )  # fmt: skip
    yield from _check_tags(package, tags, setting)
    yield from _check_requires_python(package, setting)
    yield from _check_machine(package, tags, setting)
    yield from _check_glibc(package, setting)


def _parse_tags(texts: Iterable[str]) -> tuple[list[Tag], list[str]]:
    """The tags, and those texts that are none."""
    tags: set[Tag] = set()
    strange = []
    for text in texts:
        try:
            tags |= parse_tag(text)
        except ValueError:
            strange.append(text)
    return sorted(tags, key=str), strange


def _check_tags(package: PackageFacts, tags: list[Tag], setting: Setting) -> Iterator[Finding]:
    misfits = {tag: dict(_misfits(tag, setting)) for tag in tags}
    if not misfits or not all(misfits.values()):
        return
    # of several tags the one that nearly fits: for Linux first, then for this machine
    ordered = sorted(tags, key=lambda tag: (_distance(tag, setting) > 2, len(misfits[tag]), _distance(tag, setting)))
    reasons = misfits[ordered[0]]
    machine, python = setting.target.machine, show_version(setting.python)
    glibc = show_version(setting.target.glibc)
    if package.foreign:
        fix = (
            f"there is no wheel of this version for {machine}, Python {python} and glibc {glibc}, and no source: "
            "ask for another version or another package, or build it from its repository"
        )
    else:
        wanted = {
            "python": f"for Python {python}", "machine": f"for {machine}",
            "system": f"for Linux on {machine} with glibc (manylinux)", "glibc": f"for glibc {glibc} or older",
        }  # fmt: skip
        fix = (
            f"a wheel {' and '.join(wanted[kind] for kind in reasons)}: resolve with uv's "
            f"--python-platform {machine}-manylinux_{glibc.replace('.', '_')} --python-version {python}"
        )
    yield Finding(
        Verdict.FAILS, "tag", "; ".join(reasons.values()),
        f"{wanted_tag(setting)}, an older glibc, abi3 or any", fix,
        (Evidence(package.file or package.name, f"tag {some(map(str, ordered))}"),),
    )  # fmt: skip


def _distance(tag: Tag, setting: Setting) -> int:
    """How far a tag's platform is from the target's: 0 its own, then another libc, another machine, another system."""
    machine = _platform(tag.platform)[0]
    if tag.platform == "any" or machine == setting.target.machine:
        return 0
    if tag.platform.startswith("musllinux"):
        return 1 if tag.platform.endswith(f"_{setting.target.machine}") else 2
    return 2 if machine else 3


def _misfits(tag: Tag, setting: Setting) -> Iterator[tuple[str, str]]:
    """What stands against a tag: its kind, and in words."""
    if (tag.interpreter, tag.abi) not in _loadable(setting.python):
        yield "python", f"it is for {tag.interpreter} with ABI {tag.abi}, not for Python {show_version(setting.python)}"
    if tag.platform == "any":
        return
    machine, glibc = _platform(tag.platform)
    if machine is None:
        yield "system", f"it is for {tag.platform}, not for Linux with glibc"
    elif machine != setting.target.machine:
        yield "machine", f"it is for {machine}, not for {setting.target.machine}"
    if glibc and glibc > setting.target.glibc:
        there = show_version(setting.target.glibc)
        yield "glibc", f"it is for glibc {show_version(glibc)} or newer, and there is {there}"


def _platform(platform: str) -> tuple[str | None, tuple[int, int] | None]:
    """The machine and the glibc of a platform tag; no machine for systems other than Linux with glibc."""
    if found := MANYLINUX.fullmatch(platform):
        return found[3], (int(found[1]), int(found[2]))
    for minor, name in OLD_NAMES.items():
        if platform.startswith(f"{name}_"):
            return platform.removeprefix(f"{name}_"), (2, minor)
    if platform.startswith("linux_"):
        return platform.removeprefix("linux_"), None
    return None, None


@cache
def _loadable(python: tuple[int, int]) -> frozenset[tuple[str, str]]:
    """Every interpreter and ABI that this CPython loads."""
    name = "cp" + "".join(map(str, python))
    tags = [
        *cpython_tags(python_version=python, abis=[name], platforms=["any"]),
        *compatible_tags(python_version=python, interpreter=name, platforms=["any"]),
    ]
    return frozenset((tag.interpreter, tag.abi) for tag in tags)


def check_project(file: str, allowed: str, setting: Setting) -> Iterator[Finding]:
    """The finding of the rule python about a project, whose `file` allows some versions of Python."""
    if _fits(allowed, setting.python):
        return
    nearest = min(
        (minor for minor in MINORS if _fits(allowed, (3, minor))), key=lambda minor: abs(minor - setting.python[1]),
        default=None,
    )  # fmt: skip
    name, python = setting.target.name, show_version(setting.python)
    fix = f"let it allow {python}: no Python that is to be had is among those that it allows"
    if nearest is not None:
        fix = (
            f"give it a Python 3.{nearest} there, which uv brings, and judge it for that: --target FILE, in it "
            f'[targets.mine], like = "{name}" and python = "3.{nearest}"; or let it allow {python}'
        )
    yield Finding(
        Verdict.FAILS, "python", f"the project asks for Python {allowed}: nothing is installed under {python}",
        f"Python {python} among those that it allows", fix, (Evidence(file, f"requires-python: {allowed}"),),
    )  # fmt: skip


def _fits(allowed: str, python: tuple[int, int]) -> bool:
    """Whether a specifier allows a Python; its patch release is not known, and any will do."""
    try:
        specifiers = SpecifierSet(allowed)
    except InvalidSpecifier:
        return True  # an installer that cannot read it either takes the package
    return any(specifiers.contains(f"{show_version(python)}.{patch}") for patch in (0, 99))


def _check_requires_python(package: PackageFacts, setting: Setting) -> Iterator[Finding]:
    if not _fits(package.requires_python or "", setting.python):
        yield Finding(
            Verdict.FAILS, "python", f"Requires-Python: {package.requires_python}",
            f"Python {show_version(setting.python)}",
            f"a version for Python {show_version(setting.python)}",
            (Evidence(package.file or package.name, "METADATA: Requires-Python"),),
        )  # fmt: skip


def _check_machine(package: PackageFacts, tags: list[Tag], setting: Setting) -> Iterator[Finding]:
    foreign = [library for library in package.libraries if library.machine != setting.target.machine]
    if not foreign or own_libraries(package, setting.target):
        return  # libraries of several machines side by side: the loader takes its own
    if any(_platform(tag.platform)[0] == foreign[0].machine for tag in tags):
        return  # the tag says so too, and was found wanting
    # a wheel for any machine with helpers for some (debuggers do so) works without them; an extension module does not
    essential = any(tag.platform != "any" for tag in tags) or any(EXTENSION.search(each.path) for each in foreign)
    yield Finding(
        Verdict.FAILS if essential or not tags else Verdict.NOTE, "machine",
        f"its binaries ({len(foreign)}) are for {some(sorted({each.machine for each in foreign}))}",
        f"binaries for {setting.target.machine}, or none",
        f"a wheel with binaries for {setting.target.machine}",
        tuple(Evidence(each.path, f"ELF header: {each.machine}", each.bytes) for each in foreign[:3]),
    )  # fmt: skip


def _check_glibc(package: PackageFacts, setting: Setting) -> Iterator[Finding]:
    newer = [
        library
        for library in own_libraries(package, setting.target)
        if library.glibc and library.glibc > setting.target.glibc
    ]
    if newer:
        most = max(library.glibc for library in newer if library.glibc)
        yield Finding(
            Verdict.FAILS, "glibc",
            f"{len(newer)} of its libraries {'ask' if len(newer) > 1 else 'asks'} for glibc {show_version(most)}",
            f"glibc {show_version(setting.target.glibc)} or older",
            f"a wheel for manylinux_{'_'.join(map(str, setting.target.glibc))} or older",
            tuple(Evidence(each.path, f"symbol version GLIBC_{show_version(each.glibc)}", each.bytes)
                  for each in newer[:3] if each.glibc),
        )  # fmt: skip
