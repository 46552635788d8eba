"""What `status` reads: counts of a job, its models, its repeated rows."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, and_, case, func, select

from batcher.domain.ids import JobId, RouteId
from batcher.domain.jobs import Counts, Job
from batcher.domain.states import AnswerMark, AttemptKind, RequestState
from batcher.store.jobs.id_range import of_job, within
from batcher.store.reports.attempt_columns import never_sent
from batcher.store.schema import attempts, bodies, jobs, rejected, requests, routes


def counts(connection: Connection, job: Job) -> Counts:
    """Return the job's counts, in one pass over its rows and one over its attempts."""
    # Filters instead of groups: a million rows need not be sorted by their five states.
    in_state = [func.count().filter(requests.c.state == state.value).label(state.value) for state in RequestState]
    summed = [
        func.coalesce(func.sum(column), 0).label(column.name) for column in (requests.c.cached, requests.c.sends)
    ]
    marked = [
        func.count().filter(requests.c.marks.op("&")(mark.value) != 0).label(str(mark.name))
        for mark in (AnswerMark.TRUNCATED, AnswerMark.EMPTY, AnswerMark.UNCHECKED)
    ]
    query = select(func.count().label("total"), *in_state, *summed, *marked).where(within(job))
    rows = connection.execute(query).one()
    sent = _attempts(connection, job)
    return Counts(
        total=rows.total,
        pending=rows.pending,
        claimed=rows.claimed,
        completed=rows.completed,
        dead_lettered=rows.dead_lettered,
        cancelled=rows.cancelled,
        cached=rows.cached,
        # A claim counts its send when it is made; claims in hand may not have been sent yet.
        attempts=rows.sends - rows.claimed - sent.never,
        truncated=rows.TRUNCATED,
        empty=rows.EMPTY,
        unchecked=rows.UNCHECKED,
        rate_limited=sent.refused,
        input_tokens=sent.input_tokens,
        output_tokens=sent.output_tokens,
        rejected=rejected_count(connection, job.id),
    )


def _attempts(connection: Connection, job: Job) -> Row[Any]:
    """Return the refusals by rate limits, the attempts that were never sent, and the tokens of all attempts."""
    refused = case((attempts.c.kind == AttemptKind.RATE_LIMITED.value, 1), else_=0)
    summed = {
        "refused": refused,
        "never": case((never_sent(), 1), else_=0),
        "input_tokens": attempts.c.input_tokens,
        "output_tokens": attempts.c.output_tokens,
    }
    query = select(*(func.coalesce(func.sum(what), 0).label(name) for name, what in summed.items())).where(
        attempts.c.request_id.between(job.first_request or 0, job.last_request or 0)
    )
    if _has_neighbours(connection, job):
        # Joined only if needed: looking up the request of every attempt takes as long as all the rest.
        query = query.join(requests, requests.c.id == attempts.c.request_id).where(
            of_job(requests.c.job_id) == job.id
        )
    return connection.execute(query).one()


def _has_neighbours(connection: Connection, job: Job) -> bool:
    """Return whether requests of other jobs are between its own, because they were loaded at the same time."""
    first, last = job.first_request or 0, job.last_request or 0
    among = and_(jobs.c.first_request <= last, jobs.c.last_request >= first)
    return connection.execute(select(jobs.c.id).where(jobs.c.id != job.id, among).limit(1)).first() is not None


def first_truncated(connection: Connection, job: Job) -> tuple[str, bytes] | None:
    """Return (path, body) of the first request whose answer was cut at its token limit."""
    query = (
        select(routes.c.path, bodies.c.body)
        .select_from(requests)
        .join(routes, routes.c.id == requests.c.route_id)
        .join(bodies, bodies.c.request_id == requests.c.id)
        .where(within(job), requests.c.marks.op("&")(AnswerMark.TRUNCATED.value) != 0)
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else (row.path, row.body)


def rejected_count(connection: Connection, job_id: JobId) -> int:
    """Return the number of lines that `--skip-invalid` skipped."""
    return int(connection.execute(select(func.count()).where(rejected.c.job_id == job_id)).scalar_one())


def unfinished_routes(connection: Connection, job: Job) -> list[tuple[RouteId, str]]:
    """Return the routes whose requests are not all settled, with their models, in the order of the models."""
    left = requests.c.state.in_([RequestState.PENDING.value, RequestState.CLAIMED.value])
    with_work = select(requests.c.route_id).where(within(job), left).distinct()
    query = select(routes.c.id, routes.c.model).where(routes.c.id.in_(with_work))
    found = connection.execute(query.order_by(routes.c.model, routes.c.id))
    return [(RouteId(row.id), row.model) for row in found]


def followers(connection: Connection, job: Job) -> Iterator[tuple[str, int]]:
    """Yield each path of the job and how many of its requests share the answer of another one."""
    query = (
        select(routes.c.path, func.count())
        .select_from(requests)
        .join(routes, routes.c.id == requests.c.route_id)
        .where(requests.c.leader_id.is_not(None), within(job, requests))
        .group_by(routes.c.path)
    )
    for row in connection.execute(query):
        yield row[0], row[1]
