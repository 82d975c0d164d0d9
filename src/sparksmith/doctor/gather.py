"""What the doctor looks at, read: the machine and the packages of an environment, side by side.

Nothing is changed, imported or run of the environment, so that it may be broken: what cannot be read is a statement in
words (`Gathered.notes`), and only an ENV that the user named and that is none raises `SparksmithError`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from sparksmith.base.command import Answer, ask
from sparksmith.base.errors import SparksmithError
from sparksmith.doctor.choose import Place, choose_environment, choose_target, folder_of
from sparksmith.doctor.finding import Examined
from sparksmith.doctor.project import ProjectFacts, read_project
from sparksmith.machine.disk import folders_of
from sparksmith.machine.facts import ENVIRON, Asked, MachineFacts, parse_environ, read_machine
from sparksmith.machine.python_env import PythonEnvironment, printable, read_python_environment
from sparksmith.machine.pythons import PythonSummary
from sparksmith.machine.root import Root
from sparksmith.packages.audit import judge_installed
from sparksmith.packages.environment import Fingerprint, read_fingerprint
from sparksmith.packages.incomplete import Incomplete, find_incomplete
from sparksmith.packages.installed import Installed, read_environment_facts
from sparksmith.packages.verdict import SetVerdict
from sparksmith.policy.targets import Target, load_target

NO_METADATA = "has no readable METADATA"
DGX = "etc/dgx-release"
# Where there is one of these there may be a GPU whose target is known: then packages are read at once.
GPU_SIGNS = ("proc/driver/nvidia/version", "dev/nvidia0", "dev/nvidiactl", DGX)
Read = Callable[..., MachineFacts]
Found = TypeVar("Found")


@dataclass(frozen=True)
class Gathered:
    """`judged_for` says in words which target that is and why; empty where the packages were not judged. `notes` are
    plain statements: what could not be read, and what was left out."""

    examined: Examined
    place: Place | None
    judged_for: str
    notes: tuple[str, ...]
    root: Path


def gather(
    root: Path = Path("/"),
    environment: str | None = None,
    target: Target | None = None,
    *,
    read: Read = read_machine,
    commands: Callable[..., Answer] = ask,
    environ: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Gathered:
    """Look now, at the running machine or at a copy of one. `read` is what reads the machine (`capture.collect_tree`
    copies it as it does). Raises `SparksmithError` for an `environment` that is none."""
    files = Root(root)
    if environ is None:
        environ = os.environ if files.live else parse_environ(files.text(ENVIRON) or "")
    project = os.getcwd() if files.live else environ.get("PWD")  # noqa: PTH109 - the name that the shell has for it
    place, notes = choose_environment(files, environ, project, environment)
    say(f"looking at the machine{f' and at {place.path}' if place else ''}")
    folder = folder_of(files, place) if place else None
    early = folder is not None and (target is not None or any(map(files.exists, GPU_SIGNS)))
    packages = _Beside(lambda: read_environment_facts(folder)) if folder and early else None
    likely = target or (load_target("gb10") if files.exists(DGX) else None)
    verdict = _Beside(partial(_verdict, packages, likely, place)) if packages and likely and place else None
    whole = _Beside(lambda: find_incomplete(folder, "torch")) if folder and files.live else None
    asks = _Beside(lambda: _read_project(files, project, environ))
    asked = Asked(project, place.path if place and place.role in ("given", "recorded", "running") else None)
    machine = read(root, commands=commands, environ=environ, asked=asked)
    own, why = choose_target(machine)
    judged = target or own
    audit, now = None, None
    if place and folder:
        if judged and packages is None:
            packages = _Beside(lambda: read_environment_facts(folder))
        if judged and packages:
            if verdict is None or judged != likely:
                verdict = _Beside(partial(_verdict, packages, judged, place))
            audit = _judge(packages, verdict, judged, place, notes, foreign=target is not None and target != own)
        elif judged is None:
            silent = any(command.startswith("nvidia-smi") for command in machine.silent)
            seen = "nvidia-smi did not answer in time (`sudo nvidia-smi -pm 1` makes it quick)" if silent else why
            notes.append(f"the packages are judged for no GPU: {seen}; --target gb10 judges them for a DGX Spark")
        now = _fingerprint(place, folder, packages, notes)
    python = next((one for one in machine.pythons if place and one.path == printable(place.path)), None)
    if place:
        notes += _told_of(python, place)
    return Gathered(
        Examined(
            machine, judged or load_target("gb10"), python, audit,
            recorded=place.record.fingerprint if place and place.record and now else None, now=now,
            project=_found(asks, notes), incomplete=_missing(whole), is_own=place is None or place.role != "running",
        ),
        place,
        "" if audit is None or judged is None else f"{judged.title}, {'as asked for' if target else f'as {why}'}",
        tuple(dict.fromkeys(notes)),
        files.path,
    )  # fmt: skip


class _Beside(Generic[Found]):
    """A call in a thread of its own, begun at once; nobody waits for it where the command is interrupted."""

    def __init__(self, call: Callable[[], Found]) -> None:
        self.call = call
        self.found: list[Found | Exception] = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.found.append(self.call())
        except Exception as error:
            self.found.append(error)

    def wait(self) -> Found | Exception:
        """What was returned or raised."""
        self.thread.join()
        return self.found[0]


def _verdict(packages: _Beside[Installed], target: Target, place: Place) -> SetVerdict:
    """The verdict once the packages are read, which may be before the machine's tools have answered."""
    installed = packages.wait()
    if isinstance(installed, Exception):
        raise installed
    return judge_installed(installed, target, printable(place.path))


