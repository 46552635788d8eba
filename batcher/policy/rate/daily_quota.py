"""Limits a day: what of the past still counts, and when there is room again.

Use is kept by the hour (hours since the epoch, UTC), so 25 numbers are a day. Where a provider is known to begin
its day at an hour of its own, that day counts; else the last 24 hours do, which every kind of day allows.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from batcher.domain.lanes import DayBegins, DayUse, HourUse

HOUR_US: Final = 3_600_000_000
_HOURS: Final = 24

#: PROVIDERS §2.5. Midnight Pacific is at 7 or 8.
_BEGINS: Final = {
    "openrouter.ai": DayBegins(earliest=0, latest=0),
    "generativelanguage.googleapis.com": DayBegins(earliest=7, latest=8),
}


class DayLimits(Struct, frozen=True):
    """Requests and tokens a day; None: no limit."""

    requests: float | None = None
    tokens: float | None = None


def with_known_day(use: DayUse, host: str) -> DayUse:
    """When the day begins at a host, as far as it says."""
    begins = _BEGINS.get(host)
    return use if begins == use.begins else replace(use, begins=begins)


def first_counted(begins: DayBegins | None, hour: int) -> int:
    """The first hour whose use counts in this one. An hour that counts in part counts whole."""
    if begins is None:
        return hour - _HOURS
    return (hour - begins.latest) // _HOURS * _HOURS + begins.earliest


def counted(hours: Sequence[HourUse], begins: DayBegins | None, hour: int) -> tuple[HourUse, ...]:
    """Those that count in this hour."""
    first = first_counted(begins, hour)
    return tuple(each for each in hours if each.hour >= first)


def total(hours: Sequence[HourUse]) -> HourUse:
    """Their sum, which is of no hour."""
    return HourUse(0, sum(each.requests for each in hours), sum(each.tokens for each in hours))


def has_room(used: HourUse, tokens: float, limits: DayLimits) -> bool:
    """Whether a request of so many tokens may go after these. What is larger than a day goes alone."""
    if limits.requests is not None and used.requests > 0 and used.requests + 1 > limits.requests:
        return False
    return limits.tokens is None or used.tokens <= 0 or used.tokens + tokens <= limits.tokens


def hour_with_room(use: DayUse, tokens: float, limits: DayLimits, hour: int) -> int:
    """The hour from whose beginning on such a request may go; `hour` itself: it may go now."""
    for later in range(hour, hour + _HOURS + 1):
        if has_room(total(counted(use.hours, use.begins, later)), tokens, limits):
            return later
    return hour + _HOURS + 1
