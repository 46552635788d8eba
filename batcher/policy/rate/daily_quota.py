"""Daily limits: which past use still counts, and when there is room again.

Use is kept per hour (hours since the epoch, UTC), so 25 numbers make a day. If a provider is known to begin its
day at a certain hour, that day counts; otherwise the last 24 hours do, which satisfies every kind of day.
"""

from collections.abc import Sequence
from math import ceil
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from batcher.domain.lanes import DayBegins, DayUse, HourUse

HOUR_US: Final = 3_600_000_000
_HOURS: Final = 24

#: See docs/providers.md#daily-limits. Midnight Pacific is at 07:00 or 08:00 UTC.
_BEGINS: Final = {
    "openrouter.ai": DayBegins(earliest=0, latest=0),
    "generativelanguage.googleapis.com": DayBegins(earliest=7, latest=8),
}


class DayLimits(Struct, frozen=True):
    """Requests and tokens per day; None: no limit."""

    requests: float | None = None
    tokens: float | None = None


def with_known_day(use: DayUse, host: str) -> DayUse:
    """Add when the day begins at a host, if it documents that."""
    begins = _BEGINS.get(host)
    return use if begins == use.begins else replace(use, begins=begins)


def with_use(use: DayUse, more: HourUse) -> DayUse:
    """Add use within an hour."""
    by_hour: dict[int, HourUse] = {}
    for each in (*use.hours, more):
        before = by_hour.get(each.hour)
        by_hour[each.hour] = each if before is None else summed(each.hour, [before, each])
    return replace(use, hours=tuple(by_hour[hour] for hour in sorted(by_hour)))


def shifted(use: DayUse, by_us: int, hour: int) -> DayUse:
    """Move past use by a difference of clocks: if it falls between two hours, to the later one, up to `hour`."""
    moved = DayUse(begins=use.begins)
    for each in use.hours:
        later = min(hour, each.hour + ceil(by_us / HOUR_US))
        moved = with_use(moved, HourUse(later, each.requests, each.tokens))
    return moved


def summed(hour: int, hours: Sequence[HourUse]) -> HourUse:
    """Return their sum as that of one hour."""
    return HourUse(hour, sum(each.requests for each in hours), sum(each.tokens for each in hours))


def first_counted(begins: DayBegins | None, hour: int) -> int:
    """Return the first hour whose use counts in this one. An hour that counts in part counts whole."""
    if begins is None:
        return hour - _HOURS
    return (hour - begins.latest) // _HOURS * _HOURS + begins.earliest


def counted(hours: Sequence[HourUse], begins: DayBegins | None, hour: int) -> tuple[HourUse, ...]:
    """Return the hours that count in this hour."""
    first = first_counted(begins, hour)
    return tuple(each for each in hours if each.hour >= first)


def total(hours: Sequence[HourUse]) -> HourUse:
    """Return their sum, which belongs to no hour."""
    return summed(0, hours)


def has_room(used: HourUse, tokens: float, limits: DayLimits) -> bool:
    """Return whether a request of `tokens` fits after this use. One larger than a day's limit goes alone."""
    if limits.requests is not None and used.requests > 0 and used.requests + 1 > limits.requests:
        return False
    return limits.tokens is None or used.tokens <= 0 or used.tokens + tokens <= limits.tokens


def hour_with_room(use: DayUse, tokens: float, limits: DayLimits, hour: int) -> int:
    """Return the hour from whose start such a request may be sent; `hour` itself: now."""
    for later in range(hour, hour + _HOURS + 1):
        if has_room(total(counted(use.hours, use.begins, later)), tokens, limits):
            return later
    return hour + _HOURS + 1
