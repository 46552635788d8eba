"""What a request's tokens cost under a charging rule, and how a hypothesis about a provider's bucket is updated.

Units: tokens and seconds. A deficit is the number of tokens missing from the provider's bucket; at 0 and below it
is full. See docs/rate-limits.md#charging-rules.
"""

from msgspec import Struct
from msgspec.structs import replace

from batcher.domain.lanes import LaneMemory, RateHints
from batcher.domain.outcomes import Usage
from batcher.domain.states import ChargeRule
from batcher.policy.rate.daily_quota import with_known_day

#: Seconds for which a bucket must have been full before a request of nearly its size is sent.
FULL_FOR_S = 0.015
#: From this share of the provider's burst on, a request needs a full bucket.
NEARLY_ALL = 0.8
#: Shares of the provider's burst that may be missing when a request is sent: including it, and before it.
ALLOWED, LEAST_ALLOWED = 0.5, 0.1

#: Weight of the past in a hypothesis' score.
SCORE_DECAY = 0.95
#: The most that one reading adds to a score.
MOST_SURPRISE = 25.0
#: The expected error of a reading: at least this many tokens, or this share of a second of budget.
LEAST_SPREAD, SPREAD = 2.0, 0.005
#: The share of an error that a reading corrects; the reading of a refusal is up to date.
CORRECTION = 0.25
#: Readings before the first choice, and how much better a rule must score at the first choice and at later ones.
FIRST_READINGS, FIRST_GAP, LATER_GAP = 3, 12.0, 40.0

#: Bounds of the scale.
LEAST_SCALE, MOST_SCALE = 0.3, 2.5
#: Weight of one measurement of the scale.
SCALE_WEIGHT = 0.2
#: A scale that differs less from 1 is not used.
SCALE_MATTERS = 0.04
#: Seconds between the two readings that measure the scale.
SCALE_SPAN_S = 1.0
#: A provider that is always full while we wait for our own limit charges less than we assume.
FULL_READINGS, TOO_DEAR = 8, 0.9

#: A reset finer than seconds is more precise than `remaining` below this many tokens per second.
_FINE_RATE = 1_000.0


#: What providers document (docs/providers.md#rate-limit-headers); headers may show otherwise.
_RULES = {"api.openai.com": ChargeRule.MAX, "api.anthropic.com": ChargeRule.PRODUCED}
_AZURE = (".openai.azure.com", ".services.ai.azure.com")
#: Hosts whose limit of input tokens leaves out cached input, and the models there whose limit does not.
_CACHED_IS_FREE = {"api.anthropic.com": ("3-haiku", "3-5-haiku")}


class Need(Struct, frozen=True):
    """A request's tokens: its prompt, its maximum output, and its probable output."""

    prompt: float
    most: float
    expected: float
    #: Whether replies to its path usually count tokens.
    counted: bool = True


def with_known_rule(memory: LaneMemory, host: str, model: str = "") -> LaneMemory:
    """Add what a host documents: how it charges, if nothing was learned yet, and when its day begins."""
    known = ChargeRule.SUM if host.endswith(_AZURE) else _RULES.get(host)
    learned = memory.charging.rule
    charging = replace(
        memory.charging,
        rule=known if learned is None else learned,
        counts_cached=_counts_cached(host, model),
    )
    return replace(memory, day=with_known_day(memory.day, host), charging=charging)


def _counts_cached(host: str, model: str) -> bool:
    counting = _CACHED_IS_FREE.get(host)
    return counting is None or any(name in model for name in counting)


def charged(rule: ChargeRule, prompt: float, most: float) -> float:
    """Return the tokens that a provider charges at admission."""
    # At every admission: `is` costs a tenth of a match over a StrEnum.
    if rule is ChargeRule.SUM:
        return prompt + most
    if rule is ChargeRule.MAX:
        return prompt if prompt > most else most  # noqa: FURB136 - as above
    return prompt


def reserved(rule: ChargeRule, need: Need, scale: float) -> float:
    """Return the tokens that we take at admission; under `produced` they include the probable output."""
    cost = scale * charged(rule, need.prompt, need.most)
    return cost + need.expected if rule is ChargeRule.PRODUCED else cost


def returned(rule: ChargeRule, need: Need, usage: Usage | None) -> float:
    """Return the tokens to refund after the reply; negative: to take. Only `produced` corrects by usage."""
    if rule is not ChargeRule.PRODUCED or usage is None or usage.output_tokens is None:
        return 0.0
    return need.expected - usage.output_tokens


def limited_input(usage: Usage, *, counts_cached: bool) -> int | None:
    """Return the input tokens of a reply that count toward the provider's limit; None if it does not say."""
    if usage.input_tokens is None or counts_cached:
        return usage.input_tokens
    return usage.input_tokens - (usage.cached_input_tokens or 0)


def useful_scale(scale: float) -> float:
    """Return the scale, or 1 if it is noise: a scale of 0.99 would admit a large request too early."""
    return scale if abs(scale - 1.0) >= SCALE_MATTERS else 1.0


def moved_scale(scale: float, *, lost: float, charged: float) -> float:
    """Return the scale after a bucket lost `lost` while requests charged `charged` in total were sent."""
    if charged <= 0:
        return scale
    found = min(MOST_SCALE, max(LEAST_SCALE, lost / charged))
    return scale + SCALE_WEIGHT * (found - scale)


def surprise(error: float, rate: float) -> float:
    """Return how unlikely a reading is that is off by `error`."""
    return min(MOST_SURPRISE, (error / max(LEAST_SPREAD, SPREAD * rate)) ** 2)


def allowed_deficit(cost: float, burst: float, rate: float) -> float:
    """Return the deficit allowed when a request of `cost` is sent.

    A negative one means that the bucket must have been full for the corresponding time.
    """
    if cost >= NEARLY_ALL * burst:
        return -FULL_FOR_S * rate
    return max(ALLOWED * burst - cost, LEAST_ALLOWED * burst)


class Fullness(Struct, frozen=True):
    """Tracks what `remaining` is when the bucket is full: the limit, or the most seen of a bucket's own level."""

    full: float = 0.0

    def seen(self, hints: RateHints) -> "Fullness":
        """Update it after a reply."""
        limit, remaining, reset = hints.tpm, hints.remaining_tokens, hints.reset_tokens
        if limit is None or remaining is None:
            return self
        if remaining > limit / 2:
            return self if self.full == limit else Fullness(limit)
        missing = reset * limit / 60.0 if reset is not None and _is_fine(reset) else 0.0
        most = max(self.full, remaining, remaining + missing if self.full == 0.0 else 0.0)
        return self if most == self.full else Fullness(most)

    def deficit(self, hints: RateHints) -> float | None:
        """Return the bucket's deficit when the reply's headers were written; None if they do not say."""
        if hints.tpm is None or hints.remaining_tokens is None:
            return None
        rate, reset = hints.tpm / 60.0, hints.reset_tokens
        if reset is not None and rate < _FINE_RATE and _is_fine(reset):
            return reset * rate
        return max(0.0, self.full - hints.remaining_tokens)


def _is_fine(reset: float) -> bool:
    """Return whether a reset has digits below a second; whole seconds may be rounded."""
    return not reset.is_integer()
