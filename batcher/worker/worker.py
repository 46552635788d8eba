"""Starts the loops of a runner, and ends them when no job can go on or when it is asked to drain."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

from batcher.domain.events import DrainStarted
from batcher.domain.ids import JobId
from batcher.domain.jobs import RunnerSnapshot
from batcher.domain.lanes import LaneKey, LaneView
from batcher.domain.settlements import Release, Settlement
from batcher.ports import Budget, Clock, Events, InFlightLog, OutputValidator, Queue
from batcher.worker.active_jobs import ActiveJobs, Senders
from batcher.worker.aio import cancel_all, first_of
from batcher.worker.attempts.execute import Executor
from batcher.worker.attempts.task_pool import TaskPool
from batcher.worker.claimer import Claimer
from batcher.worker.commit_broker import CommitBroker
from batcher.worker.dispatcher import Dispatcher
from batcher.worker.follower_sharing import FollowerSharing
from batcher.worker.heartbeat import Heartbeat, write_active
from batcher.worker.oversized import OversizedRequests
from batcher.worker.pausing.pauses import Pauses
from batcher.worker.pausing.verdicts import Verdicts
from batcher.worker.run_state import Lane, NoInFlightLog, State
from batcher.worker.snapshot import snapshot_of

#: Seconds in which requests of jobs that were handed over may finish, after the runner's own jobs have ended.
_HANDOVER_SECONDS = 25.0
#: If no concurrency is given, the least that is assumed to have been in flight recently.
_LEAST_OUT = 64


class End(StrEnum):
    """Why a worker stopped."""

    #: Every job that it was started for is finished, or waits for a person.
    OVER = "over"
    #: It was asked to drain.
    DRAINED = "drained"


class Worker:
    """Runs the jobs of one queue as one holder, once.

    `concurrency` is the most requests in flight; None: adaptive.
    """

    def __init__(
        self,
        *,
        queue: Queue,
        budget: Budget,
        clock: Clock,
        events: Events,
        senders: Senders,
        concurrency: int | None,
        validator: OutputValidator,
        jitter: Callable[[], float],
        flights: InFlightLog | None = None,
        keys: Mapping[JobId, str] = MappingProxyType({}),
    ) -> None:
        self._keys = keys
        #: Whether it ends because another process, which has other credentials, is to be the runner.
        self.hands_over = False
        self.state = State(flights=flights or NoInFlightLog())
        self._queue = queue
        self._budget = budget
        self._clock = clock
        self._events = events
        self._senders = senders
        self._concurrency = concurrency
        self._validator = validator
        self._jitter = jitter
        self._over = asyncio.Event()
        self._drain = asyncio.Event()
        self._stop = asyncio.Event()
        self._deadline: float | None = None

    def drain(self, deadline: float | None) -> None:
        """Send nothing new; requests in flight may finish within `deadline` seconds (None: without limit)."""
        if self._drain.is_set() and deadline is not None:
            # It drains already, and its wait may have begun with another deadline.
            asyncio.get_running_loop().call_later(deadline, self._stop.set)
        self._deadline = deadline
        self._drain.set()

    def wake(self) -> None:
        """Wake the claimer: a listener that was behind can take more."""
        self.state.wake.set()

    def stop(self) -> None:
        """Stop at once: requests in flight go back without using an attempt."""
        self._drain.set()
        self._stop.set()

    def snapshot(self) -> RunnerSnapshot:
        """See `ports.OwnRunner`."""
        return snapshot_of(self.state, self._keys)

    def lane_keys(self, jobs: Collection[JobId]) -> set[LaneKey]:
        """See `ports.OwnRunner`."""
        return self.state.lane_keys(jobs)

    def lanes(self, jobs: Collection[JobId]) -> list[LaneView]:
        """See `ports.OwnRunner`."""
        used = self.state.lane_keys(jobs)
        return [self._budget.view(key) for key in self.state.lanes if key in used]

    async def run(self, jobs: Sequence[JobId], *, probing: Sequence[JobId] = ()) -> End:
        """Work until none of these jobs can go on, or until drained. By then nothing is in hand any more.

        Jobs that other processes hand over are run as long as these are. Jobs that a person has just resumed from
        a pause begin with one request alone (`probing`). If cancelled, it stops at once and ends as cancelled. An
        error that breaks it is raised in an ExceptionGroup.
        """
        return await self._work(jobs, probing, self._until_end)

    async def serve(self) -> None:
        """Work on whatever other processes hand over, until drained or stopped; having nothing to do is no end.

        It ends as `run` does, and nothing of a finished job stays in memory.
        """
        await self._work((), (), self._until_drained)

    async def _work(
        self, jobs: Sequence[JobId], probing: Sequence[JobId], until: Callable[[], Awaitable[End]]
    ) -> End:
        self.state.own = frozenset(jobs)
        async with asyncio.TaskGroup() as tasks:
            self._build(tasks)
            self._writing = [tasks.create_task(self._broker.run()), tasks.create_task(self._pauses.run())]
            self._claiming: list[asyncio.Task[None]] = []
            try:
                for job_id in jobs:
                    await self._active_jobs.start_job(job_id, probe=job_id in probing)
                self._claiming = [tasks.create_task(self._intake.run())]
                self._writing.append(tasks.create_task(self._beat.run()))
                self._writing.append(tasks.create_task(self._sharing.run()))
                end = await until()
                await self._shut_down(drain=True, handing_over=end is End.OVER)
            except asyncio.CancelledError:
                self.stop()
                await self._shut_down(drain=True)
                raise
        return end

    def _build(self, tasks: asyncio.TaskGroup) -> None:
        state, queue, events, budget, clock = self.state, self._queue, self._events, self._budget, self._clock
        broker = CommitBroker(queue=queue, state=state, clock=clock, events=events, most=self._max_in_flight)
        pauses = Pauses(queue=queue, state=state, broker=broker, events=events)
        verdicts = Verdicts(
            state=state, broker=broker, pauses=pauses, events=events, clock=clock, jitter=self._jitter
        )
        executor = Executor(
            state=state,
            budget=budget,
            broker=broker,
            verdicts=verdicts,
            clock=clock,
            events=events,
            validator=self._validator,
            jitter=self._jitter,
        )
        task_pool = TaskPool(executor.execute, tasks)
        oversized = OversizedRequests(budget=budget, broker=broker, clock=clock, events=events)
        gate = Dispatcher(
            state=state, budget=budget, broker=broker, task_pool=task_pool, pauses=pauses, oversized=oversized
        )

        def open_gate(lane: Lane) -> None:
            lane.gate = tasks.create_task(gate.run(lane))

        active_jobs = ActiveJobs(
            state=state,
            queue=queue,
            budget=budget,
            senders=self._senders,
            broker=broker,
            pauses=pauses,
            verdicts=verdicts,
            open_gate=open_gate,
        )
        self._broker, self._pauses, self._verdicts = broker, pauses, verdicts
        self._task_pool, self._active_jobs = task_pool, active_jobs
        self._sharing = FollowerSharing(queue=queue, state=state, events=events)
        self._beat = self._heartbeat()
        self._intake = Claimer(
            queue=queue,
            state=state,
            budget=budget,
            broker=broker,
            clock=clock,
            events=events,
            verdicts=verdicts,
            over=self._over.set,
        )

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(
            queue=self._queue,
            state=self.state,
            budget=self._budget,
            active_jobs=self._active_jobs,
            pauses=self._pauses,
            keys=self._keys,
            hand_over=self._hand_over,
        )

    def _hand_over(self) -> None:
        """Drain, because another process is to be the runner."""
        self.hands_over = True
        if not self._drain.is_set():
            self.drain(None)

    def _max_in_flight(self) -> int:
        """Return how many requests may be in flight: the concurrency, or twice the recent number."""
        if self._concurrency is not None:
            return self._concurrency
        return 2 * max(_LEAST_OUT, self.state.recent_in_flight())

    async def _until_drained(self) -> End:
        await self._drain.wait()
        return End.DRAINED

    async def _until_end(self) -> End:
        while True:
            await first_of(self._over, self._drain)
            if self._drain.is_set():
                return End.DRAINED
            # Another process may have handed a job over in the last second.
            await self._beat.once()
            if self.state.is_over:
                return End.OVER
            self._over.clear()

    async def _shut_down(self, *, drain: bool, handing_over: bool = False) -> None:
        """Claim and send nothing more, let requests in flight finish, and write everything to the store.

        `handing_over`: what is in flight is of other processes' jobs, which wait to run them.
        """
        await self._beat.stop_following()
        gates = [lane.gate for lane in self.state.lanes.values() if lane.gate is not None]
        await cancel_all([*self._claiming, *gates])
        self._task_pool.close_idle()
        if drain:
            await self._let_flights_end(handing_over=handing_over)
        self._verdicts.finish()
        for lane in self.state.lanes.values():
            self._broker.release(lane)
        # Cancelled before they began: they were never sent.
        for claim in self.state.sending.values():
            self._broker.add(Settlement(claim=claim, decision=Release(), attempt=None))
        await cancel_all(self._writing)
        await self._broker.finish()
        await self._pauses.write()
        await write_active(self._queue, self.state.jobs.values(), asyncio.get_running_loop().time())
        await self._beat.once()

    async def _let_flights_end(self, *, handing_over: bool) -> None:
        out = set(self._task_pool.out)
        deadline = _HANDOVER_SECONDS if handing_over else self._deadline
        if not self._stop.is_set() and (out or not handing_over):
            self._events.emit(DrainStarted(in_flight=len(out), deadline=deadline, handing_over=handing_over))
        if not out:
            return
        # A person who ends a run whose own jobs are over waits for nothing of others.
        end = self._drain if handing_over else self._stop
        stopped = asyncio.ensure_future(end.wait())
        landed = asyncio.ensure_future(asyncio.wait(out))
        await asyncio.wait({stopped, landed}, timeout=deadline, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        landed.cancel()
        await cancel_all(out)
