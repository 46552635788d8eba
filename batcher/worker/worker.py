"""Starts the loops of a runner and ends them: when no job can go on, or when it is told to drain."""

import asyncio
from collections.abc import Callable, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from batcher.domain.events import DrainStarted
from batcher.domain.ids import JobId
from batcher.domain.jobs import Orders
from batcher.domain.settings import Limits
from batcher.domain.settlements import Release, Settlement
from batcher.domain.states import LimitSource
from batcher.policy.breaker import Breaker
from batcher.ports import Budget, Clock, Events, Queue
from batcher.worker.execute import Executor
from batcher.worker.gate import Gate
from batcher.worker.intake import Intake
from batcher.worker.jobs import Roster, Senders
from batcher.worker.pauses import Pauses, unreachable
from batcher.worker.settler import Settler
from batcher.worker.snapshot import Snapshot, encode, lane_snapshot
from batcher.worker.state import Lane, State

_BEAT_SECONDS = 1.0
#: Replies that may wait for their commit where no concurrency is given.
_LEAST_UNSETTLED = 64


class End(StrEnum):
    """Why a worker stopped."""

    #: Every job it was asked to run is at its end, or waits for a person.
    OVER = "over"
    #: It was told to.
    DRAINED = "drained"


class WorkerSettings(Struct, frozen=True, kw_only=True):
    """What belongs to the process."""

    #: Most requests in flight; None: adaptive.
    concurrency: int | None = None


