"""A lane as the store remembers it, for `status` while no runner works on it."""

from msgspec import Struct
from msgspec.structs import replace

from batcher.budget.limits import LaneLimits
from batcher.domain.lanes import StoredLane
from batcher.domain.settings import Limits
from batcher.domain.states import LimitSource
from batcher.policy.rate.daily_quota import HOUR_US, DayLimits, hour_with_room


class RestingLane(Struct, frozen=True, kw_only=True):
    """The lane's limits, and what delays its next request. Times are UTC microseconds."""

    rpm: float | None
    tpm: float | None
    #: None if no limit is known.
    source: LimitSource | None
    binding: str | None
    cooling_until: int | None


def resting(stored: StoredLane | None, given: Limits, *, now: int) -> RestingLane:
    """Return what the next run will start with. `stored` is None if no request of the lane was ever claimed."""
    if stored is None:
        source = LimitSource.GIVEN if given != Limits() else None
        return RestingLane(rpm=given.rpm, tpm=given.tpm, source=source, binding=None, cooling_until=None)
    known = stored.memory.limits
    limits = LaneLimits(given, replace(known, learned_rpm=None, day_until=None))
    kept, source = limits.kept(), limits.source()
    rpm = kept.rpm or known.learned_rpm
    is_known = source is not LimitSource.LEARNED or rpm is not None
    day, cooling = _day_until(stored, given, now), stored.cooling_until or 0
    until = max(day, cooling)
    return RestingLane(
        rpm=rpm,
        tpm=kept.tpm or kept.input_tpm,
        source=source if is_known else None,
        binding=None if until <= now else "day" if day >= cooling else "provider",
        cooling_until=until if until > now else None,
    )


def _day_until(lane: StoredLane, given: Limits, now: int) -> int:
    """Return when an exhausted daily limit resets, by the header or our own count; 0 if it is not exhausted."""
    announced = 1_000_000 * (lane.memory.limits.day_until or 0)
    hour = now // HOUR_US
    found = hour_with_room(lane.memory.day, 1.0, DayLimits(given.rpd, given.tpd), hour)
    return max(announced, HOUR_US * found if found > hour else 0)
