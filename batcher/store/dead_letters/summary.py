"""Dead letters grouped by cause."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, case, func, select

from batcher.domain.ids import EndpointId, JobId, RequestId
from batcher.domain.requests import Filters
from batcher.domain.states import RequestState
from batcher.store.dead_letters.filters import DEAD
from batcher.store.reports.attempt_columns import seen, with_last_attempt
from batcher.store.schema import attempts, endpoints, jobs, requests, routes

#: Only replies that contain this are read, for the figures in them (llama.cpp).
_IN_FIELDS = b"n_prompt_tokens"


class Group(Struct, frozen=True, kw_only=True):
    """Dead letters of one cause on one route."""

    code: str
    kind: str
    status: int | None
    path: str
    model: str
    base_url: str
    count: int
    #: How many of them the provider has seen.
    sent: int
    #: The first of them.
    first: RequestId


def groups(connection: Connection, job: JobId | None, request: RequestId | None = None) -> list[Group]:
    """Return every cause by route: of all jobs, of one, or of one request."""
    grouped = _grouped(job, request).subquery()
    query = (
        select(grouped, routes.c.path, routes.c.model, endpoints.c.base_url)
        .join(routes, routes.c.id == grouped.c.route_id)
        .join(jobs, jobs.c.id == routes.c.job_id)
        .join(endpoints, endpoints.c.id == jobs.c.endpoint_id)
        .order_by(grouped.c.first)
    )
    rows = connection.execute(query).mappings()
    return [Group(**{name: row[name] for name in Group.__struct_fields__}) for row in rows]


def _grouped(job: JobId | None, request: RequestId | None) -> Select[Any]:
    cause = (requests.c.failure_code, requests.c.failure_kind, attempts.c.status, requests.c.route_id)
    query = with_last_attempt(
        select(
            func.coalesce(requests.c.failure_code, "").label("code"),
            func.coalesce(requests.c.failure_kind, "").label("kind"),
            attempts.c.status,
            requests.c.route_id,
            func.count().label("count"),
            func.sum(case((seen > 0, 1), else_=0)).label("sent"),
            func.min(requests.c.id).label("first"),
        )
    ).where(requests.c.state == DEAD)
    if job is not None:
        query = query.where(requests.c.job_id == job)
    if request is not None:
        query = query.where(requests.c.id == request)
    return query.group_by(*cause)


def said(connection: Connection, filters: Filters) -> Iterator[tuple[str, bytes | None]]:
    """Yield (message, reply) of each dead letter of one code, kind and status (None: there was no reply).

    A reply is read only if it may have figures in fields.
    """
    reply = case((func.instr(attempts.c.reply, _IN_FIELDS) > 0, attempts.c.reply), else_=None)
    query = with_last_attempt(select(func.coalesce(attempts.c.message, ""), reply)).where(
        requests.c.state == DEAD,
        requests.c.failure_code == filters.code,
        func.coalesce(requests.c.failure_kind, "") == filters.kind,
        attempts.c.status.is_not_distinct_from(filters.status),
    )
    if filters.job is not None:
        query = query.where(requests.c.job_id == filters.job)
    for row in connection.execute(query):
        yield row[0], row[1]


def models_at(connection: Connection, endpoint: EndpointId, path: str) -> list[str]:
    """Return the models that jobs of an endpoint ask for on a path."""
    query = (
        select(routes.c.model)
        .join(jobs, jobs.c.id == routes.c.job_id)
        .where(jobs.c.endpoint_id == endpoint, routes.c.path == path)
        .distinct()
        .order_by(routes.c.model)
    )
    return list(connection.execute(query).scalars())


def has_answered(connection: Connection, endpoint: EndpointId, path: str, model: str) -> bool:
    """Return whether a row for this model was answered on a path of the endpoint."""
    of = select(routes.c.id).join(jobs, jobs.c.id == routes.c.job_id)
    of = of.where(jobs.c.endpoint_id == endpoint, routes.c.path == path, routes.c.model == model)
    query = select(requests.c.id).where(
        requests.c.route_id.in_(of), requests.c.state == RequestState.COMPLETED.value
    )
    return connection.execute(query.limit(1)).first() is not None
