"""Dead letters go back to pending: those that a person means, edited where asked, or all of a job's."""

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
from batcher.store.dead_letters.listing import Filters
from batcher.store.jobs import jobs
from batcher.store.sqlite.database import Database

#: Moved in one transaction, so that a runner beside is not held up.
AT_ONCE: Final = 5_000
#: Request ids that an error names.
_NAMED: Final = 10


class Retried(Struct, frozen=True, kw_only=True):
    """What went back to pending. `runner` is the pid of a runner that takes all of it up by itself."""

    count: int
    jobs: list[JobId]
    runner: int | None


class RetryPlan(Struct, frozen=True, kw_only=True):
    """Dead letters that a person means, and how they are to be edited; they have passed the door."""

    ids: Sequence[RequestId]
    edits: Sequence[Edit] = ()
    passed: CheckedEdits | None = None


def choose(database: Database, filters: Filters, edits: Sequence[Edit] = ()) -> RetryPlan:
    """What the filters mean, edited in thought. Raises UsageError: no dead letter, or refused at the door."""
    ids = matching_ids(database, filters)
    passed = edit.check(database, ids, edits) if edits and ids else None
    return RetryPlan(ids=ids, edits=edits, passed=passed)


def matching_ids(database: Database, filters: Filters) -> list[RequestId]:
    """What the filters mean, in file order. Raises UsageError where a request is named that is not among it."""
    with database.read() as connection:
        found = dead_letter_filters.ids(connection, filters)
    others = sorted(set(filters.requests).difference(found))
    if others:
        shown = ", ".join(str(request) for request in others[:_NAMED]) + (", …" if len(others) > _NAMED else "")
        raise UsageError(
            f"not among the dead letters that are meant: {shown}; nothing was changed",
            hint="`batcher dlq list` names them by their number",
        )
    return found


def put_back(database: Database, chosen: RetryPlan) -> Retried:
    """Edit them and put them back to pending, history kept; their jobs are open again."""
    count, touched = 0, set[JobId]()
    at_once = AT_ONCE if chosen.passed is None else edit.AT_ONCE
    for start in range(0, len(chosen.ids), at_once):
        moved, of = _put_back_some(database, chosen.ids[start : start + at_once], chosen)
        count += moved
        touched.update(of)
    return Retried(count=count, jobs=sorted(touched), runner=runner_for(database, touched))


def _put_back_some(database: Database, ids: Sequence[RequestId], chosen: RetryPlan) -> tuple[int, list[JobId]]:
    if chosen.passed is not None:
        return edit.put_back(database, ids, chosen.edits, chosen.passed)
    with database.write() as connection:
        return redrive.put_back(connection, ids)


def retry_job(database: Database, job: Job) -> tuple[Job, int]:
    """Put every dead letter of the job back, history kept.

    Returns the job, open again where there were any, and how many there were.
    """
    done = put_back(database, choose(database, Filters(job=job.id)))
    with database.read() as connection:
        return jobs.get(connection, job.id), done.count


def runner_for(database: Database, job_ids: Iterable[JobId]) -> int | None:
    """The runner that has all these jobs on its list."""
    pid = live_runner(database)
    if pid is None:
        return None
    with database.read() as connection:
        return pid if all(jobs.get(connection, job_id).wanted for job_id in job_ids) else None
