"""Dead letters moved on, a chunk a transaction: back to pending with their jobs open again, or given up."""

from collections.abc import Sequence

from sqlalchemy import Connection, update

from batcher.domain.ids import JobId, RequestId
from batcher.domain.states import RequestState
from batcher.store.compiled import as_list, listed
from batcher.store.dead_letters import listing
from batcher.store.dead_letters.filters import DEAD
from batcher.store.jobs import jobs
from batcher.store.schema import requests


def put_back(connection: Connection, ids: Sequence[RequestId]) -> tuple[int, list[JobId]]:
    """Put those that are dead letters now back to pending; returns how many, and their jobs, which are open."""
    chosen = listing.Filters(requests=tuple(ids))
    still_dead = listing.count(connection, chosen) if ids else 0
    job_ids = listing.retry(connection, ids) if still_dead else []
    for job_id in job_ids:
        jobs.reopen(connection, job_id)
    return still_dead, job_ids


def discard(connection: Connection, ids: Sequence[RequestId]) -> int:
    """Give up those that are dead letters now; returns how many.

    When and of what they failed stays: rows that died with one of them are still explained by its attempts.
    """
    still_dead = (requests.c.id.in_(listed("ids")), requests.c.state == DEAD)
    given_up = update(requests).where(*still_dead).values(state=RequestState.CANCELLED.value)
    return connection.execute(given_up, {"ids": as_list(ids)}).rowcount
