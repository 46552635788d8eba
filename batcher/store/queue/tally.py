"""Counts what one transaction settles."""

from collections import Counter
from collections.abc import Sequence

from batcher.domain.events import RequestsSettled
from batcher.domain.ids import JobId, RequestId


class SettledTally:
    """The settled requests, by job."""

    def __init__(self) -> None:
        self._completed: dict[JobId, list[RequestId]] = {}
        self._dead_lettered: dict[JobId, list[RequestId]] = {}
        self._cached: Counter[JobId] = Counter()
        self.followers_left = False

    def completed(self, job_id: JobId, request_ids: Sequence[RequestId], *, cached: int = 0) -> None:
        """Count requests that were answered; `cached` of them without a request of their own."""
        self._completed.setdefault(job_id, []).extend(request_ids)
        self._cached[job_id] += cached

    def dead_lettered(self, job_id: JobId, request_ids: Sequence[RequestId]) -> None:
        """Count dead letters."""
        self._dead_lettered.setdefault(job_id, []).extend(request_ids)

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
