"""What `status` reads: counts of a job, its models, its repeated rows."""

from collections.abc import Iterator

from sqlalchemy import Connection, func, select

from batcher.domain.ids import JobId, RouteId
from batcher.domain.jobs import Counts, Job
from batcher.domain.states import AnswerMark
from batcher.store.jobs import kept_counts, recount
from batcher.store.jobs.id_range import within
from batcher.store.jobs.open_routes import has_work
from batcher.store.schema import bodies, rejected, requests, routes


def counts(connection: Connection, job: Job) -> Counts:
    """Return the job's counts, which are kept as its rows change: none of them is read."""
    found = kept_counts.kept(connection, job.id)
    return Counts(
        total=found.total,
        pending=found.pending,
        claimed=found.claimed,
        completed=found.completed,
        dead_lettered=found.dead_lettered,
        cancelled=found.cancelled,
        cached=found.cached,
        # A claim counts its send when it is made; claims in hand may not have been sent yet.
        attempts=found.sends - found.claimed - found.never_sent,
        truncated=found.truncated,
        empty=found.empty,
        unchecked=found.unchecked,
        rate_limited=found.rate_limited,
        input_tokens=found.input_tokens,
        output_tokens=found.output_tokens,
        rejected=rejected_count(connection, job.id),
    )


def is_miscounted(connection: Connection, job: Job) -> bool:
    """Return whether the kept counts are not those of the job's rows, which are all read for it."""
    return kept_counts.kept(connection, job.id) != recount.of_whole_job(connection, job)


def count_again(connection: Connection, job: Job) -> None:
    """Replace the kept counts by those of the job's rows."""
    kept_counts.replace(connection, job.id, recount.of_whole_job(connection, job))


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
    query = select(routes.c.id, routes.c.model).where(routes.c.job_id == job.id, has_work(routes.c.id))
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
