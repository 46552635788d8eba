"""Claims requests by route and hands them to their lanes; closes jobs that are finished."""

import asyncio
import sys
from collections.abc import Callable

from batcher.domain.events import JobFinished
from batcher.domain.requests import Claim, ClaimResult, RouteDemand
from batcher.domain.settlements import Release, Settlement
from batcher.ports import Budget, Clock, Events, Queue
from batcher.worker.aio import wait_for
from batcher.worker.commit_broker import CommitBroker
from batcher.worker.heartbeat import write_active
from batcher.worker.job_phase import JobEvent, JobPhase, Remaining
from batcher.worker.pausing.verdicts import Verdicts
from batcher.worker.run_state import MOST_BYTES, JobRun, Lane, RouteRun, State

#: How often an empty route is asked again, since other processes submit, redrive and cancel.
_POLL_SECONDS = 1.0
#: Empty routes asked per second at most: of many, each is asked less often. The heartbeat notices other writers.
_POLLS_PER_SECOND = 100
#: A lane that is held for longer than this, in seconds, gives back what it has ready.
_KEEPS_READY = 5.0
#: It claims again this long before it may send, so that the claims are there in time: longer than a poll.
_CLAIMS_BEFORE = 2.0
#: A lane may hold this many times the bytes that all lanes leave free: one lane alone gets four fifths of the
#: bound, and there is always a share for another one, however many wait.
_TIMES_FREE = 4


