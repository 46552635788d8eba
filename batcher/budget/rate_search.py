"""The pace of a lane whose limits are not announced: unlimited until refusals show a limit, then by rate search.

See docs/rate-limits.md#unannounced-limits.
"""

from collections import deque
from math import inf

from batcher.policy.rate.rate_search import (
    RateSearchState,
    Refusal,
    after_idling,
    after_quiet,
    rate_at,
    refused,
    restored,
    started,
)
from batcher.policy.rate.refusal_share import (
    PROVED,
    RefusalShare,
    Trial,
    after_vain_trial,
    odds_of_chance,
    share_to_try,
    with_refusal,
)

#: Seconds' worth of the rate that may be sent at once.
_BURST_S = 0.1
#: Seconds over which the rate before the first refusal is measured.
_LATELY_S = 1.0
#: Seconds without a request after which the rate was not what limited sending.
_IDLE_S = 0.5
#: Seconds of our own first wait after a refused probe, doubled by each further one, and its maximum.
_FIRST_WAIT_S, _MOST_WAIT_S = 0.1, 5.0
#: A probe that was not refused within this many times the usual delay of a refusal was accepted; and the least
#: delay, in seconds.
_PATIENCE, _LEAST_PATIENCE_S = 2.5, 0.05
#: If 6 of the last 40 requests were refused although the rate was cut to half of the first, the refusals are
#: unrelated to the rate. At a true limit, a rate cut by half is refused once in a hundred.
_LOOKED_AT, _MOST_REFUSED, _MUCH_CUT = 40, 6, 0.5
#: Seconds below which a wait is a rounding error; sleeping it would end at the same instant and ask again.
_ROUNDING_S = 1e-9
#: Weight of a new refusal's delay.
_WEIGHT = 0.2


