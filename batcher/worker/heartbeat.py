"""Once a second: records that the runner is alive and what it is doing, and reads which jobs are requested."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from batcher.domain.ids import JobId, LaneId
from batcher.domain.lanes import LaneView
from batcher.policy.retry.circuit_breaker import paused
from batcher.ports import Budget, Queue
from batcher.worker.active_jobs import ActiveJobs
from batcher.worker.aio import all_of
from batcher.worker.pausing.pauses import Pauses, silent, unreachable
from batcher.worker.run_state import JobRun, Lane, State
from batcher.worker.snapshot import is_same, snapshot_of

_BEAT_SECONDS = 1.0
#: Lanes at rest: how many are looked at with each beat at least, and in how many beats all of them are.
_LEAST_LANES, _ROUND_BEATS = 32, 60


class Heartbeat:
    """The heartbeat of a runner."""

    def __init__(
        self,
        *,
        queue: Queue,
        state: State,
        budget: Budget,
        active_jobs: ActiveJobs,
        pauses: Pauses,
        keys: Mapping[JobId, str],
        hand_over: Callable[[], None],
    ) -> None:
        self._keys = keys
        self._hand_over = hand_over
        self._queue = queue
        self._state = state
        self._budget = budget
        self._active_jobs = active_jobs
        self._pauses = pauses
        #: Orders are followed in the order in which they were read.
        self._turn = asyncio.Lock()
        self._follows = True
        #: What was last written of each lane, and where the next round of them begins.
        self._seen: dict[LaneId, LaneView] = {}
        self._next_lane = 0
        self._others_wrote = 0

    async def run(self) -> None:
        """Run until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            now = loop.time()
            await write_active(self._queue, self._state.jobs.values(), now)
            for job in self._state.jobs.values():
                job.pace.sample(now, job.settled)
            await self.once()
            self._watch_silence(loop.time())

    async def once(self) -> None:
        """Write the snapshot; read which jobs are requested, and apply changes."""
        async with self._turn:
            looked_at = self._lanes_to_look_at()
            await self._save(looked_at)
            orders = await self._queue.beat(snapshot_of(self._state, self._keys), self._changed_views(looked_at))
            if self._follows and orders.hand_over:
                self._hand_over()
            elif self._follows:
                await self._active_jobs.follow(orders)
                self._active_jobs.close_unused_lanes()
            self._ask_again(orders.others_wrote)

    def _lanes_to_look_at(self) -> list[Lane]:
        """Return the lanes at which something happened, and some of the others in turn.

        With many lanes at rest, to look at each of them every second would keep a core busy.
        """
        lanes = list(self._state.lanes.values())
        count = max(_LEAST_LANES, len(lanes) // _ROUND_BEATS)
        start = self._next_lane % max(1, len(lanes))
        self._next_lane = start + count
        in_turn = {lane.key for lane in (lanes + lanes)[start : start + min(count, len(lanes))]}
        return [lane for lane in lanes if lane.touched or lane.in_flight or lane.key in in_turn]

    def _changed_views(self, lanes: Iterable[Lane]) -> dict[LaneId, LaneView]:
        changed = {}
        for lane in lanes:
            seen = self._budget.view(lane.key)
            if not is_same(self._seen.get(lane.stored.id), seen):
                self._seen[lane.stored.id] = seen
                changed[lane.stored.id] = seen
            lane.touched = False
        for lane_id in self._seen.keys() - {lane.stored.id for lane in self._state.lanes.values()}:
            del self._seen[lane_id]
        return changed

    def _ask_again(self, others_wrote: int) -> None:
        """Ask for requests of all routes if another process has written: it may have put some back."""
        if others_wrote == self._others_wrote:
            return
        self._others_wrote = others_wrote
        now = asyncio.get_running_loop().time()
        for route in self._state.routes.values():
            route.ask_at = min(route.ask_at, now)
        self._state.wake.set()

    async def stop_following(self) -> None:
        """Stop adding and dropping jobs; returns when none is being added."""
        async with self._turn:
            self._follows = False

    async def _save(self, lanes: Iterable[Lane]) -> None:
        """Store what was learned of the lanes, all in one commit or a few.

        Cool-downs are stored together with the refusals that begin them.
        """
        saving = []
        for lane in lanes:
            memory = self._budget.memory(lane.key)
            if memory != lane.stored.memory:
                lane.stored = replace(lane.stored, memory=memory)
                saving.append(self._queue.save_lane(lane.stored))
        await all_of(saving)

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
