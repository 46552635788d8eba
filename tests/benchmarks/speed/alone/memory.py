"""What the worker needs around it, at no cost: a queue in memory and a sender that answers at once."""

import asyncio
from collections.abc import Mapping, Sequence

from batcher.domain.events import Event, RequestsSettled
from batcher.domain.exchange import Reply
from batcher.domain.ids import JobId, LaneId, RouteId
from batcher.domain.jobs import Job, Orders, RunnerSnapshot
from batcher.domain.lanes import LaneKey, LaneMemory, LaneView, StoredLane
from batcher.domain.outcomes import PauseCause
from batcher.domain.requests import Claim, ClaimResult, Route, RouteDemand, RouteHistory
from batcher.domain.settlements import Settlement


class Deaf:
    """`ports.Events` that nobody listens to."""

    def emit(self, event: Event) -> None:
        """See `ports.Events`."""

    def is_behind(self, job_id: JobId) -> bool:
        """See `ports.Events`."""
        return False


class AtOnce:
    """`ports.Sender` that answers everything alike, after one turn of the loop."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    async def send(self, *, path: str, body: bytes, client_request_id: str) -> Reply:
        """See `ports.Sender`."""
        await asyncio.sleep(0)
        return self._reply


class MemoryQueue:
    """`ports.Queue` over a list of claims of one job."""

    def __init__(self, job: Job, route: Route, claims: Sequence[Claim]) -> None:
        self._job = job
        self._route = route
        self._claims = claims
        self._given = 0
        #: How many were answered.
        self.settled = 0

    @property
    def _is_over(self) -> bool:
        return self.settled == len(self._claims)

    async def claim(self, wants: Sequence[RouteDemand], *, most_bytes: int, alone: bool = False) -> ClaimResult:
        """See `ports.Queue`."""
        await asyncio.sleep(0)
        most = wants[0].most
        taken = self._claims[self._given : self._given + most]
        self._given += len(taken)
        return ClaimResult(claims=taken, settled=(), next_due={} if len(taken) == most else {self._route.id: None})

    pipeline_depth = 1

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[RequestsSettled]:
        """See `ports.Queue`."""
        await asyncio.sleep(0)
        self.settled += len(settlements)
        done = RequestsSettled(job_id=self._job.id, completed=[each.claim.request_id for each in settlements])
        return [done]

    async def exchange(
        self, settlements: Sequence[Settlement], wants: Sequence[RouteDemand], *, most_bytes: int
    ) -> tuple[Sequence[RequestsSettled], ClaimResult]:
        """See `ports.Queue`."""
        return await self.settle(settlements), await self.claim(wants, most_bytes=most_bytes)

    async def share_ends(self) -> tuple[Sequence[RequestsSettled], bool]:
        return [], False

    async def beat(self, snapshot: RunnerSnapshot, views: Mapping[LaneId, LaneView]) -> Orders:
        """See `ports.Queue`."""
        return Orders(jobs={} if self._is_over else {self._job.id: self._job.settings_version})

    async def job(self, job_id: JobId) -> tuple[Job, Sequence[Route]]:
        """See `ports.Queue`."""
        return self._job, [self._route]

    async def history(self, job: Job) -> Mapping[RouteId, RouteHistory]:
        """See `ports.Queue`."""
        return {}

    async def open_lane(self, key: LaneKey) -> StoredLane:
        """See `ports.Queue`."""
        return StoredLane(id=LaneId(1), key=key, memory=LaneMemory(), cooling_until=None)

    async def save_lane(self, lane: StoredLane) -> None:
        """See `ports.Queue`."""

    async def pause(self, cause: PauseCause, ref: str) -> None:
        """Nothing is ever paused here."""
        raise AssertionError(cause)

    async def finish(self, finished: Sequence[JobId]) -> Sequence[JobId]:
        """See `ports.Queue`."""
        return list(finished) if self._is_over else []

    async def add_active(self, worked: Sequence[JobId], active_us: int) -> None:
        """See `ports.Queue`."""