class Claimer:
    """Keeps every lane supplied with claims, a little ahead of what it sends."""

    def __init__(
        self,
        *,
        queue: Queue,
        state: State,
        budget: Budget,
        broker: CommitBroker,
        clock: Clock,
        events: Events,
        verdicts: Verdicts,
        over: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._state = state
        self._budget = budget
        self._broker = broker
        self._clock = clock
        self._events = events
        self._verdicts = verdicts
        self._over = over
        self._turn = 0

    async def run(self) -> None:
        """Claim until cancelled. Calls `over` when no job can go on."""
        while True:
            self._state.wake.clear()
            began = _now()
            self._give_back_waiting()
            wants = self._demand(began)
            moved = bool(wants) and await self._claim(wants)
            moved = await self._close_finished() or moved
            if self._state.is_over:
                self._over()
            if not moved:
                await self._wait_for_work(began)

    async def _claim(self, wants: list[RouteDemand], *, alone: bool = False) -> bool:
        # Rows claimed by a cancelled claim would have no owner, so the claim is awaited and its rows are handed
        # out.
        claiming = asyncio.ensure_future(
            self._broker.claim(
                wants,
                most_bytes=MOST_BYTES - self._state.held_bytes,
                alone=alone,
                urgent=alone or any(not self._state.routes[want.route.id].lane.ready for want in wants),
            )
        )
        try:
            claimed = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            self._hand_out(await claiming, wants, alone=alone)
            raise
        self._hand_out(claimed, wants, alone=alone)
        # A route gave all that was wanted, to be sent, answered or parked: it may have more.
        return bool(claimed.claims or claimed.settled) or len(claimed.next_due) < len(wants)

    def _demand(self, now: float) -> list[RouteDemand]:
        """Return how many requests of each route its lane can take now; routes take turns at being first."""
        if self._state.held_bytes >= MOST_BYTES or self._state.alone is not None:
            return []
        asking: dict[Lane, list[RouteRun]] = {}
        for route in self._in_turn():
            if route.ask_at <= now and not route.is_paused and not _has_probe(route):
                asking.setdefault(route.lane, []).append(route)
        return [
            RouteDemand(route=each.route, most=max(1, room // len(routes)), most_bytes=-(-share // len(routes)))
            for lane, routes in asking.items()
            if (room := lane.room) > 0 and (share := self._share(lane)) is not None
            for each in routes
        ]

    def _share(self, lane: Lane) -> int | None:
        """Return how many bytes of bodies the lane may claim; None if it holds its share already.

        0 while the lane is held: rows whose answer is known need no lane.
        """
        if self._budget.held_for(lane.key) > _CLAIMS_BEFORE:
            return 0
        free = MOST_BYTES - self._state.held_bytes
        # What is claimed is no longer free, which lowers the bound.
        share = (_TIMES_FREE * free - lane.held_bytes) // (_TIMES_FREE + 1)
        return share if share > 0 else None

    def _give_back_waiting(self) -> None:
        """Release claims that wait for the end of a long cool-down, and a suspect that waits for any.

        The first hold bytes of bodies, the second holds up all other claims.
        """
        for lane in self._state.lanes.values():
            if lane.ready:
                is_alone = lane.ready[0].request_id == self._state.alone
                if self._budget.held_for(lane.key) > _KEEPS_READY or (is_alone and not self._can_send(lane)):
                    self._broker.release(lane)

    def _can_send(self, lane: Lane) -> bool:
        """Return whether the lane waits neither for a cool-down nor for the next probe of an outage."""
        if self._budget.held_for(lane.key) > 0:
            return False
        breaker, probing = lane.endpoint.breaker, lane.endpoint.probing
        return not breaker.is_open or (not probing and _now() >= breaker.next_probe)

    def _jobs_to_claim(self) -> list[JobRun]:
        """Return the jobs of which more may be claimed: a slow consumer slows only its own job."""
        wanted = [job for job in self._state.jobs.values() if job.is_wanted]
        return [job for job in wanted if not self._events.is_behind(job.job.id)]

    def _in_turn(self) -> list[RouteRun]:
        routes = [route for job in self._jobs_to_claim() for route in job.routes]
        self._turn += 1
        first = self._turn % len(routes) if routes else 0
        return routes[first:] + routes[:first]

    def _hand_out(self, claimed: ClaimResult, wants: list[RouteDemand], *, alone: bool) -> None:
        now, wall = _now(), self._clock.now()
        poll = max(_POLL_SECONDS, len(self._state.routes) / _POLLS_PER_SECOND)
        for want in wants:
            route = self._state.routes[want.route.id]
            due = claimed.next_due.get(want.route.id, wall)
            asked_out = want.route.id in claimed.next_due
            route.dry = asked_out and due is None
            due_in = poll if due is None else min(poll, max(0, due - wall) / 1e6)
            # A lane that is held is asked again in time for its end.
            until_needed = max(_POLL_SECONDS, self._budget.held_for(route.lane.key) - _CLAIMS_BEFORE)
            wait = due_in if want.most_bytes else min(poll, until_needed)
            route.ask_at = now + (wait if asked_out else 0.0)
            if asked_out and want.most_bytes and due is not None and due_in < _POLL_SECONDS:
                route.parked_at = now
        for claim in claimed.claims:
            self._state.take(claim)
            if alone:
                self._state.alone = claim.request_id
            route = self._state.routes[claim.route_id]
            lane = route.lane
            if self._may_take(route, claim):
                lane.ready.append(claim)
                lane.arrived.set()
            else:
                self._broker.add(Settlement(claim=claim, decision=Release(), attempt=None))
        self._state.count(claimed.settled)
        for settled in claimed.settled:
            self._events.emit(settled)

    def _may_take(self, route: RouteRun, claim: Claim) -> bool:
        """Return whether the route's lane may send it: what was asked for may have changed during the claim.

        Its answer is stored and cached as that of the claim's endpoint, so only a lane of that endpoint may.
        """
        is_wanted = not route.is_paused and self._state.jobs[claim.job_id].is_wanted
        return is_wanted and claim.endpoint_id == route.lane.key.endpoint_id

    async def _close_finished(self) -> bool:
        """Close finished jobs; try a request that must run last and alone. Returns whether anything changed."""
        self._verdicts.review()
        now = _now()
        for job in [job for job in self._state.jobs.values() if job.phase is JobPhase.LEAVING and not job.held]:
            self._forget(job)
        due = [(job, job.remaining) for job in self._state.jobs.values() if job.check_at <= now]
        exhausted = [job for job, remaining in due if remaining is not Remaining.MORE]
        for job in exhausted:
            job.check_at = now + _POLL_SECONDS
        over = [job for job, remaining in due if remaining is Remaining.NOTHING]
        # Written before the job is closed, so that a reader who sees it finished also sees its whole working time.
        await write_active(self._queue, over, now)
        finished = await self._queue.finish([job.job.id for job in over]) if over else []
        for job_id in finished:
            self._forget(self._state.jobs[job_id])
            self._events.emit(JobFinished(job_id=job_id))
        left = [job for job in exhausted if job.job.id not in finished and job.is_wanted]
        return bool(finished) or await self._try_alone(left)

    async def _try_alone(self, jobs: list[JobRun]) -> bool:
        """Run suspected requests one at a time, when nothing else is in hand that could be lost with them."""
        is_busy = any(job.held for job in self._state.jobs.values())
        if is_busy:
            # Requests of other jobs may be in hand for long, and a paused job need not wait for them.
            jobs = [job for job in jobs if any(each.is_paused for each in job.routes)]
        if not jobs:
            return False
        open_ = [each for job in jobs for each in job.routes if not each.is_paused]
        # Of a lane that cannot send none is taken, but if it has one, the job is not stuck.
        moved = bool(open_) and await self._claim(
            [
                RouteDemand(
                    route=each.route,
                    most=1,
                    most_bytes=sys.maxsize if not is_busy and self._can_send(each.lane) else 0,
                )
                for each in open_
            ],
            alone=True,
        )
        for job in jobs:
            paused = any(each.is_paused for each in job.routes)
            is_stuck = paused and not moved and job.remaining is not Remaining.MORE
            job.follow(JobEvent.NOTHING_CLAIMED if is_stuck else JobEvent.NOT_HELD_BACK)
        return moved

    def _forget(self, job: JobRun) -> None:
        del self._state.jobs[job.job.id]
        for each in job.routes:
            self._verdicts.forget(each)
            del self._state.routes[each.route.id]

    async def _wait_for_work(self, began: float) -> None:
        """Wait until something happens, or until a route may have requests again.

        Only routes with a later `ask_at` than `began` count. All others were asked in this round or have a lane
        without room, and such a lane wakes the claimer itself.
        """
        later = [each.ask_at for each in self._state.routes.values() if each.ask_at > began]
        seconds = min(later, default=began + _POLL_SECONDS) - _now()
        await wait_for(self._state.wake, min(max(0.0, seconds), _POLL_SECONDS))


def _has_probe(route: RouteRun) -> bool:
    """Return whether the route is held and has the next request ready: more would be held as well."""
    return route.id in route.lane.held and any(claim.route_id == route.id for claim in route.lane.ready)


def _now() -> float:
    return asyncio.get_running_loop().time()
