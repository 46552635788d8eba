"""A job's requests as a range of ids."""

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace
from sqlalchemy import ColumnElement, FromClause, Select, and_, select

from batcher.domain.ids import RequestId
from batcher.domain.jobs import Job
from batcher.domain.states import RequestState
from batcher.store.dialect import literal
from batcher.store.schema import requests


def of_job(column: ColumnElement[int]) -> ColumnElement[int]:
    """Return the job_id as an expression that the index of (job_id, custom_id) does not match.

    Left to choose, SQLite uses the index of (job_id, custom_id) instead of the range of ids, and sorts the whole
    job for every page of it (measured for a page of a job of 30,000 rows: 15 ms, by the range 1 ms).
    """
    return column + literal(0)


def claimed() -> Select[Any]:
    """Select the ids of what is claimed, by its index: few rows of however many."""
    row = requests.alias("claimed")
    return select(row.c.id).where(row.c.state == literal(RequestState.CLAIMED.value))


def within(job: Job, table: FromClause = requests) -> ColumnElement[bool]:
    """Return the condition for the job's requests. Jobs loaded at the same time interleave."""
    ids = table.c.id.between(job.first_request or 0, job.last_request or 0)
    return and_(ids, of_job(table.c.job_id) == job.id)


def parts(job: Job, rows: int) -> Iterator[Job]:
    """Yield the job in parts of at most so many requests, in their order, for one transaction each.

    The others that use the store wait for one part at most. A job without requests is one part.
    """
    if job.first_request is None or job.last_request is None:
        yield job
        return
    for first in range(job.first_request, job.last_request + 1, rows):
        last = min(job.last_request, first + rows - 1)
        yield replace(job, first_request=RequestId(first), last_request=RequestId(last))
