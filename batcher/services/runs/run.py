"""Jobs run to their end: by this process, or by the runner that works the store already."""

import asyncio
import os
import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from batcher.domain.errors import BatcherError, RunnerBusy
from batcher.domain.ids import HolderId, JobId
from batcher.domain.jobs import Job
from batcher.domain.states import JobState, ShownState
from batcher.ports import Budget, Clock, Events, Sender
from batcher.services.runs.status import job_status
from batcher.store.jobs import jobs
from batcher.store.queue import lanes, pauses, runners
from batcher.store.queue.adapter import SqlQueue
from batcher.store.reports import job_counts
from batcher.store.sqlite import migrate
from batcher.store.sqlite.database import Database
from batcher.store.sqlite.file_locks import RunnerLock
from batcher.store.sqlite.in_flight_log import FlightLog, last_sent
from batcher.store.sqlite.writer_thread import Writer
from batcher.worker.worker import Worker, WorkerSettings

_WATCH_SECONDS = 0.3
_ENDED = frozenset({ShownState.COMPLETED, ShownState.CANCELLED, ShownState.PAUSED})


class Parts(Struct, frozen=True, kw_only=True):
    """The concrete things a runner is made of; `app` chooses them."""

    clock: Clock
    budget: Callable[[int | None], Budget]
    writer: Callable[[Database], Writer]
    #: What sends for a job, to the given base URL. Raises BatcherError where it cannot be made: no key.
    sender: Callable[[Job, str], AbstractAsyncContextManager[Sender]]
    #: The simulated provider; entering it gives its base URL.
    simulator: Callable[[], AbstractAsyncContextManager[str]]
    #: U(0, 1).
    jitter: Callable[[], float]


class RunEnd(StrEnum):
    """Why a run stopped."""

    #: No job that was asked for can go on.
    OVER = "over"
    #: It was interrupted; what was in flight ended or was given back.
    INTERRUPTED = "interrupted"


class RunControl:
    """How a surface interrupts a run: a first signal drains, a second stops."""

    def __init__(self) -> None:
        self.interrupted = asyncio.Event()
        self.worker: Worker | None = None
        self._deadline: float | None = None
        self._at_once = False

    def drain(self, deadline: float | None) -> None:
        """Send nothing new; what is in flight may end within `deadline` seconds (None: without end)."""
        self._deadline = deadline
        self.interrupted.set()
        if self.worker is not None:
            self.worker.drain(deadline)

    def stop(self) -> None:
        """Wait for nothing."""
        self._at_once = True
        self.interrupted.set()
        if self.worker is not None:
            self.worker.stop()

    def attach(self, worker: Worker) -> None:
        """The worker is there now; it learns what was said before."""
        self.worker = worker
        if self._at_once:
            worker.stop()
        elif self.interrupted.is_set():
            worker.drain(self._deadline)


async def run_jobs(
    database: Database,
    wanted: Sequence[JobId],
    parts: Parts,
    *,
    events: Events,
    concurrency: int | None,
    control: RunControl,
    handed_over: Callable[[int | None], None],
) -> RunEnd:
    """Run the jobs to their end. Beside a live runner they are handed over (`handed_over` is told its pid).

    Should that runner die, this process becomes the runner.
    """
    probing = _want(database, wanted, parts.clock)
    told = False
    while True:
        lock = RunnerLock(database.path)
        try:
            lock.acquire()
        except RunnerBusy as busy:
            lock.close()
            if not told:
                handed_over(busy.pid)
                told = True
            end = await _watch(database, wanted, control, parts.clock)
            if end is not None:
                return end
            continue
        try:
            return await _run_here(
                database, wanted, parts, events=events, concurrency=concurrency, control=control, probing=probing
            )
        finally:
            lock.close()


def _want(database: Database, wanted: Sequence[JobId], clock: Clock) -> list[JobId]:
    """Mark the jobs as wanted and end what paused them; returns those that were paused."""
    probing = []
    with database.write() as connection:
        for job_id in wanted:
            job = jobs.get(connection, job_id)
            models = {route.model for route in jobs.routes_of(connection, job)}
            stored = lanes.of_endpoint(connection, job.endpoint_id, job.key_name)
            lane_ids = [lane.id for lane in stored if lane.key.model in models]
            ended = pauses.end_for(
                connection,
                endpoint_id=job.endpoint_id,
                key_name=job.key_name,
                lane_ids=lane_ids,
                job_id=job_id,
                now=clock.now(),
            )
            if ended:
                probing.append(job_id)
                # A live runner notices a new version of the settings and takes the job up again.
                jobs.remember(connection, job_id, settings=job.settings)
        jobs.want(connection, wanted)
    return probing


