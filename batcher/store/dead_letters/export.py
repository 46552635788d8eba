"""Dead letters as lines of a job file."""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Connection, bindparam, func, select

from batcher.domain.ids import JobId, RequestId
from batcher.domain.requests import Filters
from batcher.store.compiled import Compiled
from batcher.store.dead_letters.filters import DEAD, narrowed
from batcher.store.dialect import as_json_array, id_list
from batcher.store.schema import bodies, endpoints, jobs, requests, routes

_about = Compiled(
    select(requests.c.id, requests.c.custom_id, routes.c.path)
    .join(routes, routes.c.id == requests.c.route_id)
    .where(requests.c.id.in_(id_list("ids")), requests.c.state == DEAD),
    "ids",
)
_body = Compiled(select(bodies.c.body).where(bodies.c.request_id == bindparam("id_")), "id_")


class OutLine(Struct, frozen=True, kw_only=True):
    """The parts of a line of a job file."""

    custom_id: str
    path: str
    body: bytes


class SharedCustomId(Struct, frozen=True, kw_only=True):
    """A custom_id that occurs in several jobs."""

    custom_id: str
    jobs: tuple[JobId, JobId]


def shared_custom_id(connection: Connection, filters: Filters) -> SharedCustomId | None:
    """Return a custom_id that several of these dead letters have; it is unique only within a job."""
    query = (
        narrowed(
            select(
                requests.c.custom_id,
                func.min(requests.c.job_id).label("first"),
                func.max(requests.c.job_id).label("last"),
            ),
            filters,
        )
        .group_by(requests.c.custom_id)
        .having(func.count() > 1)
        .order_by(func.min(requests.c.id))
        .limit(1)
    )
    row = connection.execute(query).first()
    return (
        None if row is None else SharedCustomId(custom_id=row.custom_id, jobs=(JobId(row.first), JobId(row.last)))
    )


def base_urls(connection: Connection, job_ids: Sequence[JobId]) -> list[str]:
    """Return the base URLs of these jobs."""
    query = (
        select(endpoints.c.base_url)
        .join(jobs, jobs.c.endpoint_id == endpoints.c.id)
        .where(jobs.c.id.in_(id_list("ids")))
        .distinct()
        .order_by(endpoints.c.base_url)
    )
    return list(connection.execute(query, {"ids": as_json_array(job_ids)}).scalars())


def lines(connection: Connection, ids: Sequence[RequestId], *, most_bytes: int) -> tuple[list[OutLine], int]:
    """Return those of these requests that are dead letters still, in the order given, and how many were read.

    It ends after the first one with which the bodies have `most_bytes`.
    """
    rows = {row.id: row for row in _about.rows(connection, as_json_array(ids))}
    found: list[OutLine] = []
    for number, request in enumerate(ids, 1):
        row = rows.get(request)
        if row is None:
            continue
        body = _body.scalar(connection, request)
        found.append(OutLine(custom_id=row.custom_id, path=row.path, body=body))
        most_bytes -= len(body)
        if most_bytes <= 0:
            return found, number
    return found, len(ids)
