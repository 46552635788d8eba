"""Learns from reply headers how a provider charges tokens and how full its bucket is.

Six hypotheses, one for each charging rule and each way of writing the header, run in parallel; each reply's
reading scores how well they predicted it. The model only ever delays requests: the lane's limit applies
independently of it. See docs/rate-limits.md#charging-rules.
"""

from math import inf

from msgspec import Struct

from batcher.domain.states import ChargeRule
from batcher.policy.rate.charging import (
    CORRECTION,
    FIRST_GAP,
    FIRST_READINGS,
    FULL_FOR_S,
    FULL_READINGS,
    LATER_GAP,
    LEAST_SCALE,
    NEARLY_ALL,
    SCALE_SPAN_S,
    SCORE_DECAY,
    TOO_DEAR,
    Need,
    allowed_deficit,
    charged,
    moved_scale,
    surprise,
    useful_scale,
)

#: Readings without a change after which only the best hypothesis is updated, which is cheap.
_SETTLED = 50
#: Seconds by which a reading may be older than the newest one used.
_STALE_S = 0.05
#: The provider's burst in seconds of budget, at first and at least, and the share of it that a refusal below it
#: leaves.
_BURST_S, _LEAST_BURST_S, _BURST_CUT = 1.0, 0.2, 0.95


class Checkpoint(Struct, gc=False):
    """The state of a hypothesis when a request was sent, and what the request cost according to it."""

    hypothesis: "Hypothesis"
    #: The deficit, without the corrections made until then.
    uncorrected: float
    filled: int
    #: Tokens charged and produced by then, in total.
    charged: float
    #: By the rule, and scaled.
    cost: float
    scaled: float


class SentRequest(Struct, gc=False):
    """A request in flight."""

    at: float
    checkpoints: list[Checkpoint]


class ScaleBaseline(Struct, gc=False):
    """The reading at which the current measurement of the scale began."""

    at: float
    deficit: float
    checkpoint: Checkpoint


class Hypothesis:
    """A charging rule, and whether headers are written before or after the request's own charge."""

    __slots__ = (
        "after",
        "anchor",
        "charged",
        "corrected",
        "deficit",
        "filled",
        "produced",
        "rule",
        "scale",
        "score",
        "used_scale",
    )

    def __init__(self, rule: ChargeRule, *, after: bool, scale: float) -> None:
        self.rule, self.after = rule, after
        self.deficit = self.corrected = self.score = self.charged = self.produced = 0.0
        self.filled = 0
        self.anchor: ScaleBaseline | None = None
        self.set_scale(scale)

    def set_scale(self, scale: float) -> None:
        """Set how much more expensive requests are than the rule says."""
        self.scale = scale
        self.used_scale = useful_scale(scale)

    def sent(self, prompt: float, most: float) -> Checkpoint:
        """Charge a request that is being sent."""
        deficit, before = self.deficit, self.charged
        cost = charged(self.rule, prompt, most)
        scaled = cost * self.used_scale
        deficit = deficit if deficit > 0.0 else 0.0  # noqa: FURB136 - speed: at every admission, up to six times
        self.deficit = deficit + scaled
        self.charged = before + cost
        return Checkpoint(self, deficit - self.corrected, self.filled, before + self.produced, cost, scaled)

    def output(self, tokens: float) -> None:
        """Charge `tokens` of output that a reply produced."""
        if self.rule is ChargeRule.PRODUCED:
            self.deficit = max(0.0, self.deficit) + tokens
            self.produced += tokens

    def read(
        self, checkpoint: Checkpoint, sent_at: float, deficit: float, rate: float, *, refused: bool, fresh: bool
    ) -> None:
        """Update with a reading: the deficit that the reply's header reported for the request of `checkpoint`."""
        own = checkpoint.scaled if self.after and not refused else 0.0
        # Corrections made since it was sent are already included; otherwise every reply in flight would correct
        # the same error again.
        error = deficit - max(0.0, checkpoint.uncorrected + self.corrected) - own
        self.score = SCORE_DECAY * self.score + surprise(error, rate)
        if not fresh:
            return
        if not (error < 0 and self.filled != checkpoint.filled):
            part = error if refused else CORRECTION * error
            self.corrected += part
            self.deficit += part
        self._measure(checkpoint, sent_at, deficit, rate, refused=refused)

    def _measure(
        self, checkpoint: Checkpoint, sent_at: float, deficit: float, rate: float, *, refused: bool
    ) -> None:
        """Measure the scale between two readings with neither a refusal nor a full bucket in between."""
        anchor = self.anchor
        full = self._is_full(checkpoint, deficit, rate)
        if refused or full or anchor is None or anchor.checkpoint.filled != checkpoint.filled:
            self.anchor = None if refused or full else ScaleBaseline(sent_at, deficit, checkpoint)
            return
        span = sent_at - anchor.at
        if span < SCALE_SPAN_S:
            return
        lost = deficit - anchor.deficit + rate * span
        if self.after:
            lost -= checkpoint.cost - anchor.checkpoint.cost
        charged = checkpoint.charged - anchor.checkpoint.charged
        self.set_scale(moved_scale(self.scale, lost=lost, charged=charged))
        self.anchor = ScaleBaseline(sent_at, deficit, checkpoint)

    def _is_full(self, checkpoint: Checkpoint, deficit: float, rate: float) -> bool:
        return deficit - (checkpoint.scaled if self.after else 0.0) <= 0.002 * rate


