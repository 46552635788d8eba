"""A strict provider's rate limiter as pure arithmetic: token buckets that refill continuously.

No clock and no I/O: `now` is an argument, in seconds of any monotonic clock.
"""

from math import ceil
from typing import Literal, assert_never

from msgspec import Struct

from batcher.domain.lanes import Charge
from batcher.domain.settings import Limits
from batcher.domain.states import ChargeRule

Dimension = Literal["requests", "tokens"]

#: Tolerance for sums of floats: far below one token, far above rounding errors.
_EPSILON = 1e-9


class Admitted(Struct, frozen=True, kw_only=True):
    """The request is admitted; `tokens` were charged."""

    tokens: float


class Rejected(Struct, frozen=True, kw_only=True):
    """The request is rejected; nothing was charged.

    The numbers are those of OpenAI's message: requests or tokens per minute.
    """

    dimension: Dimension
    limit: float
    used: float
    requested: float
    #: Seconds until the same request would be admitted; None: never, because it is larger than the limit.
    retry_after_s: float | None


Admission = Admitted | Rejected


class Bucket:
    """The token bucket of one dimension: at most `burst` seconds of budget; starts full, may go into debt."""

    def __init__(self, *, limit: float, burst: float) -> None:
        self.limit = limit
        self.rate = limit / 60
        self.capacity = self.rate * burst
        self._level = self.capacity
        self._at: float | None = None

    def level(self, now: float) -> float:
        """Return the budget in the bucket; below 0 it is debt. A `now` before the last one counts as the last."""
        last = now if self._at is None else self._at
        self._level = min(self.capacity, self._level + max(0.0, now - last) * self.rate)
        self._at = max(now, last)
        return self._level

    def deficit(self, now: float) -> float:
        """Return how much is missing from a full bucket."""
        return self.capacity - self.level(now)

    def wait(self, now: float, cost: float) -> float:
        """Return the seconds until `cost` fits (0: now). A cost above the capacity needs a full bucket."""
        missing = min(cost, self.capacity) - self.level(now)
        return 0.0 if missing <= _EPSILON else missing / self.rate

    def take(self, now: float, cost: float) -> None:
        """Charge `cost`; the bucket may go into debt."""
        self._level = self.level(now) - cost


class Limiter:
    """The limits of one model: a bucket for requests and one for tokens, each only if it is limited."""

    def __init__(self, limits: Limits, *, burst: float, rule: ChargeRule) -> None:
        self._rule = rule
        self._buckets: dict[Dimension, Bucket] = {}
        if limits.rpm is not None:
            self._buckets["requests"] = Bucket(limit=limits.rpm, burst=burst)
        if limits.tpm is not None:
            self._buckets["tokens"] = Bucket(limit=limits.tpm, burst=burst)

    def admit(self, now: float, charge: Charge) -> Admission:
        """Charge every dimension or none; a rejection names the dimension with the longest wait."""
        tokens = upfront(self._rule, charge)
        costs: dict[Dimension, float] = {"requests": 1.0, "tokens": tokens}
        rejections = [
            rejection
            for dimension, bucket in self._buckets.items()
            if (rejection := _rejection(dimension, bucket, now, costs[dimension])) is not None
        ]
        if rejections:
            return max(rejections, key=_severity)
        for dimension, bucket in self._buckets.items():
            bucket.take(now, costs[dimension])
        return Admitted(tokens=tokens)

    def produced(self, now: float, tokens: float) -> None:
        """Charge the output of an admitted request, under the rule `produced` only; do nothing otherwise."""
        if self._rule is ChargeRule.PRODUCED and "tokens" in self._buckets:
            self._buckets["tokens"].take(now, tokens)

    def headers(self, now: float) -> dict[str, str]:
        """Return `x-ratelimit-*` as OpenAI sends them: `remaining` of the limit per minute, `reset` until full."""
        fields: dict[str, str] = {}
        for dimension, bucket in self._buckets.items():
            deficit = bucket.deficit(now)
            fields[f"x-ratelimit-limit-{dimension}"] = f"{bucket.limit:.0f}"
            fields[f"x-ratelimit-remaining-{dimension}"] = str(max(0, int(bucket.limit - deficit)))
            fields[f"x-ratelimit-reset-{dimension}"] = go_duration(deficit / bucket.rate)
        return fields


def upfront(rule: ChargeRule, charge: Charge) -> float:
    """Return the tokens that a rule charges at admission; `produced` charges the output once it is produced."""
    match rule:
        case ChargeRule.SUM:
            return charge.input_tokens + charge.output_tokens
        case ChargeRule.MAX:
            return max(charge.input_tokens, charge.output_tokens)
        case ChargeRule.PRODUCED:
            return charge.input_tokens
        case _:
            assert_never(rule)


def go_duration(seconds: float) -> str:
    """Format seconds as Go does, rounded up to a millisecond: `0s`, `12ms`, `1.2s`, `6m0s`, `1h0m0.5s`."""
    millis = max(0, ceil(round(seconds * 1000, 6)))
    if 0 < millis < 1000:  # noqa: PLR2004 -- milliseconds in a second
        return f"{millis}ms"
    minutes, rest = divmod(millis, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest // 1000}.{rest % 1000:03d}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _rejection(dimension: Dimension, bucket: Bucket, now: float, cost: float) -> Rejected | None:
    # A single request always fits eventually, even if the limit is below one per minute.
    never = dimension == "tokens" and cost > bucket.limit
    wait = bucket.wait(now, cost)
    if not never and wait <= 0:
        return None
    return Rejected(
        dimension=dimension,
        limit=bucket.limit,
        used=bucket.limit - max(0.0, bucket.level(now)),
        requested=cost,
        retry_after_s=None if never else wait,
    )


def _severity(rejection: Rejected) -> float:
    return float("inf") if rejection.retry_after_s is None else rejection.retry_after_s
