"""Counts what a lane sends per day; the count continues across restarts."""

from batcher.domain.lanes import DayUse, HourUse
from batcher.domain.outcomes import Usage
from batcher.policy.rate.charging import Need
from batcher.policy.rate.daily_quota import HOUR_US, DayLimits, counted, has_room, hour_with_room, total
from batcher.ports import Clock

#: Seconds after which the wall clock is read again at the latest, because the loop's clock may stop while the
#: machine sleeps.
_LOOK_S = 60.0
#: The same while nothing may be sent.
_WAIT_S = 600.0


class Day:
    """Requests sent, and their tokens: as replies count them, or as estimated while in flight."""

    __slots__ = (
        "_begins",
        "_clock",
        "_earlier",
        "_hour",
        "_hours",
        "_look_at",
        "_out_requests",
        "_out_tokens",
        "_requests",
        "_tokens",
        "limits",
        "until",
    )

    def __init__(self, use: DayUse, clock: Clock, now: float) -> None:
        self.limits = DayLimits()
        #: UTC microseconds from which on there is room; None if there is now.
        self.until: int | None = None
        self._clock = clock
        self._begins = use.begins
        #: Past hours, and the sum of those that count.
        self._hours = use.hours
        self._requests, self._tokens = 0, 0.0
        #: Of these, what is in flight.
        self._out_requests, self._out_tokens = 0, 0.0
        self._hour = -1
        self._look(now)

    def keep(self, limits: DayLimits) -> bool:
        """Keep these limits from now on. Returns whether they differ from those before."""
        if limits == self.limits:
            return False
        self.limits, self.until = limits, None
        return True

    def _look(self, now: float) -> None:
        """Read the wall clock and update the counts."""
        wall = self._clock.now()
        self._look_at = now + min(_LOOK_S, (HOUR_US - wall % HOUR_US) / 1e6)
        if wall // HOUR_US != self._hour:
            hours = self._all()
            self._hour = wall // HOUR_US
            self._hours = counted(hours, self._begins, self._hour)
            self._earlier = total(self._hours)
            self._requests, self._tokens = 0, 0.0

    def _all(self) -> tuple[HourUse, ...]:
        now = HourUse(self._hour, self._requests, round(self._tokens))
        return (*self._hours, now) if now.requests or now.tokens else self._hours

    def wait(self, need: Need, now: float) -> float:
        """Return the seconds after which to ask again; 0: such a request may be sent."""
        limits = self.limits
        if limits.requests is None and limits.tokens is None:
            return 0.0
        if now >= self._look_at:
            self._look(now)
        tokens = need.prompt + need.expected
        so_far = HourUse(self._hour, self._requests, round(self._tokens))
        if has_room(total((self._earlier, so_far)), tokens, limits):
            self.until = None
            return 0.0
        use = DayUse(hours=self._all(), begins=self._begins)
        self.until = HOUR_US * hour_with_room(use, tokens, limits, self._hour)
        return min(_WAIT_S, max(0.001, (self.until - self._clock.now()) / 1e6))

    def spend(self, need: Need, now: float) -> float:
        """Count a request that is being sent. Returns the tokens that it is counted for."""
        if now >= self._look_at:
            self._look(now)
        tokens = need.prompt + need.expected
        self._requests += 1
        self._tokens += tokens
        self._out_requests += 1
        self._out_tokens += tokens
        return tokens

    def cancel(self, tokens: float) -> None:
        """Undo the count of a request that was not sent after all."""
        self._requests -= 1
        self._tokens -= tokens
        self._no_longer_out(tokens)

    def _no_longer_out(self, tokens: float) -> None:
        self._out_requests -= 1
        self._out_tokens = self._out_tokens - tokens if self._out_requests else 0.0

    def come_back(self, tokens: float, usage: Usage | None) -> None:
        """Correct the count of a request that came back: its usage, or zero if it was not answered."""
        acquired = 0 if usage is None else (usage.input_tokens or 0) + (usage.output_tokens or 0)
        self._tokens += acquired - tokens
        self._no_longer_out(tokens)

    def use(self, now: float) -> DayUse:
        """Return what the next run should know: the use of requests that came back.

        Those in flight are counted when their runner is found dead (`store.queue.runners.rescue`).
        """
        if now >= self._look_at:
            self._look(now)
        requests, tokens = self._requests - self._out_requests, self._tokens - self._out_tokens
        back = HourUse(self._hour, max(0, requests), round(max(0.0, tokens)))
        hours = (*self._hours, back) if back.requests or back.tokens else self._hours
        return DayUse(hours=hours, begins=self._begins)
