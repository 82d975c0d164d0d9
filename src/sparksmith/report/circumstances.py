"""What a run was made of: its data, its plan with the reasons, the machine, and the commands that make it again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparksmith.base.units import GIB, format_bytes, format_count, plural
from sparksmith.report.charts import Histogram, histogram
from sparksmith.report.run_records import RunRecords, number

ROLES = {"train": "Training", "eval": "Held out"}
MOST_CHARACTERS = 60  # of characters that training lacks
NOT_KEYS = frozenset({"choices", "version", "train_data", "eval_data"})


@dataclass(frozen=True)
class DataFile:
    """One data file: its lengths as a histogram, and what was found in it."""

    role: str
    name: str
    sha256: str
    facts: str
    unit: str
    chart: Histogram | None
    max_length: int | None
    warnings: tuple[str, ...]


def data_files(records: RunRecords) -> list[DataFile]:
    """From data.json. Raises `KeyError`, `TypeError`, `AttributeError` for a record of another shape."""
    assert records.data is not None
    return [_data_file(row) for row in records.data["files"]]


def _data_file(row: dict[str, Any]) -> DataFile:
    lengths = row["lengths"]
    unit = str(lengths["unit"])
    limit = int(lengths["max_length"]) if unit == "tokens" else None
    bins = [(float(one["from"]), float(one["to"]), int(one["count"])) for one in lengths["histogram"]]
    facts = (
        f"{plural(row['rows'], 'row')} ({row['format']}); {lengths['shortest']:,} to {lengths['longest']:,} {unit}, "
        f"median {lengths['median']:,}, 95% up to {lengths['p95']:,}"
    )
    warnings = []
    if over := int(lengths.get("over") or 0):
        rows = plural(over, "row is", "rows are")
        warnings.append(f"{rows} longer than {limit:,} tokens" if limit else f"{rows} too long")
    for key, one, more in (
        ("duplicates", "row repeats an earlier row", "rows repeat an earlier row"),
        ("conflicts", "prompt has different responses", "prompts have different responses"),
        ("not_nfc", "row is not in Unicode's composed form (NFC)", "rows are not in Unicode's composed form (NFC)"),
    ):
        found = row.get(key) or {}
        if count := int(found.get("prompts" if key == "conflicts" else "rows") or 0):
            warnings.append(plural(count, one, more) + _lines(found.get("lines"), count))
    return DataFile(
        ROLES.get(row["role"], str(row["role"])), Path(row["path"]).name, str(row.get("sha256", ""))[:12], facts, unit,
        histogram(bins, unit, limit), limit, tuple(warnings),
    )  # fmt: skip


def between_files(records: RunRecords) -> list[str]:
    """What stands out between the files of data.json."""
    assert records.data is not None
    found = []
    overlap = records.data.get("overlap") or {}
    if rows := int(overlap.get("rows") or 0):
        held_out = plural(rows, "held-out row is", "held-out rows are")
        found.append(f"{held_out} in the training data too{_lines(overlap.get('lines'), rows)}")
    if (prompts := int(overlap.get("prompts") or 0)) > rows:
        held_out = plural(prompts, "held-out prompt is", "held-out prompts are")
        found.append(f"{held_out} in the training data too")
    unseen = records.data.get("unseen_characters") or []
    if unseen:
        shown = ", ".join(
            f"{one['character']} ({one['name']}, {plural(one['rows'], 'row')})" for one in unseen[:MOST_CHARACTERS]
        )
        more = f" and {len(unseen) - MOST_CHARACTERS} more" if len(unseen) > MOST_CHARACTERS else ""
        found.append(f"characters of the held-out part that training never saw: {shown}{more}")
    return found


def _lines(lines: Any, count: int) -> str:
    if not lines:
        return ""
    shown = ", ".join(str(line) for line in lines[:8])
    word = "line" if count == 1 else "lines"
    return f" ({word} {shown}{', …' if count > len(lines[:8]) else ''})"


def plain_data(records: RunRecords) -> list[tuple[str, str]]:
    """(role, file and rows) as the plan has them, for a run without data.json."""
    found = []
    for role, key in (("Training", "train_data"), ("Held out", "eval_data")):
        row = records.plan.get(key)
        if isinstance(row, dict):
            rows = row.get("rows")
            found.append(
                (role, f"{row.get('path')}, {plural(rows, 'row')}" if isinstance(rows, int) else str(row.get("path")))
            )
    return found


def choices_of(records: RunRecords) -> list[tuple[str, str, str]]:
    """(key, value, why) of what the plan decided."""
    rows = records.plan.get("choices")
    return [
        (str(row.get("name")), show_value(row.get("value")), str(row.get("why") or ""))
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict)
    ]


def asked_of(records: RunRecords) -> list[tuple[str, str, str]]:
    """(key, value, where from) of what was asked for and not decided otherwise: flags first, then the recipe."""
    return _from_sources(records, "flag", "recipe")


def derived_of(records: RunRecords) -> list[tuple[str, str, str]]:
    """(key, value, why) of what follows from what was asked for."""
    return [(name, value, why.removeprefix("derived: ")) for name, value, why in _from_sources(records, "derived")]


def _from_sources(records: RunRecords, *order: str) -> list[tuple[str, str, str]]:
    decided = {name for name, _, _ in choices_of(records)} | {"name", "description"}
    found = [
        (name, origin)
        for name, origin in _origins(records).items()
        if origin.get("source") in order and name not in decided
    ]
    found.sort(key=lambda row: order.index(row[1]["source"]))
    return [
        (name, show_value(records.plan.get(name, _values(records).get(name))), _source(origin))
        for name, origin in found
    ]


def all_keys(records: RunRecords) -> list[tuple[str, str, str]]:
    """(key, value, where from and why) of the whole plan."""
    chosen = {name: f"chosen: {why}" for name, _, why in choices_of(records)}
    origins = _origins(records)
    return [
        (name, show_value(value), chosen.get(name) or _source(origins.get(name, {})))
        for name, value in records.plan.items()
        if name not in NOT_KEYS
    ]


def _source(origin: dict[str, Any]) -> str:
    source, why = str(origin.get("source") or ""), str(origin.get("why") or "")
    if source == "recipe" and why:  # which says that it is one
        return why
    return f"{source}: {why}" if source and why else source or why


def _values(records: RunRecords) -> dict[str, Any]:
    values = records.settings.get("values")
    return values if isinstance(values, dict) else {}


def _origins(records: RunRecords) -> dict[str, dict[str, Any]]:
    origins = records.settings.get("origins")
    origins = origins if isinstance(origins, dict) else {}
    return {name: origin for name, origin in origins.items() if isinstance(origin, dict)}


def show_value(value: Any) -> str:
    """A value of a key as it is written in a recipe."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        return value.replace("\n", "\\n")
    return json.dumps(value, ensure_ascii=False)


