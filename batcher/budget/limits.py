"""The limits of one lane: what the user gave, what the server announced, and what is kept of both."""

from batcher.domain.lanes import KnownLimits, RateHints
from batcher.domain.settings import Limits
from batcher.domain.states import LimitSource
from batcher.policy.admission import in_force


class LaneLimits:
    """Two sources, one answer. A lane without either is `LEARNED`: what it finds out is all it has."""

    __slots__ = ("announced", "given")

    def __init__(self, given: Limits, announced: KnownLimits) -> None:
        self.given = given
        #: By this run's headers, or by an earlier one's.
        self.announced = announced

    def heed(self, hints: RateHints) -> bool:
        """Remember what a reply announced; what it does not say stays. Returns whether anything is new."""
        known = self.announced
        apart = hints.input_tpm is not None and hints.output_tpm is not None
        now = KnownLimits(
            rpm=_known(hints.rpm) or known.rpm,
            # Where both are told apart, the third number repeats the tighter of them (PROVIDERS §2.2).
            tpm=None if apart else _known(hints.tpm) or known.tpm,
            input_tpm=_known(hints.input_tpm) or known.input_tpm,
            output_tpm=_known(hints.output_tpm) or known.output_tpm,
        )
        if now == known:
            return False
        self.announced = now
        return True

    def kept(self) -> KnownLimits:
        """The limits to keep."""
        known = self.announced
        return KnownLimits(
            rpm=in_force(self.given.rpm, known.rpm),
            tpm=in_force(self.given.tpm, known.tpm),
            input_tpm=known.input_tpm,
            output_tpm=known.output_tpm,
        )

    def source(self) -> LimitSource:
        """Where they come from; given ones are named first."""
        if self.given != Limits():
            return LimitSource.GIVEN
        return LimitSource.LEARNED if self.announced == KnownLimits() else LimitSource.ANNOUNCED


def _known(limit: float | None) -> float | None:
    """0 and below mean unknown (PROVIDERS §2.1)."""
    return limit if limit is not None and limit > 0 else None
