"""Run jobs to their end: in this process, or in the runner that is already using the store."""

import asyncio
import os
import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from enum import StrEnum

from msgspec import Struct

from batcher.clock import boot_id
from batcher.domain.errors import BatcherError, RunnerBusy
from batcher.domain.ids import HolderId, JobId
from batcher.domain.jobs import Job
from batcher.domain.settings import JobSettings
from batcher.domain.states import JobState, ShownState
from batcher.ports import (
    Budget,
    Clock,
    Events,
    OutputValidator,
    OwnRunner,
    QueueMaker,
    RunnerMaker,
    Sender,
    Store,
    Writer,
)
from batcher.ports.store import OwnInFlightLog
from batcher.services.monitor.status import job_status
from batcher.services.runs.senders import Senders
from batcher.services.runs.store_waits import Interrupted, no_waiting_once_stopped, write
from batcher.services.runs.succession import KeyMark, StaleKey, Succession, let_successor_start, mark_of
from batcher.store.jobs import jobs
from batcher.store.queue import pauses, resuming, runners
from batcher.store.reports import job_counts

_WATCH_SECONDS = 0.3
_ENDED = frozenset({ShownState.COMPLETED, ShownState.CANCELLED, ShownState.PAUSED})


def _unknown() -> int | None:
    return None


class Parts(Struct, frozen=True, kw_only=True):
    """The concrete parts of a runner; `app` chooses them."""

    clock: Clock
    queue: QueueMaker
    runner: RunnerMaker
    budget: Callable[[int | None], Budget]
    writer: Callable[[Store], Writer]
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
    #: See `succession.KeyMark`.
    key_mark: KeyMark = lambda _settings, _salt: "-"


class RunEnd(StrEnum):
    """Why a run stopped."""

    #: None of the requested jobs can continue.
    OVER = "over"
    #: It was interrupted; requests in flight completed or were released.
    INTERRUPTED = "interrupted"
    #: Another process with other credentials asked to be the runner.
    HANDED_OVER = "handed_over"


class RunControl:
    """Lets a surface interrupt a run: the first signal drains, the second stops."""

    def __init__(self) -> None:
        self.interrupted = asyncio.Event()
        self.stopped = asyncio.Event()
        #: The runner of this process, while it runs.
        self.runner: OwnRunner | None = None
        #: Whether this process has been the runner.
        self.has_run = False
        #: How often it has become the runner.
        self.runs = 0
        self._deadline: float | None = None

    def drain(self, deadline: float | None) -> None:
        """Send nothing new; requests in flight may complete within `deadline` seconds (None: no deadline)."""
        self._deadline = deadline
        self.interrupted.set()
        if self.runner is not None:
            self.runner.drain(deadline)

    def stop(self) -> None:
        """Stop now, without waiting for requests in flight."""
        self.stopped.set()
        self.interrupted.set()
        if self.runner is not None:
            self.runner.stop()

    def wake(self) -> None:
        """Let the runner claim at once, if it is this process: a listener that was behind can take more."""
        if self.runner is not None:
            self.runner.wake()

    def attach(self, runner: OwnRunner) -> None:
        """Attach the runner, and pass on an interruption that came before it existed."""
        self.runner = runner
        self.has_run = True
        self.runs += 1
        if self.stopped.is_set():
            runner.stop()
        elif self.interrupted.is_set():
            runner.drain(self._deadline)


async def run_jobs(
    database: Store,
    wanted: Sequence[JobId],
    parts: Parts,
    *,
    events: Events,
    concurrency: int | None,
    control: RunControl,
    handed_over: Callable[[int | None], None],
    taken_over: Callable[[], None] = lambda: None,
    key_is_stale: Callable[[StaleKey], None] = lambda _: None,
) -> RunEnd:
    """Run the jobs to their end.

    If another runner is using the store, hand the jobs over to it and call `handed_over` with its pid. If that
    runner ends before they have, or dies, this process becomes the runner, and `taken_over` is called. A runner
    ends with its own jobs: those that were handed over to it are left to the processes that wait for them. If it
    sends other credentials than this process would, `key_is_stale` is called, and it is asked to hand over.
    """
    # What a runner has in hand would be lost if it gave up, so it waits for other processes as long as they live.
    database.is_patient = True
    try:
        return await _run_somewhere(
            _Run(
                database=database,
                wanted=wanted,
                parts=parts,
                events=events,
                concurrency=concurrency,
                control=control,
                succession=Succession(database, wanted, parts.key_mark, key_is_stale),
            ),
            handed_over=handed_over,
            taken_over=taken_over,
        )
    except Interrupted:
        return RunEnd.INTERRUPTED
    finally:
        database.wait(True)


class _Run(Struct, frozen=True, kw_only=True):
    """What `run_jobs` was called with."""

    database: Store
    wanted: Sequence[JobId]
    parts: Parts
    events: Events
    concurrency: int | None
    control: RunControl
    succession: Succession

    async def mark_wanted(self) -> list[JobId]:
        """Mark the jobs as wanted and end their pauses; return the jobs that were paused."""
        database, wanted, clock = self.database, self.wanted, self.parts.clock
        return await write(database, self.control.interrupted, lambda: _mark_wanted(database, wanted, clock))


