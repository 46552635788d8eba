"""A strict provider's limiter as pure arithmetic: token buckets that refill continuously over a given time.

No clock and no I/O: `now` is seconds on any clock that does not run backwards, and comes in as an argument.
"""

from math import ceil
from typing import Literal, assert_never

from msgspec import Struct

from batcher.domain.lanes import Charge
from batcher.domain.settings import Limits
from batcher.domain.states import ChargeRule

Dimension = Literal["requests", "tokens"]

#: Slack for sums of floats: far below a token, far above rounding.
_EPSILON = 1e-9


class Admitted(Struct, frozen=True, kw_only=True):
    """Let in; `tokens` were charged."""

    tokens: float


class Rejected(Struct, frozen=True, kw_only=True):
    """Not let in; nothing was charged. Numbers are those of OpenAI's message: requests or tokens a minute."""

    dimension: Dimension
    limit: float
    used: float
    requested: float
    #: Seconds until the same request would be let in; None: it is larger than the limit and never will be.
    retry_after_s: float | None


Admission = Admitted | Rejected


class Bucket:
    """One dimension of a limit. Holds at most `burst` seconds of budget, starts full, may go into debt."""

    def __init__(self, *, limit: float, burst: float) -> None:
        self.limit = limit
        self.rate = limit / 60
        self.capacity = self.rate * burst
        self._level = self.capacity
        self._at: float | None = None

    def level(self, now: float) -> float:
        """What is saved up; below 0: debt. A `now` before the last one reads as the last one."""
        last = now if self._at is None else self._at
        self._level = min(self.capacity, self._level + max(0.0, now - last) * self.rate)
        self._at = max(now, last)
        return self._level

    def deficit(self, now: float) -> float:
        """What is missing to a full bucket."""
        return self.capacity - self.level(now)

    def wait(self, now: float, cost: float) -> float:
        """Seconds until `cost` fits; a cost above the capacity needs a full bucket. 0: it fits now."""
        missing = min(cost, self.capacity) - self.level(now)
        return 0.0 if missing <= _EPSILON else missing / self.rate

    def take(self, now: float, cost: float) -> None:
        """Charge `cost`, into debt if need be."""
        self._level = self.level(now) - cost


class Limiter:
    """The limits of one model: a bucket for requests and one for tokens, each only where there is a limit."""

    def __init__(self, limits: Limits, *, burst: float, rule: ChargeRule) -> None:
        self._rule = rule
        self._buckets: dict[Dimension, Bucket] = {}
        if limits.rpm is not None:
            self._buckets["requests"] = Bucket(limit=limits.rpm, burst=burst)
        if limits.tpm is not None:
            self._buckets["tokens"] = Bucket(limit=limits.tpm, burst=burst)

    def admit(self, now: float, charge: Charge) -> Admission:
        """Charge every dimension, or none: a refusal names the one that has to wait longest."""
        tokens = upfront(self._rule, charge)
        costs: dict[Dimension, float] = {"requests": 1.0, "tokens": tokens}
        refusals = [
            refusal
            for dimension, bucket in self._buckets.items()
            if (refusal := _refusal(dimension, bucket, now, costs[dimension])) is not None
        ]
        if refusals:
            return max(refusals, key=_severity)
        for dimension, bucket in self._buckets.items():
            bucket.take(now, costs[dimension])
        return Admitted(tokens=tokens)

    def produced(self, now: float, tokens: float) -> None:
        """Charge the output of an admitted request where the rule left it for now; else nothing happens."""
        if self._rule is ChargeRule.PRODUCED and "tokens" in self._buckets:
            self._buckets["tokens"].take(now, tokens)

    def headers(self, now: float) -> dict[str, str]:
        """`x-ratelimit-*` as OpenAI sends them: `remaining` of the minute's limit, `reset` until full again."""
        fields: dict[str, str] = {}
        for dimension, bucket in self._buckets.items():
            deficit = bucket.deficit(now)
            fields[f"x-ratelimit-limit-{dimension}"] = f"{bucket.limit:.0f}"
            fields[f"x-ratelimit-remaining-{dimension}"] = str(max(0, int(bucket.limit - deficit)))
            fields[f"x-ratelimit-reset-{dimension}"] = go_duration(deficit / bucket.rate)
        return fields


def upfront(rule: ChargeRule, charge: Charge) -> float:
    """Tokens that a charging rule takes at admission; under `produced` the output follows when it is there."""
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
    """Seconds as Go prints them, rounded up to a millisecond: `0s`, `12ms`, `1.2s`, `6m0s`, `1h0m0.5s`."""
    millis = max(0, ceil(round(seconds * 1000, 6)))
    if 0 < millis < 1000:  # noqa: PLR2004 -- milliseconds in a second
        return f"{millis}ms"
    minutes, rest = divmod(millis, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest // 1000}.{rest % 1000:03d}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _refusal(dimension: Dimension, bucket: Bucket, now: float, cost: float) -> Rejected | None:
    # One request always fits in the end, also where the limit is below one a minute.
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


def _severity(refusal: Rejected) -> float:
    return float("inf") if refusal.retry_after_s is None else refusal.retry_after_s
