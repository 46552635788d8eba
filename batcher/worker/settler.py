"""Settlements are written in groups, and with each group the next requests are claimed: one commit for both.

A group is what came back while the last one was being committed. Where that took no time it waits until half of
what was out is back, but never for long: each group costs as much as thirty rows.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from batcher.domain.events import RequestsSettled
from batcher.domain.ids import JobId
from batcher.domain.requests import Claim, Claimed, SettledIds, Want
from batcher.domain.settlements import Release, Requeue, Settlement
from batcher.ports import Clock, Events, Queue
from batcher.worker.state import Lane, State
from batcher.worker.waiting import wait_for

#: Seconds a group waits at most for others to come back.
_LINGER = 0.01
_NOTHING = Claimed(claims=[], settled=[], next_due={})


class Ask(Struct, frozen=True, kw_only=True):
    """Requests that are wanted, and who waits for them."""

    wants: Sequence[Want]
    most_bytes: int
    alone: bool
    #: A lane stands still for want of them.
    urgent: bool
    done: asyncio.Future[Claimed]


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
        self._ask: Ask | None = None
        #: What is claimed once this has ended would be nobody's.
        self._claims = True
        self._arrived = asyncio.Event()
        #: Nothing is to be gained by waiting for more.
        self._due = asyncio.Event()
        self._emptied = asyncio.Event()

    def add(self, settlement: Settlement) -> None:
        """Have it written with the next group."""
        self._waiting.append(settlement)
        self._look()

    async def claim(self, wants: Sequence[Want], *, most_bytes: int, alone: bool, urgent: bool) -> Claimed:
        """Claim with the next group, until `run` has ended; one task at a time may ask. See `ports.Queue`."""
        if not self._claims:
            return _NOTHING
        done: asyncio.Future[Claimed] = asyncio.get_running_loop().create_future()
        self._ask = Ask(wants=wants, most_bytes=most_bytes, alone=alone, urgent=urgent, done=done)
        self._look()
        return await done

    def _look(self) -> None:
        self._arrived.set()
        asked = self._ask is not None and self._ask.urgent
        if asked or len(self._waiting) >= self._state.in_flight:
            self._due.set()

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
        try:
            while True:
                await self._arrived.wait()
                if not self._due.is_set():
                    await wait_for(self._due, _LINGER)
                await self._whole_flush()
        finally:
            self._claims = False
            if self._ask is not None and not self._ask.done.done():
                self._ask.done.set_result(_NOTHING)
            self._ask = None

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
        self._due.clear()
        group, self._waiting = self._waiting, []
        cooled, self._cooled = self._cooled, []
        ask, self._ask = self._ask, None
        self._emptied.set()
        try:
            for lane in dict.fromkeys(cooled):
                await self._queue.save_lane(lane.stored)
            settled, claimed = await self._write(group, ask)
        except BaseException as error:
            self._waiting[:0] = group
            self._cooled[:0] = cooled
            if ask is not None and not ask.done.done():
                ask.done.set_exception(error)
            raise
        self._account(group)
        self._tell(settled)
        if ask is not None and claimed is not None and not ask.done.done():
            ask.done.set_result(claimed)
        self._state.wake.set()

    async def _write(
        self, group: Sequence[Settlement], ask: Ask | None
    ) -> tuple[Sequence[SettledIds], Claimed | None]:
        if ask is None:
            return (await self._queue.settle(group) if group else []), None
        if not group or ask.alone:
            settled = await self._queue.settle(group) if group else []
            return settled, await self._queue.claim(ask.wants, most_bytes=ask.most_bytes, alone=ask.alone)
        return await self._queue.exchange(group, ask.wants, most_bytes=ask.most_bytes)

    def _tell(self, settled: Iterable[SettledIds]) -> None:
        self._state.count(settled)
        for each in settled:
            self._events.emit(told(each))

    def _account(self, group: list[Settlement]) -> None:
        now, wall = asyncio.get_running_loop().time(), self._clock.now()
        self._state.flights.end(settlement.claim for settlement in group)
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
