"""What the doctor found as text, from the records that `--json` prints: the worst first, the fix under each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sparksmith.base.units import format_bytes, plural
from sparksmith.report.audit import printable, wrap

COLOURS = {"fails": "31", "warns": "33", "harmless": "32", "clear": "32"}
NOTES_AT_MOST = 3
PACKAGES_AT_MOST = 3
PLACES_AT_MOST = 2
QUOTES = "'\""
ROLES = {
    "given": "", "recorded": "recorded in .sparksmith", "active": "active", "conda": "active", "project": "",
    "running": "of this command", "system": "the system's",
}  # fmt: skip
NEXT = (
    ("Look further up in the log: the first error is the cause, the last one seldom.", ""),
    ("What is wrong with the machine, and with the environment:", "sparksmith doctor"),
    ("For a bug report, beside the whole text of the error:", "sparksmith doctor --bundle"),
)
STATES = {"failed": "not done", "done": "done", "would": "would be done", "left": "left to you"}
Record = dict[str, Any]


def describe_doctor(
    record: Record, tried: Sequence[str] = (), *, width: int = 80, colour: bool = False
) -> Iterator[str]:
    """The lines of `sparksmith doctor`; `tried` are those of --deep. Without `colour` no control sequences."""
    steps = [line for step in tried for line in wrap(printable(step), "", "  ", width)]
    rest = [*steps, *_given_up(record, width), *_notes(record, width)]
    if record["outcome"] == "clear":
        silent = ", with what could be seen" if record["given_up"] else ""
        text = f"nothing is wrong{silent}: {'; '.join(_in_short(record))}"
        yield from _headed("clear", text, width, colour, word="ok")
        yield from rest
        return
    for line in _looked_at(record):
        yield from wrap(printable(line), "", "  ", width)
    yield ""
    for finding in record["findings"]:
        yield from _finding(finding, width, colour)
        yield ""
    if record["unexplained"]:
        yield from _unexplained(record, width, colour)
        yield ""
    if rest:
        yield from rest
        yield ""
    yield _count(record)


def describe_error(record: Record, *, width: int = 80, colour: bool = False) -> Iterator[str]:
    """The faults that an error's text told of, causes first; where there is none, what to do next."""
    if not record["matches"]:
        yield "no known fault is told by this text"
        for text, command in NEXT:
            yield from wrap(text, "  ", "  ", width)
            if command:
                yield f"    {command}"
        return
    for number, match in enumerate(record["matches"]):
        if number:
            yield ""
        yield from _headed(match["severity"], match["title"], width, colour)
        yield from wrap(f"line {match['line']}: {printable(match['text'])}", "  ", "    ", width)
        if match["severity"] != "harmless" and (meaning := _beside_the_message(match["detected"])):
            yield from wrap(f"means: {meaning}", "  ", "    ", width)
        yield from _mend(match, width)


def _beside_the_message(detected: str) -> str:
    """What a fault's row says of how it is found out, beside that a message tells it, which is before the reader."""
    if detected.startswith("told by the message only"):
        return ""
    return detected.removeprefix("told by the message; ")


def describe_applied(
    applied: Sequence[Record], others: int, *, dry_run: bool = False, width: int = 80
) -> Iterator[str]:
    """What `--fix` did, or with `dry_run` would do; `others` are findings that it leaves alone."""
    if not applied:
        yield f"nothing to do{': what is wrong here is not mended without asking' if others else ''}"
    for state, heading in STATES.items():
        for one in (one for one in applied if one["state"] == state):
            yield f"{heading} ({one['fault']}):"
            yield from describe_command(printable(one["text"]), width, "  ")
    if others:
        yield ""
        yield f"{plural(others, 'finding')} that it leaves to you: sparksmith doctor"


