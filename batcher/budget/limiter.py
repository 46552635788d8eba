"""One limit of a lane, requests or tokens, enforced by an `AsyncLimiter`."""

from collections import deque

from aiolimiter import AsyncLimiter

from batcher.policy.rate.token_bucket import (
    FULL_MARGIN,
    Balance,
    Pace,
    acquired,
    cut_margin,
    extra_cost,
    initial_balance,
    part_to_take,
    passed,
    seconds_to_room,
    take,
    without_room,
)


class RateLimiter:
    """A ceiling and a balance.

    The limiter is the ceiling: whatever the balance says, no more than a bucketful plus the rate passes. It has no
    debt, no refund, and does not report its level, so the balance adds these. The gate never waits inside the
    limiter: it sleeps until there should be room and asks again. So any change meanwhile can wake the gate, a
    cancelled wait leaves nothing behind, and if there is room nothing is awaited at all.
    """

    __slots__ = ("_at", "_balance", "_ceiling", "_cost", "_margin", "_meter", "pace")

    def __init__(self, pace: Pace, *, now: float, debt: float = 0.0) -> None:
        self.pace = pace
        self._ceiling = AsyncLimiter(pace.bucket, pace.bucket / pace.rate)
        self._balance: Balance = initial_balance(pace, debt=debt)
        self._at = now
        self._meter = Meter(now)
        self._margin = FULL_MARGIN
        #: What a unit costs while the margin is smaller than usual; this slows the lane without a second limiter.
        self._cost = 1.0

    def ask(self, amount: float, now: float) -> float:
        """Return the seconds after which to ask again; 0 if what a request of `amount` needs first is taken."""
        pace = self.pace
        if self._cost != 1.0:
            self._cost = extra_cost(self._margin, now)
            amount *= self._cost
        balance = passed(self._balance, now - self._at, pace)
        self._at = now
        while (part := part_to_take(balance, amount, pace)) and self._ceiling.has_capacity(part):
            _acquire(self._ceiling, part)
            balance = acquired(balance, part)
        if part:
            balance = without_room(balance, part, pace)
        self._balance = balance
        return seconds_to_room(balance, part, pace) if part else 0.0

    def spend(self, amount: float, now: float) -> None:
        """Use what was taken for a request of `amount`; what exceeds it becomes debt."""
        self._balance = take(self._balance, amount * self._cost)
        self._meter.add(amount, now)

    def give_back(self, amount: float, now: float) -> None:
        """Give back what a request that was not sent had taken.

        The next request may use it while the bucket would have kept it.
        """
        self._balance = take(passed(self._balance, now - self._at, self.pace), -amount * self._cost)
        self._at = now
        self._meter.add(-amount, now)

    def tighten(self, now: float) -> None:
        """Handle a refusal: use a little less than the limit until the margin has recovered."""
        self._margin = cut_margin(self._margin, now)
        self._cost = extra_cost(self._margin, now)

    def debt(self, now: float) -> float:
        """Return the units that are still owed for what was sent."""
        return max(0.0, passed(self._balance, now - self._at, self.pace).owed)

    def use(self, now: float) -> float:
        """Return the units per second sent recently."""
        return self._meter.rate(now)


def _acquire(limiter: AsyncLimiter, amount: float) -> None:
    """Take as much as it has room for; `acquire` then returns at its first step, without a task in between."""
    try:
        limiter.acquire(amount).send(None)
    except StopIteration:
        return
    raise RuntimeError(f"{limiter} had room for {amount}, and has none")


#: Seconds that the meter looks back, and seconds between two marks.
WINDOW_S = 10.0
STEP_S = 1.0


class Meter:
    """Units per second over the last `WINDOW_S`: one addition per admission, one mark per second."""

    __slots__ = ("_marks", "_total")

    def __init__(self, now: float) -> None:
        self._total = 0.0
        self._marks = deque([(now, 0.0)], maxlen=int(WINDOW_S / STEP_S) + 1)

    def add(self, amount: float, now: float) -> None:
        """Count `amount` at `now`."""
        if now - self._marks[-1][0] >= STEP_S:
            self._marks.append((now, self._total))
        self._total += amount

    def rate(self, now: float) -> float:
        """Return the units per second since the oldest mark within the window; 0 if all marks are older."""
        for at, total in self._marks:
            if now - at <= WINDOW_S:
                return max(0.0, self._total - total) / max(STEP_S, now - at)
        return 0.0