def model_words(records: RunRecords) -> str:
    """The model in a few words: tiny, 861k parameters from scratch."""
    plan, manifest = records.plan, records.manifest
    name = str(plan.get("model") or "a model")
    count = number(manifest.get("parameters"))
    trains = number(manifest.get("trainable_parameters"))
    size = f"{format_count(count)} parameters" if count else ""
    if name == "tiny":
        return f"a decoder of {size} from scratch" if size else "a small decoder from scratch"
    how = "all of them trained" if plan.get("full_finetuning") else f"LoRA r {plan.get('lora_r')}"
    if count and trains and trains < count:
        how = f"{format_count(trains)} trained by LoRA r {plan.get('lora_r')}"
    return f"{name} ({size}, {how})" if size else f"{name} ({how})"


def machine_rows(records: RunRecords) -> list[tuple[str, str]]:
    """(what, value) of the machine and the packages."""
    manifest = records.manifest
    machine = manifest.get("machine")
    rows: list[tuple[str, str]] = []
    if isinstance(machine, dict):
        rows += [("GPU", f"{gpu.get('name')}, driver {gpu.get('driver')}") for gpu in _gpus(machine)]
        cores, memory = machine.get("cores"), number(machine.get("memory_bytes"))
        rows.append(("CPU", f"{_cores(cores, 'core')}, {machine.get('architecture')}"))
        if memory:
            rows.append(("memory", format_bytes(memory)))
    if python := manifest.get("python"):
        rows.append(("Python", str(python)))
    packages = manifest.get("packages")
    if isinstance(packages, dict):
        rows += [(str(name), str(version)) for name, version in packages.items()]
    return rows


def _gpus(machine: dict[str, Any]) -> list[dict[str, Any]]:
    gpus = machine.get("gpus")
    return [gpu for gpu in gpus if isinstance(gpu, dict)] if isinstance(gpus, list) else []


def machine_words(records: RunRecords) -> str:
    """The machine in a few words, or nothing."""
    machine = records.manifest.get("machine")
    if not isinstance(machine, dict):
        return ""
    names = [str(gpu.get("name")) for gpu in _gpus(machine)]
    if names and records.plan.get("device") != "cpu":
        return f"{len(names)} x {names[0]}" if len(names) > 1 else names[0]
    memory = number(machine.get("memory_bytes"))
    cores = machine.get("cores")
    return _cores(cores, "CPU core") + (f" and {memory / GIB:.0f} GiB" if memory else "")


def _cores(cores: Any, what: str) -> str:
    return plural(cores, what) if isinstance(cores, int) else f"{cores} {what}s"


def resume_command(records: RunRecords) -> str:
    """The command that goes on with the run."""
    return records.discretion.command(
        ["sparksmith", "train", "--output_dir", str(records.folder.path), "--resume_from_checkpoint"]
    )


def repeat_command(records: RunRecords) -> str:
    """The command that makes the run again, in another folder; nothing where no record says how it was asked for."""
    words = records.command
    if words and not any("resume" in word for word in words):
        return records.discretion.command(words)
    values = _values(records)
    asked = [
        name for name, origin in _origins(records).items()
        if origin.get("source") in {"flag", "recipe"} and not name.startswith(("resume", "output_dir", "name", "desc"))
    ]  # fmt: skip
    if not asked or not records.recipe:
        return ""
    given = _recipe_values(records.recipe)
    words = ["sparksmith", "train", str(records.folder.recipe)]
    for name in asked:
        value = values.get(name)
        before = given.get(name)
        if value is None or _same(value, before):
            continue
        words += [f"--{name}", str(value)]
    return records.discretion.command(words)


def _recipe_values(text: str) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return values if isinstance(values, dict) else {}


def _same(value: Any, before: Any) -> bool:
    """Whether a recipe says the same; its path of a data file was made absolute."""
    if isinstance(value, str) and isinstance(before, str):
        sample = before.startswith("sample:") and value.endswith(before.rsplit("/", 1)[-1])
        return sample or value.strip() == before.strip()
    numbers = number(value), number(before)
    return value == before or (None not in numbers and numbers[0] == numbers[1])
