"""The port `Queue` over SQLite: every method is one of the named operations, run by the writer."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from sqlalchemy import Connection

from batcher.domain.events import RequestsSettled
from batcher.domain.ids import HolderId, JobId, LaneId, RouteId
from batcher.domain.jobs import Job, Orders, RunnerSnapshot
from batcher.domain.lanes import LaneKey, LaneView, StoredLane
from batcher.domain.outcomes import PauseCause
from batcher.domain.requests import ClaimResult, Route, RouteDemand, RouteHistory
from batcher.domain.settings import JobSettings
from batcher.domain.settlements import Settlement
from batcher.ports import Clock, Writer
from batcher.store.jobs import jobs
from batcher.store.jobs.kept_counts import CountChanges
from batcher.store.queue import claim, lanes, pauses, resuming, route_history, runners, settle, shared_ends

T = TypeVar("T")
#: Settlements of one commit: more would hold up the others that use the store.
MOST_SETTLED = 2_000


class SqlQueue:
    """What one holder may do with the store."""

    def __init__(
        self,
        writer: Writer,
        holder: HolderId,
        clock: Clock,
        *,
        answer_scope: Callable[[JobSettings], str | None] = lambda _: None,
    ) -> None:
        self._answer_scope = answer_scope
        self._writer = writer
        self._holder = holder
        self._clock = clock

    @property
    def pipeline_depth(self) -> int:
        """See `ports.Queue`."""
        return self._writer.pipeline_depth

    def claim(
        self, wants: Sequence[RouteDemand], *, most_bytes: int, alone: bool = False
    ) -> Awaitable[ClaimResult]:
        """See `ports.Queue`."""
        now, holder = self._clock.now(), self._holder
        return self._writer.write(
            lambda connection: claim.claim(
                connection, wants, holder=holder, now=now, most_bytes=most_bytes, alone=alone
            )
        )

    def settle(self, settlements: Sequence[Settlement]) -> Awaitable[Sequence[RequestsSettled]]:
        """See `ports.Queue`. Very many are settled in several commits; what a kill leaves can be settled again."""
        if len(settlements) > MOST_SETTLED:
            return self._settle_in_chunks(settlements)
        now, holder = self._clock.now(), self._holder
        return self._writer.write(
            lambda connection: settle.settle(connection, settlements, holder=holder, now=now)
        )

    async def _settle_in_chunks(self, settlements: Sequence[Settlement]) -> Sequence[RequestsSettled]:
        settled: list[RequestsSettled] = []
        for start in range(0, len(settlements), MOST_SETTLED):
            settled += await self.settle(settlements[start : start + MOST_SETTLED])
        return settled

    def exchange(
        self, settlements: Sequence[Settlement], wants: Sequence[RouteDemand], *, most_bytes: int
    ) -> Awaitable[tuple[Sequence[RequestsSettled], ClaimResult]]:
        """See `ports.Queue`."""
        now, holder = self._clock.now(), self._holder

        def both(connection: Connection) -> tuple[Sequence[RequestsSettled], ClaimResult]:
            changes = CountChanges(holder)
            ended = settle.settle_into(connection, settlements, changes, holder=holder, now=now)
            claimed = claim.claim_into(connection, wants, changes, holder=holder, now=now, most_bytes=most_bytes)
            changes.write(connection)
            return ended, claimed

        return self._writer.write(both)

    async def share_ends(self) -> tuple[Sequence[RequestsSettled], bool]:
        """See `ports.Queue`."""
        return await self._write(shared_ends.share_some)

    async def beat(self, snapshot: RunnerSnapshot, views: Mapping[LaneId, LaneView]) -> Orders:
        """See `ports.Queue`."""
        now = self._clock.now()
        return await self._write(
            lambda connection: runners.beat(connection, self._holder, now=now, snapshot=snapshot, views=views)
        )

    async def job(self, job_id: JobId) -> tuple[Job, Sequence[Route]]:
        """See `ports.Queue`."""
        now = self._clock.now()

        def start(connection: Connection) -> tuple[Job, Sequence[Route]]:
            jobs.start(connection, job_id, now=now)
            job = jobs.get(connection, job_id)
            scope = self._answer_scope(job.settings)
            if scope is not None and jobs.place(connection, job, scope):
                job = jobs.get(connection, job_id)
                # It was started by a person, which ends the pauses of where it is now as well.
                resuming.end_pauses(connection, job, now=now)
            return job, jobs.routes_of(connection, job)

        return await self._write(start)

    async def history(self, job: Job) -> Mapping[RouteId, RouteHistory]:
        """See `ports.Queue`."""
        return await self._write(lambda connection: route_history.of_job(connection, job))

    async def open_lane(self, key: LaneKey) -> StoredLane:
        """See `ports.Queue`."""
        now = self._clock.now()
        return await self._write(lambda connection: lanes.open_lane(connection, key, now=now))

    def save_lane(self, lane: StoredLane) -> Awaitable[None]:
        """See `ports.Queue`."""
        now = self._clock.now()
        return self._writer.write(lambda connection: lanes.save(connection, lane, now=now))

    async def pause(self, cause: PauseCause, ref: str) -> None:
        """See `ports.Queue`."""
        now = self._clock.now()
        await self._write(lambda connection: pauses.begin(connection, cause, ref, now=now))

    async def finish(self, finished: Sequence[JobId]) -> Sequence[JobId]:
        """See `ports.Queue`."""
        now = self._clock.now()
        return await self._write(lambda connection: jobs.finish(connection, finished, now=now))

    async def add_active(self, worked: Sequence[JobId], active_us: int) -> None:
        """See `ports.Queue`."""
        await self._write(lambda connection: jobs.add_active(connection, worked, active_us))

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await self._writer.write(work)
