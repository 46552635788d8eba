"""Settlements are written in groups: each group is what came back while the last one was being committed."""

import asyncio
from collections.abc import Callable

from batcher.domain.events import RequestsSettled
from batcher.domain.requests import SettledIds
from batcher.domain.settlements import Release, Requeue, Settlement
from batcher.ports import Clock, Events, Queue
from batcher.worker.state import State


class Settler:
    """Collects settlements and writes them. Replies that wait for their commit never exceed `most`."""

    def __init__(
        self, *, queue: Queue, state: State, clock: Clock, events: Events, most: Callable[[], int]
    ) -> None:
        self._queue = queue
        self._state = state
        self._clock = clock
        self._events = events
        self._most = most
        self._waiting: list[Settlement] = []
        self._committing = 0
        self._arrived = asyncio.Event()
        self._committed = asyncio.Event()

    def add(self, settlement: Settlement) -> None:
        """Have it written with the next group."""
        self._waiting.append(settlement)
        self._arrived.set()

    async def room(self) -> None:
        """Wait until another reply may wait for its commit: in flight means sent and not settled on disk."""
        while len(self._waiting) + self._committing >= self._most():
            self._committed.clear()
            await self._committed.wait()

    async def run(self) -> None:
        """Write groups until cancelled. A group that is being written is finished first."""
        while True:
            await self._arrived.wait()
            await asyncio.shield(self.flush())

    async def finish(self) -> None:
        """Return when everything given is on disk."""
        while self._waiting or self._committing:
            self._committed.clear()
            if self._waiting:
                await self.flush()
            else:
                await self._committed.wait()

    async def flush(self) -> None:
        """Write what waits now."""
        self._arrived.clear()
        group, self._waiting = self._waiting, []
        if not group:
            return
        self._committing += len(group)
        settled = await self._queue.settle(group)
        self._committing -= len(group)
        self._committed.set()
        self._account(group)
        self._state.count(settled)
        for each in settled:
            self._events.emit(told(each))
        self._state.wake.set()

    def _account(self, group: list[Settlement]) -> None:
        now, wall = asyncio.get_running_loop().time(), self._clock.now()
        for settlement in group:
            self._state.let_go(settlement.claim)
            decision = settlement.decision
            if isinstance(decision, Requeue | Release):
                due = decision.available_at if isinstance(decision, Requeue) else None
                self._ask_again(settlement, now if due is None else now + max(0, due - wall) / 1e6)

    def _ask_again(self, settlement: Settlement, at: float) -> None:
        route = self._state.routes.get(settlement.claim.route_id)
        if route is not None:
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
