"""The fingerprint of an environment, what differs between two, and the record of a project's environment.

The fingerprint says which distributions lie there and which files theirs are: name, version, and the SHA-256 of RECORD
without what the installer adds (scripts with the environment's own path, byte code, INSTALLER, REQUESTED, uv's notes),
so that the same wheels give the same digest wherever, by whichever tool and in whichever order they were installed. Of
an editable install only where its sources are counts; what was edited there is not seen.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from sparksmith.base.errors import SparksmithError
from sparksmith.base.files import read_json, write_json
from sparksmith.machine.python_env import Distribution, PythonEnvironment, printable, read_start
from sparksmith.packages.base_image import BaseImage, read_base_image

RECORD_VERSION = 1
RECORD_BYTES = 2**25
# Lines of a RECORD that say nothing of the wheel: what installers write, and scripts made from entry points.
ADDED = re.compile(
    rb"(?:\.\./|/)|[^,]*\.pyc,"
    rb"|[^/,]+\.dist-info/(?:RECORD|INSTALLER|REQUESTED|direct_url\.json|uv_build\.json|uv_cache\.json|conda-meta\.json),"
)
SHOWN_AT_MOST = 200


@dataclass(frozen=True, slots=True)
class InstalledVersion:
    """A distribution in a fingerprint. `record` is None where it has no RECORD, and for an editable install, whose
    sources are in the folder `editable`."""

    name: str
    version: str
    record: str | None
    editable: str | None = None


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What an environment was when it was looked at. `python`, `abi` and `machine` are None where files do not tell."""

    python: str | None
    abi: str | None
    machine: str | None
    base_image: BaseImage | None
    stack: str | None
    distributions: tuple[InstalledVersion, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over everything; the order in which the distributions were found does not count."""
        value = asdict(self)
        value["distributions"] = sorted(map(asdict, self.distributions), key=lambda one: (one["name"], one["version"]))
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """For `from_json`, by the schema's `fingerprint`."""
        distributions = sorted(self.distributions, key=lambda one: (one.name, one.version))
        return {"digest": self.digest, **asdict(self), "distributions": [asdict(one) for one in distributions]}

    @staticmethod
    def from_json(value: dict[str, Any]) -> Fingerprint:
        """Raises `SparksmithError` for another shape, and where the digest is not that of the rest."""
        try:
            image = BaseImage(**value["base_image"]) if value["base_image"] else None
            found = Fingerprint(
                value["python"], value["abi"], value["machine"], image, value["stack"],
                tuple(InstalledVersion(**one) for one in value["distributions"]),
            )  # fmt: skip
            said = value["digest"]
        except (KeyError, TypeError, ValueError) as error:
            raise SparksmithError(f"not a fingerprint: {type(error).__name__}: {error}") from error
        if said != found.digest:
            raise SparksmithError("the fingerprint's digest is not that of what it lists: it was edited or damaged")
        return found


@dataclass(frozen=True, slots=True)
class EnvironmentRecord:
    """`.sparksmith/environment.json` of a project: which environment was made for it, and what it was then.

    `path` is the environment's root; `made` a time in ISO 8601, UTC; `made_by` the version of Sparksmith.
    """

    path: str
    made: str
    made_by: str
    fingerprint: Fingerprint


def schema() -> dict[str, Any]:
    """The JSON schema of `.sparksmith/environment.json`."""
    found: dict[str, Any] = json.loads((files("sparksmith.packages") / "schemas" / "environment.json").read_text())
    return found


def read_fingerprint(environment: PythonEnvironment, stack: str | None = None) -> Fingerprint:
    """The fingerprint of what lies there now; `stack` is the name of the stack that it was made from."""
    active = environment.active()
    return Fingerprint(
        environment.python, environment.abi, environment.machine, read_base_image(environment), stack,
        tuple(
            InstalledVersion(
                one.key, one.version, None if one.editable else read_record_hash(one),
                printable(one.editable) if one.editable else None,
            )
            for one in active
        ),
    )  # fmt: skip


def read_record_hash(distribution: Distribution) -> str | None:
    """SHA-256 of a RECORD's own lines, sorted; None where there is none, or none that can be read."""
    if distribution.form != "dist-info":
        return None
    try:
        data = read_start(distribution.metadata / "RECORD", RECORD_BYTES)
    except OSError:
        return None
    lines = sorted(line for line in data.replace(b"\r\n", b"\n").split(b"\n") if line and not ADDED.match(line))
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def compare(before: Fingerprint, now: Fingerprint) -> list[str]:
    """What differs, in words; empty where the digests are the same."""
    differences = []
    for what, old, new in (
        ("Python", before.python, now.python),
        ("Python's ABI", before.abi, now.abi),
        ("the machine", before.machine, now.machine),
        ("the base image", _named(before.base_image), _named(now.base_image)),
        ("the stack", before.stack, now.stack),
    ):
        if old != new:
            differences.append(f"{what} was {old or 'not known'} and is {new or 'not known'}")
    return differences + _compare_distributions(before.distributions, now.distributions)


def _compare_distributions(before: tuple[InstalledVersion, ...], now: tuple[InstalledVersion, ...]) -> list[str]:
    old, new = ({one.name: one for one in some} for some in (before, now))
    said = []
    for name in sorted(old.keys() | new.keys()):
        was, is_now = old.get(name), new.get(name)
        if was is None and is_now is not None:
            said.append(f"{name} {is_now.version} was added")
        elif is_now is None and was is not None:
            said.append(f"{name} {was.version} was removed")
        elif was is not None and is_now is not None and was != is_now:
            said.append(_difference(name, was, is_now))
    if len(said) > SHOWN_AT_MOST:
        return [*said[:SHOWN_AT_MOST], f"and {len(said) - SHOWN_AT_MOST} more packages"]
    return said


def _difference(name: str, was: InstalledVersion, is_now: InstalledVersion) -> str:
    if was.version != is_now.version:
        return f"{name} was {was.version or 'of no version'} and is {is_now.version or 'of no version'}"
    if was.editable != is_now.editable:
        before, now = (
            f"an editable install of {one.editable}" if one.editable else "an ordinary install" for one in (was, is_now)
        )
        return f"{name} {was.version} was {before} and is {now}"
    if was.record is None or is_now.record is None:
        return f"{name} {was.version} {'has a RECORD now and had none' if is_now.record else 'has lost its RECORD'}"
    return f"{name} is {was.version} as before, but has other files"


def _named(image: BaseImage | None) -> str | None:
    return image.sentence() if image else None


def write_record(file: Path, record: EnvironmentRecord) -> None:
    """Write `.sparksmith/environment.json`; the folder is made where it is missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        file,
        {
            "version": RECORD_VERSION, "path": record.path, "made": record.made, "made_by": record.made_by,
            "fingerprint": record.fingerprint.to_json(),
        },
    )  # fmt: skip


def read_record(file: Path) -> EnvironmentRecord:
    """Raises `SparksmithError` where it is missing, of another version or damaged."""
    value = read_json(file)
    try:
        if value["version"] != RECORD_VERSION:
            raise SparksmithError(
                f"{file} is of version {value['version']}; this Sparksmith reads {RECORD_VERSION}",
                "it was written by another version of Sparksmith: use that one, or make the environment anew",
            )
        path, made, made_by = value["path"], value["made"], value["made_by"]
        if not all(isinstance(one, str) for one in (path, made, made_by)):
            raise TypeError("path, made and made_by are texts")
        return EnvironmentRecord(path, made, made_by, Fingerprint.from_json(value["fingerprint"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise SparksmithError(f"{file} is not the record of an environment: {type(error).__name__}: {error}") from error
