"""Once a second: records that the runner is alive and what it is doing, and reads which jobs are requested."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable

from msgspec.structs import replace

from batcher.domain.ids import JobId
from batcher.policy.retry.circuit_breaker import paused
from batcher.ports import Budget, Queue
from batcher.worker.active_jobs import ActiveJobs
from batcher.worker.pausing.pauses import Pauses, silent, unreachable
from batcher.worker.run_state import JobRun, Lane, State
from batcher.worker.snapshot import Snapshot, encode, lane_snapshot

_BEAT_SECONDS = 1.0


class Heartbeat:
    """The heartbeat of a runner."""

    def __init__(
        self, *, queue: Queue, state: State, budget: Budget, active_jobs: ActiveJobs, pauses: Pauses
    ) -> None:
        self._queue = queue
        self._state = state
        self._budget = budget
        self._active_jobs = active_jobs
        self._pauses = pauses
        #: Orders are followed in the order in which they were read.
        self._turn = asyncio.Lock()
        self._follows = True

    async def run(self) -> None:
        """Run until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            now = loop.time()
            await write_active(self._queue, self._state.jobs.values(), now)
            for job in self._state.jobs.values():
                job.pace.tick(now)
            await self.once()
            self._watch_silence(loop.time())

    async def once(self) -> None:
        """Write the snapshot; read which jobs are requested, and apply changes."""
        async with self._turn:
            for lane in list(self._state.lanes.values()):
                await self._save(lane)
            orders = await self._queue.beat(encode(self._snapshot()))
            if self._follows:
                await self._active_jobs.follow(orders)

    async def stop_following(self) -> None:
        """Stop adding and dropping jobs; returns when none is being added."""
        async with self._turn:
            self._follows = False

    def _snapshot(self) -> Snapshot:
        state = self._state
        return Snapshot(
            jobs=list(state.jobs),
            in_flight=state.in_flight,
            lanes=[lane_snapshot(self._budget.view(key)) for key in state.lanes],
            rates={job_id: rate for job_id, job in state.jobs.items() if (rate := job.pace.per_second())},
            sending=Counter(claim.job_id for claim in state.sending.values()),
            outages=[each.base_url for each in state.endpoints.values() if each.breaker.is_open],
        )

    async def _save(self, lane: Lane) -> None:
        """Store what was learned of the lane. Cool-downs are stored together with the refusals that begin them."""
        memory = self._budget.memory(lane.key)
        if memory != lane.stored.memory:
            lane.stored = replace(lane.stored, memory=memory)
            await self._queue.save_lane(lane.stored)

    def _watch_silence(self, now: float) -> None:
        """Pause a lane that has answered nothing for as long as one of its jobs allows."""
        asked = {route.lane for route in self._state.routes.values() if not route.dry}
        for job in self._state.jobs.values():
            for lane in job.lanes:
                since = lane.silent_since(job.job.settings.max_wait)
                if not (lane in asked or lane.in_flight or lane.ready):
                    lane.failing_since = None
                elif since is not None and lane.pause is None and now - since >= job.job.settings.max_wait:
                    self._stop(lane, job, now - since)

    def _stop(self, lane: Lane, job: JobRun, seconds: float) -> None:
        in_outage = lane.endpoint.breaker.is_open
        self._pauses.begin(unreachable(lane) if in_outage else silent(lane, seconds), lane, job)
        if in_outage:
            lane.endpoint.breaker = paused(lane.endpoint.breaker)


async def write_active(queue: Queue, jobs: Iterable[JobRun], now: float) -> None:
    """Add each job's working time since the last call; `now` is monotonic seconds."""
    worked: defaultdict[int, list[JobId]] = defaultdict(list)
    for job in jobs:
        worked[job.take_active_us(now)].append(job.job.id)
    for active_us, of in sorted(worked.items()):
        if active_us > 0:
            await queue.add_active(of, active_us)
