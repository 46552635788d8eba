"""The limits of one lane: what the user gave, what the provider announced, and what applies of both."""

from msgspec.structs import replace

from batcher.domain.lanes import NO_HINTS, KnownLimits, RateHints, TokenLimit
from batcher.domain.settings import Limits
from batcher.domain.states import LimitSource
from batcher.policy.rate.daily_quota import DayLimits
from batcher.policy.rate.token_bucket import in_force


class LaneLimits:
    """Combines the two sources. A lane with neither is `LEARNED`: it has only what it estimates."""

    __slots__ = ("_announces_tpm", "_counted", "announced", "given")

    def __init__(self, given: Limits, announced: KnownLimits) -> None:
        self.given = given
        #: By this run's headers, or by an earlier run's.
        self.announced = announced
        #: Whether a reply of this run announced a token limit; what an earlier run was announced may be outdated.
        self._announces_tpm = False
        #: Requests and tokens per day that replies of this run announced without saying what remains.
        self._counted: tuple[float | None, float | None] = (None, None)

    def adopt_hints(self, hints: RateHints) -> bool:
        """Remember what a reply announced; limits that it does not mention stay. Returns whether any is new."""
        if hints is NO_HINTS:
            return False
        known = self.announced
        self._announces_tpm = self._announces_tpm or _known(hints.tpm) is not None
        rpd, tpd = self._counted
        self._counted = (
            _uncounted(hints.rpd, hints.remaining_requests_day, rpd),
            _uncounted(hints.tpd, hints.remaining_tokens_day, tpd),
        )
        apart = hints.input_tpm is not None and hints.output_tpm is not None
        now = KnownLimits(
            rpm=_known(hints.rpm) or known.rpm,
            # If both are announced separately, the third figure repeats the tighter of them
            # (docs/providers.md#rate-limit-headers).
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
        """Return the limits that apply."""
        known = self.announced
        return KnownLimits(
            rpm=in_force(self.given.rpm, known.rpm),
            tpm=in_force(self.given.tpm, known.tpm),
            input_tpm=in_force(self.given.input_tpm, known.input_tpm),
            output_tpm=in_force(self.given.output_tpm, known.output_tpm),
        )

    def a_day(self) -> DayLimits:
        """Return the daily limits that we count ourselves.

        If the provider says what remains, its own count is used.
        """
        rpd, tpd = self._counted
        return DayLimits(in_force(self.given.rpd, rpd), in_force(self.given.tpd, tpd))

    def certain_tpm(self) -> TokenLimit | None:
        """Return the token limit that applies for certain."""
        given = self.given.tpm
        announced = self.announced.tpm if self._announces_tpm else None
        if given is not None and (announced is None or given <= announced):
            return TokenLimit(tpm=given, source=LimitSource.GIVEN)
        return None if announced is None else TokenLimit(tpm=announced, source=LimitSource.ANNOUNCED)

    def source(self) -> LimitSource:
        """Return where the limits per minute come from; given ones are named first."""
        if replace(self.given, rpd=None, tpd=None) != Limits():
            return LimitSource.GIVEN
        announced = replace(self.announced, rpd=None, tpd=None)
        return LimitSource.LEARNED if announced == KnownLimits() else LimitSource.ANNOUNCED


def _known(limit: float | None) -> float | None:
    """Return None for 0 and below, which mean unknown (docs/providers.md#rate-limit-headers)."""
    return limit if limit is not None and limit > 0 else None


def _uncounted(limit: float | None, remaining: float | None, before: float | None) -> float | None:
    """Return a limit of which the provider does not say what remains."""
    known = _known(limit)
    if known is None:
        return before
    return known if remaining is None else None
