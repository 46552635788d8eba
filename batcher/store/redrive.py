"""Dead letters back to pending and their jobs open again, a chunk a transaction."""

from collections.abc import Sequence

from sqlalchemy import Connection

from batcher.domain.ids import JobId, RequestId
from batcher.store import dead_letters, jobs


def ids(connection: Connection, filters: dead_letters.Filters) -> list[RequestId]:
    """The dead letters that the filters mean, in file order."""
    return [letter.request for letter in dead_letters.letters(connection, filters, limit=None)]


def put_back(connection: Connection, requests: Sequence[RequestId]) -> tuple[int, list[JobId]]:
    """Put those that are dead letters now back to pending; returns how many, and their jobs, which are open."""
    chosen = dead_letters.Filters(requests=tuple(requests))
    still_dead = dead_letters.count(connection, chosen) if requests else 0
    job_ids = dead_letters.retry(connection, requests) if still_dead else []
    for job_id in job_ids:
        jobs.reopen(connection, job_id)
    return still_dead, job_ids
