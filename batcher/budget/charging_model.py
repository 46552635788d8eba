"""Learns from reply headers how a provider charges tokens and how full its bucket is (RATE §3).

Six beliefs, one for each charging rule and each way of writing the header, run beside one another; each reply's
reading says which of them foresaw it. The observer only ever delays: the ceiling of the lane holds beside it.
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

#: Readings without a change after which only the best belief goes on, and is cheap.
_SETTLED = 50
#: Seconds by which a reading may be older than the newest one used.
_STALE_S = 0.05
#: The provider's burst: seconds of budget, at first and at least; and what a refusal below it leaves of it.
_BURST_S, _LEAST_BURST_S, _BURST_CUT = 1.0, 0.2, 0.95


class Mark(Struct, gc=False):
    """Where a belief stood when a request went, and what it believes the request cost."""

    belief: "Belief"
    #: The deficit, without the corrections until then.
    uncorrected: float
    filled: int
    #: All that was charged and produced until then.
    spent: float
    #: By the rule, and scaled.
    cost: float
    scaled: float


class Sent(Struct, gc=False):
    """A request on its way."""

    at: float
    marks: list[Mark]


class Anchor(Struct, gc=False):
    """The reading from which the scale is measured on."""

    at: float
    deficit: float
    mark: Mark


class Belief:
    """One hypothesis: a rule, and whether headers are written before or after the request's own charge."""

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
        self.anchor: Anchor | None = None
        self.set_scale(scale)

    def set_scale(self, scale: float) -> None:
        """How much dearer than by the rule."""
        self.scale = scale
        self.used_scale = useful_scale(scale)

    def sent(self, prompt: float, most: float) -> Mark:
        """A request goes."""
        deficit, before = self.deficit, self.charged
        cost = charged(self.rule, prompt, most)
        scaled = cost * self.used_scale
        deficit = deficit if deficit > 0.0 else 0.0  # noqa: FURB136 - speed: at every admission, up to six times
        self.deficit = deficit + scaled
        self.charged = before + cost
        return Mark(self, deficit - self.corrected, self.filled, before + self.produced, cost, scaled)

    def output(self, tokens: float) -> None:
        """A reply brought so many."""
        if self.rule is ChargeRule.PRODUCED:
            self.deficit = max(0.0, self.deficit) + tokens
            self.produced += tokens

    def read(self, mark: Mark, sent_at: float, deficit: float, rate: float, *, refused: bool, fresh: bool) -> None:
        """The header said `deficit` when the request of `mark` arrived."""
        own = mark.scaled if self.after and not refused else 0.0
        # Corrections made since it left are in already: without them each reply in flight corrects the same error.
        error = deficit - max(0.0, mark.uncorrected + self.corrected) - own
        self.score = SCORE_DECAY * self.score + surprise(error, rate)
        if not fresh:
            return
        if not (error < 0 and self.filled != mark.filled):
            part = error if refused else CORRECTION * error
            self.corrected += part
            self.deficit += part
        self._measure(mark, sent_at, deficit, rate, refused=refused)

    def _measure(self, mark: Mark, sent_at: float, deficit: float, rate: float, *, refused: bool) -> None:
        """The scale, between two readings without a refusal or a full bucket in between."""
        anchor = self.anchor
        full = self._is_full(mark, deficit, rate)
        if refused or full or anchor is None or anchor.mark.filled != mark.filled:
            self.anchor = None if refused or full else Anchor(sent_at, deficit, mark)
            return
        span = sent_at - anchor.at
        if span < SCALE_SPAN_S:
            return
        lost = deficit - anchor.deficit + rate * span
        if self.after:
            lost -= mark.cost - anchor.mark.cost
        spent = mark.spent - anchor.mark.spent
        self.set_scale(moved_scale(self.scale, lost=lost, charged=spent))
        self.anchor = Anchor(sent_at, deficit, mark)

    def _is_full(self, mark: Mark, deficit: float, rate: float) -> bool:
        return deficit - (mark.scaled if self.after else 0.0) <= 0.002 * rate


