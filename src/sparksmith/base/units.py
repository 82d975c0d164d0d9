"""Numbers as people read them."""

from __future__ import annotations

KIB, MIB, GIB = 1024, 1024**2, 1024**3


def format_bytes(count: float) -> str:
    """Binary units: 512 B, 1.5 KiB, 3.2 GiB."""
    for unit, size in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"


def format_count(count: float) -> str:
    """Decimal units: 870, 12.1k, 1.4M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.0f}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """1 row, 2,000 rows; `many` where an s does not make it."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def format_seconds(seconds: float) -> str:
    """8 s, 3 min 20 s, 2 h 05 min."""
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"


def format_percent(rate: float) -> str:
    """A rate of 0.0812 as 8.1%."""
    return f"{100 * rate:.1f}%"
