"""Run jobs to their end: in this process, or in the runner that is already using the store."""

import asyncio
import os
import platform
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct

from batcher.clock import boot_id
from batcher.domain.errors import BatcherError, RunnerBusy, StoreError
from batcher.domain.ids import HolderId, JobId
from batcher.domain.jobs import Job
from batcher.domain.settings import JobSettings
from batcher.domain.states import JobState, ShownState
from batcher.ports import Budget, Clock, Events, OutputValidator, Sender
from batcher.services.runs.status import job_status
from batcher.store.jobs import jobs
from batcher.store.queue import pauses, resuming, runners
from batcher.store.queue.adapter import SqlQueue
from batcher.store.reports import job_counts
from batcher.store.sqlite import migrate
from batcher.store.sqlite.database import Database
from batcher.store.sqlite.file_locks import RunnerLock
from batcher.store.sqlite.in_flight_log import FileInFlightLog, last_sent
from batcher.store.sqlite.writer_thread import Writer
from batcher.worker.worker import Worker, WorkerSettings

T = TypeVar("T")

#: Seconds in which a write may still get the store's lock after the run was stopped.
_GRACE_SECONDS = 1.0
_WATCH_SECONDS = 0.3
_ENDED = frozenset({ShownState.COMPLETED, ShownState.CANCELLED, ShownState.PAUSED})


def _unknown() -> int | None:
    return None


class Parts(Struct, frozen=True, kw_only=True):
    """The concrete parts of a runner; `app` chooses them."""

    clock: Clock
    budget: Callable[[int | None], Budget]
    writer: Callable[[Database], Writer]
    #: Makes the sender of a job, to the given base URL. Raises BatcherError if it cannot be made, e.g. without a
    #: key.
    sender: Callable[[Job, str], AbstractAsyncContextManager[Sender]]
    #: Starts the simulated provider; entering the context returns its base URL.
    simulator: Callable[[], AbstractAsyncContextManager[str]]
    #: Makes the validator of structured output.
    validator: Callable[[], AbstractAsyncContextManager[OutputValidator]]
    #: Returns a uniform random number in [0, 1).
    jitter: Callable[[], float]
    #: Returns the microseconds since this boot of the machine; None: unknown.
    uptime: Callable[[], int | None] = _unknown
    #: Returns which answers a job may share, by the headers that are sent; None if that is not known.
    answer_scope: Callable[[JobSettings], str | None] = lambda _: None


class RunEnd(StrEnum):
    """Why a run stopped."""

    #: None of the requested jobs can continue.
    OVER = "over"
    #: It was interrupted; requests in flight completed or were released.
    INTERRUPTED = "interrupted"


class RunControl:
    """Lets a surface interrupt a run: the first signal drains, the second stops."""

    def __init__(self) -> None:
        self.interrupted = asyncio.Event()
        self.stopped = asyncio.Event()
        self.worker: Worker | None = None
        #: Whether this process has been the runner.
        self.has_run = False
        self._deadline: float | None = None

    def drain(self, deadline: float | None) -> None:
        """Send nothing new; requests in flight may complete within `deadline` seconds (None: no deadline)."""
        self._deadline = deadline
        self.interrupted.set()
        if self.worker is not None:
            self.worker.drain(deadline)

    def stop(self) -> None:
        """Stop now, without waiting for requests in flight."""
        self.stopped.set()
        self.interrupted.set()
        if self.worker is not None:
            self.worker.stop()

    def attach(self, worker: Worker) -> None:
        """Attach the worker, and pass on an interruption that came before it existed."""
        self.worker = worker
        self.has_run = True
        if self.stopped.is_set():
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
    taken_over: Callable[[], None] = lambda: None,
) -> RunEnd:
    """Run the jobs to their end.

    If another runner is using the store, hand the jobs over to it and call `handed_over` with its pid. If that
    runner ends before they have, or dies, this process becomes the runner, and `taken_over` is called. A runner
    ends with its own jobs: those that were handed over to it are left to the processes that wait for them.
    """
    # What a runner has in hand would be lost if it gave up, so it waits for other processes as long as they live.
    database.is_patient = True
    try:
        return await _run_somewhere(
            database,
            wanted,
            parts,
            events=events,
            concurrency=concurrency,
            control=control,
            handed_over=handed_over,
            taken_over=taken_over,
        )
    except _Interrupted:
        return RunEnd.INTERRUPTED
    finally:
        database.wait(True)


