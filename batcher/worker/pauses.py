"""Stopping what waits for a person: an endpoint, a key, a lane or a job. What is in flight ends."""

import asyncio
from typing import assert_never

from batcher.domain.events import SendingPaused
from batcher.domain.outcomes import PauseCause
from batcher.domain.settlements import Release, Settlement
from batcher.domain.states import PauseReason, PauseScope
from batcher.ports import Events, Queue
from batcher.worker.settler import Settler
from batcher.worker.state import Endpoint, JobRun, Lane, State


class Pauses:
    """Begins pauses: in memory at once, in the store by `run`."""

    def __init__(self, *, queue: Queue, state: State, settler: Settler, events: Events) -> None:
        self._queue = queue
        self._state = state
        self._settler = settler
        self._events = events
        self._to_write: asyncio.Queue[tuple[PauseCause, str]] = asyncio.Queue()

    def begin(self, cause: PauseCause, lane: Lane, job: JobRun) -> None:
        """Stop what the cause's scope means, as seen from this lane and job. A pause in force stays as it is."""
        stopped, ref = self._scope(cause, lane, job)
        fresh = [each for each in stopped if each.pause is None]
        if not fresh:
            return
        for each in fresh:
            each.pause = cause
        for each in [lane_ for lane_ in fresh if isinstance(lane_, Lane)]:
            self._give_back(each)
        self._to_write.put_nowait((cause, ref))
        self._events.emit(SendingPaused(lane=lane.key, cause=cause))
        self._state.wake.set()

    def _scope(self, cause: PauseCause, lane: Lane, job: JobRun) -> tuple[list[Lane] | list[JobRun], str]:
        key = lane.key
        match cause.scope:
            case PauseScope.ENDPOINT:
                return self._lanes(endpoint=lane.endpoint), str(key.endpoint_id)
            case PauseScope.KEY:
                ref = f"{key.endpoint_id}:{key.key_name}"
                return [
                    each for each in self._lanes(endpoint=lane.endpoint) if each.key.key_name == key.key_name
                ], ref
            case PauseScope.LANE:
                return [lane], str(lane.stored.id)
            case PauseScope.JOB:
                return [job], str(job.job.id)
            case _:
                assert_never(cause.scope)

    def _lanes(self, *, endpoint: Endpoint) -> list[Lane]:
        return [lane for lane in self._state.lanes.values() if lane.endpoint is endpoint]

    def _give_back(self, lane: Lane) -> None:
        while lane.ready:
            self._settler.add(Settlement(claim=lane.ready.popleft(), decision=Release(), attempt=None))

    async def run(self) -> None:
        """Write pauses down as they begin, until cancelled."""
        while True:
            cause, ref = await self._to_write.get()
            await asyncio.shield(self._queue.pause(cause, ref))
            self._to_write.task_done()

    async def written(self) -> None:
        """Wait until every pause is on disk."""
        await self._to_write.join()


def unreachable(endpoint: Endpoint, message: str) -> PauseCause:
    """The endpoint could not be reached, or answered nothing, for too long."""
    return PauseCause(
        scope=PauseScope.ENDPOINT,
        reason=PauseReason.ENDPOINT,
        message=f"{endpoint.base_url}: {message}",
        fix="check --base-url and the network, then `batcher resume`",
    )
