"""Plans for tests: made by the code that makes them for users, for a machine that is written down here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparksmith.data.read import read_data
from sparksmith.machine.collect import Machine
from sparksmith.machine.memory import Memory
from sparksmith.recipe.plan import Plan, plan
from sparksmith.recipe.read import Request
from sparksmith.recipe.settings import resolve

CPU_MACHINE = Machine("x86_64", 2, Memory(24 * 2**30, 20 * 2**30, 0), ())

PAIRS = (
    ("שלום", "ʃalˈom"), ("מה קורה", "mˈa koʁˈe"), ("ילד", "jˈeled"), ("ילדה", "jaldˈa"), ("בית", "bˈajit"),
    ("תודה", "todˈa"), ("בוקר טוב", "bˈokeʁ tˈov"), ("לילה טוב", "lˈajla tˈov"), ("כן", "kˈen"), ("לא", "lˈo"),
    ("ספר", "sˈefeʁ"), ("ספרים", "sfaʁˈim"), ("מים", "mˈajim"), ("לחם", "lˈeχem"), ("יום", "jˈom"), ("ימים", "jamˈim"),
    ("עיר", "ʔˈiʁ"), ("ארץ", "ʔˈeʁets"), ("שמש", "ʃˈemeʃ"), ("ירח", "jaʁˈeaχ"), ("דרך", "dˈeʁeχ"), ("דרכים", "dʁaχˈim"),
)  # fmt: skip


def write_pairs(folder: Path, count: int = len(PAIRS)) -> Path:
    """A TSV of Hebrew words and their phones."""
    path = folder / "pairs.tsv"
    path.write_text("".join(f"{prompt}\t{response}\n" for prompt, response in PAIRS[:count]), encoding="utf-8")
    return path


def make_plan(folder: Path, *, machine: Machine = CPU_MACHINE, **flags: Any) -> Plan:
    """The plan of `train --flag value ...` with the run in `folder`/run; `tiny` on the pairs if not said."""
    if "data_file" not in flags:
        flags["data_file"] = str(write_pairs(folder))
    flags = {"model": "tiny", "output_dir": str(folder / "run"), "max_length": 128, **flags}
    settings = resolve(Request({}, "a test", ""), flags)
    facts = read_data(Path(flags["data_file"])).facts()
    eval_facts = read_data(Path(flags["eval_file"])).facts() if "eval_file" in flags else None
    return plan(settings, machine, facts, eval_facts)
