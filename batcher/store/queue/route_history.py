"""What earlier runs have left of a job's routes: whether they were answered, and which failures are confirmed."""

from sqlalchemy import Connection, select

from batcher.domain.ids import RouteId
from batcher.domain.jobs import Job
from batcher.domain.requests import RouteHistory
from batcher.store.schema import jobs, pauses, requests, responses, routes

#: How many rows of a job are checked: they are sent in file order, so answers are among the first.
_LOOKED_AT = 10_000


def of_job(connection: Connection, job: Job) -> dict[RouteId, RouteHistory]:
    """Return the history of each of the job's routes."""
    route_ids = connection.execute(select(routes.c.id).where(routes.c.job_id == job.id)).scalars().all()
    answered = _answered(connection, job)
    return {
        RouteId(route_id): RouteHistory(
            answered=route_id in answered, confirmed=_confirmed(connection, RouteId(route_id))
        )
        for route_id in route_ids
    }


def _answered(connection: Connection, job: Job) -> set[int]:
    """Return the routes of which the job's endpoint has answered a request."""
    first, last = connection.execute(
        select(jobs.c.first_request, jobs.c.last_request).where(jobs.c.id == job.id)
    ).one()
    if first is None or last is None:
        return set()
    query = (
        select(requests.c.route_id)
        .distinct()
        .join(responses, responses.c.id == requests.c.response_id)
        .where(
            requests.c.id.between(first, min(last, first + _LOOKED_AT)),
            responses.c.endpoint_id == job.endpoint_id,
        )
    )
    return set(connection.execute(query).scalars())


def _confirmed(connection: Connection, route_id: RouteId) -> frozenset[str]:
    query = select(pauses.c.failure).where(
        pauses.c.scope == "route",
        pauses.c.ref == str(route_id),
        pauses.c.ended_at.is_not(None),
        pauses.c.failure.is_not(None),
    )
    return frozenset(str(failure) for failure in connection.execute(query).scalars())
