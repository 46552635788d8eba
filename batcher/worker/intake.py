"""Claims by route and hands the claims to their lanes; notices when a job is finished."""

import asyncio
from collections.abc import Callable

from batcher.domain.events import JobFinished
from batcher.domain.requests import Claimed, Want
from batcher.ports import Clock, Events, Queue
from batcher.worker.settler import told
from batcher.worker.state import MOST_BYTES, JobRun, Lane, RouteRun, State

#: How often a route that has nothing is asked again: other processes submit, redrive and cancel.
_POLL_SECONDS = 1.0
_LEAST_READY, _MOST_READY = 16, 512


class Intake:
    """Keeps lanes supplied, a little ahead of what they send."""

    def __init__(
        self, *, queue: Queue, state: State, clock: Clock, events: Events, over: Callable[[], None]
    ) -> None:
        self._queue = queue
        self._state = state
        self._clock = clock
        self._events = events
        self._over = over
        self._turn = 0

    async def run(self) -> None:
        """Claim until cancelled. Calls `over` when no job can go on."""
        while True:
            self._state.wake.clear()
            wants = self._wants(asyncio.get_running_loop().time())
            moved = bool(wants) and await self._claim(wants)
            moved = await self._close_finished() or moved
            if self._state.is_over:
                self._over()
            if not moved:
                await self._nap()

    async def _claim(self, wants: list[Want], *, alone: bool = False) -> bool:
        await self._events.ready()
        # What is claimed while this is cancelled would be nobody's: the claim is waited for, then handed out.
        claiming = asyncio.ensure_future(
            self._queue.claim(wants, most_bytes=MOST_BYTES - self._state.held_bytes, alone=alone)
        )
        try:
            claimed = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            self._hand_out(await claiming, wants)
            raise
        self._hand_out(claimed, wants)
        # A route that is not asked out gave all that was wanted, be it to send, answered, or parked.
        return bool(claimed.claims or claimed.settled) or len(claimed.next_due) < len(wants)

    def _wants(self, now: float) -> list[Want]:
        """How many requests of each route its lane can take, every route in its turn."""
        if self._state.held_bytes >= MOST_BYTES:
            return []
        asking: dict[Lane, list[RouteRun]] = {}
        for route in self._in_turn():
            if route.ask_at <= now and route.lane.pause is None:
                asking.setdefault(route.lane, []).append(route)
        return [
            Want(route=each.route, most=max(1, room // len(routes)))
            for lane, routes in asking.items()
            if (room := _room(lane)) > 0
            for each in routes
        ]

    def _in_turn(self) -> list[RouteRun]:
        routes = [route for job in self._state.jobs.values() if job.is_wanted for route in job.routes]
        self._turn += 1
        first = self._turn % len(routes) if routes else 0
        return routes[first:] + routes[:first]

    def _hand_out(self, claimed: Claimed, wants: list[Want]) -> None:
        now, wall = asyncio.get_running_loop().time(), self._clock.now()
        for want in wants:
            route = self._state.routes[want.route.id]
            due = claimed.next_due.get(want.route.id, wall)
            asked_out = want.route.id in claimed.next_due
            route.dry = asked_out and due is None
            wait = _POLL_SECONDS if due is None else min(_POLL_SECONDS, max(0, due - wall) / 1e6)
            route.ask_at = now + (wait if asked_out else 0.0)
        for claim in claimed.claims:
            self._state.take(claim)
            lane = self._state.routes[claim.route_id].lane
            lane.ready.append(claim)
            lane.arrived.set()
        self._state.count(claimed.settled)
        for settled in claimed.settled:
            self._events.emit(told(settled))

    async def _close_finished(self) -> bool:
        """Close jobs that are at their end; try what runs last and alone. True: something moved."""
        now = asyncio.get_running_loop().time()
        for job in [job for job in self._state.jobs.values() if job.dropped and not job.held]:
            self._forget(self._state.jobs.pop(job.job.id))
        dry = [job for job in self._state.jobs.values() if job.is_dry and job.look_at <= now]
        if not dry:
            return False
        for job in dry:
            job.look_at = now + _POLL_SECONDS
        finished = await self._queue.finish([job.job.id for job in dry])
        for job_id in finished:
            self._forget(self._state.jobs.pop(job_id))
            self._events.emit(JobFinished(job_id=job_id))
        left = [job for job in dry if job.job.id not in finished]
        return bool(finished) or await self._try_alone(left)

    async def _try_alone(self, jobs: list[JobRun]) -> bool:
        """Suspects, one at a time, when nothing else is in hand that could die with them."""
        if not jobs or any(job.held for job in self._state.jobs.values()):
            return False
        wants = [Want(route=each.route, most=1) for job in jobs for each in job.routes if each.lane.pause is None]
        return bool(wants) and await self._claim(wants, alone=True)

    def _forget(self, job: JobRun) -> None:
        for each in job.routes:
            del self._state.routes[each.route.id]

    async def _nap(self) -> None:
        """Until something happens, or a route may have something again."""
        now = asyncio.get_running_loop().time()
        next_ask = min((route.ask_at for route in self._state.routes.values()), default=now + _POLL_SECONDS)
        # A route that may be asked but has no room is woken by its lane, not by time.
        seconds = next_ask - now if next_ask > now else _POLL_SECONDS
        try:
            async with asyncio.timeout(min(seconds, _POLL_SECONDS)):
                await self._state.wake.wait()
        except TimeoutError:
            pass


def _room(lane: Lane) -> int:
    """How many more claims the lane should have ready; nothing until half of them are gone."""
    target = min(_MOST_READY, max(_LEAST_READY, 2 * lane.in_flight))
    ready = len(lane.ready)
    return target - ready if ready <= target // 2 else 0
