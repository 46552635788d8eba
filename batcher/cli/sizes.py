"""Sizes as people read them."""

_STEP = 1_000
_UNITS = ("B", "kB", "MB", "GB", "TB")


def size(count: int) -> str:
    """999 B; 12.3 kB; 1.2 GB."""
    value, unit = float(count), 0
    while value >= _STEP - 0.05 and unit < len(_UNITS) - 1:
        value /= _STEP
        unit += 1
    return f"{count} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"
