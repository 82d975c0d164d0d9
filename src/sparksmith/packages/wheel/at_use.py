"""CUDA source in a package that brings no library: what uses it compiles it on the machine, at first use. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from sparksmith.packages.facts import Compiled
from sparksmith.packages.wheel.builds import needs_of_file

# with more modules than this for each source it is for something beside: transformers 4.56 has 7 sources, for three
# models of many, and 2,147 modules; gsplat 1.5.3 has 20 and 24, nerfacc 0.5.3 has 4 and 15
MODULES_AT_MOST = 50


def find_cuda_sources(sources: Iterable[tuple[str, int | None]], modules: int) -> tuple[Compiled, ...] | None:
    """The largest, and how many; None where there are none, or next to none. `sources` are paths and sizes in bytes of
    files named .cu, `modules` the number of Python's."""
    found = [(path, size) for path, size in sources if needs_of_file(path) == "CUDA"]
    if not found or modules > MODULES_AT_MOST * len(found):
        return None
    path, size = max(found, key=lambda one: one[1] or 0)
    more = f", and {len(found) - 1:,} more" if len(found) > 1 else ""
    return (Compiled("CUDA", path, f"a source file{more}", size),)
