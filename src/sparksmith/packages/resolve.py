"""From requirements or a lock to the wheels that a platform would get: from the file alone where that is enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from sparksmith.base.errors import SparksmithError, UsageProblem, describe_problems
from sparksmith.packages.addresses import local_path
from sparksmith.packages.fallback import find_fallback, is_older, is_unasked
from sparksmith.packages.finding import some
from sparksmith.packages.inputs import Asked, Lock, Project
from sparksmith.packages.known import KnownWheels, file_facts
from sparksmith.packages.locks import Locked, parse_pylock, parse_uv_lock
from sparksmith.packages.pinned import resolve_pinned
from sparksmith.packages.platform import Platform
from sparksmith.packages.refusals import NoIndex
from sparksmith.packages.requirements import Line, read_requirements
from sparksmith.packages.resolution import Chosen, Fallback, Resolution, best_wheel, why_no_wheel
from sparksmith.packages.uv import Found, NoUv, compile_for, newest_of, versions_beside


def resolve(subject: Asked | Project | Lock, platform: Platform, known: KnownWheels) -> Resolution:
    """What would be installed on a platform. Raises `SparksmithError`: nothing satisfies it, no uv, no network.

    A lock, and a file whose every line is pinned, hashed and known, are understood without network and without uv.
    Where there is none, of a pinned and hashed file what is known is; the rest is a problem of its packages.
    """
    if isinstance(subject, Lock):
        return resolve_lock(subject, platform)
    if isinstance(subject, Asked) and (found := resolve_pinned(subject, platform, known)):
        return found
    _check_there(subject, platform)
    try:
        return resolve_with_uv(subject, platform)
    except (NoUv, NoIndex) as error:
        why = "uv is missing" if isinstance(error, NoUv) else "uv cannot reach the package index"
        if isinstance(subject, Asked) and (found := resolve_pinned(subject, platform, known, why)):
            return found
        raise


def _check_there(subject: Asked | Project, platform: Platform) -> None:
    """Raises `UsageProblem` for files of this machine that requirements name and that are not there."""
    lines = subject.lines if isinstance(subject, Project) else subject.requirements.lines
    named = [(line.name, local_path(line.requirement.url)) for line in lines if line.wanted_on(platform)]
    if gone := [f"{name}: {path} does not exist" for name, path in named if path and not path.exists()]:
        raise UsageProblem(
            gone[0] if len(gone) == 1 else describe_problems("files that the requirements name are not there:", gone),
            "a relative path counts from the folder of the file that names it, or from the working folder",
        )


def resolve_lock(lock: Lock, platform: Platform) -> Resolution:
    """The packages of a lock that a platform gets. Raises `SparksmithError` for what no tool has written so."""
    parse = parse_uv_lock if lock.file.name == "uv.lock" else parse_pylock
    try:
        packages = parse(lock.content, platform, lock.extras, lock.file.parent)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # a table where a text is wanted, and the like
        raise SparksmithError(
            f"{lock.file} is damaged, or no lock: {type(error).__name__}: {error}", "make it anew, with uv lock"
        ) from error
    return Resolution(platform, tuple(package.choose(platform) for package in packages), "file")


def resolve_with_uv(subject: Asked | Project, platform: Platform) -> Resolution:
    """Let uv choose, then look at what it settled for.

    uv may not build here, so it goes back to the last version with a wheel, where an install would build the newest.
    Such a package is left out and named with the version that would be built, and the rest is resolved without it. So
    is a dependency of which the newest version of what is asked for needs the source.
    """
    question = _Question.of(subject, platform)
    settled = _settle(question, {})
    question, settled, told = _with_sources(question, settled)
    found, newest, barred = settled.found, settled.newest, settled.barred

    allowed = {name: locked for name, locked in newest.items() if question.allows(name, locked.version)}
    fallbacks = question.fallbacks(found, allowed)
    built = {fallback.name for fallback in fallbacks if fallback.kind == "source"}
    without = {*found.without, *barred, *built}
    if built:
        found = question.compile(without)
        without |= set(found.without)
        fallbacks = [
            *(fallback for fallback in fallbacks if fallback.kind == "source"),
            *question.fallbacks(found, allowed),
        ]
    newest |= question.bounded_sources(found, without, newest)
    lines, elsewhere = question.lines, question.elsewhere
    chosen = [_choose(package, lines.get(package.name), platform) for package in found.packages]
    chosen += [_source(name, lines.get(name), newest.get(name), platform) for name in without]
    chosen += [
        Chosen(name, _version_in(lines[name]), None, str(lines[name].requirement), why, foreign=_wheel_of(lines[name]))
        for name, why in elsewhere.items()
        if name in lines
    ]
    notes = () if isinstance(subject, Project) else subject.requirements.left_out
    ordered = sorted(chosen, key=lambda package: package.name)
    fallbacks.sort(key=lambda fallback: fallback.name)
    return Resolution(platform, tuple(ordered), "uv", tuple(fallbacks), (*notes, *told), question.misspelt(found))


@dataclass(frozen=True)
class _Settled:
    """What uv chose, the newest version of each package, and the ones `barred` because no wheel fits."""

    found: Found
    newest: dict[str, Locked]
    barred: set[str]

    @property
    def without(self) -> set[str]:
        return {*self.found.without, *self.barred}

    def versions(self, names: Iterable[str]) -> dict[str, str]:
        wanted = set(names)
        return {package.name: package.version for package in self.found.packages if package.name in wanted}


def _settle(question: _Question, known: Mapping[str, Locked]) -> _Settled:
    """What uv chooses of wheels, without the packages that have none that fits. Raises `SparksmithError`."""
    found = question.compile()
    newest = {**known, **question.newest(found, known)}
    barred: set[str] = set()
    while more := _unfit(found, newest, question.platform):
        # uv names all that stood in its way, also for old versions: what has a wheel today is let in again
        barred |= more
        found = question.compile(barred)
        newest |= question.newest(found, newest)
    return _Settled(found, newest, barred)


def _with_sources(question: _Question, settled: _Settled) -> tuple[_Question, _Settled, tuple[str, ...]]:
    """The same with the newest versions of what was asked for, where only the source of a dependency stood against
    them: there an installer, which may build, does not go back. With what is to be said of it.

    hydra-core 1.3 wants antlr4-python3-runtime 4.9, which has no wheel; uv answers hydra-core 0.11.3 of 2019.
    """
    notes: list[str] = []
    for name, version in question.held_back(settled).items():
        if not question.needs_source(name, version):
            continue  # then another package of the set stands against it
        pinned = replace(question, pins={**question.pins, name: version})
        try:
            other = _settle(pinned, settled.newest)
        except SparksmithError:
            continue
        if built := _only_sources(pinned, settled, other):
            before = settled.versions([name])[name]
            question, settled = pinned, other
            notes.append(
                f"{name} {version} needs the source of {some(built)}, which an installer builds; where wheels alone "
                f"are allowed it takes {name} {before}"
            )
    return question, settled, tuple(notes)


def _only_sources(question: _Question, before: _Settled, after: _Settled) -> list[str]:
    """The packages that have to be built for `after`; none where it is no better, or where they cannot be built."""
    built = sorted(after.without - before.without)
    if before.versions(built):
        return []  # what had a wheel is given up for it
    asked = [name for name in question.lines if name not in question.pins]
    now = after.versions(asked)
    if any(is_older(now.get(name, version), version) for name, version in before.versions(asked).items()):
        return []  # another package that was asked for is older for it
    versions = {**after.newest, **question.bounded_sources(after.found, after.without, after.newest)}
    return built if all(name in versions and versions[name].sdist for name in built) else []


@dataclass(frozen=True)
class _Question:
    """What uv is asked, several times over: the requirements by name, what constraint files allow, the lines about
    indexes, what is left to others and why, and versions that are pinned to see whether they go."""

    subject: Asked | Project
    platform: Platform
    lines: Mapping[str, Line]
    bounds: Mapping[str, SpecifierSet]
    options: tuple[str, ...]
    elsewhere: Mapping[str, str]
    pins: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(subject: Asked | Project, platform: Platform) -> _Question:
        asked: Iterable[Line] = subject.lines if isinstance(subject, Project) else subject.requirements.lines
        lines = {line.name: line for line in asked if line.wanted_on(platform)}
        elsewhere = {name: why for name, line in lines.items() if (why := _elsewhere(line, platform))}
        if isinstance(subject, Project):
            elsewhere |= dict.fromkeys(subject.sources, "[tool.uv.sources] takes it from a folder or a repository")
            return _Question(subject, platform, lines, {}, (), elsewhere)
        return _Question(
            subject, platform, lines, _bounds(subject, platform), subject.requirements.options, elsewhere
        )  # fmt: skip

    def compile(self, exclude: Iterable[str] = ()) -> Found:
        """uv's answer without some packages."""
        without = sorted({*self.elsewhere, *exclude})
        if isinstance(self.subject, Project):
            return compile_for(
                self.platform, self.subject.file, extras=self.subject.extras, exclude=without, pins=self.pins
            )
        asked = self.subject.requirements
        lines = [line for line in asked.lines if line.wanted_on(self.platform)]
        text = "".join(f"{line}\n" for line in (*asked.options, *(str(line.requirement) for line in lines)))
        pinned = all(line.pinned and line.hashes for line in lines)  # then the file is the whole set
        return compile_for(
            self.platform, text, constraints=asked.constraints, exclude=without, dependencies=not pinned,
            pins=self.pins,
        )  # fmt: skip

    def newest(self, found: Found, known: Mapping[str, Locked]) -> dict[str, Locked]:
        """The newest version of each package; of what was left out, of the versions that are asked for."""
        wanted = {package.name: package.name for package in found.packages if package.from_index}
        wanted |= {name: self._versions(name) for name in found.without}
        unknown = {name: wanted[name] for name in sorted(wanted.keys() - known.keys())}
        return newest_of(unknown, self.platform, options=self.options) if unknown else {}

    def bounded_sources(self, found: Found, without: Iterable[str], newest: Mapping[str, Locked]) -> dict[str, Locked]:
        """The packages left out of which the rest of the set wants another version than the newest, in the one that it
        allows: hydra-core wants antlr4-python3-runtime 4.9, which has no wheel, where the newest has one."""
        sources = {
            name: self._versions(name)
            for name in sorted(without)
            if name in newest and (newest[name].sdist or best_wheel(newest[name].wheels, self.platform))
            if name not in self.lines or not self.lines[name].pinned
        }
        direct = (package.name for package in found.packages if package.direct)
        others = sorted({*self.elsewhere, *without, *direct} - sources.keys())
        versions = versions_beside(found.packages, sources, self.platform, options=self.options, exclude=others)
        wanted = {name: f"{name}=={version}" for name, version in versions.items() if version != newest[name].version}
        return newest_of(wanted, self.platform, options=self.options) if wanted else {}

    def fallbacks(self, found: Found, newest: Mapping[str, Locked]) -> list[Fallback]:
        return [
            fallback
            for package in found.packages
            if package.from_index and package.name in newest
            if (fallback := find_fallback(
                package, newest[package.name], self.lines.get(package.name), self.platform
            ))
        ]  # fmt: skip

    def held_back(self, settled: _Settled) -> dict[str, str]:
        """The newest of the versions that are asked for, where they have a wheel that fits, and something else was
        taken: an older one, or a pre-release that nobody asked for."""
        asked = {
            package.name: (package.version, line)
            for package in settled.found.packages
            if (line := self.lines.get(package.name)) and not line.pinned and not package.elsewhere
        }
        newest = {name: settled.newest[name] for name in asked if name in settled.newest}
        bounded = {
            name: self._versions(name)
            for name, locked in newest.items()
            if not asked[name][1].requirement.specifier.contains(locked.version, prereleases=True)
            or not self.allows(name, locked.version)
        }
        if bounded:
            newest |= newest_of(bounded, self.platform, options=self.options)
        return {
            name: locked.version
            for name, locked in newest.items()
            if best_wheel(locked.wheels, self.platform) and self.allows(name, locked.version)
            if asked[name][1].requirement.specifier.contains(locked.version, prereleases=True)
            if is_older(asked[name][0], locked.version) or is_unasked(asked[name][0], locked.version, asked[name][1])
        }

    def needs_source(self, name: str, version: str) -> bool:
        """Whether a version cannot be had of wheels alone, by itself: uv leaves a dependency out."""
        extras = ",".join(sorted(self.lines[name].requirement.extras))
        wanted = f"{name}{f'[{extras}]' if extras else ''}=={version}"
        text = "".join(f"{line}\n" for line in (*self.options, wanted))
        try:
            without = compile_for(self.platform, text).without
        except SparksmithError:
            return False
        return bool(without) and name not in without

    def allows(self, name: str, version: str) -> bool:
        """Whether the constraint files do."""
        return name not in self.bounds or self.bounds[name].contains(version, prereleases=True)

    def misspelt(self, found: Found) -> tuple[tuple[str, str], ...]:
        """The extras that are asked for here and that there are not; what packages ask of each other is theirs."""
        lines = self.subject.lines if isinstance(self.subject, Project) else self.subject.requirements.lines
        asked = {(line.name, str(canonicalize_name(extra))) for line in lines for extra in line.requirement.extras}
        return tuple(each for each in found.no_extras if each in asked)

    def _versions(self, name: str) -> str:
        """The versions of a package that are asked for, on any platform."""
        asked = self.lines[name].requirement.specifier if name in self.lines else SpecifierSet()
        return f"{name}{asked & self.bounds.get(name, SpecifierSet())}"