class ChargingModel:
    """The model of one lane's tokens. `rate` is the provider's, in tokens per second."""

    def __init__(self, rate: float, now: float, *, rule: ChargeRule | None = None, scale: float = 1.0) -> None:
        self.rate = rate
        #: The rule in use; None while nothing is known.
        self.rule = rule
        self._burst = _BURST_S * rate
        self.at = now
        self._scale = scale
        self._hypotheses = self._all_hypotheses()
        self._best = self._hypotheses[0]
        self._choose_best()
        self._readings = self._unchanged = 0
        self._newest = -inf
        self._full_since, self._full = now, 0

    def _all_hypotheses(self) -> list[Hypothesis]:
        return [
            Hypothesis(rule, after=after, scale=self._scale if rule is self.rule else 1.0)
            for rule in ChargeRule
            for after in (True, False)
        ]

    @property
    def scale(self) -> float:
        """Return how much more expensive requests are than the rule says."""
        return self._best.used_scale

    @property
    def charges_maximum(self) -> bool:
        """Return whether a request is known to be charged for its maximum output, by whichever rule."""
        if self.rule is not None or self._readings < FIRST_READINGS or len(self._hypotheses) == 1:
            return self.rule is not None and self.rule is not ChargeRule.PRODUCED
        others = min(self._best_of(rule).score for rule in ChargeRule if rule is not ChargeRule.PRODUCED)
        return self._best_of(ChargeRule.PRODUCED).score - others >= FIRST_GAP

    def _pass(self, now: float) -> None:
        if now == self.at:
            return
        initial_balance, floor = self.rate * (now - self.at), -FULL_FOR_S * self.rate
        self.at = now
        for hypothesis in self._hypotheses:
            before = hypothesis.deficit
            left = before - initial_balance
            if left <= 0.0 < before:
                hypothesis.filled += 1
            hypothesis.deficit = left if left > floor else floor  # noqa: FURB136 - speed: at every admission

    def wait(self, need: Need, now: float) -> float:
        """Return the seconds until the provider's bucket should have room; 0 if it has."""
        self._pass(now)
        best = self._best
        cost = best.used_scale * charged(best.rule, need.prompt, need.most)
        missing = best.deficit - allowed_deficit(cost, self._burst, self.rate)
        return missing / self.rate if missing > 0.0 else 0.0

    def sent(self, need: Need, now: float) -> SentRequest:
        """Charge a request that is being sent. The returned value is passed back when it comes back."""
        self._pass(now)
        return SentRequest(now, [hypothesis.sent(need.prompt, need.most) for hypothesis in self._hypotheses])

    def cancelled(self, sent: SentRequest) -> None:
        """Undo the charge of a request that was not sent after all."""
        for checkpoint in sent.checkpoints:
            checkpoint.hypothesis.deficit -= checkpoint.scaled
            checkpoint.hypothesis.charged -= checkpoint.cost

    def on_reply(
        self, sent: SentRequest, deficit: float | None, *, refused: bool, output: float, binds: bool, now: float
    ) -> float:
        """Update with a reply: the deficit that its header reported, and the tokens that it produced.

        `binds`: our own limit is what holds requests back. Returns the tokens that were overcharged so far, if a
        cheaper rule is adopted now for the first time.
        """
        self._pass(now)
        for checkpoint in sent.checkpoints:
            if refused:
                checkpoint.hypothesis.deficit -= checkpoint.scaled
            else:
                checkpoint.hypothesis.output(output)
        return 0.0 if deficit is None else self._read(sent, deficit, refused=refused, binds=binds, now=now)

    def _read(self, sent: SentRequest, deficit: float, *, refused: bool, binds: bool, now: float) -> float:
        fresh = sent.at >= self._newest - _STALE_S
        self._newest = max(self._newest, sent.at)
        for checkpoint in sent.checkpoints:
            checkpoint.hypothesis.read(checkpoint, sent.at, deficit, self.rate, refused=refused, fresh=fresh)
        self._readings += 1
        self._unchanged += 1
        self._note_fullness(sent, deficit, binds=binds and not refused, now=now)
        credit = self._choose()
        if self._unchanged >= _SETTLED:
            if self.charges_maximum:
                # For short prompts `sum` and `max` agree; the more expensive one is safe.
                self.rule = self._best.rule
            self._hypotheses = [self._best]
        return credit

    def _note_fullness(self, sent: SentRequest, deficit: float, *, binds: bool, now: float) -> None:
        """Lower a scale or a rule that is too expensive, which a bucket that is always full indicates."""
        own = next(
            (
                checkpoint.scaled
                for checkpoint in sent.checkpoints
                if checkpoint.hypothesis is self._best and self._best.after
            ),
            0.0,
        )
        if not binds or deficit - own > 0.002 * self.rate:
            self._full_since, self._full = now, 0
            return
        self._full += 1
        if self._full >= FULL_READINGS and now - self._full_since >= SCALE_SPAN_S:
            self._best.set_scale(max(LEAST_SCALE, TOO_DEAR * self._best.scale))
            self._full_since, self._full = now, 0

    def _choose(self) -> float:
        """Adopt the rule that predicted best, if it is clearly better. Returns as `on_reply` does."""
        if len(self._hypotheses) == 1:
            return 0.0
        scores = {rule: self._best_of(rule).score for rule in ChargeRule}
        best, *others = sorted(scores, key=scores.__getitem__)
        gap = scores[others[0]] - scores[best] if self.rule is None else scores[self.rule] - scores[best]
        first = self.rule is None
        if self._readings < FIRST_READINGS or gap < (FIRST_GAP if first else LATER_GAP):
            self._choose_best()
            return 0.0
        self.rule, self._unchanged = best, 0
        dearest = self._best.charged
        self._choose_best()
        return max(0.0, dearest - self._best.charged) if first else 0.0

    def _choose_best(self) -> None:
        """Choose the hypothesis to act on; until something is known, that of the most expensive rule."""
        self._best = self._best_of(self.rule or ChargeRule.SUM)

    def _best_of(self, rule: ChargeRule) -> Hypothesis:
        return min((each for each in self._hypotheses if each.rule is rule), key=lambda each: each.score)

    def on_token_refusal(self, sent: SentRequest, deficit: float | None) -> None:
        """Handle a refusal for tokens: every rule is possible again, and the provider's burst may be smaller."""
        cost = next(
            (checkpoint.scaled for checkpoint in sent.checkpoints if checkpoint.hypothesis is self._best), None
        )
        if deficit is not None and cost is not None and cost < NEARLY_ALL * self._burst:
            reached = deficit + cost
            if reached < self._burst:
                self._burst = max(_LEAST_BURST_S * self.rate, _BURST_CUT * reached)
        self._unchanged = 0
        if len(self._hypotheses) > 1:
            return
        kept = self._best
        self._scale = kept.scale
        self._hypotheses = [kept, *(each for each in self._all_hypotheses() if _differs(each, kept))]
        for each in self._hypotheses[1:]:
            each.deficit = kept.deficit


def _differs(one: Hypothesis, other: Hypothesis) -> bool:
    return one.rule is not other.rule or one.after is not other.after