class PaceSearch:
    """Counts what is sent; once refusals show a limit, paces it."""

    __slots__ = (
        "_ends",
        "_first_rate",
        "_last",
        "_lately",
        "_next",
        "_refusal_s",
        "_refused",
        "_sent",
        "_share",
        "_trial",
        "_waits",
        "_was_in_vain",
        "cut_at",
        "state",
    )

    def __init__(self, now: float, *, estimate: float | None = None) -> None:
        self.state: RateSearchState | None = None if estimate is None else restored(estimate, now)
        self.cut_at = -inf
        self._sent = self._refused = 0
        self._share = RefusalShare()
        #: While it is judged whether a lower rate is refused less often.
        self._trial: Trial | None = None
        #: A lower rate did not help once: then a wait that is stated is kept, and shows no limit any more.
        self._was_in_vain = False
        self._lately: deque[float] = deque()
        self._next = now
        self._last = now
        self._waits = 0
        self._refusal_s = 0.02
        #: Whether each of the last requests since the rate was first cut was refused.
        self._ends: deque[bool] = deque(maxlen=_LOOKED_AT)
        self._first_rate = 0.0

    @property
    def estimate(self) -> float | None:
        """Return the requests per second that the provider accepts, as far as is known."""
        return None if self.state is None else self.state.estimate

    def rate(self, now: float) -> float | None:
        """Return the present rate in requests per second; None: unlimited."""
        return None if self.state is None else rate_at(self.state, now)

    def utilization(self, now: float) -> float | None:
        """Return the present rate as a share of the estimate."""
        rate, estimate = self.rate(now), self.estimate
        return None if rate is None or estimate is None else rate / estimate

    @property
    def patience_s(self) -> float:
        """Return the seconds after which a probe that was not refused was accepted."""
        return max(_LEAST_PATIENCE_S, _PATIENCE * self._refusal_s)

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may be sent."""
        if self.state is None:
            return 0.0
        wait = self._next - _BURST_S - now
        return wait if wait > _ROUNDING_S else 0.0

    def spend(self, now: float) -> Refusal:
        """Count a request that is being sent. Returns the input for `refused` if it is refused."""
        self._sent += 1
        idle, self._last = now - self._last, now
        if self.state is None:
            return Refusal(now, self._sent - self._refused, self._count_lately(now), self._sent)
        rate = rate_at(self.state, now)
        if idle > _IDLE_S + 2.0 / rate:
            # Too few rows or connections, or a hold: no reason to try a higher rate.
            self.state = after_idling(self.state, idle)
        self.state = after_quiet(self.state, now)
        self._next = max(self._next, now) + 1.0 / rate
        return Refusal(now, self._sent - self._refused, rate, self._sent)

    def _count_lately(self, now: float) -> float:
        lately = self._lately
        lately.append(now)
        while lately[0] < now - _LATELY_S:
            lately.popleft()
        return len(lately) / max(0.1, min(_LATELY_S, now - lately[0]))

    def give_back(self) -> None:
        """Undo the count of a request that was not sent after all."""
        self._sent -= 1

    def answered(self) -> None:
        """Report a success: our own waits start small again."""
        self._waits = 0
        if self.state is not None:
            self._ends.append(False)

    def refused(self, mark: Refusal, now: float, *, probe: bool, stated: bool = False) -> float:
        """Report a refusal. `stated`: it names the time to wait, and so is no random one.

        Returns the seconds to hold the lane before one request goes alone; 0 if it is outdated, or shows no limit.
        """
        self._refused += 1
        self._refusal_s += _WEIGHT * (now - mark.at - self._refusal_s)
        if self.state is None:
            return self._begin_if_limited(mark, now, stated=stated)
        if self._is_chance(mark, now, probe=probe):
            self.state, self._trial = None, None
            self._share = after_vain_trial(self._share, self._sent)
            self._was_in_vain = True
            return 0.0
        if probe:
            self._waits += 1
            return min(_MOST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(self._waits, 10))
        if mark.at < self.cut_at:
            return 0.0
        return self._cut(refused(self.state, _before(mark), now), now)

    def _begin_if_limited(self, mark: Refusal, now: float, *, stated: bool) -> float:
        """Begin the search if the refusals so far show a limit, or a lower rate is worth a trial."""
        if mark.at < self.cut_at:
            return 0.0
        self._share = with_refusal(self._share, mark.number)
        share = share_to_try(self._share)
        if share is None and (not stated or self._was_in_vain):
            return 0.0
        self._trial = None if share is None else Trial(share, self._sent)
        self._first_rate = mark.rate
        self._ends.clear()
        return self._cut(started(_before(mark), now), now)

    def _cut(self, state: RateSearchState, now: float) -> float:
        self.state, self.cut_at = state, now
        self._lately.clear()
        hold_s = 1.0 / rate_at(state, now)
        # What the provider refuses it does not charge; nothing is sent in a burst after the hold.
        self._next = now + hold_s + _BURST_S
        return hold_s

    def _is_chance(self, mark: Refusal, now: float, *, probe: bool) -> bool:
        """Return whether refusals come as often as ever although the rate was cut. Then the search ends."""
        assert self.state is not None  # noqa: S101 - for the type checker
        if (trial := self._trial) is not None and mark.number > trial.since:
            self._trial = trial = Trial(trial.share, trial.since, trial.refused + 1)
            odds = odds_of_chance(trial, mark.number)
            if odds >= PROVED:
                return True
            if odds <= -PROVED:
                self._trial = None
        if probe or mark.at < self.cut_at:
            return False
        self._ends.append(True)
        often = len(self._ends) == _LOOKED_AT and sum(self._ends) >= _MOST_REFUSED
        return often and rate_at(self.state, now) < _MUCH_CUT * self._first_rate


def _before(mark: Refusal) -> Refusal:
    """Return the refusal without the refused request itself among those admitted."""
    return Refusal(mark.at, mark.admitted - 1, mark.rate, mark.number)
