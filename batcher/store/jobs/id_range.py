"""A job's requests as a range of ids."""

from sqlalchemy import ColumnElement, FromClause, and_

from batcher.domain.jobs import Job
from batcher.store.compiled import literal
from batcher.store.schema import requests


def of_job(column: ColumnElement[int]) -> ColumnElement[int]:
    """Return the job_id as an expression that the index of (job_id, custom_id) does not match.

    Left to choose, SQLite uses the index of (job_id, custom_id) instead of the range of ids, and sorts the whole
    job for every page of it (measured for a page of a job of 30,000 rows: 15 ms, by the range 1 ms).
    """
    return column + literal(0)


def within(job: Job, table: FromClause = requests) -> ColumnElement[bool]:
    """Return the condition for the job's requests. Jobs loaded at the same time interleave."""
    ids = table.c.id.between(job.first_request or 0, job.last_request or 0)
    return and_(ids, of_job(table.c.job_id) == job.id)
