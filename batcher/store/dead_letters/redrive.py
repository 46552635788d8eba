"""Moves dead letters on, a chunk per transaction: back to pending with their jobs reopened, or discarded."""

from collections.abc import Sequence

from sqlalchemy import Connection, update

from batcher.domain.ids import JobId, RequestId
from batcher.domain.states import RequestState
from batcher.store.compiled import as_json_array, id_list
from batcher.store.dead_letters import listing
from batcher.store.dead_letters.filters import DEAD, Filters
from batcher.store.jobs import jobs
from batcher.store.schema import requests


def put_back(connection: Connection, ids: Sequence[RequestId]) -> tuple[int, list[JobId]]:
    """Put those that are dead letters now back to pending; return how many, and their jobs, which are open."""
    chosen = Filters(requests=tuple(ids))
    still_dead = listing.count(connection, chosen) if ids else 0
    job_ids = listing.retry(connection, ids) if still_dead else []
    for job_id in job_ids:
        jobs.reopen(connection, job_id)
    return still_dead, job_ids


def discard(connection: Connection, ids: Sequence[RequestId]) -> int:
    """Discard those that are dead letters now; return how many.

    When and why they failed is kept: rows that were dead-lettered with one of them are still explained by its
    attempts.
    """
    still_dead = (requests.c.id.in_(id_list("ids")), requests.c.state == DEAD)
    given_up = update(requests).where(*still_dead).values(state=RequestState.CANCELLED.value)
    return connection.execute(given_up, {"ids": as_json_array(ids)}).rowcount
