"""Dead letters: listing, showing with the whole history, and putting back to pending."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Select, and_, func, null, select, update

from batcher.domain.errors import UsageError
from batcher.domain.ids import JobId, RequestId
from batcher.domain.states import RequestState
from batcher.store.claim import listed
from batcher.store.tables import attempts, bodies, requests, routes

_DEAD = RequestState.DEAD_LETTERED.value
_LIVE = (RequestState.PENDING.value, RequestState.CLAIMED.value)


class Filters(Struct, frozen=True, kw_only=True):
    """Which dead letters are meant; None: any."""

    job: JobId | None = None
    kind: str | None = None
    code: str | None = None
    status: int | None = None
    requests: tuple[RequestId, ...] = ()


class Letter(Struct, frozen=True, kw_only=True):
    """One dead letter in a list. `sends` is what the provider has seen of this row itself."""

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


class Attempt(Struct, frozen=True, kw_only=True):
    """One sending, as its record has it. Times are UTC microseconds."""

    send: int
    revision: int
    sent_at: int | None
    ended_at: int
    status: int | None
    kind: str
    code: str | None
    message: str | None
    retry_after_us: int | None
    provider_request_id: str | None
    input_tokens: int | None
    output_tokens: int | None
    reply: bytes | None


class Shown(Struct, frozen=True, kw_only=True):
    """A request with everything that happened to it."""

    letter: Letter
    path: str
    model: str
    state: str
    body: bytes
    history: list[Attempt]


_last_send = (
    select(func.max(attempts.c.send))
    .where(attempts.c.request_id == func.coalesce(requests.c.leader_id, requests.c.id))
    .correlate(requests)
    .scalar_subquery()
)


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
        requests.c.sends.label("attempts"),
        attempts.c.provider_request_id,
        func.coalesce(requests.c.settled_at, 0).label("dead_lettered_at"),
    ).outerjoin(
        attempts,
        and_(
            attempts.c.request_id == func.coalesce(requests.c.leader_id, requests.c.id),
            attempts.c.send == _last_send,
        ),
    )
    return _narrow(query, filters)


def _narrow(query: Select[Any], filters: Filters) -> Select[Any]:
    if filters.job is not None:
        query = query.where(requests.c.job_id == filters.job)
    if filters.kind is not None:
        query = query.where(requests.c.failure_kind == filters.kind)
    if filters.code is not None:
        query = query.where(requests.c.failure_code == filters.code)
    if filters.status is not None:
        query = query.where(attempts.c.status == filters.status)
    if filters.requests:
        query = query.where(requests.c.id.in_(listed("ids"))).params(
            ids=msgspec.json.encode(filters.requests).decode()
        )
    return query


def letters(connection: Connection, filters: Filters, *, limit: int | None) -> list[Letter]:
    """Dead letters in file order."""
    query = _letters(filters).where(requests.c.state == _DEAD).order_by(requests.c.id)
    if limit is not None:
        query = query.limit(limit)
    return [Letter(**row) for row in connection.execute(query).mappings()]


def count(connection: Connection, filters: Filters) -> int:
    """How many dead letters the filters mean."""
    query = (
        _letters(filters)
        .where(requests.c.state == _DEAD)
        .with_only_columns(func.count(), maintain_column_froms=True)
    )
    return int(connection.execute(query).scalar_one())


def show(connection: Connection, request: RequestId) -> Shown:
    """The request, its body and every attempt. A row that was never sent shows its leader's attempts."""
    row = connection.execute(_letters(Filters(requests=(request,)))).mappings().first()
    if row is None:
        raise UsageError(f"there is no request {request}", hint="`batcher dlq list` names those that failed")
    about = connection.execute(
        select(
            routes.c.path, routes.c.model, requests.c.state, bodies.c.body, requests.c.leader_id, requests.c.sends
        )
        .join(routes, routes.c.id == requests.c.route_id)
        .join(bodies, bodies.c.request_id == requests.c.id)
        .where(requests.c.id == request)
    ).one()
    sent = request if about.sends or about.leader_id is None else about.leader_id
    columns = [attempts.c[name] for name in Attempt.__struct_fields__]
    history = connection.execute(
        select(*columns).where(attempts.c.request_id == sent).order_by(attempts.c.send)
    ).mappings()
    return Shown(
        letter=Letter(**row),
        path=about.path,
        model=about.model,
        state=about.state,
        body=about.body,
        history=[Attempt(**attempt) for attempt in history],
    )


def retry(connection: Connection, ids: Sequence[RequestId]) -> list[JobId]:
    """Put dead letters back to pending, history kept; returns the jobs they belong to.

    Of those with the same body the first leads again, unless one of them is on its way already.
    """
    chosen = requests.c.id.in_(listed("ids"))
    values = {"ids": msgspec.json.encode(list(ids)).decode()}
    put_back = (
        update(requests)
        .where(chosen, requests.c.state == _DEAD)
        .values(
            state=RequestState.PENDING.value,
            spent=0,
            lost=0,
            timeouts=0,
            available_at=null(),
            leader_id=null(),
            failure_kind=null(),
            failure_code=null(),
            settled_at=null(),
        )
        .returning(requests.c.job_id)
    )
    job_ids = sorted({JobId(row) for row in connection.execute(put_back, values).scalars()})
    for job_id in job_ids:
        _choose_leaders(connection, job_id)
    return job_ids


def _choose_leaders(connection: Connection, job_id: JobId) -> None:
    """Of the job's live rows with the same body the first that leads already, else the first, leads."""
    live = and_(requests.c.job_id == job_id, requests.c.state.in_(_LIVE), requests.c.fingerprint.is_not(None))
    # A claimed row is on its way: it leads before any that waits.
    order = (requests.c.state == RequestState.PENDING.value, requests.c.id)
    ranked = (
        select(
            requests.c.id,
            func.first_value(requests.c.id)
            .over(partition_by=requests.c.fingerprint, order_by=order)
            .label("leader"),
        )
        .where(live)
        .subquery()
    )
    connection.execute(
        update(requests)
        .where(
            requests.c.id == ranked.c.id,
            requests.c.id != ranked.c.leader,
            requests.c.state == RequestState.PENDING.value,
            requests.c.leader_id.is_(None),
        )
        .values(leader_id=ranked.c.leader, available_at=null())
    )
