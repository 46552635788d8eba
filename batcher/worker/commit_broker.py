"""The broker between the worker and the store: settlements and the next claim go into one commit, in batches.

A batch is what came back while the previous one was being committed. If that took no time, it waits until half of
the requests in flight are back, but never for long: each commit costs as much as thirty rows.

With a pipeline, as on a slow disk, a batch waits only for its own flush: half of the concurrency makes a batch,
and it is committed at once, however many others are still being flushed.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

from msgspec import Struct

from batcher.domain.events import RequestsSettled
from batcher.domain.ids import JobId, RouteId
from batcher.domain.requests import Claim, ClaimResult, RouteDemand
from batcher.domain.settlements import Complete, Release, Requeue, Settlement
from batcher.policy.rate.reply_room import ReplyRoom
from batcher.ports import Clock, Events, Queue
from batcher.worker.aio import all_of, wait_for
from batcher.worker.run_state import Lane, State

#: Seconds for which a batch waits for other replies at most.
_LINGER = 0.01
#: The same while other batches are being flushed: a few settlements committed alone would delay all later ones.
_LINGER_BESIDE = 0.025
#: Bytes of replies that one commit writes, of which it holds a copy.
_MOST_BYTES = 16 << 20
_NOTHING = ClaimResult(claims=[], settled=[], next_due={})


class ClaimRequest(Struct, frozen=True, kw_only=True):
    """Requests that are wanted, and who waits for them."""

    wants: Sequence[RouteDemand]
    most_bytes: int
    alone: bool
    #: A lane is idle until they arrive.
    urgent: bool
    done: asyncio.Future[ClaimResult]


class CommitBroker:
    """Collects settlements and claims, and commits them together.

    `most` is the concurrency: at most `most` requests are in flight, and at most twice as many are sent and not on
    disk. With a pipeline of one batch, requests in flight and settlements collected are together at most
    `most`, and so is the batch.
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
        self._waiting_bytes = 0
        self._replies = ReplyRoom()
        self._cooled: list[Lane] = []
        self._ask: ClaimRequest | None = None
        #: False once `run` has ended: rows claimed after that would have no owner.
        self._claims = True
        self._arrived = asyncio.Event()
        #: Set if waiting for more settlements would gain nothing.
        self._due = asyncio.Event()
        self._emptied = asyncio.Event()
        #: Batches that are being committed, with the number of their settlements.
        self._writing: dict[asyncio.Task[None], None] = {}
        self._written = 0
        #: Whether `run` is there to commit what is queued.
        self._runs = False
        self._failure: BaseException | None = None

    def add(self, settlement: Settlement) -> None:
        """Queue a settlement; it is committed with the next batch."""
        self._waiting.append(settlement)
        if size := _size(settlement):
            self._waiting_bytes += size
            self._replies.arrived(size)
        if self._runs and self._queue.pipeline_depth > 1 and len(self._waiting) >= self._share:
            self._start_commit()
        else:
            self._look()

    async def claim(
        self, wants: Sequence[RouteDemand], *, most_bytes: int, alone: bool, urgent: bool
    ) -> ClaimResult:
        """Claim with the next batch, until `run` has ended. One task at a time may claim. See `ports.Queue`."""
        if not self._claims:
            return _NOTHING
        done: asyncio.Future[ClaimResult] = asyncio.get_running_loop().create_future()
        self._ask = ClaimRequest(wants=wants, most_bytes=most_bytes, alone=alone, urgent=urgent, done=done)
        self._look()
        return await done

    def _look(self) -> None:
        self._arrived.set()
        asked = self._ask is not None and self._ask.urgent
        enough = max(self._state.in_flight, self._share if self._writing and self._queue.pipeline_depth > 1 else 0)
        if asked or len(self._waiting) >= enough or self._waiting_bytes >= _MOST_BYTES:
            self._due.set()

    @property
    def _share(self) -> int:
        """Return the size of a batch when several are committed at a time."""
        return max(1, self._most() // 2)

    def release(self, lane: Lane, *, job_id: JobId | None = None, route_id: RouteId | None = None) -> None:
        """Release the claims that the lane has ready, of one job, of one route or of all: they were never sent."""
        ready, lane.ready = lane.ready, deque[Claim]()
        for claim in ready:
            if job_id in {None, claim.job_id} and route_id in {None, claim.route_id}:
                self.add(Settlement(claim=claim, decision=Release(), attempt=None))
            else:
                lane.ready.append(claim)

    def remember(self, lane: Lane) -> None:
        """Store the lane no later than the settlement of the reply that changed it.

        So a restart keeps its cool-down, and what it has used of a limit per day.
        """
        self._cooled.append(lane)

    @property
    def unsettled(self) -> int:
        """Return how many settlements are not on disk."""
        return len(self._waiting) + self._written

    @property
    def has_room(self) -> bool:
        """Return whether another reply may arrive and wait for its commit."""
        most, out = self._most(), self._state.in_flight
        if self._waiting and out + len(self._waiting) >= most and self._queue.pipeline_depth == 1:
            return False
        return out + self.unsettled < 2 * most and self._replies.has_room(out)

    async def room(self) -> None:
        """Wait until there is room."""
        while not self.has_room:
            self._emptied.clear()
            await self._emptied.wait()

    def freed(self) -> None:
        """Note that a request came back and is not settled yet, which makes room without a commit."""
        self._emptied.set()

    async def run(self) -> None:
        """Commit batches until cancelled. Batches that are being committed are finished first."""
        self._runs = True
        try:
            while self._failure is None:
                await self._arrived.wait()
                if not self._due.is_set():
                    await wait_for(self._due, _LINGER_BESIDE if self._writing else _LINGER)
                if self._failure is None:
                    await self._write_one()
            raise self._failure
        finally:
            self._runs = False
            if self._writing:
                await asyncio.wait(self._writing)
            self._claims = False
            if self._ask is not None and not self._ask.done.done():
                self._ask.done.set_result(_NOTHING)
            self._ask = None

    async def _write_one(self) -> None:
        if not (self._waiting or self._ask or self._cooled):
            # What set the event has been committed meanwhile.
            self._arrived.clear()
            self._due.clear()
            return
        writing = self._start_commit()
        if self._queue.pipeline_depth == 1:
            await asyncio.wait({writing})

    async def finish(self) -> None:
        """Return when everything queued is on disk. `run` must have ended."""
        while self._waiting:
            await self._start_commit()

    def _start_commit(self) -> asyncio.Task[None]:
        """Start committing everything queued so far, as far as the bytes of one commit allow.

        If the commit fails, the batch goes back to the front of the queue.
        """
        self._arrived.clear()
        self._due.clear()
        group, size = self._next_group()
        if self._waiting:
            self._arrived.set()
            self._due.set()
        cooled, self._cooled = self._cooled, []
        ask, self._ask = self._ask, None
        saving = [self._queue.save_lane(lane.stored) for lane in dict.fromkeys(cooled)]
        written = asyncio.ensure_future(self._write(group, ask))
        writing = asyncio.ensure_future(self._await_commit(group, size, cooled, ask, saving, written))
        self._written += len(group)
        self._writing[writing] = None
        writing.add_done_callback(self._has_written)
        self._emptied.set()
        return writing

    def _next_group(self) -> tuple[list[Settlement], int]:
        """Return the settlements of the next commit, and the bytes of their replies."""
        group, self._waiting = self._waiting, []
        size = self._waiting_bytes
        if size > _MOST_BYTES:
            size, count = 0, 0
            while count < len(group) and (not count or size + _size(group[count]) <= _MOST_BYTES):
                size += _size(group[count])
                count += 1
            group, self._waiting = group[:count], group[count:]
        self._waiting_bytes -= size
        return group, size

    def _has_written(self, writing: asyncio.Task[None]) -> None:
        self._writing.pop(writing, None)
        if not writing.cancelled() and writing.exception() is not None:
            self._failure = writing.exception()
            self._arrived.set()
            self._due.set()

    async def _await_commit(
        self,
        group: list[Settlement],
        size: int,
        cooled: list[Lane],
        ask: ClaimRequest | None,
        saving: Sequence[Awaitable[None]],
        writing: asyncio.Future[tuple[Sequence[RequestsSettled], ClaimResult | None]],
    ) -> None:
        """Wait for a commit, then notify everyone who waits for it."""
        try:
            await all_of([*saving, writing])
            settled, claimed = writing.result()
        except BaseException as error:
            self._waiting[:0] = group
            self._waiting_bytes += size
            self._cooled[:0] = cooled
            if ask is not None and not ask.done.done():
                ask.done.set_exception(error)
            raise
        finally:
            self._written -= len(group)
            self._emptied.set()
        self._replies.committed(size)
        self._account(group)
        self._report(settled)
        if ask is not None and claimed is not None and not ask.done.done():
            ask.done.set_result(claimed)
        self._state.wake.set()

    def _write(
        self, group: Sequence[Settlement], ask: ClaimRequest | None
    ) -> Awaitable[tuple[Sequence[RequestsSettled], ClaimResult | None]]:
        if group and ask is not None and not ask.alone:
            return self._queue.exchange(group, ask.wants, most_bytes=ask.most_bytes)
        return self._one_by_one(self._queue.settle(group) if group else None, ask)

    async def _one_by_one(
        self, settling: Awaitable[Sequence[RequestsSettled]] | None, ask: ClaimRequest | None
    ) -> tuple[Sequence[RequestsSettled], ClaimResult | None]:
        settled = [] if settling is None else await settling
        if ask is None:
            return settled, None
        return settled, await self._queue.claim(ask.wants, most_bytes=ask.most_bytes, alone=ask.alone)

    def _report(self, settled: Iterable[RequestsSettled]) -> None:
        self._state.count(settled)
        for each in settled:
            self._events.emit(each)

    def _account(self, group: list[Settlement]) -> None:
        now, wall = asyncio.get_running_loop().time(), self._clock.now()
        self._state.flights.end(settlement.claim for settlement in group)
        for settlement in group:
            self._state.release(settlement.claim)
            decision = settlement.decision
            if isinstance(decision, Requeue | Release):
                due = decision.available_at if isinstance(decision, Requeue) else None
                self._ask_again(settlement, now if due is None else now + max(0, due - wall) / 1e6)
            else:
                self._state.refusals.pop(settlement.claim.request_id, None)
                self._state.blocked_alone.pop(settlement.claim.request_id, None)

    def _ask_again(self, settlement: Settlement, at: float) -> None:
        route = self._state.routes[settlement.claim.route_id]
        route.ask_at = at if route.dry else min(route.ask_at, at)
        route.dry = False


def _size(settlement: Settlement) -> int:
    """Return the bytes of the reply that is stored."""
    decision = settlement.decision
    return len(decision.reply.body) if isinstance(decision, Complete) else 0
