"""Moves dead letters on, a chunk per transaction: back to pending with their jobs reopened, or discarded."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, select, update

from batcher.domain.ids import JobId, RequestId
from batcher.domain.states import RequestState
from batcher.store.dead_letters import regroup
from batcher.store.dead_letters.filters import DEAD
from batcher.store.dialect import as_json_array, id_list
from batcher.store.jobs import jobs
from batcher.store.jobs.kept_counts import CountChanges
from batcher.store.schema import requests


def put_back(
    connection: Connection, ids: Sequence[RequestId], *, noted: Collection[JobId] = ()
) -> tuple[int, list[JobId]]:
    """Put those that are dead letters now back to pending; return how many, and their jobs, which are open.

    `noted`: see `regroup.retry`.
    """
    count, job_ids = regroup.retry(connection, ids, noted=noted)
    for job_id in job_ids:
        jobs.reopen(connection, job_id)
    return count, job_ids


def jobs_of(connection: Connection, ids: Sequence[RequestId]) -> list[JobId]:
    """Return the jobs of these requests."""
    query = select(requests.c.job_id).where(requests.c.id.in_(id_list("ids"))).distinct()
    return sorted(JobId(row) for row in connection.execute(query, {"ids": as_json_array(ids)}).scalars())


def half_cancelled(connection: Connection, ids: Sequence[RequestId]) -> list[JobId]:
    """Return those of their jobs of which a cancellation is not finished: what is pending must not be sent."""
    return [job_id for job_id in jobs_of(connection, ids) if jobs.is_half_cancelled(connection, job_id)]


def discard(connection: Connection, ids: Sequence[RequestId]) -> int:
    """Discard those that are dead letters now; return how many.

    When and why they failed is kept: rows that were dead-lettered with one of them are still explained by its
    attempts.
    """
    still_dead = (requests.c.id.in_(id_list("ids")), requests.c.state == DEAD)
    given_up = (
        update(requests).where(*still_dead).values(state=RequestState.CANCELLED.value).returning(requests.c.job_id)
    )
    of_jobs = list(connection.execute(given_up, {"ids": as_json_array(ids)}).scalars())
    changes = CountChanges()
    changes.move(of_jobs, RequestState.DEAD_LETTERED, RequestState.CANCELLED)
    changes.write(connection)
    return len(of_jobs)
