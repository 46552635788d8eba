"""Taking jobs up and letting them go, as people ask for them through the store."""

from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from batcher.domain.errors import BatcherError
from batcher.domain.ids import JobId
from batcher.domain.jobs import Job, Orders
from batcher.domain.lanes import LaneKey
from batcher.domain.outcomes import PauseCause
from batcher.domain.requests import Route
from batcher.domain.settings import limits_for
from batcher.domain.settlements import Release, Settlement
from batcher.domain.states import PauseReason, PauseScope
from batcher.ports import Budget, Queue, Sender
from batcher.worker.pauses import Pauses
from batcher.worker.settler import Settler
from batcher.worker.state import Endpoint, JobRun, Lane, RouteRun, State

#: Makes what sends for a job; raises BatcherError where it cannot: no key.
Senders = Callable[[Job], Awaitable[Sender]]


class Roster:
    """The jobs at work."""

    def __init__(
        self,
        *,
        state: State,
        queue: Queue,
        budget: Budget,
        senders: Senders,
        settler: Settler,
        pauses: Pauses,
        open_gate: Callable[[Lane], None],
    ) -> None:
        self._state = state
        self._queue = queue
        self._budget = budget
        self._senders = senders
        self._settler = settler
        self._pauses = pauses
        self._open_gate = open_gate
        self._versions: dict[JobId, int] = {}

    async def follow(self, orders: Orders) -> None:
        """Take up what is newly wanted, or whose settings changed; let go of what is not wanted any more."""
        for job_id, version in orders.jobs.items():
            if self._versions.get(job_id) != version:
                self._versions[job_id] = version
                await self.take_up(job_id)
        for job_id, job in self._state.jobs.items():
            if job_id not in orders.jobs and not job.dropped:
                self._drop(job)
        for job_id in self._versions.keys() - orders.jobs.keys():
            del self._versions[job_id]

    async def take_up(self, job_id: JobId, *, probe: bool = False) -> None:
        """Begin to work on the job, or go on with it under its new settings; ends its pauses in memory.

        `probe`: it was paused, so one request goes first, alone.
        """
        job, routes = await self._queue.job(job_id)
        self._versions[job_id] = job.settings_version
        lanes = {route.model: await self._lane(job, route, probe=probe) for route in routes}
        known = self._state.jobs.get(job_id)
        if known is None:
            known = JobRun(job=job, routes=[RouteRun(route=route, lane=lanes[route.model]) for route in routes])
            self._state.jobs[job_id] = known
            self._state.routes.update({each.route.id: each for each in known.routes})
        else:
            self._move(known, job, routes, lanes)
        known.pause, known.dropped = None, False
        try:
            known.sender = await self._senders(job)
        except BatcherError as error:
            self._pauses.begin(_no_sender(error), known.routes[0].lane, known)
        self._state.wake.set()

    def _move(self, known: JobRun, job: Job, routes: Sequence[Route], lanes: dict[str, Lane]) -> None:
        """The job's settings changed while it runs: another key or base URL is another lane."""
        known.job = job
        for route, now in zip(known.routes, routes, strict=True):
            route.route = now
            left, route.lane = route.lane, lanes[now.model]
            route.ask_at, route.dry = 0.0, False
            if left is not route.lane:
                self._release(left, job.id)

    async def _lane(self, job: Job, route: Route, *, probe: bool) -> Lane:
        key = LaneKey(endpoint_id=job.endpoint_id, key_name=job.key_name, model=route.model)
        given = limits_for(job.settings, route.model)
        lane = self._state.lanes.get(key)
        if lane is None:
            stored = await self._queue.open_lane(key)
            lane = Lane(key=key, stored=stored, endpoint=self._endpoint(job))
            self._state.lanes[key] = lane
            self._budget.open_lane(key, given, cooling_until=stored.cooling_until)
            self._open_gate(lane)
        else:
            self._budget.open_lane(key, given, cooling_until=None)
        if probe or lane.pause is not None:
            lane.pause = None
            self._budget.cool_down(key, wait_us=0, jitter=0.0, restart_ramp=True)
        return lane

    def _endpoint(self, job: Job) -> Endpoint:
        if job.endpoint_id not in self._state.endpoints:
            host = urlsplit(job.base_url).hostname or ""
            made = Endpoint(id=job.endpoint_id, base_url=job.base_url, host=host)
            self._state.endpoints[job.endpoint_id] = made
        return self._state.endpoints[job.endpoint_id]

    def _drop(self, job: JobRun) -> None:
        job.dropped = True
        for lane in {id(route.lane): route.lane for route in job.routes}.values():
            self._release(lane, job.job.id)
        self._state.wake.set()

    def _release(self, lane: Lane, job_id: JobId) -> None:
        kept = []
        while lane.ready:
            claim = lane.ready.popleft()
            if claim.job_id == job_id:
                self._settler.add(Settlement(claim=claim, decision=Release(), attempt=None))
            else:
                kept.append(claim)
        lane.ready.extend(kept)


def _no_sender(error: BatcherError) -> PauseCause:
    return PauseCause(
        scope=PauseScope.JOB,
        reason=PauseReason.CREDENTIALS,
        message=error.message,
        fix=error.hint or "mend it, then `batcher resume`",
    )
