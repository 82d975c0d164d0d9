"""The machine that packages are chosen for, as wheels and markers see it; not the one that this runs on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from sparksmith.policy.targets import Target

# The glibc versions that uv 0.13 can resolve for, by their minor number (`uv pip compile --help`).
UV_GLIBC = (17, 28, *range(31, 41))
MACHINES = {"aarch64": 17, "x86_64": 5}  # with the oldest glibc 2.x that a manylinux tag of it means (PEP 599, 513)
OLD_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}  # by the minor number of their glibc


@dataclass(frozen=True, slots=True)
class Platform:
    """Linux on a machine (as `uname -m` says it), with a glibc, running a CPython."""

    machine: str
    glibc: tuple[int, int]
    python: tuple[int, int]

    @staticmethod
    def of(target: Target) -> Platform:
        return Platform(target.machine, target.glibc, target.python)

    def describe(self) -> str:
        return f"{self.machine}, glibc {self.glibc[0]}.{self.glibc[1]}, Python {self.python_text}"

    @property
    def python_text(self) -> str:
        return f"{self.python[0]}.{self.python[1]}"

    @property
    def uv_name(self) -> str:
        """For `uv --python-platform`: the newest glibc that uv knows and this platform has."""
        minor = max((known for known in UV_GLIBC if known <= self.glibc[1]), default=UV_GLIBC[0])
        return f"{self.machine}-manylinux_2_{minor}"

    def environment(self, extra: str = "") -> dict[str, str]:
        """What markers are evaluated against (PEP 508)."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python_text}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python_text}.0",
            "python_version": self.python_text,
            "sys_platform": "linux",
            "extra": extra,
        }

    def rank(self, tags: Iterable[Tag]) -> int | None:
        """How well a wheel with these tags fits, 0 the best; None where it cannot be installed."""
        order = tag_order(self)
        return min((order[tag] for tag in tags if tag in order), default=None)

    def rank_file(self, file: str) -> int | None:
        """The same for a wheel's file name; None too for what is no wheel's name."""
        tags = tags_of(file)
        return None if isinstance(tags, str) else self.rank(tags)

    def why_not(self, file: str) -> str | None:
        """Why a wheel of this name cannot be installed here; None where it can."""
        tags = tags_of(file)
        if isinstance(tags, str):
            return tags
        if self.rank(tags) is not None:
            return None
        reasons = {_reason(tag, self) for tag in tags}
        # a wheel for another machine is that first, whatever else its tags say
        return min(reasons, key=lambda reason: (not reason.startswith("for "), reason))


STRANGE_TAG = "named with a tag that is not valid: "


def tags_of(file: str) -> frozenset[Tag] | str:
    """The tags of a wheel's file name, or what is wrong with it, in words."""
    parts = file.removesuffix(".whl").split("-")
    # k2-1.23.4-py3.11-none-any.whl: a dot stands between tags, and "11" is none; libraries before packaging 26.3 and
    # older installers take it for py3
    if len(parts) in (5, 6) and not all(part.isidentifier() for part in parts[-3].split(".")):
        return f"{STRANGE_TAG}{parts[-3]}"
    try:
        return parse_wheel_filename(file)[3]
    except InvalidWheelFilename:
        return f"not named as a wheel is: {file}"


@cache
def tag_order(platform: Platform) -> dict[Tag, int]:
    """Every tag that can be installed, and its place, as pip orders them."""
    names = [*_platform_names(platform)]
    interpreter = f"cp{platform.python[0]}{platform.python[1]}"
    tags = [
        *cpython_tags(platform.python, abis=[interpreter], platforms=names),
        *compatible_tags(platform.python, interpreter=interpreter, platforms=names),
    ]
    return {tag: place for place, tag in reversed([*enumerate(tags)])}


def _platform_names(platform: Platform) -> Iterable[str]:
    for minor in range(platform.glibc[1], MACHINES.get(platform.machine, 17) - 1, -1):
        yield f"manylinux_2_{minor}_{platform.machine}"
        if minor in OLD_NAMES:
            yield f"{OLD_NAMES[minor]}_{platform.machine}"
    yield f"linux_{platform.machine}"


def _reason(tag: Tag, platform: Platform) -> str:
    if tag.platform != "any":
        if not tag.platform.endswith(f"_{platform.machine}"):
            return f"for {tag.platform}"
        parts = tag.platform.split("_")
        if parts[0] == "manylinux" and parts[2].isdigit() and int(parts[2]) > platform.glibc[1]:
            return f"needs glibc 2.{parts[2]}"
        if parts[0] not in ("manylinux", "linux", *OLD_NAMES.values()):
            return f"for {tag.platform}"
    return f"for Python {tag.interpreter}-{tag.abi}"
