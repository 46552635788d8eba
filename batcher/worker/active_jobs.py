"""Adds and drops jobs while the worker runs, as people request it through the store."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from urllib.parse import urlsplit

from batcher.domain.errors import BatcherError, UnknownJob
from batcher.domain.ids import JobId
from batcher.domain.jobs import Job, Orders, lane_key
from batcher.domain.lanes import LaneKey, StoredLane
from batcher.domain.messages import Cause, Message, Words
from batcher.domain.outcomes import PauseCause
from batcher.domain.requests import Route, RouteHistory
from batcher.domain.settings import limits_for, strictest
from batcher.domain.states import JobState, PauseReason, PauseScope
from batcher.policy.rate.charging import with_known_rule
from batcher.policy.retry.circuit_breaker import Breaker
from batcher.policy.retry.failure_run import FailureRun
from batcher.policy.wording.url_secrets import shown_base_url
from batcher.ports import Budget, NamesKey, Queue, Sender
from batcher.worker.aio import all_of
from batcher.worker.commit_broker import CommitBroker
from batcher.worker.job_phase import JobEvent, JobPhase
from batcher.worker.pausing.pauses import Pauses, covers
from batcher.worker.pausing.verdicts import Verdicts
from batcher.worker.run_state import Endpoint, JobRun, Lane, RouteRun, State

#: Seconds after which a lane that no job uses is forgotten: longer than any limit per minute looks back.
_UNUSED_SECONDS = 90.0
#: Makes the sender of a job; raises BatcherError if it cannot, for example without a key.
Senders = Callable[[Job], Awaitable[Sender]]


class ActiveJobs:
    """The jobs that the worker runs. Only one task at a time may call it."""

    def __init__(
        self,
        *,
        state: State,
        queue: Queue,
        budget: Budget,
        senders: Senders,
        broker: CommitBroker,
        pauses: Pauses,
        verdicts: Verdicts,
        open_gate: Callable[[Lane], None],
    ) -> None:
        self._state = state
        self._queue = queue
        self._budget = budget
        self._senders = senders
        self._broker = broker
        self._pauses = pauses
        self._verdicts = verdicts
        self._open_gate = open_gate
        self._versions: dict[JobId, int] = {}
        #: The jobs whose limits were last applied, with the versions of their settings.
        self._limited: dict[JobId, int] = {}
        self._unused_since: dict[LaneKey, float] = {}

    async def follow(self, orders: Orders) -> None:
        """Add jobs that are newly wanted or whose settings changed; drop those that are no longer wanted."""
        for job in self._staying():
            if job.job.id not in orders.jobs:
                self._drop(job)
        for job_id in self._versions.keys() - orders.jobs.keys():
            del self._versions[job_id]
        for job_id, version in orders.jobs.items():
            if self._versions.get(job_id) != version or job_id not in self._state.jobs:
                await self._try_to_start(job_id)
        in_force = {job.job.id: job.job.settings_version for job in self._staying()}
        if in_force != self._limited:
            # The limits of a finished job no longer apply to its lanes.
            self._limited = in_force
            self._limit()

    async def _try_to_start(self, job_id: JobId) -> None:
        try:
            await self.start_job(job_id)
        except UnknownJob:
            # Deleted since the orders were read.
            return

    async def start_job(self, job_id: JobId, *, probe: bool = False) -> None:
        """Start the job, or continue it under its new settings; ends its pauses in memory.

        `probe`: the job was paused, so one request goes first, alone. A finished job is skipped.
        """
        job, routes = await self._queue.job(job_id)
        self._versions[job_id] = job.settings_version
        if job.state is not JobState.OPEN:
            return
        stored = await self._stored_lanes(job, routes)
        lanes = {route.model: self._lane(job, route, stored) for route in routes}
        history = await self._queue.history(job)
        sender = await self._sender_of(job)
        # There is no await from here on, so no other task sees the job half changed.
        for route_id in [route.id for route in routes if route.id in self._state.routes]:
            self._verdicts.forget(self._state.routes[route_id])
        known = self._enter(job, routes, lanes)
        for route in known.routes:
            past = history.get(route.id, RouteHistory())
            route.sends_before = route.sends
            route.failures = FailureRun(answered=past.answered, confirmed=past.confirmed)
        self._limit(known.lanes)
        self._lift_pauses(known, probe=probe)
        if isinstance(sender, BatcherError):
            known.sender = None
            self._pauses.begin(_no_sender(sender), known.routes[0].lane, known)
        else:
            known.sender = sender
            if isinstance(sender, NamesKey):
                known.key_place, known.missing_key = sender.key_place, sender.missing_key
        self._state.wake.set()

    async def _sender_of(self, job: Job) -> Sender | BatcherError:
        try:
            return await self._senders(job)
        except BatcherError as error:
            return error

    async def _stored_lanes(self, job: Job, routes: Sequence[Route]) -> dict[LaneKey, StoredLane]:
        """Open the lanes that the job needs and no other has opened, all in one commit or a few."""
        keys = {lane_key(job, route.model): None for route in routes}
        new = [key for key in keys if key not in self._state.lanes]
        opening = [asyncio.ensure_future(self._queue.open_lane(key)) for key in new]
        await all_of(opening)
        return {key: opened.result() for key, opened in zip(new, opening, strict=True)}

    def _lane(self, job: Job, route: Route, stored: Mapping[LaneKey, StoredLane]) -> Lane:
        key = lane_key(job, route.model)
        given = limits_for(job.settings, route.model)
        lane = self._state.lanes.get(key)
        if lane is not None:
            return lane
        lane = self._state.lanes[key] = Lane(
            key=key, stored=stored[key], endpoint=self._endpoint(job, stored[key])
        )
        memory = with_known_rule(lane.stored.memory, lane.endpoint.host, lane.key.model)
        self._budget.open_lane(key, given, cooling_until=lane.stored.cooling_until, memory=memory)
        self._open_gate(lane)
        return lane

    def _limit(self, lanes: Collection[Lane] | None = None) -> None:
        """Apply to each of these lanes (None: all) the strictest of the limits that its jobs were given."""
        sharing: dict[Lane, list[Job]] = {}
        for each in self._staying():
            for lane in each.lanes:
                sharing.setdefault(lane, []).append(each.job)
        for lane, of in sharing.items():
            if lanes is None or lane in lanes:
                given = strictest(limits_for(job.settings, lane.key.model) for job in of)
                self._budget.open_lane(lane.key, given, cooling_until=None)
                lane.touched = True

    def close_unused_lanes(self) -> None:
        """Forget lanes that no job has used for a minute, and endpoints without lanes.

        The store keeps what was learned of them.
        """
        now = asyncio.get_running_loop().time()
        used = {route.lane for route in self._state.routes.values()}
        for lane in [each for each in self._state.lanes.values() if each not in used]:
            since = self._unused_since.setdefault(lane.key, now)
            if now - since >= _UNUSED_SECONDS and not (lane.in_flight or lane.ready or lane.held_bytes):
                del self._state.lanes[lane.key], self._unused_since[lane.key]
                self._budget.close_lane(lane.key)
                if lane.gate is not None:
                    lane.gate.cancel()
        for key in [key for key in self._unused_since if self._state.lanes.get(key) in used]:
            del self._unused_since[key]
        left = {lane.endpoint.id for lane in self._state.lanes.values()}
        for endpoint_id in self._state.endpoints.keys() - left:
            del self._state.endpoints[endpoint_id]

    def _endpoint(self, job: Job, lane: StoredLane) -> Endpoint:
        if job.endpoint_id not in self._state.endpoints:
            host = urlsplit(job.base_url).hostname or ""
            breaker = Breaker(known=lane.endpoint_answered)
            made = Endpoint(id=job.endpoint_id, base_url=shown_base_url(job.base_url), host=host, breaker=breaker)
            self._state.endpoints[job.endpoint_id] = made
        return self._state.endpoints[job.endpoint_id]

    def _enter(self, job: Job, routes: Sequence[Route], lanes: Mapping[str, Lane]) -> JobRun:
        known = self._state.jobs.setdefault(job.id, JobRun(job=job))
        known.job = job
        known.follow(JobEvent.STARTED)
        if known.active_to is None:
            known.active_to = asyncio.get_running_loop().time()
        for route in routes:
            self._enter_route(known, route, lanes[route.model])
        return known

    def _enter_route(self, job: JobRun, route: Route, lane: Lane) -> None:
        known = self._state.routes.get(route.id)
        if known is None:
            known = self._state.routes[route.id] = RouteRun(route=route, lane=lane)
            job.routes.append(known)
        elif known.lane is not lane:  # another key is another lane
            self._broker.release(known.lane, job_id=job.job.id)
        known.route, known.lane = route, lane
        known.ask_at, known.dry = 0.0, False

    def _lift_pauses(self, job: JobRun, *, probe: bool) -> None:
        """End every pause that the job waits for; what was paused begins with one request alone."""
        for route in job.routes:
            route.pause = None
        own = job.lanes
        for lane in self._state.lanes.values():
            paused = lane.pause is not None and any(covers(lane.pause, each, lane) for each in own)
            if paused or (probe and lane in own):
                lane.pause = lane.failing_since = None
                self._budget.restart(lane.key)

    def _staying(self) -> list[JobRun]:
        return [job for job in self._state.jobs.values() if job.phase is not JobPhase.LEAVING]

    def _drop(self, job: JobRun) -> None:
        job.follow(JobEvent.DROPPED)
        for lane in job.lanes:
            self._broker.release(lane, job_id=job.job.id)
        self._state.wake.set()


def _no_sender(error: BatcherError) -> PauseCause:
    return PauseCause(
        scope=PauseScope.JOB,
        reason=PauseReason.CREDENTIALS,
        message=error.message,
        fix=_fix_of(error.hint),
    )


def _fix_of(hint: Words | None) -> Message:
    if hint is None:
        return Cause.CANNOT_SEND()
    return hint if isinstance(hint, Message) else Cause.TEXT(text=hint)
