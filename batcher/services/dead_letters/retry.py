"""Put dead letters back to pending: those that match filters, optionally edited, or all of a job."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from batcher.domain.errors import UsageError
from batcher.domain.ids import JobId, RequestId
from batcher.domain.jobs import Job
from batcher.domain.messages import Cause
from batcher.domain.requests import Filters
from batcher.policy.input.body_edit import Edit
from batcher.ports import Store
from batcher.services.dead_letters import edit
from batcher.services.dead_letters.edit import CheckedEdits
from batcher.services.jobs.manage import finish_cancelling, live_runner
from batcher.services.store.turns import let_others_write
from batcher.store.dead_letters import filters as dead_letter_filters
from batcher.store.dead_letters import live_rows, redrive
from batcher.store.jobs import jobs
from batcher.store.jobs.id_range import parts
from batcher.store.queue import shared_ends

#: Rows per transaction, few enough that a live runner is not delayed.
AT_ONCE: Final = 1_000
#: Rows of a job that a single transaction may look through.
_LARGE: Final = 20_000
#: Request ids that an error names.
_NAMED: Final = 10


class Retried(Struct, frozen=True, kw_only=True):
    """What was put back to pending. `runner` is the pid of a live runner that will send all of it."""

    count: int
    jobs: list[JobId]
    runner: int | None


class RetryPlan(Struct, frozen=True, kw_only=True):
    """Dead letters to put back, and the edits of their bodies, which have been validated."""

    ids: Sequence[RequestId]
    edits: Sequence[Edit] = ()
    checked: CheckedEdits | None = None


def choose(database: Store, filters: Filters, edits: Sequence[Edit] = ()) -> RetryPlan:
    """Find the matching dead letters and validate the edits.

    Raises UsageError if a named request is not among them or an edited body is invalid.
    """
    # Those that follow a dead letter fail with it: not with the body that it is given now.
    finish_sharing(database)
    ids = matching_ids(database, filters)
    checked = edit.check(database, ids, edits) if edits and ids else None
    return RetryPlan(ids=ids, edits=edits, checked=checked)


def matching_ids(database: Store, filters: Filters) -> list[RequestId]:
    """Return the matching dead letters in file order. Raises UsageError if a named request is not among them."""
    with database.read() as connection:
        found = dead_letter_filters.ids(connection, filters)
    others = sorted(set(filters.requests).difference(found))
    if others:
        shown = ", ".join(str(request) for request in others[:_NAMED]) + (", …" if len(others) > _NAMED else "")
        raise UsageError(
            f"not among the matching dead letters: {shown}; nothing was changed",
            hint=Cause.LIST_NUMBERS(),
        )
    return found


def put_back(database: Store, chosen: RetryPlan) -> Retried:
    """Edit them and put them back to pending; their history is kept and their jobs are open again.

    It is done in chunks. After an interruption the same command continues with those that are dead letters still.
    """
    noted = _note_large_jobs(database, chosen.ids)
    count, touched = 0, set[JobId]()
    edits = chosen.checked is not None
    chunks = edit.chunks(database, chosen.ids) if edits else _chunks(chosen.ids)
    for chunk in chunks:
        moved, of = _put_back_some(database, chunk, chosen, noted)
        count += moved
        touched.update(of)
        let_others_write()
    return Retried(count=count, jobs=sorted(touched), runner=runner_for(database, touched))


def _chunks(ids: Sequence[RequestId]) -> Iterator[Sequence[RequestId]]:
    return (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))


def _note_large_jobs(database: Store, ids: Sequence[RequestId]) -> list[JobId]:
    """Note the leaders of the large jobs among them, in parts; return these jobs (see `store.live_rows`)."""
    large: list[Job] = []
    for chunk in _chunks(ids):
        with database.read() as connection:
            found = [jobs.get(connection, job_id) for job_id in redrive.jobs_of(connection, chunk)]
        known = {job.id for job in large}
        large += [job for job in found if job.id not in known and job.total > _LARGE]
    if large:
        with database.write() as connection:
            live_rows.forget(connection)
    for job in large:
        for part in parts(job, _LARGE):
            with database.write() as connection:
                live_rows.note(connection, part)
            let_others_write()
    return [job.id for job in large]


def _put_back_some(
    database: Store, ids: Sequence[RequestId], chosen: RetryPlan, noted: Sequence[JobId]
) -> tuple[int, list[JobId]]:
    checked = chosen.checked
    prepared = None if checked is None else edit.prepare(database, ids, chosen.edits, checked)
    while True:
        with database.write() as connection:
            half_cancelled = redrive.half_cancelled(connection, ids)
            if not half_cancelled and prepared is not None:
                return edit.put_back(connection, prepared, noted=noted)
            if not half_cancelled:
                return redrive.put_back(connection, ids, noted=noted)
        for job_id in half_cancelled:
            finish_cancelling(database, job_id)


def finish_sharing(database: Store) -> None:
    """Let the followers of ended leaders end, too: a runner that was killed may have left some."""
    more = True
    while more:
        with database.write() as connection:
            _, more = shared_ends.share_some(connection)
        if more:
            let_others_write()


def retry_job(database: Store, job: Job) -> tuple[Job, int]:
    """Put every dead letter of the job back to pending; their history is kept.

    Returns the job, open again if there were any, and how many there were.
    """
    done = put_back(database, choose(database, Filters(job=job.id)))
    with database.read() as connection:
        return jobs.get(connection, job.id), done.count


def runner_for(database: Store, job_ids: Iterable[JobId]) -> int | None:
    """Return the pid of the live runner if all these jobs are wanted from it, else None."""
    pid = live_runner(database)
    if pid is None:
        return None
    with database.read() as connection:
        return pid if all(jobs.get(connection, job_id).wanted for job_id in job_ids) else None
