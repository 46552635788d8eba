"""The pace of a lane whose limits nobody names: free until the first refusal, then by census (RATE §6)."""

from collections import deque
from math import inf

from batcher.policy.rate.rate_search import Census, Refusal, begun, idled, rate_at, refused, remembered, unrefused

#: Seconds of the rate that may go at once.
_BURST_S = 0.1
#: Seconds over which the rate before the first refusal is measured.
_LATELY_S = 1.0
#: Seconds without a request that mean the rate did not bind.
_IDLE_S = 0.5
#: Seconds of the first wait of our own after a refused probe, doubled by each further one, and its end.
_FIRST_WAIT_S, _MOST_WAIT_S = 0.1, 5.0
#: A probe that was not refused within so many times the usual time of a refusal was let in; seconds, at least.
_PATIENCE, _LEAST_PATIENCE_S = 2.5, 0.05
#: Of so many requests so many refused, though the rate was cut to this share of the first: the refusals have
#: nothing to do with the rate. At a limit a cut rate is refused once in a hundred.
_LOOKED_AT, _MOST_REFUSED, _MUCH_CUT = 40, 6, 0.5
#: Seconds to hold the lane after such a refusal.
_UNRELATED_HOLD_S = 0.5
#: Seconds below which a wait is rounding: slept through, it would be asked for again at the same instant.
_ROUNDING_S = 1e-9
#: Weight of a new refusal's time.
_WEIGHT = 0.2


class Blind:
    """Counts what goes; once something was refused, paces it."""

    __slots__ = (
        "_ends",
        "_first_rate",
        "_last",
        "_lately",
        "_next",
        "_refusal_s",
        "_refused",
        "_sent",
        "_waits",
        "census",
        "cut_at",
    )

    def __init__(self, now: float, *, estimate: float | None = None) -> None:
        self.census: Census | None = None if estimate is None else remembered(estimate, now)
        self.cut_at = -inf
        self._sent = self._refused = 0
        self._lately: deque[float] = deque()
        self._next = now
        self._last = now
        self._waits = 0
        self._refusal_s = 0.02
        #: Whether each of the last requests since the first refusal was refused; None: refusals tell no rate.
        self._ends: deque[bool] | None = deque(maxlen=_LOOKED_AT)
        self._first_rate = 0.0

    @property
    def estimate(self) -> float | None:
        """Requests a second that the provider takes, as far as is known."""
        return None if self.census is None else self.census.estimate

    def rate(self, now: float) -> float | None:
        """Requests a second now; None: free."""
        return None if self.census is None else rate_at(self.census, now)

    def utilization(self, now: float) -> float | None:
        """The rate now, as a share of the estimate."""
        rate, estimate = self.rate(now), self.estimate
        return None if rate is None or estimate is None else rate / estimate

    @property
    def patience_s(self) -> float:
        """Seconds after which a probe that was not refused was let in."""
        return max(_LEAST_PATIENCE_S, _PATIENCE * self._refusal_s)

    def wait(self, now: float) -> float:
        """Seconds until the next request may go."""
        if self.census is None:
            return 0.0
        wait = self._next - _BURST_S - now
        return wait if wait > _ROUNDING_S else 0.0

    def spend(self, now: float) -> Refusal:
        """A request goes. Returns what is to be told if it is refused."""
        self._sent += 1
        idle, self._last = now - self._last, now
        if self.census is None:
            return Refusal(now, self._sent - self._refused, self._count_lately(now))
        rate = rate_at(self.census, now)
        if idle > _IDLE_S + 2.0 / rate:
            # Too few rows or connections, or a hold: no reason to try a higher rate.
            self.census = idled(self.census, idle)
        self.census = unrefused(self.census, now)
        self._next = max(self._next, now) + 1.0 / rate
        return Refusal(now, self._sent - self._refused, rate)

    def _count_lately(self, now: float) -> float:
        lately = self._lately
        lately.append(now)
        while lately[0] < now - _LATELY_S:
            lately.popleft()
        return len(lately) / max(0.1, min(_LATELY_S, now - lately[0]))

    def give_back(self) -> None:
        """A request did not go after all."""
        self._sent -= 1

    def answered(self) -> None:
        """A success: our own waits start small again."""
        self._waits = 0
        if self.census is not None and self._ends is not None:
            self._ends.append(False)

    def refused(self, mark: Refusal, now: float, *, probe: bool) -> float:
        """A request was refused. Returns the seconds to hold the lane before one goes alone; 0: old news."""
        self._refused += 1
        self._refusal_s += _WEIGHT * (now - mark.at - self._refusal_s)
        if probe:
            self._waits += 1
            return min(_MOST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(self._waits, 10))
        if mark.at < self.cut_at:
            return 0.0
        self.cut_at = now
        if self._tells_no_rate(now):
            self.census = None
            return _UNRELATED_HOLD_S
        before = Refusal(mark.at, mark.admitted - 1, mark.rate)
        if self.census is None:
            self._first_rate = before.rate
            self.census = begun(before, now)
        else:
            self.census = refused(self.census, before, now)
        self._lately.clear()
        hold_s = 1.0 / rate_at(self.census, now)
        # What the provider refuses it has not: nothing goes at once after the hold.
        self._next = now + hold_s + _BURST_S
        return hold_s

    def _tells_no_rate(self, now: float) -> bool:
        """Whether refusals come as often as ever though the rate was cut: then no rate is looked for any more."""
        if self._ends is None:
            return True
        if self.census is None:
            return False
        self._ends.append(True)
        often = len(self._ends) == _LOOKED_AT and sum(self._ends) >= _MOST_REFUSED
        if often and rate_at(self.census, now) < _MUCH_CUT * self._first_rate:
            self._ends = None
        return self._ends is None