async def _watch(database: Database, wanted: Sequence[JobId], control: RunControl, clock: Clock) -> RunEnd | None:
    """Wait for the live runner to end the jobs; None: it is gone, and they are not at their end."""
    lock = RunnerLock(database.path)
    try:
        while True:
            if control.interrupted.is_set():
                return RunEnd.INTERRUPTED
            alive = lock.is_live()
            if all(_has_ended(database, job_id, alive=alive, now=clock.now()) for job_id in wanted):
                return RunEnd.OVER
            if not alive:
                return None
            _keep_wanting(database, wanted)
            await asyncio.sleep(_WATCH_SECONDS)
    finally:
        lock.close()


def _keep_wanting(database: Database, wanted: Sequence[JobId]) -> None:
    """A runner that begins forgets what its predecessor was asked, but we still wait for these."""
    with database.read() as connection:
        found = [jobs.get(connection, job_id) for job_id in wanted]
    forgotten = [job.id for job in found if job.state is JobState.OPEN and not job.wanted]
    if forgotten:
        with database.write() as connection:
            jobs.want(connection, forgotten)


def _has_ended(database: Database, job_id: JobId, *, alive: bool, now: int) -> bool:
    with database.read() as connection:
        job = jobs.get(connection, job_id)
        if job.state is not JobState.OPEN:
            # What a cancel finds in flight ends as it ends.
            return not (alive and job_counts.counts(connection, job).claimed)
        paused = bool(pauses.in_force(connection))
    return paused and job_status(database, job, now=now, runner_lives=alive).state in _ENDED


async def _run_here(
    database: Database,
    wanted: Sequence[JobId],
    parts: Parts,
    *,
    events: Events,
    concurrency: int | None,
    control: RunControl,
    probing: Sequence[JobId],
) -> RunEnd:
    migrate.upgrade(database, now=parts.clock.now())
    holder, flights = _begin(database, wanted, parts.clock)
    writer = parts.writer(database)
    try:
        async with AsyncExitStack() as stack:
            worker = Worker(
                queue=SqlQueue(writer, holder, parts.clock),
                budget=parts.budget(concurrency),
                clock=parts.clock,
                events=events,
                senders=_Senders(stack, parts).of,
                settings=WorkerSettings(concurrency=concurrency),
                jitter=parts.jitter,
                flights=flights,
            )
            control.attach(worker)
            await worker.run(wanted, probing=probing)
    except BaseExceptionGroup as group:
        # Not `except*`: beside an error of another kind, what is raised there comes out in a group again.
        error = _first(group)
        if error is None:
            raise
        raise error from group
    finally:
        control.worker = None
        writer.close()
        flights.close()
    with database.write() as connection:
        runners.end(connection, holder, now=parts.clock.now())
    return RunEnd.INTERRUPTED if control.interrupted.is_set() else RunEnd.OVER


def _begin(database: Database, wanted: Sequence[JobId], clock: Clock) -> tuple[HolderId, FlightLog]:
    now, boot = clock.now(), _boot()
    sent = last_sent(database.path, boot=boot)
    with database.write() as connection:
        runners.repair_clock_skew(connection, now=now)
        runners.rescue(connection, now=now, sent=sent)
        jobs.want_only(connection, wanted)
        holder = runners.start(connection, pid=os.getpid(), host=platform.node(), boot=boot, now=now)
    # Not before the rescue is on disk: until then the log speaks of the one before.
    return holder, FlightLog(database.path, holder=holder, boot=boot)


def _boot() -> str | None:
    """Names this start of the machine, where the system tells."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _first(group: BaseExceptionGroup[BaseException]) -> BatcherError | None:
    """What people are told of several failures at once: the first that has words for them."""
    for error in group.exceptions:
        found = _first(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, BatcherError):
            return found
    return None


class _Senders:
    """One sender for all jobs that send alike; closed with the run."""

    def __init__(self, stack: AsyncExitStack, parts: Parts) -> None:
        self._stack = stack
        self._parts = parts
        self._made: dict[str, Sender] = {}
        self._simulated: str | None = None

    async def of(self, job: Job) -> Sender:
        """The job's sender. Raises BatcherError where it cannot be made."""
        settings = job.settings
        base_url = await self._base_url(job)
        alike = repr((base_url, settings.api_key_env, settings.headers, settings.timeout, settings.ca_file))
        if alike not in self._made:
            self._made[alike] = await self._stack.enter_async_context(self._parts.sender(job, base_url))
        return self._made[alike]

    async def _base_url(self, job: Job) -> str:
        if not job.settings.simulate:
            return job.base_url
        if self._simulated is None:
            self._simulated = await self._stack.enter_async_context(self._parts.simulator())
        return self._simulated
