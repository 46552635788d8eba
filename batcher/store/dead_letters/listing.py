"""Lists dead letters, and shows one with its whole history."""

from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, and_, func, select

from batcher.domain.errors import UsageError
from batcher.domain.ids import JobId, RequestId
from batcher.domain.messages import Cause
from batcher.domain.requests import Filters
from batcher.store.dead_letters.filters import DEAD, matching
from batcher.store.reports.attempt_columns import AttemptRow, is_of_its_leader, seen, with_last_attempt
from batcher.store.schema import attempts, bodies, requests, routes


class Letter(Struct, frozen=True, kw_only=True):
    """One dead letter in a list. `attempts` is what the provider has seen of this row itself."""

    request: RequestId
    job: JobId
    line: int
    custom_id: str
    kind: str
    status: int | None
    code: str
    message: str
    attempts: int
    provider_request_id: str | None
    dead_lettered_at: int


class Shown(Struct, frozen=True, kw_only=True):
    """A request with everything that happened to it."""

    letter: Letter
    path: str
    model: str
    state: str
    body: bytes
    history: list[AttemptRow]


def _letters(filters: Filters) -> Select[Any]:
    query = select(
        requests.c.id.label("request"),
        requests.c.job_id.label("job"),
        requests.c.line,
        requests.c.custom_id,
        func.coalesce(requests.c.failure_kind, attempts.c.kind, "").label("kind"),
        attempts.c.status,
        func.coalesce(requests.c.failure_code, attempts.c.code, "").label("code"),
        func.coalesce(attempts.c.message, "").label("message"),
        seen.label("attempts"),
        attempts.c.provider_request_id,
        func.coalesce(requests.c.settled_at, 0).label("dead_lettered_at"),
    )
    return matching(with_last_attempt(query), filters)


def letters(connection: Connection, filters: Filters, *, limit: int | None) -> list[Letter]:
    """Return dead letters in file order, job by job."""
    query = _letters(filters).where(requests.c.state == DEAD).order_by(requests.c.job_id, requests.c.id)
    if limit is not None:
        query = query.limit(limit)
    return [Letter(**row) for row in connection.execute(query).mappings()]


def count(connection: Connection, filters: Filters) -> int:
    """Return how many dead letters the filters match."""
    query = (
        _letters(filters)
        .where(requests.c.state == DEAD)
        .with_only_columns(func.count(), maintain_column_froms=True)
    )
    return int(connection.execute(query).scalar_one())


def show(connection: Connection, request: RequestId) -> Shown:
    """Return the request, its body and every attempt. A row that was never sent shows its leader's attempts."""
    row = connection.execute(_letters(Filters(requests=(request,)))).mappings().first()
    if row is None:
        raise UsageError(f"there is no request {request}", hint=Cause.LIST_FAILED())
    about = connection.execute(
        select(routes.c.path, routes.c.model, requests.c.state, bodies.c.body)
        .join(routes, routes.c.id == requests.c.route_id)
        .join(bodies, bodies.c.request_id == requests.c.id)
        .where(requests.c.id == request)
    ).one()
    return Shown(
        letter=Letter(**row),
        path=about.path,
        model=about.model,
        state=about.state,
        body=about.body,
        history=_history(connection, request),
    )


def _history(connection: Connection, request: RequestId) -> list[AttemptRow]:
    """Return the row's own attempts; for a follower, then those of its leader up to their common end."""
    columns = [attempts.c[name] for name in AttemptRow.__struct_fields__]
    own = select(*columns).where(attempts.c.request_id == request).order_by(attempts.c.send)
    leaders = (
        select(*columns).join(requests, and_(requests.c.id == request, is_of_its_leader)).order_by(attempts.c.send)
    )
    rows = list(connection.execute(own).mappings())
    since = rows[-1]["ended_at"] if rows else -1
    rows += [row for row in connection.execute(leaders).mappings() if row["ended_at"] > since]
    return [AttemptRow(**row) for row in rows]
