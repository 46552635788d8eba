"""Put dead letters back to pending: those that match filters, optionally edited, or all of a job."""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from batcher.domain.errors import UsageError
from batcher.domain.ids import JobId, RequestId
from batcher.domain.jobs import Job
from batcher.policy.input.body_edit import Edit
from batcher.services.dead_letters import edit
from batcher.services.dead_letters.edit import CheckedEdits
from batcher.services.jobs.manage import live_runner
from batcher.store.dead_letters import filters as dead_letter_filters
from batcher.store.dead_letters import redrive
from batcher.store.dead_letters.filters import Filters
from batcher.store.jobs import jobs
from batcher.store.sqlite.database import Database

#: Rows per transaction, few enough that a live runner is not delayed.
AT_ONCE: Final = 5_000
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


def choose(database: Database, filters: Filters, edits: Sequence[Edit] = ()) -> RetryPlan:
    """Find the matching dead letters and validate the edits.

    Raises UsageError if a named request is not among them or an edited body is invalid.
    """
    ids = matching_ids(database, filters)
    checked = edit.check(database, ids, edits) if edits and ids else None
    return RetryPlan(ids=ids, edits=edits, checked=checked)


def matching_ids(database: Database, filters: Filters) -> list[RequestId]:
    """Return the matching dead letters in file order. Raises UsageError if a named request is not among them."""
    with database.read() as connection:
        found = dead_letter_filters.ids(connection, filters)
    others = sorted(set(filters.requests).difference(found))
    if others:
        shown = ", ".join(str(request) for request in others[:_NAMED]) + (", …" if len(others) > _NAMED else "")
        raise UsageError(
            f"not among the matching dead letters: {shown}; nothing was changed",
            hint="`batcher dlq list` shows the numbers of the dead letters",
        )
    return found


def put_back(database: Database, chosen: RetryPlan) -> Retried:
    """Edit them and put them back to pending; their history is kept and their jobs are open again."""
    count, touched = 0, set[JobId]()
    at_once = AT_ONCE if chosen.checked is None else edit.AT_ONCE
    for start in range(0, len(chosen.ids), at_once):
        moved, of = _put_back_some(database, chosen.ids[start : start + at_once], chosen)
        count += moved
        touched.update(of)
    return Retried(count=count, jobs=sorted(touched), runner=runner_for(database, touched))


def _put_back_some(database: Database, ids: Sequence[RequestId], chosen: RetryPlan) -> tuple[int, list[JobId]]:
    if chosen.checked is not None:
        return edit.put_back(database, ids, chosen.edits, chosen.checked)
    with database.write() as connection:
        return redrive.put_back(connection, ids)


def retry_job(database: Database, job: Job) -> tuple[Job, int]:
    """Put every dead letter of the job back to pending; their history is kept.

    Returns the job, open again if there were any, and how many there were.
    """
    done = put_back(database, choose(database, Filters(job=job.id)))
    with database.read() as connection:
        return jobs.get(connection, job.id), done.count


def runner_for(database: Database, job_ids: Iterable[JobId]) -> int | None:
    """Return the pid of the live runner if all these jobs are wanted from it, else None."""
    pid = live_runner(database)
    if pid is None:
        return None
    with database.read() as connection:
        return pid if all(jobs.get(connection, job_id).wanted for job_id in job_ids) else None