def _unfit(found: Found, newest: Mapping[str, Locked], platform: Platform) -> set[str]:
    """Of the packages that were left out, those without a wheel that fits, where there are others beside them."""
    fitting = {name for name in found.without if name in newest and best_wheel(newest[name].wheels, platform)}
    return set(found.without) - fitting if fitting else set()


def _wheel_of(line: Line) -> tuple[str, ...]:
    """The name of the wheel that a requirement's address is, if it is one's."""
    file = unquote((line.requirement.url or "").split("#")[0].split("?")[0].rpartition("/")[2])
    return (file,) if file.endswith(".whl") else ()


def _version_in(line: Line) -> str:
    return next((file_facts(file)[1] for file in _wheel_of(line)), "")


def _elsewhere(line: Line, platform: Platform) -> str:
    """Why a requirement with an address is left to others; empty for the address of a wheel that fits, and for none."""
    url = line.requirement.url
    if not url:
        return ""
    if wheel := _wheel_of(line):
        return "" if platform.rank_file(wheel[0]) is not None else "its address is that of a wheel for another machine"
    return "it comes from a repository" if url.startswith("git+") else "it comes from a source archive or a folder"


def _choose(package: Locked, line: Line | None, platform: Platform) -> Chosen:
    """What an installer takes; only a wheel whose hash the requirement allows, where it names any."""
    asked = str(line.requirement) if line else ""
    if line is None or not line.hashes:
        return package.choose(platform, asked)
    source = package.sdist if package.sdist and package.sdist.sha256 in line.hashes else None
    wheels = tuple(wheel for wheel in package.wheels if wheel.sha256 in line.hashes)
    if package.wheels and not wheels:
        why = "none of its wheels has a hash that the requirement names"
        return Chosen(package.name, package.version, None, asked, why, source)
    return replace(package, wheels=wheels, sdist=source).choose(platform, asked)


def _bounds(asked: Asked, platform: Platform) -> dict[str, SpecifierSet]:
    """What the constraint files of a list allow, by name."""
    bounds: dict[str, SpecifierSet] = {}
    for file in asked.requirements.constraints:
        for line in read_requirements(file).lines:
            if line.wanted_on(platform):
                bounds[line.name] = bounds.get(line.name, SpecifierSet()) & line.requirement.specifier
    return bounds


def _source(name: str, line: Line | None, would_be: Locked | None, platform: Platform) -> Chosen:
    """A package of which no version that is asked for has a wheel that fits, and goes with the rest; `would_be` is the
    newest of them."""
    asked = str(line.requirement) if line else ""
    if would_be is not None and best_wheel(would_be.wheels, platform):
        return would_be.choose(platform, asked)  # what stands against it is the rest of the set: its bounds tell
    if would_be is not None:
        why = why_no_wheel(would_be.wheels, platform)
        return Chosen(name, would_be.version, None, asked, why, would_be.sdist, would_be.foreign)
    pinned = line.pinned if line else None
    return Chosen(name, pinned or "", None, asked, "no version that is asked for has a wheel that fits")
