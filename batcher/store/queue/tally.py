"""Counts what one transaction settles."""

from collections import Counter

from batcher.domain.events import RequestsSettled
from batcher.domain.ids import JobId, RequestId


class SettledTally:
    """The settled requests, by job."""

    def __init__(self) -> None:
        self._completed: dict[JobId, list[RequestId]] = {}
        self._dead_lettered: dict[JobId, list[RequestId]] = {}
        self._cached: Counter[JobId] = Counter()
        self.followers_left = False

    def completed(self, job_id: JobId, request_id: RequestId, *, cached: bool = False) -> None:
        """Count a request that was answered; `cached`: without a request of its own."""
        self._completed.setdefault(job_id, []).append(request_id)
        self._cached[job_id] += cached

    def dead_lettered(self, job_id: JobId, request_id: RequestId) -> None:
        """Count a dead letter."""
        self._dead_lettered.setdefault(job_id, []).append(request_id)

    def result(self) -> list[RequestsSettled]:
        """Return what was counted."""
        return [
            RequestsSettled(
                job_id=job_id,
                completed=self._completed.get(job_id, []),
                dead_lettered=self._dead_lettered.get(job_id, []),
                cached=self._cached[job_id],
                followers_left=self.followers_left,
            )
            for job_id in dict.fromkeys((*self._completed, *self._dead_lettered))
        ]
