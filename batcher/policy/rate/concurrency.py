"""How many requests may be in flight while no limit is known: more, as long as more brings more throughput.

Latency that grows while throughput does not is a sign of overload: the server works at capacity. See
docs/rate-limits.md#concurrency.
"""

from msgspec import Struct
from msgspec.structs import replace

#: The first cap and the last; up to the first nothing is measured, because any server can take it.
FIRST_CAP, LAST_CAP = 64, 1000
#: The factor of a step up, and the growth of throughput that keeps it.
STEP, WORTH_IT = 1.5, 1.15
#: Seconds over which throughput is measured: at least, and in latencies; and seconds until the next trial after
#: one in vain.
LEAST_SPAN_S, SPAN_LATENCIES, LATER_S = 1.0, 1.0, 60.0


class Climb(Struct, frozen=True, kw_only=True):
    """The state of the search for a cap."""

    cap: int = FIRST_CAP
    #: Replies per second under the cap before this one; None: not measured.
    before: float | None = None
    #: Since when replies are counted (in the future: after the requests of the last step), and how many there
    #: were.
    since: float | None = None
    count: int = 0
    #: No step before this time.
    later: float = 0.0


def answered(climb: Climb, now: float, latency: float, *, is_full: bool) -> Climb:
    """Return the state after a success. `is_full`: as many are in flight as the cap allows."""
    if climb.cap >= LAST_CAP:
        return climb
    if not is_full:
        return climb if climb.since is None else replace(climb, since=None, count=0)
    if climb.since is None:
        return replace(climb, since=now + latency, count=0)
    if now < climb.since:
        return climb
    counted, span = climb.count + 1, now - climb.since
    if span < max(LEAST_SPAN_S, SPAN_LATENCIES * latency) or now < climb.later:
        return replace(climb, count=counted)
    return _judged(climb, counted / span, now)


def _judged(climb: Climb, rate: float, now: float) -> Climb:
    if climb.before is None or rate >= WORTH_IT * climb.before:
        return Climb(cap=min(LAST_CAP, round(climb.cap * STEP)), before=rate)
    return Climb(cap=max(FIRST_CAP, round(climb.cap / STEP)), later=now + LATER_S)
