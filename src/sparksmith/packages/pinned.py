"""What an installer takes of a file that pins and hashes everything, by files that are known: no network, no uv."""

from __future__ import annotations

from sparksmith.packages.inputs import Asked
from sparksmith.packages.known import KnownWheels
from sparksmith.packages.platform import Platform
from sparksmith.packages.requirements import Line
from sparksmith.packages.resolution import Chosen, Resolution, WheelFile, best_wheel, why_no_wheel

ANYWHERE = ("-py3-none-any.whl", "-py2.py3-none-any.whl")


def resolve_pinned(asked: Asked, platform: Platform, known: KnownWheels, alone: str = "") -> Resolution | None:
    """A file that pins and hashes everything, by hashes of files that are known; None where one is not, unless `alone`
    says why nobody else can be asked: then that is a problem of its package, as long as something is known."""
    chosen: list[Chosen] = []
    for line in asked.requirements.lines:
        if not line.wanted_on(platform):
            continue
        version = line.pinned
        if version is None or not line.hashes or line.requirement.url:
            return None
        one = _choose_known(line, version, platform, known)
        if one is None and not alone:
            return None
        problem = f"which files its hashes are of is not known here, and {alone}"
        chosen.append(one or Chosen(line.name, version, None, str(line.requirement), problem=problem))
    if all(each.problem for each in chosen):
        return None
    return Resolution(platform, tuple(chosen), "file", notes=asked.requirements.left_out)


def _choose_known(line: Line, version: str, platform: Platform, known: KnownWheels) -> Chosen | None:
    """What an installer takes of a line, from the files that its hashes are known to be of; None where that is open.

    Hashes do not say which files they are of. A wheel for any machine and any Python that is known beside several that
    are not may stand behind one for this machine; and a source, or nothing, behind a single one that is not.
    """
    facts = [found for sha256 in sorted(line.hashes) if (found := known.find(sha256))]
    files = [WheelFile(fact.file, fact.sha256, fact.bytes) for fact in facts]
    wheels = [file for file in files if file.file.endswith(".whl")]
    unknown = len(line.hashes) - len(facts)
    asked = str(line.requirement)
    if wheel := best_wheel(wheels, platform):
        open_ = wheel.file.endswith(ANYWHERE) and unknown > 1  # a single one is the source
        return None if open_ else Chosen(line.name, version, wheel, asked)
    if unknown:
        return None
    source = next((file for file in files if file not in wheels), None)
    foreign = () if source else tuple(file.file for file in wheels)
    why = why_no_wheel(wheels, platform) if wheels else "of its files only the source has a hash here"
    return Chosen(line.name, version, None, asked, why, source, foreign)
