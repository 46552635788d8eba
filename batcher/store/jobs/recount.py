"""Counts a job's rows and attempts one by one: for rows that are removed, and to check what is kept."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, case, func, select

from batcher.domain.jobs import Job, JobTotals
from batcher.domain.states import AnswerMark, AttemptKind, RequestState
from batcher.store.dialect import id_list, literal
from batcher.store.jobs.id_range import of_job, within
from batcher.store.schema import attempts, jobs, requests


def never_sent(table: FromClause = attempts) -> ColumnElement[bool]:
    """Return the condition for attempts that were never sent, because no connection was made.

    Lost ones may have been.
    """
    return and_(table.c.sent_at.is_(None), table.c.kind != literal(AttemptKind.LOST.value))


# Filters instead of groups: a million rows need not be sorted by their five states.
_rows: Any = select(
    *(func.count().filter(requests.c.state == state.value).label(state.value) for state in RequestState),
    *(func.coalesce(func.sum(requests.c[name]), 0).label(name) for name in ("cached", "sends")),
    *(
        func.count().filter(requests.c.marks.op("&")(mark.value) != 0).label(name)
        for name, mark in (
            ("truncated", AnswerMark.TRUNCATED),
            ("empty", AnswerMark.EMPTY),
            ("unchecked", AnswerMark.UNCHECKED),
        )
    ),
)
_SUMS = {
    "rate_limited": case((attempts.c.kind == AttemptKind.RATE_LIMITED.value, 1), else_=0),
    "never_sent": case((never_sent(), 1), else_=0),
    "input_tokens": attempts.c.input_tokens,
    "output_tokens": attempts.c.output_tokens,
}
_attempts: Any = select(*(func.coalesce(func.sum(what), 0).label(name) for name, what in _SUMS.items()))


def of_whole_job(connection: Connection, job: Job) -> JobTotals:
    """Return the counts of a job, in one pass over its rows and one over its attempts."""
    of_attempts = _attempts.where(attempts.c.request_id.between(job.first_request or 0, job.last_request or 0))
    if _has_neighbours(connection, job):
        # Joined only if needed: looking up the request of every attempt takes as long as all the rest.
        of_attempts = of_attempts.join(requests, requests.c.id == attempts.c.request_id).where(
            of_job(requests.c.job_id) == job.id
        )
    return _totals(connection, _rows.where(within(job)), of_attempts)


def of_requests(connection: Connection, ids: str) -> JobTotals:
    """Return the counts of requests of one job. `ids`: a JSON list (`as_json_array`)."""
    rows, of_attempts = (
        query.where(column.in_(id_list("ids"))).params(ids=ids)
        for query, column in ((_rows, requests.c.id), (_attempts, attempts.c.request_id))
    )
    return _totals(connection, rows, of_attempts)


def _totals(connection: Connection, rows: Select[Any], of_attempts: Select[Any]) -> JobTotals:
    counted, summed = (connection.execute(query).one()._asdict() for query in (rows, of_attempts))
    return JobTotals(**counted, **summed)


def _has_neighbours(connection: Connection, job: Job) -> bool:
    """Return whether requests of other jobs are between its own, because they were loaded at the same time."""
    first, last = job.first_request or 0, job.last_request or 0
    among = and_(jobs.c.first_request <= last, jobs.c.last_request >= first)
    return connection.execute(select(jobs.c.id).where(jobs.c.id != job.id, among).limit(1)).first() is not None