async def _run_somewhere(
    run: _Run, *, handed_over: Callable[[int | None], None], taken_over: Callable[[], None]
) -> RunEnd:
    """Run the jobs here, or watch the runner that does."""
    interrupted, succession = run.control.interrupted, run.succession
    await write(run.database, interrupted, succession.consider)
    # A runner that is asked to hand over should not try again with its old credentials.
    probing = [] if succession.asked else await run.mark_wanted()
    reported: int | None = None
    while True:
        lock = run.database.coordination.runner_role()
        try:
            lock.acquire()
        except RunnerBusy as busy:
            lock.close()
            if reported != (busy.pid or 0):
                handed_over(busy.pid)
                reported = busy.pid or 0
            end = await _watch(run)
            if end is not None:
                return end
            continue
        if reported is not None:
            taken_over()
        try:
            if succession.asked:
                probing = await run.mark_wanted()
            end = await _run_here(run, probing)
        finally:
            lock.close()
        if end is not RunEnd.HANDED_OVER:
            return end
        succession.give_up()
        probing = []
        reported = await let_successor_start(run.database, interrupted)
        if reported is not None:
            handed_over(reported or None)


def _mark_wanted(database: Store, wanted: Sequence[JobId], clock: Clock) -> list[JobId]:
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


async def _watch(run: _Run) -> RunEnd | None:
    """Wait until the live runner has ended the jobs; None if the runner is gone and they have not ended."""
    database, wanted, interrupted = run.database, run.wanted, run.control.interrupted
    lock = database.coordination.runner_role()
    try:
        while True:
            if interrupted.is_set():
                return RunEnd.INTERRUPTED
            await write(database, interrupted, run.succession.consider)
            alive, now = lock.is_live(), run.parts.clock.now()
            # A pause is no end, if this process takes over.
            ends_paused = not run.succession.asked
            if all(_has_ended(database, each, alive=alive, now=now, ends_paused=ends_paused) for each in wanted):
                return RunEnd.OVER
            if not alive:
                return None
            await write(database, interrupted, lambda: _keep_wanting(database, wanted))
            await asyncio.sleep(_WATCH_SECONDS)
    finally:
        lock.close()


def _keep_wanting(database: Store, wanted: Sequence[JobId]) -> None:
    """Mark the jobs as wanted again: a runner that starts resets the marks of its predecessor."""
    with database.read() as connection:
        found = [jobs.get(connection, job_id) for job_id in wanted]
    forgotten = [job.id for job in found if job.state is JobState.OPEN and not job.wanted]
    if forgotten:
        with database.write() as connection:
            jobs.want(connection, forgotten)


def _has_ended(database: Store, job_id: JobId, *, alive: bool, now: int, ends_paused: bool) -> bool:
    with database.read() as connection:
        job = jobs.get(connection, job_id)
        if job.state is not JobState.OPEN:
            # Requests that were in flight at the cancel still complete.
            return not (alive and job_counts.counts(connection, job).claimed)
        paused = ends_paused and bool(pauses.in_force(connection))
    return paused and job_status(database, job, now=now, runner_lives=alive).state in _ENDED


async def _run_here(run: _Run, probing: Sequence[JobId]) -> RunEnd:
    database, parts, control = run.database, run.parts, run.control
    holder, flights = await write(database, control.interrupted, lambda: _begin(run))
    writer = parts.writer(database)
    try:
        async with AsyncExitStack() as stack:
            senders = Senders(
                stack, parts.sender, parts.simulator, mark=lambda it: mark_of(it, parts.key_mark, holder)
            )
            runner = parts.runner(
                queue=parts.queue(writer, holder, parts.clock, answer_scope=parts.answer_scope),
                budget=parts.budget(run.concurrency),
                clock=parts.clock,
                events=run.events,
                senders=senders.of,
                concurrency=run.concurrency,
                validator=await stack.enter_async_context(parts.validator()),
                jitter=parts.jitter,
                flights=flights,
                keys=senders.marks,
            )
            control.attach(runner)
            await stack.enter_async_context(no_waiting_once_stopped(database, control.stopped))
            await runner.run(run.wanted, probing=probing)
    except BaseExceptionGroup as group:
        # Not `except*`: if the group also holds other errors, an error raised there is wrapped in a group again.
        error = _first_batcher_error(group)
        if error is None:
            raise
        raise error from group
    finally:
        control.runner = None
        writer.close()
        flights.close()
    await write(database, control.stopped, lambda: _end(database, holder, parts.clock))
    # Only after the store knows that this runner has ended: until then, the log is what a restart goes by.
    flights.remove_if_empty()
    if control.interrupted.is_set():
        return RunEnd.INTERRUPTED
    return RunEnd.HANDED_OVER if runner.hands_over else RunEnd.OVER


def _begin(run: _Run) -> tuple[HolderId, OwnInFlightLog]:
    database, clock, uptime = run.database, run.parts.clock, run.parts.uptime()
    database.upgrade(now=clock.now())
    now, boot = clock.now(), _boot()
    sent = database.coordination.last_sent(boot=boot)
    booted_at = None if uptime is None else now - uptime
    with database.write() as connection:
        runners.repair_clock_skew(connection, now=now, boot=boot, booted_at=booted_at)
        runners.rescue(connection, now=now, sent=sent)
        if run.succession.asked:
            # It takes over all jobs of the runner that has handed over.
            jobs.want(connection, run.wanted)
        else:
            jobs.want_only(connection, run.wanted)
        holder = runners.start(
            connection, pid=os.getpid(), host=platform.node(), boot=boot, booted_at=booted_at, now=now
        )
    # Open the log only after the rescue is committed: until then it describes the previous runner.
    return holder, database.coordination.in_flight_log(holder=holder, boot=boot)


def _end(database: Store, holder: HolderId, clock: Clock) -> None:
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
