"""The limits of one lane: what the user gave, what the server announced, and what is kept of both."""

from msgspec.structs import replace

from batcher.domain.lanes import KnownLimits, RateHints, TokenLimit
from batcher.domain.settings import Limits
from batcher.domain.states import LimitSource
from batcher.policy.rate.daily_quota import DayLimits
from batcher.policy.rate.token_bucket import in_force


class LaneLimits:
    """Two sources, one answer. A lane without either is `LEARNED`: what it finds out is all it has."""

    __slots__ = ("_counted", "_is_told", "announced", "given")

    def __init__(self, given: Limits, announced: KnownLimits) -> None:
        self.given = given
        #: By this run's headers, or by an earlier one's.
        self.announced = announced
        #: Whether a reply of this run named a limit of tokens: what an earlier run heard may be old.
        self._is_told = False
        #: Requests and tokens a day that replies of this run named without saying what is left.
        self._counted: tuple[float | None, float | None] = (None, None)

    def heed(self, hints: RateHints) -> bool:
        """Remember what a reply announced; what it does not say stays. Returns whether anything is new."""
        known = self.announced
        self._is_told = self._is_told or _known(hints.tpm) is not None
        rpd, tpd = self._counted
        self._counted = (
            _uncounted(hints.rpd, hints.remaining_requests_day, rpd),
            _uncounted(hints.tpd, hints.remaining_tokens_day, tpd),
        )
        apart = hints.input_tpm is not None and hints.output_tpm is not None
        now = KnownLimits(
            rpm=_known(hints.rpm) or known.rpm,
            # Where both are told apart, the third number repeats the tighter of them (PROVIDERS §2.2).
            tpm=None if apart else _known(hints.tpm) or known.tpm,
            input_tpm=_known(hints.input_tpm) or known.input_tpm,
            output_tpm=_known(hints.output_tpm) or known.output_tpm,
            rpd=_known(hints.rpd) or known.rpd,
            tpd=_known(hints.tpd) or known.tpd,
        )
        is_new = now != known or (rpd, tpd) != self._counted
        self.announced = now
        return is_new

    def kept(self) -> KnownLimits:
        """The limits to keep."""
        known = self.announced
        return KnownLimits(
            rpm=in_force(self.given.rpm, known.rpm),
            tpm=in_force(self.given.tpm, known.tpm),
            input_tpm=in_force(self.given.input_tpm, known.input_tpm),
            output_tpm=in_force(self.given.output_tpm, known.output_tpm),
        )

    def a_day(self) -> DayLimits:
        """The limits a day that we count. Where the provider tells what is left of its own, that is left to it."""
        rpd, tpd = self._counted
        return DayLimits(in_force(self.given.rpd, rpd), in_force(self.given.tpd, tpd))

    def certain_tpm(self) -> TokenLimit | None:
        """The limit of tokens that holds without doubt."""
        given = self.given.tpm
        announced = self.announced.tpm if self._is_told else None
        if given is not None and (announced is None or given <= announced):
            return TokenLimit(tpm=given, source=LimitSource.GIVEN)
        return None if announced is None else TokenLimit(tpm=announced, source=LimitSource.ANNOUNCED)

    def source(self) -> LimitSource:
        """Where those a minute come from; given ones are named first."""
        if replace(self.given, rpd=None, tpd=None) != Limits():
            return LimitSource.GIVEN
        announced = replace(self.announced, rpd=None, tpd=None)
        return LimitSource.LEARNED if announced == KnownLimits() else LimitSource.ANNOUNCED


def _known(limit: float | None) -> float | None:
    """0 and below mean unknown (PROVIDERS §2.1)."""
    return limit if limit is not None and limit > 0 else None


def _uncounted(limit: float | None, remaining: float | None, before: float | None) -> float | None:
    """A limit of which the provider does not say what is left."""
    known = _known(limit)
    if known is None:
        return before
    return known if remaining is None else None
