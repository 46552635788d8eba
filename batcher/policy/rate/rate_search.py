"""Estimates an unannounced rate limit from the requests admitted between two refusals.

A refusal (429) means that the bucket is empty, so admitted / elapsed between two refusals approximates the limit.
Units: requests or tokens, and seconds of any clock that does not run backwards. See
docs/rate-limits.md#unannounced-limits.
"""

from msgspec import Struct
from msgspec.structs import replace

#: Growth per second while seeking, and the share of the rate that the first refusal leaves.
SEEK_GROWTH, FIRST_CUT = 1.1, 0.5
#: Shares of the estimate: what is used while it is quiet, and where the upward trial begins.
CRUISE, PROBE_FROM = 0.98, 1.02
#: Seconds over which the upward trial grows by the estimate, and its end as a multiple of the estimate.
PROBE_S, MOST_PROBE = 15.0, 4.0
#: Seconds of the upward trial without a refusal after which the estimate was too low, and the share of the rate
#: that replaces it.
UNREFUSED_S, UNREFUSED_SHARE = 20.0, 0.7
#: A count between two refusals is valid if at least this many seconds and requests lie between them.
LEAST_SPAN_S, LEAST_COUNT = 1.0, 8.0
#: For a refusal that comes too early for a count: the cut, the maximum rate as a multiple of the count, and the
#: minimum span in seconds.
EARLY_CUT, EARLY_MOST, EARLY_SPAN_S = 0.85, 2.0, 0.2
#: How long the rate is held before it is raised, in seconds: after a guess, after the first counts, and later. The
#: last number is in requests; the longer of both holds.
SHORT_QUIET_S, FIRST_QUIET_S, QUIET_S, QUIET_COUNT = 1.0, 5.0, 20.0, 200.0
#: A count moves the estimate by its share of this many seconds, twice that upward; beyond a tenth it replaces it.
MEMORY_S, UPWARD, NEWS = 30.0, 2.0, 0.10


class Refusal(Struct, frozen=True):
    """A refused request: when it was sent, how much had been admitted by then, and the rate in force."""

    at: float
    admitted: float
    rate: float
    #: Its number among all that were sent, from 1.
    number: int = 0


class RateSearchState(Struct, frozen=True, kw_only=True):
    """The state of the search."""

    #: Since when the rate follows `rate_at`.
    since: float
    #: The rate at `since`, while there is no estimate.
    rate: float
    #: Units per second; None: seeking.
    estimate: float | None = None
    #: Seconds of quiet after `since`.
    quiet: float = FIRST_QUIET_S
    #: The refusal from which admissions are counted.
    noted: Refusal
    #: Whether the last refusal came too soon to count.
    early: bool = False
    #: Units of a usual request.
    unit: float = 1.0


def rate_at(state: RateSearchState, now: float) -> float:
    """Return the rate to send at, in units per second."""
    passed = max(0.0, now - state.since)
    estimate = state.estimate
    if estimate is None:
        return state.rate * float(SEEK_GROWTH ** min(passed, 60.0))
    tried = passed - state.quiet
    if tried < 0.0:
        return CRUISE * estimate
    if state.early:
        # A guess below the limit: the sooner it is left the better.
        return CRUISE * estimate * float(SEEK_GROWTH ** min(tried, 60.0))
    return estimate * min(MOST_PROBE, PROBE_FROM + float((tried / PROBE_S) ** 3))


def started(refusal: Refusal, now: float, *, unit: float = 1.0) -> RateSearchState:
    """Return the state after the first refusal."""
    return RateSearchState(since=now, rate=max(1e-3, FIRST_CUT * refusal.rate), noted=refusal, unit=unit)


def restored(estimate: float, now: float) -> RateSearchState:
    """Return the state for an estimate of an earlier run."""
    return RateSearchState(since=now, rate=estimate, estimate=estimate, noted=Refusal(now, 0.0, estimate))


def after_quiet(state: RateSearchState, now: float) -> RateSearchState:
    """Return the state while nothing is refused: a long trial without a refusal shows that the limit is higher."""
    if state.estimate is None or now - state.since - state.quiet < UNREFUSED_S:
        return state
    rate = rate_at(state, now)
    return replace(state, since=now, estimate=UNREFUSED_SHARE * rate, quiet=0.0)


def after_idling(state: RateSearchState, seconds: float) -> RateSearchState:
    """Return the state if the rate did not limit sending for `seconds`: it does not grow by that time."""
    return replace(state, since=state.since + seconds)


def refused(state: RateSearchState, refusal: Refusal, now: float) -> RateSearchState:
    """Return the state after a refusal of a request that was sent after the last cut."""
    count, span = refusal.admitted - state.noted.admitted, refusal.at - state.noted.at
    if span >= LEAST_SPAN_S and count >= LEAST_COUNT * state.unit:
        return _counted(state, refusal, count / span, span, now)
    rate = EARLY_CUT * refusal.rate
    if span >= EARLY_SPAN_S:
        # Below 0 if requests that were in flight when the count began were refused as well.
        rate = min(rate, EARLY_MOST * (max(0.0, count) + state.unit) / span)
    estimate = max(1e-3, rate / CRUISE)
    return replace(state, since=now, estimate=estimate, quiet=SHORT_QUIET_S, early=True)


def _counted(state: RateSearchState, refusal: Refusal, found: float, span: float, now: float) -> RateSearchState:
    old = state.estimate
    if old is None or state.early or abs(found - old) > NEWS * old:
        # More than estimated: the bucket was full for a while, so the true limit is higher still.
        more = old is not None and found > old
        quiet = SHORT_QUIET_S if more else FIRST_QUIET_S
        return replace(state, since=now, estimate=found, quiet=quiet, noted=refusal, early=False)
    weight = min(1.0, span / MEMORY_S)
    weight = min(1.0, weight * UPWARD) if found > old else weight
    estimate = old + weight * (found - old)
    longest = max(QUIET_S, QUIET_COUNT * state.unit / estimate)
    return replace(state, since=now, estimate=estimate, quiet=min(2 * state.quiet, longest), noted=refusal)
