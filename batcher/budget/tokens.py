"""The tokens of one lane: what a request is charged, what is refunded, and what replies teach."""

from typing import Final

from msgspec import Struct

from batcher.budget.blockers import Blocker, BlockReason
from batcher.budget.charging_model import ChargingModel, SentRequest
from batcher.budget.estimates import Estimates
from batcher.budget.limiter import RateLimiter
from batcher.domain.lanes import Charge, Charging, RateHints
from batcher.domain.outcomes import Usage
from batcher.domain.states import ChargeRule
from batcher.policy.rate.charging import Fullness, Need, limited_input, reserved, returned
from batcher.policy.rate.token_bucket import is_same_limit

#: Answers without token counts after which an estimate alone holds nothing back, if replies to the path usually
#: have none.
UNCOUNTED: Final = 1
_NEVER: Final = -(10**9)


class Taken(Struct, eq=False):
    """What one request has taken, and what was expected of it."""

    charge: Charge
    need: Need
    rule: ChargeRule
    total: float
    observer: ChargingModel | None
    sent: SentRequest | None


_NOTHING: Final = Need(0.0, 0.0, 0.0)


class TokenBudget:
    """The limiters that count tokens, and the charging model if headers describe a bucket."""

    __slots__ = (
        "_asked",
        "_asked_by",
        "_counts_cached",
        "_fullness",
        "_is_free",
        "_rule",
        "_scale",
        "_uncounted",
        "estimates",
        "input",
        "is_limited",
        "observer",
        "output",
        "total",
    )

    def __init__(self, charging: Charging) -> None:
        self.total: RateLimiter | None = None
        self.input: RateLimiter | None = None
        self.output: RateLimiter | None = None
        #: Whether any limit is known. Kept, because it is asked for several times a request.
        self.is_limited = False
        self.observer: ChargingModel | None = None
        self.estimates = Estimates(ratio=charging.input_ratio, output=charging.output)
        self._rule, self._scale = charging.rule, charging.scale
        self._counts_cached = charging.counts_cached
        self._fullness = Fullness()
        #: What was last asked of `total`, and by which rule: it is asked and taken in one step.
        self._asked = 0.0
        self._asked_by = ChargeRule.SUM
        #: Answers so far, all without token counts; far below zero once one had some, or a refusal was for tokens.
        self._uncounted = 0
        #: Whether what was last asked is not charged.
        self._is_free = False

    def limit(self, total: RateLimiter | None, input_: RateLimiter | None, output: RateLimiter | None) -> None:
        """Apply these limits from now on."""
        self.total, self.input, self.output = total, input_, output
        self.is_limited = total is not None or input_ is not None or output is not None

    @property
    def rule(self) -> ChargeRule:
        """Return how requests are charged now; the most expensive rule until one is known."""
        return self._known_rule or ChargeRule.SUM

    @property
    def _known_rule(self) -> ChargeRule | None:
        """Return the rule that was learned or that the provider is known for; None if neither."""
        return self._rule if self.observer is None else self.observer.rule

    @property
    def charges_maximum(self) -> bool:
        """Return whether a request is known to be charged for its maximum output."""
        if self.observer is not None:
            return self.observer.charges_maximum
        return self._rule is not None and self._rule is not ChargeRule.PRODUCED

    @property
    def scale(self) -> float:
        """Return how much more expensive requests are than the rule says."""
        return self._scale if self.observer is None else self.observer.scale

    def charging(self) -> Charging:
        """Return what was learned, rounded, because every change is written to the store."""
        output = self.estimates.output
        return Charging(
            rule=self._known_rule,
            scale=round(self.scale, 2),
            input_ratio=round(self.estimates.ratio, 2),
            output=None if output is None else float(f"{output:.2g}"),
            counts_cached=self._counts_cached,
        )

    def hold(self, need: Need, now: float) -> Blocker | None:
        """Return what keeps a request from being sent; None: all of its tokens have been taken."""
        observer, total = self.observer, self.total
        self._is_free = not need.counted and self._uncounted >= UNCOUNTED and observer is None
        if self._is_free:
            return None
        if total is not None:
            rule = self._rule if observer is None else observer.rule
            scale = self._scale if observer is None else observer.scale
            self._asked_by = rule = rule or ChargeRule.SUM
            self._asked = amount = reserved(rule, need, scale)
            if (seconds := total.ask(amount, now)) > 0.0:
                return Blocker(BlockReason.TPM, seconds)
        if self.input is not None and (seconds := self.input.ask(need.prompt, now)) > 0:
            return Blocker(BlockReason.INPUT_TPM, seconds)
        if self.output is not None and (seconds := self.output.ask(need.expected, now)) > 0:
            return Blocker(BlockReason.OUTPUT_TPM, seconds)
        if observer is not None and (seconds := observer.wait(need, now)) > 0.0:
            return Blocker(BlockReason.TPM, seconds)
        return None

    def spend(self, charge: Charge, need: Need, now: float) -> Taken:
        """Charge a request that is being sent."""
        if self._is_free:
            return Taken(charge, _NOTHING, self._asked_by, 0.0, None, None)
        total = 0.0
        if self.total is not None:
            total = self._asked
            self.total.spend(total, now)
        if self.input is not None:
            self.input.spend(need.prompt, now)
        if self.output is not None:
            self.output.spend(need.expected, now)
        observer = self.observer
        sent = None if observer is None else observer.sent(need, now)
        return Taken(charge, need, self._asked_by, total, observer, sent)

    def cancel(self, taken: Taken, now: float) -> None:
        """Refund a request that was not sent after all."""
        if self.total is not None:
            self.total.give_back(taken.total, now)
        if self.input is not None:
            self.input.give_back(taken.need.prompt, now)
        if self.output is not None:
            self.output.give_back(taken.need.expected, now)
        if taken.observer is not None and taken.sent is not None:
            taken.observer.cancelled(taken.sent)

    def come_back(self, taken: Taken, usage: Usage | None, now: float) -> bool:
        """Settle the tokens of a request that is over. Returns whether tokens were refunded."""
        if usage is None:
            return False
        counted = limited_input(usage, counts_cached=self._counts_cached)
        self.estimates.learn(taken.charge, counted=counted, produced=usage.output_tokens)
        total = returned(taken.rule, taken.need, usage)
        if self.total is not None and total:
            self.total.give_back(total, now)
        if self.input is not None and counted is not None:
            self.input.give_back(taken.need.prompt - counted, now)
        if self.output is not None and usage.output_tokens is not None:
            self.output.give_back(taken.need.expected - usage.output_tokens, now)
        return total > 0 or self.input is not None or self.output is not None

    def answered(self, usage: Usage | None) -> None:
        """Notice whether a reply that is an answer counts its tokens.

        If none ever does, on a path such as an OCR's or a reranker's, an estimate can never be corrected. Then it
        does not hold requests back alone: the provider can refuse, and is obeyed.
        """
        if self._uncounted < 0:
            return
        is_counted = usage is not None and (usage.input_tokens is not None or usage.output_tokens is not None)
        self._uncounted = _NEVER if is_counted else self._uncounted + 1

    def adopt_hints(self, hints: RateHints, now: float) -> None:
        """Start the charging model if headers describe a bucket, at the provider's own rate."""
        if not hints.tpm or hints.remaining_tokens is None or self.total is None:
            return
        self._fullness = self._fullness.seen(hints)
        rate, known = hints.tpm / 60.0, self.observer
        if known is None or not is_same_limit(known.rate, rate):
            rule, scale = (self._rule, self._scale) if known is None else (known.rule, known.scale)
            self.observer = ChargingModel(rate, now, rule=rule, scale=scale)

    def observe(
        self, taken: Taken, hints: RateHints, usage: Usage | None, *, refused: bool, binds: bool, now: float
    ) -> None:
        """Use the headers of a reply. `binds`: our own limit is what holds requests back."""
        observer, sent = taken.observer, taken.sent
        if observer is None or sent is None or observer is not self.observer or self.total is None:
            return
        output = 0.0 if usage is None or usage.output_tokens is None else float(usage.output_tokens)
        deficit = self._fullness.deficit(hints)
        slower = self.total.pace.rate < 0.98 * observer.rate
        credit = observer.on_reply(
            sent, deficit, refused=refused, output=output, binds=binds and not slower, now=now
        )
        if credit > 0:
            self.total.give_back(credit, now)

    def refused(self, taken: Taken, hints: RateHints | None, now: float) -> None:
        """Handle a refusal for tokens: the charging model may be wrong."""
        self._uncounted = _NEVER
        if self.observer is not None:
            if taken.observer is self.observer and taken.sent is not None:
                self.observer.on_token_refusal(
                    taken.sent, None if hints is None else self._fullness.deficit(hints)
                )
            return
        self._rule, self._scale = None, 1.0
        for dimension in (self.total, self.input, self.output):
            if dimension is not None:
                dimension.tighten(now)
