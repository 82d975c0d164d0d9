"""Whether the ssh service protects itself from the OOM killer, and hands that protection on to every shell."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sparksmith.machine.root import Root, whole_number
from sparksmith.machine.subject import Subject, explained

UNITS = ("ssh", "sshd")
FOLDERS = ("etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
SETTING = re.compile(r"^\s*OOMScoreAdjust\s*=\s*(\S*)\s*$")
PID_FILE = "run/sshd.pid"
MOST_PROCESSES = 5000


@dataclass(frozen=True)
class SshFacts(Subject):
    """`unit_setting` is OOMScoreAdjust= of the service's unit with its drop-ins, `unit_file` the file that sets it;
    `service_score` the oom_score_adj of the service that runs, and with it of every shell that it starts."""

    unit_setting: int | None
    unit_file: str | None
    service_score: int | None


def parse_score_setting(text: str) -> int | None:
    """The last OOMScoreAdjust= of a unit's text; an empty one takes it back, and then it is 0."""
    found = None
    for line in text.splitlines():
        if match := SETTING.match(line):
            found = whole_number(match[1]) if match[1] else 0
    return found


def read_ssh(root: Root) -> SshFacts:
    """Look at the unit's files, in systemd's order, and at the service itself."""
    setting, file = None, None
    for path in _unit_files(root):
        found = parse_score_setting(root.text(path) or "")
        if found is not None:
            setting, file = found, f"/{path}"
    return explained(
        SshFacts(setting, file, _service_score(root)),
        "no unit of the ssh service sets OOMScoreAdjust",
        service_score="no ssh service is seen to run",
    )


def _unit_files(root: Root) -> list[str]:
    """The unit and its drop-ins, the ones that count last at the end. A unit in /etc stands for the one in /usr/lib."""
    files = []
    for unit in UNITS:
        main = next((f"{folder}/{unit}.service" for folder in FOLDERS if root.exists(f"{folder}/{unit}.service")), None)
        drops: dict[str, str] = {}
        for folder in reversed(FOLDERS):
            for name in root.names(f"{folder}/{unit}.service.d"):
                if name.endswith(".conf"):
                    drops[name] = f"{folder}/{unit}.service.d/{name}"
        files += [*([main] if main else []), *(drops[name] for name in sorted(drops))]
    return files


def _service_score(root: Root) -> int | None:
    """Of the process named sshd whose parent is process 1: the one that its file names, else one that is looked for."""
    named = root.number(PID_FILE)
    processes = (
        [name for name in root.names("proc") if name.isascii() and name.isdigit()] if named is None else [f"{named}"]
    )
    for name in processes[:MOST_PROCESSES]:
        if root.line(f"proc/{name}/comm") == "sshd":
            stat = (root.line(f"proc/{name}/stat") or "").rpartition(")")[2].split()
            if len(stat) > 1 and stat[1] == "1":
                return root.number(f"proc/{name}/oom_score_adj")
    return None
