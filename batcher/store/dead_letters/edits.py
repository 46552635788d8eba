"""Changes the bodies of dead letters: derived columns are computed again, and the former body is kept."""

from collections.abc import Sequence
from itertools import groupby

from msgspec import Struct
from sqlalchemy import Connection, bindparam, exists, insert, select, update

from batcher.domain.ids import JobId, RequestId
from batcher.domain.requests import Line
from batcher.store.compiled import Compiled
from batcher.store.dead_letters.filters import DEAD
from batcher.store.dialect import as_json_array, id_list, literal
from batcher.store.jobs import jobs, loading
from batcher.store.schema import bodies, former_bodies, requests, routes, unshared_ends

_may_be_edited = (
    requests.c.id.in_(id_list("ids")),
    requests.c.state == DEAD,
    # Those that follow it have its former body.
    ~exists().where(unshared_ends.c.leader_id == requests.c.id),
)
_stored = Compiled(
    select(
        requests.c.id.label("request"),
        requests.c.job_id.label("job"),
        requests.c.line,
        requests.c.custom_id,
        requests.c.revision,
        routes.c.path,
        bodies.c.body,
    )
    .join(routes, routes.c.id == requests.c.route_id)
    .join(bodies, bodies.c.request_id == requests.c.id)
    .where(*_may_be_edited)
    .order_by(requests.c.job_id, requests.c.id),
    "ids",
)
_keep_former = Compiled(
    insert(former_bodies).from_select(
        ["request_id", "revision", "body"],
        select(requests.c.id, requests.c.revision, bodies.c.body)
        .join(bodies, bodies.c.request_id == requests.c.id)
        .where(requests.c.id == bindparam("id_")),
    ),
    "id_",
)
_replace_body = Compiled(
    update(bodies).where(bodies.c.request_id == bindparam("id_")).values(body=bindparam("new")), "new", "id_"
)
_remake = Compiled(
    update(requests)
    .where(requests.c.id == bindparam("id_"))
    .values(
        route_id=bindparam("route"),
        fingerprint=bindparam("mark"),
        size=bindparam("bytes_"),
        est_input=bindparam("tokens_in"),
        est_output=bindparam("tokens_out"),
        revision=requests.c.revision + literal(1),
    ),
    "route",
    "mark",
    "bytes_",
    "tokens_in",
    "tokens_out",
    "id_",
)
_routes_of = Compiled(select(routes.c.id).where(routes.c.job_id == bindparam("job")), "job")


class Stored(Struct, frozen=True, kw_only=True):
    """A dead letter as it would be sent again."""

    request: RequestId
    job: JobId
    line: int
    custom_id: str
    revision: int
    path: str
    body: bytes


class Edited(Struct, frozen=True, kw_only=True):
    """A dead letter with its new, validated body."""

    request: RequestId
    job: JobId
    line: Line


def sizes(connection: Connection, ids: Sequence[RequestId]) -> dict[RequestId, int]:
    """Return the bytes of the requests' bodies."""
    query = select(requests.c.id, requests.c.size).where(requests.c.id.in_(id_list("ids")))
    return {RequestId(row[0]): row[1] for row in connection.execute(query, {"ids": as_json_array(ids)})}


def revisions(connection: Connection, ids: Sequence[RequestId]) -> dict[RequestId, int]:
    """Return the revisions of those of the requests that are dead letters now and may be edited."""
    query = select(requests.c.id, requests.c.revision).where(*_may_be_edited)
    return {RequestId(row[0]): row[1] for row in connection.execute(query, {"ids": as_json_array(ids)})}


def stored(connection: Connection, ids: Sequence[RequestId]) -> list[Stored]:
    """Return those of the requests that are dead letters now, job by job; their bodies are in memory together."""
    return [Stored(**row._asdict()) for row in _stored.rows(connection, as_json_array(ids))]


def replace(connection: Connection, edited: Sequence[Edited]) -> None:
    """Give these dead letters, job by job, their new bodies and everything derived from a body.

    A live runner notices a job's new routes as it notices new settings: by their version.
    """
    for job_id, group in groupby(edited, key=lambda each: each.job):
        rows = list(group)
        before = set(_routes_of.column(connection, job_id))
        by_target = loading.Routes(job_id).of(connection, [row.line for row in rows])
        _keep_former.many(connection, ((row.request,) for row in rows))
        _replace_body.many(connection, ((row.line.parsed.body, row.request) for row in rows))
        _remake.many(
            connection,
            (
                (
                    by_target[row.line.parsed.path, row.line.parsed.model],
                    row.line.fingerprint,
                    len(row.line.parsed.body),
                    row.line.parsed.est_input,
                    row.line.parsed.est_output,
                    row.request,
                )
                for row in rows
            ),
        )
        if not before.issuperset(by_target.values()):
            jobs.remember(connection, job_id, settings=jobs.get(connection, job_id).settings)