class Observer:
    """What is believed about one lane's tokens. `rate` is the provider's, in tokens a second."""

    def __init__(self, rate: float, now: float, *, rule: ChargeRule | None = None, scale: float = 1.0) -> None:
        self.rate = rate
        #: The rule that is believed in; None: nothing is known yet.
        self.rule = rule
        self._burst = _BURST_S * rate
        self.at = now
        self._scale = scale
        self._beliefs = self._all_beliefs()
        self._best = self._beliefs[0]
        self._choose_best()
        self._readings = self._unchanged = 0
        self._newest = -inf
        self._full_since, self._full = now, 0

    def _all_beliefs(self) -> list[Belief]:
        return [
            Belief(rule, after=after, scale=self._scale if rule is self.rule else 1.0)
            for rule in ChargeRule
            for after in (True, False)
        ]

    @property
    def scale(self) -> float:
        """How much dearer than by the rule the provider charges."""
        return self._best.used_scale

    @property
    def charges_maximum(self) -> bool:
        """Whether it is known that a request is charged for the most it may produce, by whichever rule."""
        if self.rule is not None or self._readings < FIRST_READINGS or len(self._beliefs) == 1:
            return self.rule is not None and self.rule is not ChargeRule.PRODUCED
        others = min(self._best_of(rule).score for rule in ChargeRule if rule is not ChargeRule.PRODUCED)
        return self._best_of(ChargeRule.PRODUCED).score - others >= FIRST_GAP

    def _pass(self, now: float) -> None:
        if now == self.at:
            return
        drained, floor = self.rate * (now - self.at), -FULL_FOR_S * self.rate
        self.at = now
        for belief in self._beliefs:
            before = belief.deficit
            left = before - drained
            if left <= 0.0 < before:
                belief.filled += 1
            belief.deficit = left if left > floor else floor  # noqa: FURB136 - speed: at every admission

    def wait(self, need: Need, now: float) -> float:
        """Seconds until the provider's bucket should have room; 0: it has."""
        self._pass(now)
        best = self._best
        cost = best.used_scale * charged(best.rule, need.prompt, need.most)
        missing = best.deficit - allowed_deficit(cost, self._burst, self.rate)
        return missing / self.rate if missing > 0.0 else 0.0

    def sent(self, need: Need, now: float) -> Sent:
        """A request goes; what is returned is told again when it comes back."""
        self._pass(now)
        return Sent(now, [belief.sent(need.prompt, need.most) for belief in self._beliefs])

    def cancelled(self, sent: Sent) -> None:
        """It did not go after all."""
        for mark in sent.marks:
            mark.belief.deficit -= mark.scaled
            mark.belief.charged -= mark.cost

    def came_back(
        self, sent: Sent, deficit: float | None, *, refused: bool, output: float, binds: bool, now: float
    ) -> float:
        """A reply: what its header said the bucket lacked, and what it brought.

        `binds`: our own limit is what holds requests back. Returns the tokens that were taken too dearly so far,
        where a cheaper rule is believed in from now on for the first time.
        """
        self._pass(now)
        for mark in sent.marks:
            if refused:
                mark.belief.deficit -= mark.scaled
            else:
                mark.belief.output(output)
        return 0.0 if deficit is None else self._read(sent, deficit, refused=refused, binds=binds, now=now)

    def _read(self, sent: Sent, deficit: float, *, refused: bool, binds: bool, now: float) -> float:
        fresh = sent.at >= self._newest - _STALE_S
        self._newest = max(self._newest, sent.at)
        for mark in sent.marks:
            mark.belief.read(mark, sent.at, deficit, self.rate, refused=refused, fresh=fresh)
        self._readings += 1
        self._unchanged += 1
        self._note_fullness(sent, deficit, binds=binds and not refused, now=now)
        credit = self._choose()
        if self._unchanged >= _SETTLED:
            if self.charges_maximum:
                # Where prompts are short `sum` and `max` are one; the dearer of them is safe.
                self.rule = self._best.rule
            self._beliefs = [self._best]
        return credit

    def _note_fullness(self, sent: Sent, deficit: float, *, binds: bool, now: float) -> None:
        """A rule or a scale that is too dear shows in a bucket that is always full."""
        own = next((mark.scaled for mark in sent.marks if mark.belief is self._best and self._best.after), 0.0)
        if not binds or deficit - own > 0.002 * self.rate:
            self._full_since, self._full = now, 0
            return
        self._full += 1
        if self._full >= FULL_READINGS and now - self._full_since >= SCALE_SPAN_S:
            self._best.set_scale(max(LEAST_SCALE, TOO_DEAR * self._best.scale))
            self._full_since, self._full = now, 0

    def _choose(self) -> float:
        """Believe in the rule that foresaw best, where it is clearly better. Returns as `came_back` does."""
        if len(self._beliefs) == 1:
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
        """The belief to act on; until something is known that of the dearest rule."""
        self._best = self._best_of(self.rule or ChargeRule.SUM)

    def _best_of(self, rule: ChargeRule) -> Belief:
        return min((each for each in self._beliefs if each.rule is rule), key=lambda each: each.score)

    def doubt(self, sent: Sent, deficit: float | None) -> None:
        """A refusal for tokens: every rule is possible again, and perhaps the provider saves up less."""
        cost = next((mark.scaled for mark in sent.marks if mark.belief is self._best), None)
        if deficit is not None and cost is not None and cost < NEARLY_ALL * self._burst:
            reached = deficit + cost
            if reached < self._burst:
                self._burst = max(_LEAST_BURST_S * self.rate, _BURST_CUT * reached)
        self._unchanged = 0
        if len(self._beliefs) > 1:
            return
        kept = self._best
        self._scale = kept.scale
        self._beliefs = [kept, *(each for each in self._all_beliefs() if _differs(each, kept))]
        for each in self._beliefs[1:]:
            each.deficit = kept.deficit


def _differs(one: Belief, other: Belief) -> bool:
    return one.rule is not other.rule or one.after is not other.after
