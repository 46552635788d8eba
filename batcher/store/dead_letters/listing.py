"""Lists dead letters, shows one with its whole history, and requeues them."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, and_, case, func, null, or_, select, update

from batcher.domain.errors import UsageError
from batcher.domain.ids import JobId, RequestId
from batcher.domain.states import RequestState
from batcher.store.compiled import as_json_array, id_list
from batcher.store.dead_letters.filters import DEAD, Filters, matching
from batcher.store.jobs.id_range import of_job
from batcher.store.reports.attempt_columns import Attempt, is_of_its_leader, seen, with_last_attempt
from batcher.store.schema import attempts, bodies, jobs, requests, routes

_LIVE = (RequestState.PENDING.value, RequestState.CLAIMED.value)


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
    history: list[Attempt]


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
        raise UsageError(f"there is no request {request}", hint="`batcher dlq list` names those that failed")
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


def _history(connection: Connection, request: RequestId) -> list[Attempt]:
    """Return the row's own attempts; for a follower, then those of its leader up to their common end."""
    columns = [attempts.c[name] for name in Attempt.__struct_fields__]
    own = select(*columns).where(attempts.c.request_id == request).order_by(attempts.c.send)
    leaders = (
        select(*columns).join(requests, and_(requests.c.id == request, is_of_its_leader)).order_by(attempts.c.send)
    )
    rows = list(connection.execute(own).mappings())
    since = rows[-1]["ended_at"] if rows else -1
    rows += [row for row in connection.execute(leaders).mappings() if row["ended_at"] > since]
    return [Attempt(**row) for row in rows]


def retry(connection: Connection, ids: Sequence[RequestId]) -> list[JobId]:
    """Put dead letters back to pending, with their history; return the jobs they belong to.

    Of those with the same body one leads: the one already in flight, else the first.
    """
    chosen = requests.c.id.in_(id_list("ids"))
    values = {"ids": as_json_array(ids)}
    put_back = (
        update(requests)
        .where(chosen, requests.c.state == DEAD)
        .values(
            state=RequestState.PENDING.value,
            sends_before=requests.c.sends,
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
        _choose_leaders(connection, job_id, values)
    return job_ids


def _choose_leaders(connection: Connection, job_id: JobId, values: dict[str, str]) -> None:
    """Regroup the job's live rows that have the body of one of these: one leads, all the others follow it.

    Rows that led or followed until now are regrouped, too: a row that followed a follower would never get an
    answer.
    """
    first, last = connection.execute(
        select(jobs.c.first_request, jobs.c.last_request).where(jobs.c.id == job_id)
    ).one()
    same_bodies = select(requests.c.fingerprint).where(requests.c.id.in_(id_list("ids"))).correlate(None)
    live = and_(
        requests.c.id.between(first, last),
        of_job(requests.c.job_id) == job_id,
        requests.c.state.in_(_LIVE),
        requests.c.fingerprint.in_(same_bodies),
    )
    # A claimed row is in flight, so it leads before any that waits.
    order = (requests.c.state == RequestState.PENDING.value, requests.c.id)
    leader = func.first_value(requests.c.id).over(partition_by=requests.c.fingerprint, order_by=order)
    ranked = select(requests.c.id, leader.label("leader")).where(live).subquery()
    leads = ranked.c.leader == requests.c.id
    changed = or_(
        and_(leads, requests.c.leader_id.is_not(None)),
        and_(~leads, requests.c.leader_id.is_distinct_from(ranked.c.leader)),
    )
    connection.execute(
        update(requests)
        .where(requests.c.id == ranked.c.id, requests.c.state == RequestState.PENDING.value, changed)
        .values(
            leader_id=case((leads, null()), else_=ranked.c.leader),
            available_at=case((leads, requests.c.available_at), else_=null()),
        ),
        values,
    )