def describe_facts(facts: Record, *, width: int = 80) -> Iterator[str]:
    """What was observed, by subject, as `--facts --json` has it; what is not known, with its reason."""
    for subject, value in facts.items():
        if subject == "version":
            continue
        yield _label(subject)
        lines = list(_described(value, width, 1))
        yield from lines or ["  none"]


def describe_command(command: str, width: int, indent: str) -> list[str]:
    """A command as it can be pasted: broken only where a shell reads on, after && and |."""
    lines = []
    rest = command
    while len(indent) + len(rest) > width:
        breaks = [at for at in _breaks(rest) if at < len(rest.rstrip())]
        fitting = [at for at in breaks if len(indent) + at <= width]
        if not breaks:
            break
        at = max(fitting, default=min(breaks))
        lines.append(indent + rest[:at])
        rest = rest[at:].lstrip()
        indent = indent if len(lines) > 1 else f"{indent}  "
    return [*lines, indent + rest]


def _breaks(command: str) -> list[int]:
    """Where a line may end: after && or | outside of quotes."""
    found, quote = [], ""
    for at, character in enumerate(command):
        if quote:
            quote = "" if character == quote else quote
        elif character in QUOTES:
            quote = character
        elif command.startswith((" && ", " | "), at):
            found.append(at + (3 if command[at + 1] == "&" else 2))
    return found


def _looked_at(record: Record) -> Iterator[str]:
    """The machine, the environment and what it was judged for, a text each."""
    machine, environment, target = record["machine"], record["environment"], record["target"]
    memory = format_bytes(machine["memory_bytes"]) if machine["memory_bytes"] else ""
    container = f"in a {machine['container']} container" if machine["container"] else ""
    system = f"{machine['system'] or ''} {container}".strip()
    yield _joined(_name(machine), *_gpus(record), memory, system, "WSL" if machine["wsl"] else "")
    if environment:
        role = ROLES[environment["role"]]
        yield _joined(
            f"{environment['path']} ({role})" if role else environment["path"],
            f"Python {environment['python']}" if environment["python"] else "",
            *_packages(environment),
            f"judged for {target['title']}" if target else "",
        )


def _in_short(record: Record) -> Iterator[str]:
    """The same as far as it tells one machine and one environment from another."""
    machine, environment, target = record["machine"], record["environment"], record["target"]
    name, gpus = _name(machine), _gpus(record)
    yield _joined(name, *(gpus[1:] if name and machine["gpus"] else gpus))
    if environment:
        asked = target and target["why"] == "as asked for"
        judged = f"for {target['title']}" if asked else ""
        yield _joined(environment["path"], *_packages(environment), judged)


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _name(machine: Record) -> str:
    return " ".join((machine["product"] or "").replace("_", " ").split())


def _gpus(record: Record) -> list[str]:
    machine = record["machine"]
    driver = f"driver {machine['driver']}" if machine["driver"] else ""
    silent = any(command.startswith("nvidia-smi") for command in record["given_up"])
    none = "a GPU that does not answer" if silent else "no GPU answers" if driver else "no GPU"
    return [", ".join(dict.fromkeys(machine["gpus"])) or none, driver]


def _packages(environment: Record) -> list[str]:
    torch = f"torch {environment['torch']}" if environment["torch"] else "no torch"
    return [torch, plural(environment["packages"], "package") if environment["packages"] is not None else ""]


def _finding(finding: Record, width: int, colour: bool) -> Iterator[str]:
    yield from _headed(finding["severity"], finding["title"], width, colour)
    places = ", ".join(finding["evidence"][:PLACES_AT_MOST])
    yield from wrap(printable(finding["here"] + (f" ({places})" if places else "")), "  here: ", "        ", width)
    yield from _mend(finding, width)


def _mend(told: Record, width: int) -> Iterator[str]:
    """What to do, the command, and where more is said."""
    yield from wrap(printable(told["fix"]), "  fix:  ", "        ", width)
    if told["command"]:
        yield from describe_command(printable(told["command"]), width, "        ")
    yield f"  more: {told['reference']}"


