"""Read what a user names as data: a sample that comes with Sparksmith, a file, or a dataset on the hub."""

from __future__ import annotations

from collections.abc import Callable

from sparksmith.data.hub import Role, cache_folder, fetch_split, parse_hub_name
from sparksmith.data.read import DataFile, read_data
from sparksmith.recipe.shipped import locate_data


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
    """The data of that name. A hub dataset's split is, unless the name says another, train, and for `eval` validation
    or else test. `say` is told what was not as usual. Raises `SparksmithError`.
    """
    on_hub = parse_hub_name(name)
    if on_hub is None:
        path, title = locate_data(name), ""
        if path.is_relative_to(cache_folder()):  # a resume names what was fetched by its path
            data_format = "auto"
    else:
        fetched = fetch_split(on_hub, role)
        path, title = fetched.path, fetched.title
        if fetched.note:
            say(fetched.note)
        data_format = "auto"  # the file's ending is the hub's own word
    return read_data(
        path, data_format, header, prompt_column=prompt_column, response_column=response_column, name=title
    )