def _judge(
    packages: _Beside[Installed], verdict: _Beside[SetVerdict], target: Target, place: Place, notes: list[str], *,
    foreign: bool,
) -> SetVerdict | None:  # fmt: skip
    """The verdict on what is installed, or None and why. `foreign`: the target is not the machine that it lies on."""
    installed = packages.wait()
    if isinstance(installed, Exception):
        notes.append(_in_words(installed, "the packages cannot be read"))
        return None
    machine = installed.environment.machine
    if foreign and machine is not None and machine != target.machine:
        notes.append(
            f"the packages in {place.path} are for {machine}, and {target.title} is {target.machine}: they are not "
            "judged; audit the requirements that they were installed from"
        )
        return None
    audit = verdict.wait()
    if isinstance(audit, SparksmithError):
        notes.append(audit.message)
        return None
    if isinstance(audit, Exception):
        raise audit
    if sum(NO_METADATA in note for note in audit.notes) >= max(1, len(installed.packages)):
        notes.append(f"of the packages in {place.path} only the names are here: their libraries are not judged")
    else:
        notes += audit.notes
    return audit


def _fingerprint(
    place: Place, folder: Path, packages: _Beside[Installed] | None, notes: list[str]
) -> Fingerprint | None:
    """What a recorded environment is now; None where nothing was recorded or it cannot be read."""
    if place.record is None:
        return None
    try:
        installed = packages.wait() if packages else None
        found: PythonEnvironment = (
            installed.environment if isinstance(installed, Installed) else read_python_environment(folder)
        )
        return read_fingerprint(found, place.record.fingerprint.stack)
    except (SparksmithError, OSError, ValueError) as error:
        notes.append(_in_words(error, "the environment cannot be compared with its record"))
        return None


def _told_of(python: PythonSummary | None, place: Place) -> list[str]:
    """What is wrong with the environment as a whole."""
    if python is None:
        return [f"{place.path} is not there any more"]
    if python.problem:
        return [f"{place.path}: {python.problem}"]
    return [] if "torch" in python.packages else [f"torch is not installed in {place.path}"]


def _missing(whole: _Beside[Incomplete | None] | None) -> Incomplete | None:
    """What is missing of torch; an environment that cannot be read is told of elsewhere."""
    found = whole.wait() if whole else None
    return None if isinstance(found, Exception) else found


def _read_project(root: Root, project: str | None, environ: Mapping[str, str]) -> ProjectFacts | None:
    home = environ.get("HOME")
    cache = folders_of(environ, home, project).get("model cache")
    return read_project(root, project, home, cache) if project else None


def _found(asks: _Beside[ProjectFacts | None], notes: list[str]) -> ProjectFacts | None:
    found = asks.wait()
    if isinstance(found, Exception):
        notes.append(_in_words(found, "the project's files cannot be read"))
        return None
    return found


def _in_words(error: Exception, what: str) -> str:
    if isinstance(error, SparksmithError):
        return f"{what}: {error.message}"
    return f"{what}: {type(error).__name__}: {printable(str(error))[:200]}"
