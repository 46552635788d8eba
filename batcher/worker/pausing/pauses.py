"""Stops what must wait for a person: an endpoint, a key, a lane, a route or a job. Requests in flight finish."""

import asyncio
from typing import assert_never

from batcher.domain.events import SendingPaused
from batcher.domain.jobs import key_ref
from batcher.domain.messages import Cause, Message
from batcher.domain.outcomes import Failure, PauseCause
from batcher.domain.states import FaultKind, PauseReason, PauseScope
from batcher.ports import Events, Queue
from batcher.worker.commit_broker import CommitBroker
from batcher.worker.job_phase import JobEvent
from batcher.worker.run_state import JobRun, Lane, RouteRun, State

#: What to do about an endpoint that does not answer, by the last failure.
_FIXES = {
    FaultKind.TLS.value: Cause.UNREACHABLE_TLS,
    FaultKind.DNS.value: Cause.UNREACHABLE_DNS,
    FaultKind.TIMEOUT.value: Cause.UNREACHABLE_TIMEOUT,
}


class Pauses:
    """Begins pauses: in memory at once, in the store by `run`."""

    def __init__(self, *, queue: Queue, state: State, broker: CommitBroker, events: Events) -> None:
        self._queue = queue
        self._state = state
        self._broker = broker
        self._events = events
        self._to_write: list[tuple[PauseCause, str]] = []
        self._arrived = asyncio.Event()

    def begin(self, cause: PauseCause, lane: Lane, job: JobRun, route: RouteRun | None = None) -> None:
        """Pause what the cause's scope means, as seen from this lane, job and route.

        A pause that is already in force stays.
        """
        if cause.scope is PauseScope.JOB:
            begun = self._stop_job(job)
        elif route is not None and cause.scope is PauseScope.ROUTE:
            begun = self._stop_route(cause, route)
        else:
            begun = self._stop_lanes(cause, lane)
        if not begun:
            return
        self._to_write.append((cause, _ref(cause.scope, lane, job, route)))
        self._arrived.set()
        self._events.emit(SendingPaused(lane=lane.key, cause=cause, job_id=job.job.id))
        self._state.wake.set()

    def _stop_lanes(self, cause: PauseCause, lane: Lane) -> bool:
        fresh = [each for each in self._state.lanes.values() if each.pause is None and covers(cause, lane, each)]
        for each in fresh:
            each.pause = cause
            self._broker.release(each)
        return bool(fresh)

    def _stop_job(self, job: JobRun) -> bool:
        if not job.follow(JobEvent.PAUSED):
            return False
        for lane in job.lanes:
            self._broker.release(lane, job_id=job.job.id)
        return True

    def _stop_route(self, cause: PauseCause, route: RouteRun) -> bool:
        if route.pause is not None:
            return False
        route.pause = cause
        self._broker.release(route.lane, route_id=route.id)
        return True

    async def run(self) -> None:
        """Write pauses to the store as they begin, until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await self.write()

    async def write(self) -> None:
        """Write pending pauses. It can be called again after an interruption; a pause in force stays as it is."""
        while self._to_write:
            cause, ref = self._to_write[0]
            await self._queue.pause(cause, ref)
            self._to_write.pop(0)


def covers(cause: PauseCause, seen_from: Lane, lane: Lane) -> bool:
    """Return whether a pause that begins on one lane also stops another. A job's or a route's stops no lane."""
    match cause.scope:
        case PauseScope.ENDPOINT:
            return lane.endpoint is seen_from.endpoint
        case PauseScope.KEY:
            return lane.endpoint is seen_from.endpoint and lane.key.key_name == seen_from.key.key_name
        case PauseScope.LANE:
            return lane is seen_from
        case PauseScope.JOB | PauseScope.ROUTE:
            return False
        case _:
            assert_never(cause.scope)


def _ref(scope: PauseScope, lane: Lane, job: JobRun, route: RouteRun | None) -> str:
    """Return the `ref` under which the store knows what is paused."""
    match scope:
        case PauseScope.ENDPOINT:
            return str(lane.key.endpoint_id)
        case PauseScope.KEY:
            return key_ref(lane.key.endpoint_id, lane.key.key_name)
        case PauseScope.LANE:
            return str(lane.stored.id)
        case PauseScope.ROUTE:
            assert route is not None  # noqa: S101 - for the type checker: `begin` has paused it
            return str(route.id)
        case PauseScope.JOB:
            return str(job.job.id)
        case _:
            assert_never(scope)


def unreachable(lane: Lane) -> PauseCause:
    """Return the pause for a lane's endpoint that could not be reached, or answered nothing, for too long."""
    endpoint, state = lane.endpoint, lane.endpoint.breaker
    what = "could not be reached" if state.never_reached else "answered nothing"
    return PauseCause(
        scope=PauseScope.ENDPOINT,
        reason=PauseReason.ENDPOINT,
        message=f"{endpoint.base_url}: {what} for {state.failing:.0f} s{_last_words(lane)}",
        fix=_fix_of(lane.last_failure),
    )


def silent(lane: Lane, seconds: float) -> PauseCause:
    """Return the pause for a lane that was sent requests for too long and answered none, refused or not."""
    model = lane.key.model or "this path"
    return PauseCause(
        scope=PauseScope.LANE,
        reason=PauseReason.ENDPOINT,
        message=f"{lane.endpoint.base_url}: {model} answered nothing for {seconds:.0f} s{_last_words(lane)}",
        fix=Cause.SILENT(),
    )


def _last_words(lane: Lane) -> str:
    """Return what the last failure said, as the end of a message."""
    return f"; the last failure: {lane.last_failure.message}" if lane.last_failure is not None else ""


def _fix_of(failure: Failure | None) -> Message:
    code = failure.code if failure is not None else ""
    return _FIXES.get(code, Cause.UNREACHABLE)()
