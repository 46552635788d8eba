"""Settlements are written in groups: each group is what came back while the last one was being committed."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from batcher.domain.events import RequestsSettled
from batcher.domain.ids import JobId
from batcher.domain.requests import Claim, SettledIds
from batcher.domain.settlements import Release, Requeue, Settlement
from batcher.ports import Clock, Events, Queue
from batcher.worker.state import Lane, State


class Settler:
    """Collects settlements and writes them.

    `most` says how many may gather while a group is being committed. With a concurrency of C, those that are out
    and those that gather are together at most C, and so is the group: at most 2 · C are sent and not on disk.
    """

    def __init__(
        self, *, queue: Queue, state: State, clock: Clock, events: Events, most: Callable[[], int]
    ) -> None:
        self._queue = queue
        self._state = state
        self._clock = clock
        self._events = events
        self._most = most
        self._waiting: list[Settlement] = []
        self._cooled: list[Lane] = []
        self._arrived = asyncio.Event()
        self._emptied = asyncio.Event()

    def add(self, settlement: Settlement) -> None:
        """Have it written with the next group."""
        self._waiting.append(settlement)
        self._arrived.set()

    def release(self, lane: Lane, *, job_id: JobId | None = None) -> None:
        """Give back what the lane has ready, of one job or of all: it was never sent."""
        ready, lane.ready = lane.ready, deque[Claim]()
        for claim in ready:
            if job_id is None or claim.job_id == job_id:
                self.add(Settlement(claim=claim, decision=Release(), attempt=None))
            else:
                lane.ready.append(claim)

    def remember(self, lane: Lane) -> None:
        """Have the lane's cool-down written no later than the refusal that began it: a restart must keep it."""
        self._cooled.append(lane)

    @property
    def has_room(self) -> bool:
        """Whether another reply may come and wait for its commit."""
        return not self._waiting or len(self._waiting) < self._most()

    async def room(self) -> None:
        """Wait until there is room."""
        while not self.has_room:
            self._emptied.clear()
            await self._emptied.wait()

    async def run(self) -> None:
        """Write groups until cancelled. A group that is being written is finished first."""
        while True:
            await self._arrived.wait()
            await self._whole_flush()

    async def _whole_flush(self) -> None:
        flushing = asyncio.ensure_future(self.flush())
        try:
            await asyncio.shield(flushing)
        except asyncio.CancelledError:
            await flushing
            raise

    async def finish(self) -> None:
        """Return when everything given is on disk. `run` must have ended."""
        while self._waiting:
            await self.flush()

    async def flush(self) -> None:
        """Write what waits now, if anything. A group that could not be written waits again."""
        self._arrived.clear()
        if not self._waiting:
            return
        group, self._waiting = self._waiting, []
        cooled, self._cooled = self._cooled, []
        self._emptied.set()
        try:
            for lane in dict.fromkeys(cooled):
                await self._queue.save_lane(lane.stored)
            settled = await self._queue.settle(group)
        except BaseException:
            self._waiting[:0] = group
            self._cooled[:0] = cooled
            raise
        self._account(group)
        self._tell(settled)
        self._state.wake.set()

    def _tell(self, settled: Iterable[SettledIds]) -> None:
        self._state.count(settled)
        for each in settled:
            self._events.emit(told(each))

    def _account(self, group: list[Settlement]) -> None:
        now, wall = asyncio.get_running_loop().time(), self._clock.now()
        for settlement in group:
            self._state.let_go(settlement.claim)
            decision = settlement.decision
            if isinstance(decision, Requeue | Release):
                due = decision.available_at if isinstance(decision, Requeue) else None
                self._ask_again(settlement, now if due is None else now + max(0, due - wall) / 1e6)
            else:
                self._state.refusals.pop(settlement.claim.request_id, None)

    def _ask_again(self, settlement: Settlement, at: float) -> None:
        route = self._state.routes[settlement.claim.route_id]
        route.ask_at = at if route.dry else min(route.ask_at, at)
        route.dry = False


def told(settled: SettledIds) -> RequestsSettled:
    """The event of what reached its end."""
    return RequestsSettled(
        job_id=settled.job_id,
        completed=settled.completed,
        dead_lettered=settled.dead_lettered,
        cached=settled.cached,
    )
