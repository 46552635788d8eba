"""Durations as options take them: `90s`, `15m`, `6h`, `7d` or `2w`."""

import re
from typing import Final

import click

_DURATION: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)([smhdw])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def read_duration(text: str) -> float | None:
    """Return the seconds of a number with a unit; None if it is anything else."""
    match = _DURATION.fullmatch(text.strip())
    return None if match is None else float(match[1]) * _UNITS[match[2]]


class Seconds(click.ParamType):  # type: ignore[type-arg]  # only the newest click has them
    """A number of seconds, or a duration with a unit."""

    name = "seconds"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds. Their range is checked with the other sources of the setting."""
        duration = read_duration(str(value))
        if duration is not None:
            return duration
        try:
            return float(str(value))
        except ValueError:
            self.fail(f"{value!r} is neither a number of seconds nor a time such as 90s, 15m or 6h", param, ctx)
