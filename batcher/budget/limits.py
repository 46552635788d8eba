"""The limits of one lane: what the user gave, what the server announced, and what is kept of both."""

from batcher.domain.lanes import RateHints
from batcher.domain.settings import Limits
from batcher.domain.states import LimitSource
from batcher.policy.admission import in_force


class LaneLimits:
    """Two sources, one answer. A lane without either is `LEARNED`: its level and its cool-downs are all it has."""

    __slots__ = ("_announced", "given")

    def __init__(self, given: Limits) -> None:
        self.given = given
        self._announced = Limits()

    def heed(self, hints: RateHints) -> None:
        """Remember what a reply announced; what it does not say stays."""
        rpm = _known(hints.rpm) or self._announced.rpm
        tpm = _known(hints.tpm) or self._announced.tpm
        if rpm != self._announced.rpm or tpm != self._announced.tpm:
            self._announced = Limits(rpm=rpm, tpm=tpm)

    def kept(self) -> Limits:
        """The limits to keep."""
        return Limits(
            rpm=in_force(self.given.rpm, self._announced.rpm),
            tpm=in_force(self.given.tpm, self._announced.tpm),
        )

    def source(self) -> LimitSource:
        """Where they come from; given ones are named first."""
        if self.given != Limits():
            return LimitSource.GIVEN
        return LimitSource.LEARNED if self._announced == Limits() else LimitSource.ANNOUNCED


def _known(limit: float | None) -> float | None:
    """0 and below mean unknown (PROVIDERS §2.1)."""
    return limit if limit is not None and limit > 0 else None