class _Interrupted(Exception):
    """A signal ended a wait for the store before anything was sent."""


async def _write(database: Database, until: asyncio.Event, work: Callable[[], T]) -> T:
    """Run work on the store; if it must wait for a lock, in a thread, so that signals are handled meanwhile.

    When `until` is set, the wait ends: raises `_Interrupted`, unless the work was done by then.
    """
    if not database.is_busy():
        return work()
    working = asyncio.ensure_future(asyncio.to_thread(work))
    stopping = asyncio.ensure_future(until.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await asyncio.wait({working}, timeout=_GRACE_SECONDS)
            database.wait(False)
            await asyncio.wait({working})
    except asyncio.CancelledError:
        database.wait(False)
        await asyncio.wait({working})
        raise
    finally:
        stopping.cancel()
    if until.is_set() and isinstance(working.exception(), StoreError):
        raise _Interrupted from working.exception()
    return working.result()


@asynccontextmanager
async def _no_waiting_once_stopped(database: Database, control: RunControl) -> AsyncIterator[None]:
    """Inside the block, end waits for the store's lock when the run was asked to stop at once."""

    async def end_waits() -> None:
        await control.stopped.wait()
        await asyncio.sleep(_GRACE_SECONDS)
        database.wait(False)

    task = asyncio.create_task(end_waits())
    try:
        yield
    finally:
        task.cancel()


async def _run_somewhere(
    database: Database,
    wanted: Sequence[JobId],
    parts: Parts,
    *,
    events: Events,
    concurrency: int | None,
    control: RunControl,
    handed_over: Callable[[int | None], None],
    taken_over: Callable[[], None],
) -> RunEnd:
    """Run the jobs here, or watch the runner that does."""
    interrupted = control.interrupted
    probing = await _write(database, interrupted, lambda: _mark_wanted(database, wanted, parts.clock))
    reported: int | None = None
    while True:
        lock = RunnerLock(database.path)
        try:
            lock.acquire()
        except RunnerBusy as busy:
            lock.close()
            if reported != (busy.pid or 0):
                handed_over(busy.pid)
                reported = busy.pid or 0
            end = await _watch(database, wanted, control, parts.clock)
            if end is not None:
                return end
            continue
        if reported is not None:
            taken_over()
        try:
            return await _run_here(
                database, wanted, parts, events=events, concurrency=concurrency, control=control, probing=probing
            )
        finally:
            lock.close()


def _mark_wanted(database: Database, wanted: Sequence[JobId], clock: Clock) -> list[JobId]:
    """Mark the jobs as wanted and end their pauses; return the jobs that were paused."""
    probing = []
    with database.write() as connection:
        for job_id in wanted:
            job = jobs.get(connection, job_id)
            if resuming.end_pauses(connection, job, now=clock.now()):
                probing.append(job_id)
                # A live runner notices the new version of the settings and starts the job again.
                jobs.remember(connection, job_id, settings=job.settings)
        jobs.want(connection, wanted)
    return probing


async def _watch(database: Database, wanted: Sequence[JobId], control: RunControl, clock: Clock) -> RunEnd | None:
    """Wait until the live runner has ended the jobs; None if the runner is gone and they have not ended."""
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
            await _write(database, control.interrupted, lambda: _keep_wanting(database, wanted))
            await asyncio.sleep(_WATCH_SECONDS)
    finally:
        lock.close()


def _keep_wanting(database: Database, wanted: Sequence[JobId]) -> None:
    """Mark the jobs as wanted again: a runner that starts resets the marks of its predecessor."""
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
            # Requests that were in flight at the cancel still complete.
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
    holder, flights = await _write(database, control.interrupted, lambda: _begin(database, wanted, parts))
    writer = parts.writer(database)
    try:
        async with AsyncExitStack() as stack:
            worker = Worker(
                queue=SqlQueue(writer, holder, parts.clock, answer_scope=parts.answer_scope),
                budget=parts.budget(concurrency),
                clock=parts.clock,
                events=events,
                senders=_Senders(stack, parts).of,
                settings=WorkerSettings(concurrency=concurrency),
                validator=await stack.enter_async_context(parts.validator()),
                jitter=parts.jitter,
                flights=flights,
            )
            control.attach(worker)
            await stack.enter_async_context(_no_waiting_once_stopped(database, control))
            await worker.run(wanted, probing=probing)
    except BaseExceptionGroup as group:
        # Not `except*`: if the group also holds other errors, an error raised there is wrapped in a group again.
        error = _first_batcher_error(group)
        if error is None:
            raise
        raise error from group
    finally:
        control.worker = None
        writer.close()
        flights.close()
    await _write(database, control.stopped, lambda: _end(database, holder, parts.clock))
    # Only after the store knows that this runner has ended: until then, the log is what a restart goes by.
    flights.remove_if_empty()
    return RunEnd.INTERRUPTED if control.interrupted.is_set() else RunEnd.OVER


def _begin(database: Database, wanted: Sequence[JobId], parts: Parts) -> tuple[HolderId, FileInFlightLog]:
    clock, uptime = parts.clock, parts.uptime()
    migrate.upgrade(database, now=clock.now())
    now, boot = clock.now(), _boot()
    sent = last_sent(database.path, boot=boot)
    booted_at = None if uptime is None else now - uptime
    with database.write() as connection:
        runners.repair_clock_skew(connection, now=now, boot=boot, booted_at=booted_at)
        runners.rescue(connection, now=now, sent=sent)
        jobs.want_only(connection, wanted)
        holder = runners.start(
            connection, pid=os.getpid(), host=platform.node(), boot=boot, booted_at=booted_at, now=now
        )
    # Open the log only after the rescue is committed: until then it describes the previous runner.
    return holder, FileInFlightLog(database.path, holder=holder, boot=boot)


def _end(database: Database, holder: HolderId, clock: Clock) -> None:
    with database.write() as connection:
        runners.end(connection, holder, now=clock.now())


def _boot() -> str | None:
    return boot_id()


def _first_batcher_error(group: BaseExceptionGroup[BaseException]) -> BatcherError | None:
    """Return the first BatcherError of the group, whose message can be shown; None if there is none."""
    for error in group.exceptions:
        found = _first_batcher_error(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, BatcherError):
            return found
    return None


class _Senders:
    """Senders, one for all jobs with the same connection settings; closed with the run."""

    def __init__(self, stack: AsyncExitStack, parts: Parts) -> None:
        self._stack = stack
        self._parts = parts
        self._made: dict[str, Sender] = {}
        self._simulated: str | None = None

    async def of(self, job: Job) -> Sender:
        """Return the job's sender. Raises BatcherError if it cannot be made."""
        settings = job.settings
        base_url = await self._base_url(job)
        key = repr((base_url, settings.api_key_env, settings.headers, settings.timeout, settings.ca_file))
        if key not in self._made:
            self._made[key] = await self._stack.enter_async_context(self._parts.sender(job, base_url))
        return self._made[key]

    async def _base_url(self, job: Job) -> str:
        if not job.settings.simulate:
            return job.base_url
        if self._simulated is None:
            self._simulated = await self._stack.enter_async_context(self._parts.simulator())
        return self._simulated
