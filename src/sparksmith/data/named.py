"""Read what a user names as data: a sample that comes with Sparksmith, a file, or a dataset on the hub."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sparksmith.data.hub import Role, fetch_split, fetched_folder, parse_hub_name
from sparksmith.data.read import DataFile, read_data
from sparksmith.recipe.shipped import locate_data


@dataclass(frozen=True)
class Located:
    """A file that lies here, what it is called where it is shown if not by its name, and how it is to be read."""

    path: Path
    title: str
    data_format: str


def locate_named(
    name: str, role: Role = "train", data_format: str = "auto", say: Callable[[str], None] = lambda text: None
) -> Located:
    """The file of that name. A hub dataset's split is, unless the name says another, train, and for `eval` validation
    or else test; it is fetched. `say` is told what was not as usual. Raises `SparksmithError`.
    """
    on_hub = parse_hub_name(name)
    if on_hub is None:
        path = locate_data(name)
        if path.is_relative_to(fetched_folder()):  # a resume names what was fetched by its path
            data_format = "auto"
        return Located(path, "", data_format)
    fetched = fetch_split(on_hub, role)
    if fetched.note:
        say(fetched.note)
    return Located(fetched.path, fetched.title, "auto")  # the file's ending is the hub's own word


def read_named(
    name: str,
    role: Role = "train",
    *,
    data_format: str = "auto",
    header: str = "auto",
    prompt_column: str | None = None,
    response_column: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> DataFile:
    """The data of that name, as `locate_named` finds it. Raises `SparksmithError`."""
    located = locate_named(name, role, data_format, say)
    return read_data(
        located.path, located.data_format, header, prompt_column=prompt_column, response_column=response_column,
        name=located.title,
    )  # fmt: skip
