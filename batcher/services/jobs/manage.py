"""Find jobs by number or name, cancel them, delete them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

from batcher.domain.errors import UnknownJob, UsageError
from batcher.domain.ids import JobId
from batcher.domain.jobs import Job
from batcher.domain.messages import Cause
from batcher.domain.states import JobState
from batcher.ports import Clock, Store
from batcher.services.monitor import live_runner as monitored
from batcher.services.store.open_store import NO_STORE_HINT, exists, open_existing
from batcher.services.store.reclaim import reclaim
from batcher.services.store.turns import let_others_write
from batcher.store.jobs import jobs
from batcher.store.jobs.id_range import parts
from batcher.store.reports import job_counts

#: Requests changed per transaction: others wait for that long to write.
AT_ONCE: Final = 10_000


class Cancelled(Struct, frozen=True, kw_only=True):
    """The result of `cancel`. `was_over`: the job had already ended."""

    job: Job
    was_over: bool
    #: Requests that were pending and are cancelled; those in flight, which the runner completes; those that a
    #: runner has claimed but not sent.
    requests: int
    in_flight: int
    held: int
    #: The pid of the live runner, which releases its claims; None if there is none.
    runner: int | None


class Deleted(Struct, frozen=True, kw_only=True):
    """The job that was deleted, and how many requests it had."""

    job: Job
    requests: int


@contextmanager
def opened_for(path: str, named: str | None) -> Iterator[tuple[Store, Job]]:
    """Open the store and find the job by number or name (None: the newest).

    Raises UnknownJob, also without a store.
    """
    if not exists(path):
        raise _no_store(path, "there is no job yet" if named is None else f"there is no job {named}")
    with open_existing(path) as database:
        yield database, find(database, named)


def require_store(path: str, named: Sequence[str] = ()) -> None:
    """Raise UnknownJob if there is no store. `named` are the jobs that the user asked for."""
    if not exists(path):
        raise _no_store(path, f"there is no job {named[0]}" if named else None)


def _no_store(path: str, asked: str | None) -> UnknownJob:
    where = f"there is no store at {path}"
    return UnknownJob(where if asked is None else f"{asked}: {where}", hint=NO_STORE_HINT)


@contextmanager
def opened_if_present(path: str, *, job: str | None = None) -> Iterator[Store | None]:
    """Open the store, or yield None if there is none yet. Raises UnknownJob if the named job is not in it."""
    if job is None and not exists(path):
        yield None
        return
    if job is None:
        with open_existing(path) as database:
            yield database
        return
    with opened_for(path, job) as (database, _):
        yield database


def find(database: Store, named: str | None) -> Job:
    """Return the job with that number or unique name; the newest if None. Raises UnknownJob."""
    with database.read() as connection:
        return jobs.newest(connection) if named is None else jobs.find(connection, named)


def get(database: Store, job_id: JobId) -> Job:
    """Return the job as it is now. Raises UnknownJob."""
    with database.read() as connection:
        return jobs.get(connection, job_id)


def unfinished(database: Store) -> list[Job]:
    """Return the jobs that can be resumed, oldest first."""
    with database.read() as connection:
        return jobs.unfinished(connection)


def models_of(database: Store, of: Iterable[Job]) -> list[str]:
    """Return the models of all these jobs."""
    with database.read() as connection:
        return sorted({route.model for job in of for route in jobs.routes_of(connection, job)})


def all_jobs(database: Store) -> list[Job]:
    """Return every job, oldest first."""
    with database.read() as connection:
        return jobs.all_jobs(connection)


def cancel(database: Store, job: Job, *, clock: Clock) -> Cancelled:
    """Cancel the pending requests; those in flight still complete. A job that has ended stays as it is.

    The job is cancelled at once and its requests in chunks. After an interruption the same command continues.
    """
    with database.write() as connection:
        job = jobs.get(connection, job.id)
        was_over = job.state is not JobState.OPEN
        first = next(parts(job, AT_ONCE))
        cancelled = 0 if was_over else jobs.cancel(connection, first, now=clock.now())
    cancelled += finish_cancelling(database, job.id)
    with database.read() as connection:
        job = jobs.get(connection, job.id)
        claimed = job_counts.counts(connection, job).claimed
    sending = monitored.in_flight(monitored.live_runner(database), job.id, claimed)
    return Cancelled(
        job=job,
        was_over=was_over and not cancelled,
        requests=cancelled,
        in_flight=sending,
        held=claimed - sending,
        runner=live_runner(database),
    )


def finish_cancelling(database: Store, job_id: JobId) -> int:
    """Cancel what is pending of a cancelled job, in chunks; returns how many requests were.

    It ends if the job is opened again meanwhile: then its pending requests are those that were put back.
    """
    cancelled = 0
    with database.read() as connection:
        if not jobs.is_half_cancelled(connection, job_id):
            return 0
        found = jobs.get(connection, job_id)
    for part in parts(found, AT_ONCE):
        let_others_write()
        with database.write() as connection:
            job = jobs.get(connection, job_id)
            if job.state is not JobState.CANCELLED:
                break
            cancelled += jobs.cancel(connection, part, now=job.finished_at or 0)
    return cancelled


def delete(database: Store, job: Job, *, clock: Clock) -> Deleted:
    """Delete the job with its requests and answers, in chunks.

    The job is cancelled first, so that no runner starts it meanwhile. An interrupted deletion can be repeated.
    Raises UsageError while a runner works on the job.
    """
    refuse_if_running(database, job)
    with database.write() as connection:
        job = jobs.get(connection, job.id)
        jobs.abandon(connection, job.id, now=clock.now())
    more = True
    while more:
        with database.write() as connection:
            more = jobs.delete_some(connection, job)
        let_others_write()
    reclaim(database)
    return Deleted(job=job, requests=job.total)


def refuse_if_running(database: Store, job: Job) -> None:
    """Raise UsageError while a runner works on the job."""
    pid = live_runner(database)
    if pid is not None:
        with database.read() as connection:
            job = jobs.get(connection, job.id)
            _refuse_if_held(job, pid, held=job_counts.counts(connection, job).claimed)


def live_runner(database: Store) -> int | None:
    """Return the pid of the live runner of this store, 0 if it has not recorded it; None if there is none."""
    return database.coordination.live_runner()


def _refuse_if_held(job: Job, pid: int, *, held: int) -> None:
    """Raise UsageError if a live runner has claimed rows of the job or is about to."""
    named = f"job {job.id} ({job.name})"
    if job.state is JobState.OPEN and job.wanted:
        raise UsageError(f"a runner (pid {pid}) is working on {named}", hint=Cause.CANCEL_FIRST(job=job.id))
    if held:
        rows = "1 row" if held == 1 else f"{held:,} rows"
        raise UsageError(
            f"{named} still has {rows} claimed by a runner (pid {pid})",
            hint=Cause.DELETE_LATER(job=job.id),
        )