def _unexplained(record: Record, width: int, colour: bool) -> Iterator[str]:
    """What the audit alone says, in a few lines; it has the evidence."""
    whole = [one for one in record["unexplained"] if not one["package"]]
    single = [one for one in record["unexplained"] if one["package"]]
    names = list(dict.fromkeys(one["package"] for one in single))
    more = f" and {len(names) - PACKAGES_AT_MOST} more" if len(names) > PACKAGES_AT_MOST else ""
    subject = ", ".join(names[:PACKAGES_AT_MOST]) + more if names else "the packages together"
    yield from _headed("fails", f"will not run on {record['target']['title']}: {subject}", width, colour)
    yield from wrap(printable((single or whole)[0]["seen"]), "  here: ", "        ", width)
    yield from wrap("the audit says what to ask for instead", "  fix:  ", "        ", width)
    environment = record["environment"]["path"]
    yield f"        sparksmith audit {environment} --target {record['target']['name']}"


def _given_up(record: Record, width: int) -> Iterator[str]:
    if record["given_up"]:
        yield from wrap(f"given up after 1 s without an answer: {', '.join(record['given_up'])}", "", "  ", width)


def _notes(record: Record, width: int) -> Iterator[str]:
    notes = record["notes"]
    for note in notes[:NOTES_AT_MOST]:
        yield from wrap(f"note: {printable(note)}", "", "  ", width)
    if len(notes) > NOTES_AT_MOST:
        yield f"note: and {len(notes) - NOTES_AT_MOST} more, with --json"


def _count(record: Record) -> str:
    """2 will fail, 1 warning."""
    severities = [finding["severity"] for finding in record["findings"]]
    fails = severities.count("fails") + bool(record["unexplained"])
    parts = [f"{fails} will fail" if fails else "", plural(severities.count("warns"), "warning")]
    return ", ".join(part for part in parts if part and not part.startswith("0 "))


def _headed(severity: str, text: str, width: int, colour: bool, word: str = "") -> list[str]:
    """A line that begins with a severity. Lines are wrapped before they are coloured."""
    word = word or severity
    lines = wrap(printable(f"{word}: {text}"), "", "  ", width)
    if colour:
        lines[0] = f"\033[1;{COLOURS[severity]}m{word}\033[0m" + lines[0].removeprefix(word)
    return lines


def _described(value: Any, width: int, depth: int) -> Iterator[str]:
    """The lines of a subject, of a list of subjects, or of names with values."""
    indent = "  " * depth
    if isinstance(value, list):
        for one in value:
            if isinstance(one, dict):
                yield f"{indent}-"
                yield from _described(one, width, depth + 1)
            else:
                yield from wrap(_shown("", one), indent, f"{indent}  ", width)
        return
    if not isinstance(value, dict):
        yield f"{indent}{_shown('', value)}"
        return
    unknown = value.get("unknown", {})
    for name, inner in value.items():
        if name == "unknown":
            continue
        label = f"{indent}{_label(name)}: "
        if inner is None:
            yield from wrap(f"not known ({unknown.get(name, 'no reason is given')})", label, f"{indent}  ", width)
        elif isinstance(inner, dict) or (isinstance(inner, list) and any(isinstance(one, dict) for one in inner)):
            lines = list(_described(inner, width, depth + 1))
            yield f"{label}none" if not lines else label.rstrip()
            yield from lines
        else:
            yield from wrap(_shown(name, inner), label, f"{indent}  ", width)


def _label(name: str) -> str:
    """total_bytes as total; the unit stands with the value."""
    return name if name.isupper() else name.removesuffix("_bytes").replace("_", " ")


def _shown(name: str, value: Any) -> str:
    """A value as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and name.endswith(("_bytes", "_limit")):
        return format_bytes(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        if name == "compute_capability":
            return ".".join(map(str, value))
        return ", ".join(_shown("", one) for one in value) or "none"
    return printable(str(value)) or "none"
