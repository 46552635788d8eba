"""How many requests may be in flight while no limit is known: more, as long as more brings more throughput.

Latency that grows while throughput does not is a sign of overload: the server works at capacity. See
docs/rate-limits.md#concurrency.
"""

from msgspec import Struct
from msgspec.structs import replace

#: The first cap, up to which growth is stopped only by latency (`queueing`), and the last; and the least that is
#: tried.
FIRST_CAP, LAST_CAP, LEAST_CAP = 64, 1000, 2
#: The factor of a step, and the growth of throughput that keeps a step up; below the first cap, where fewer
#: replies are counted, steps are larger.
STEP, WORTH_IT = 1.5, 1.15
SMALL_STEP, SMALL_WORTH_IT = 2.0, 1.2
#: A step down is kept if this share of the throughput is left.
KEPT = 0.9
#: Seconds over which throughput is measured, at least, and in latencies; and replies below the first cap.
LEAST_SPAN_S, SPAN_LATENCIES, LEAST_REPLIES = 1.0, 1.0, 48
#: Seconds until the next trial after one in vain, doubled by each further one, and their maximum.
LATER_S, LATEST_S = 60.0, 480.0


class Climb(Struct, frozen=True, kw_only=True):
    """The state of the search for a cap."""

    cap: int = FIRST_CAP
    #: Replies per second before the step on trial; None: none is.
    before: float | None = None
    #: Whether the trial, or the next one, is a step down.
    down: bool = False
    #: Since when replies are counted (in the future: after the requests of the last step), and how many there
    #: were.
    since: float | None = None
    count: int = 0
    #: No step before this time, and the seconds after the next trial in vain.
    later: float = 0.0
    wait_s: float = LATER_S
    #: Whether anything has been measured: a step, or a queue.
    measured: bool = False


def queued(cap: int, now: float) -> Climb:
    """Return the state after a queue was recognized: this cap holds until a larger one has proved better."""
    return Climb(cap=max(1, cap), measured=True, later=now)


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
    if (
        span < max(LEAST_SPAN_S, SPAN_LATENCIES * latency)
        or now < climb.later
        or (climb.cap < FIRST_CAP and counted < LEAST_REPLIES)
    ):
        return replace(climb, count=counted)
    return _judged(climb, counted / span, now)


def _judged(climb: Climb, rate: float, now: float) -> Climb:
    before, down = climb.before, climb.down
    if before is None:
        return _stepped(climb, rate)
    # The step was made from the smaller of both caps.
    worth_it = SMALL_WORTH_IT if _stepping(climb.cap, down=not down) < FIRST_CAP else WORTH_IT
    if rate >= (KEPT * before if down else worth_it * before):
        return _stepped(replace(climb, wait_s=LATER_S), rate)
    return Climb(
        cap=_stepping(climb.cap, down=not down),
        down=not down,
        later=now + climb.wait_s,
        wait_s=min(LATEST_S, 2 * climb.wait_s),
        measured=True,
    )


def _stepped(climb: Climb, rate: float) -> Climb:
    cap = _stepping(climb.cap, down=climb.down)
    if cap == climb.cap:
        # The smallest cap: nothing is left to try but more.
        return replace(climb, down=False, before=None, since=None, count=0)
    return Climb(cap=cap, before=rate, down=climb.down, wait_s=climb.wait_s, measured=True)


def _stepping(cap: int, *, down: bool) -> int:
    """Return the next cap in that direction. Steps up and down meet the same caps."""
    if down:
        return max(LEAST_CAP, round(cap / (STEP if cap > FIRST_CAP else SMALL_STEP)))
    return min(LAST_CAP, round(cap * (STEP if cap >= FIRST_CAP else SMALL_STEP)))


class Ceiling(Struct, frozen=True):
    """How many a server accepts at once: one more was refused, at the price of a stated wait."""

    most: int
    #: Nothing grows before this time, and the seconds for which it was held.
    until: float
    held_s: float


def ceiling_after(ceiling: Ceiling | None, accepted: int, resumes_at: float, *, again: bool) -> Ceiling:
    """Return the ceiling after a refusal beside so many others. `again`: it is not of the same burst."""
    if ceiling is None or resumes_at > ceiling.until + 2 * ceiling.held_s:
        return Ceiling(accepted, resumes_at + LATER_S, LATER_S)
    if not again:
        return Ceiling(min(accepted, ceiling.most), ceiling.until, ceiling.held_s)
    held_s = min(LATEST_S, 2 * ceiling.held_s)
    return Ceiling(accepted, resumes_at + held_s, held_s)
