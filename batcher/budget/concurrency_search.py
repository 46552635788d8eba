"""How many requests of a lane may be in flight while no rate is known: as many as bring throughput.

See docs/rate-limits.md#concurrency.
"""

from batcher.budget.reservation import GateReservation
from batcher.policy.rate import concurrency
from batcher.policy.rate.concurrency import Ceiling, Climb
from batcher.policy.rate.queueing import LatencyTrend, is_queueing, with_reply, worth_keeping

#: Replies after which the trend begins again, so that it speaks of the present.
_REMEMBERED = 512
#: Weight of a new reply's latency in the mean.
_WEIGHT = 0.2
#: Mean latency in seconds below which a queue at the server is none to care about: the wait is short, and fewer in
#: flight would only make our own batches smaller.
_LEAST_LATENCY_S = 0.1
#: A timeout is explained by a queue if answers take at least this share of the time. If they are much faster, the
#: request itself takes too long.
_SLOW = 0.25


class ConcurrencySearch:
    """Stops the first growth if latency shows a queue; after that, compares the throughput of different caps."""

    __slots__ = ("_ceiling", "_climb", "_latency", "_latest", "_most", "_trend")

    def __init__(self, most: int | None) -> None:
        #: Given by the user: it takes the place of the first cap, and is a ceiling.
        self._most = most
        self._climb = Climb()
        self._ceiling: Ceiling | None = None
        self._trend = LatencyTrend()
        #: Mean latency of recent answers in seconds; 0 before the first.
        self._latency = 0.0
        #: The latencies of the last two answers.
        self._latest = (0.0, 0.0)

    @property
    def cap(self) -> int:
        """Return how many may be in flight at most."""
        climb, most = self._climb, self._most
        if most is None:
            return climb.cap
        return min(most, climb.cap) if climb.measured else most

    def answered(self, place: GateReservation, now: float, *, is_full: bool, paced: bool) -> None:
        """Report a success. `is_full`: as many are in flight as the cap allows."""
        latency = now - place.at
        self._latest = (self._latest[1], latency)
        self._latency += (_WEIGHT if self._latency else 1.0) * (latency - self._latency)
        if paced:
            return
        climb = self._climb
        if not climb.measured:
            trend = self._trend if self._trend.count < _REMEMBERED else LatencyTrend()
            self._trend = trend = with_reply(trend, place.beside, latency)
            if self._latency >= _LEAST_LATENCY_S and is_queueing(trend):
                self._climb = concurrency.queued(worth_keeping(trend, place.beside), now)
                return
            if self._most is not None:
                return
        self._climb = concurrency.answered(climb, now, latency, is_full=is_full)

    def explains_timeout(self, waited_s: float, in_flight: int) -> bool:
        """Return whether a request waited so long in a queue: the answers of others take long, too.

        In a queue that grows each answer takes longer than the one before, so the last two count beside the mean
        of all. One alone does not: answers may differ in length.
        Before the first answer, several in flight explain it: the endpoint may work for another lane first.
        """
        if not self._latency:
            return in_flight > 1
        return max(self._latency, sum(self._latest) / 2) >= _SLOW * waited_s

    def timed_out(self, in_flight: int, now: float) -> None:
        """Keep half of what was in flight when a request was sent that then timed out in a queue."""
        self._climb = concurrency.queued(in_flight // 2, now + concurrency.LATER_S)

    def refused(self, accepted: int, resumes_at: float, *, again: bool) -> int:
        """Report a refusal beside so many accepted requests, after which sending resumes at that time.

        Returns how many to keep. `again`: the refusal is not of the same burst as the last.
        """
        self._ceiling = ceiling = concurrency.ceiling_after(self._ceiling, accepted, resumes_at, again=again)
        return ceiling.most

    def is_held(self, now: float) -> bool:
        """Return whether nothing grows, because a refusal for concurrency was not long ago."""
        return self._ceiling is not None and now < self._ceiling.until