class Worker:
    """Runs jobs of one queue as one holder."""

    def __init__(
        self,
        *,
        queue: Queue,
        budget: Budget,
        clock: Clock,
        events: Events,
        senders: Senders,
        settings: WorkerSettings,
        jitter: Callable[[], float],
    ) -> None:
        self.state = State()
        self._queue = queue
        self._budget = budget
        self._clock = clock
        self._events = events
        self._senders = senders
        self._settings = settings
        self._jitter = jitter
        self._over = asyncio.Event()
        self._drain = asyncio.Event()
        self._stop = asyncio.Event()
        self._deadline: float | None = None

    def drain(self, deadline: float | None) -> None:
        """Send nothing new; what is in flight may end, for at most `deadline` seconds (None: without end)."""
        self._deadline = deadline
        self._drain.set()

    def stop(self) -> None:
        """Wait for nothing: what is in flight goes back unspent."""
        self._drain.set()
        self._stop.set()

    async def run(self, jobs: Sequence[JobId], *, probing: Sequence[JobId] = ()) -> End:
        """Work until no job can go on, or until drained. Everything in hand is settled or given back by then.

        Jobs that a person has just resumed from a pause begin with one request alone (`probing`).
        """
        async with asyncio.TaskGroup() as tasks:
            self._build(tasks)
            loops = [
                tasks.create_task(self._settler.run()),
                tasks.create_task(self._pauses.run()),
            ]
            for job_id in jobs:
                await self._roster.take_up(job_id, probe=job_id in probing)
            loops += [tasks.create_task(self._intake.run()), tasks.create_task(self._beat_regularly())]
            end = await self._until_end()
            intake_and_beat, gates = loops[2:], [lane.gate for lane in self.state.lanes.values() if lane.gate]
            await _cancel([*intake_and_beat, *gates])
            if end is End.DRAINED:
                await self._let_flights_end()
            await self._give_back()
            await self._beat(follow=False)
            await _cancel(loops[:2])
        return end

    def _build(self, tasks: asyncio.TaskGroup) -> None:
        state, queue, events, budget = self.state, self._queue, self._events, self._budget
        settler = Settler(queue=queue, state=state, clock=self._clock, events=events, most=self._most_unsettled)
        pauses = Pauses(queue=queue, state=state, settler=settler, events=events)
        executor = Executor(
            state=state,
            budget=budget,
            settler=settler,
            pauses=pauses,
            clock=self._clock,
            events=events,
            jitter=self._jitter,
        )
        gate = Gate(state=state, budget=budget, settler=settler, executor=executor, pauses=pauses, tasks=tasks)

        def open_gate(lane: Lane) -> None:
            lane.gate = tasks.create_task(gate.run(lane))

        self._settler, self._pauses, self._gate = settler, pauses, gate
        self._intake = Intake(queue=queue, state=state, clock=self._clock, events=events, over=self._over.set)
        self._roster = Roster(
            state=state,
            queue=queue,
            budget=budget,
            senders=self._senders,
            settler=settler,
            pauses=pauses,
            open_gate=open_gate,
        )

    def _most_unsettled(self) -> int:
        return self._settings.concurrency or max(_LEAST_UNSETTLED, self.state.in_flight)

    async def _until_end(self) -> End:
        while True:
            await _first(self._over, self._drain)
            if self._drain.is_set():
                return End.DRAINED
            # Somebody may have handed a job over in the last second.
            await self._beat(follow=True)
            if self.state.is_over:
                return End.OVER
            self._over.clear()

    async def _let_flights_end(self) -> None:
        self._events.emit(DrainStarted(in_flight=len(self._gate.out), deadline=self._deadline))
        try:
            async with asyncio.timeout(self._deadline):
                while self._gate.out and not self._stop.is_set():
                    stopped = asyncio.ensure_future(self._stop.wait())
                    await asyncio.wait({stopped, *self._gate.out}, return_when=asyncio.FIRST_COMPLETED)
                    stopped.cancel()
        except TimeoutError:
            pass
        await _cancel(list(self._gate.out))

    async def _give_back(self) -> None:
        """Release what was never sent, write what was; then everything is on disk."""
        for lane in self.state.lanes.values():
            while lane.ready:
                claim = lane.ready.popleft()
                self._settler.add(Settlement(claim=claim, decision=Release(), attempt=None))
        await self._settler.finish()
        await self._pauses.written()

    async def _beat_regularly(self) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            working = [job.job.id for job in self.state.jobs.values() if not job.is_paused]
            now = loop.time()
            await asyncio.shield(self._queue.add_active(working, int((now - before) * 1e6)))
            before = now
            for job in self.state.jobs.values():
                job.pace.tick(now)
            await self._beat(follow=True)
            self._watch_silence(now)

    async def _beat(self, *, follow: bool) -> None:
        views = {key: self._budget.view(key) for key in self.state.lanes}
        snapshot = Snapshot(
            jobs=list(self.state.jobs),
            in_flight=self.state.in_flight,
            lanes=[lane_snapshot(view) for view in views.values()],
            rates={job_id: rate for job_id, job in self.state.jobs.items() if (rate := job.pace.per_second())},
            outages=[each.base_url for each in self.state.endpoints.values() if each.breaker.is_open],
        )
        for key, lane in self.state.lanes.items():
            view = views[key]
            announced = view.source is LimitSource.ANNOUNCED
            limits = Limits(rpm=view.rpm, tpm=view.tpm) if announced else Limits()
            learned = replace(lane.stored, limits=limits, cooling_until=view.cooling_until)
            if learned != lane.stored:
                lane.stored = learned
                await asyncio.shield(self._queue.save_lane(learned))
        orders: Orders = await asyncio.shield(self._queue.beat(encode(snapshot)))
        if follow:
            await self._roster.follow(orders)

    def _watch_silence(self, now: float) -> None:
        """A lane that has answered nothing for as long as the job allows waits for a person."""
        for job in list(self.state.jobs.values()):
            for lane in {id(route.lane): route.lane for route in job.routes}.values():
                since = lane.waiting_since
                if lane.pause is None and since is not None and now - since >= job.job.settings.max_wait:
                    cause = unreachable(lane.endpoint, f"answered nothing for {now - since:.0f} s")
                    self._pauses.begin(cause, lane, job)
                    lane.waiting_since = None
                    lane.endpoint.breaker = Breaker()


async def _first(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
