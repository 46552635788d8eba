"""The claim: due retries first, then returned rows, then fresh ones in file order.

Rows whose answer is known are settled on the way. Returned rows that a holder died with come after all others: a
runner that is killed repeatedly takes other rows with it each time, and this order keeps healthy ones from
becoming suspects.

Everything here runs inside one write transaction, so what was read stays true until it is written.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    exists,
    func,
    null,
    or_,
    select,
    union_all,
    update,
)

from batcher.domain.events import RequestsSettled
from batcher.domain.ids import HolderId, RequestId, RouteId
from batcher.domain.requests import Claim, ClaimResult, Route, RouteDemand
from batcher.domain.states import RequestState
from batcher.store.compiled import Compiled, CompiledJson
from batcher.store.dialect import JoinedBytes, NumbersAsJson, as_json_array, id_list, literal
from batcher.store.jobs.kept_counts import CountChanges
from batcher.store.queue.cache_hits import answer
from batcher.store.schema import SUSPECT_AFTER, bodies, cache, requests

_pending = and_(
    requests.c.state == literal(RequestState.PENDING.value),
    requests.c.leader_id.is_(None),
    requests.c.route_id == bindparam("route"),
)
#: Never claimed, and never left pending in another way.
FRESH = and_(
    requests.c.state == literal(RequestState.PENDING.value),
    requests.c.leader_id.is_(None),
    requests.c.available_at.is_(None),
    requests.c.returned == literal(0),
)
_healthy = requests.c.lost < literal(SUSPECT_AFTER)
_rival = requests.alias("rival")
_may_have_answer = or_(
    exists().where(cache.c.cache_scope == bindparam("scope"), cache.c.fingerprint == requests.c.fingerprint),
    exists().where(
        _rival.c.fingerprint == requests.c.fingerprint, _rival.c.state == literal(RequestState.CLAIMED.value)
    ),
)
_columns = select(
    requests.c.id,
    requests.c.line,
    requests.c.custom_id,
    requests.c.size,
    requests.c.est_input,
    requests.c.est_output,
    requests.c.sends,
    requests.c.sends_before,
    requests.c.spent,
    requests.c.lost,
    requests.c.timeouts,
    requests.c.revision,
    #: Its answer may be known, or in flight; then `cache_hits` examines it.
    _may_have_answer.label("may_have_answer"),
)
_due = (
    _columns.where(
        _pending, _healthy, requests.c.available_at <= bindparam("now"), requests.c.available_at.is_not(None)
    )
    .order_by(requests.c.available_at, requests.c.id)
    .limit(bindparam("most"))
    .subquery("due")
)
#: Pending since they were inserted, so their ids only rise: what was claimed of them is never found again.
_fresh = (
    _columns.where(FRESH, requests.c.route_id == bindparam("route"))
    .order_by(requests.c.id)
    .limit(bindparam("most"))
    .subquery("fresh")
)
_back = _columns.where(_pending, requests.c.available_at.is_(None), requests.c.returned == literal(1)).limit(
    bindparam("most")
)
_returned = _back.where(requests.c.lost == literal(0)).order_by(requests.c.id).subquery("returned")
_lost = (
    _back.where(requests.c.lost > literal(0), _healthy).order_by(requests.c.lost, requests.c.id).subquery("lost")
)
# All in one statement (see `CompiledJson`), in this order: more than is wanted, if many are due or returned.
select_next = CompiledJson(
    union_all(select(_due), select(_returned), select(_fresh), select(_lost)),
    "scope",
    "route",
    "now",
    "most",
)
select_suspect = Compiled(
    _columns.where(
        _pending,
        requests.c.lost >= literal(SUSPECT_AFTER),
        or_(requests.c.available_at.is_(None), requests.c.available_at <= bindparam("now")),
    )
    .order_by(requests.c.lost, requests.c.id)
    .limit(literal(1)),
    "scope",
    "route",
    "now",
)
select_next_due = Compiled(
    select(func.min(requests.c.available_at)).where(_pending, _healthy, requests.c.available_at.is_not(None)),
    "route",
)
_select_next_suspect = Compiled(
    select(func.min(requests.c.available_at)).where(_pending, requests.c.lost >= literal(SUSPECT_AFTER)), "route"
)

#: Claims of one transaction at most: the routes that are not reached are asked again.
MOST_CLAIMS = 5_000
#: Small bodies are read together (see `CompiledJson`), separated by a byte that JSON never contains.
_TOGETHER_BYTES = 1 << 20
_BETWEEN = b"\x1e"
_select_together = Compiled(
    select(
        NumbersAsJson(bodies.c.request_id).label("numbers"),
        JoinedBytes(bodies.c.body, literal(ord(_BETWEEN))).label("joined"),
    ).where(bodies.c.request_id.in_(id_list("ids"))),
    "ids",
)
_select_bodies = Compiled(
    select(bodies.c.request_id, bodies.c.body).where(bodies.c.request_id.in_(id_list("ids"))), "ids"
)

# All at once: saves a quarter of the claim's cost compared with one statement per row.
_claim = Compiled(
    update(requests)
    .where(requests.c.id.in_(id_list("ids")), requests.c.state == literal(RequestState.PENDING.value))
    .values(
        state=literal(RequestState.CLAIMED.value),
        holder_id=bindparam("holder"),
        sends=requests.c.sends + literal(1),
        available_at=null(),
    ),
    "holder",
    "ids",
)


def claim(
    connection: Connection,
    wants: Sequence[RouteDemand],
    *,
    holder: HolderId,
    now: int,
    most_bytes: int,
    alone: bool = False,
) -> ClaimResult:
    """Claim what is wanted of each route, within `most_bytes` of bodies (one request always fits).

    `alone` claims a single suspect: a request with which several holders died runs last and by itself.
    """
    changes = CountChanges(holder)
    claimed = claim_into(connection, wants, changes, holder=holder, now=now, most_bytes=most_bytes, alone=alone)
    changes.write(connection)
    return claimed


def claim_into(
    connection: Connection,
    wants: Sequence[RouteDemand],
    changes: CountChanges,
    *,
    holder: HolderId,
    now: int,
    most_bytes: int,
    alone: bool = False,
) -> ClaimResult:
    """Claim as `claim` does; the caller writes the changes of the counts."""
    claims: list[Claim] = []
    settled: list[RequestsSettled] = []
    next_due: dict[RouteId, int | None] = {}
    for want in wants:
        most = min(want.most, MOST_CLAIMS - len(claims))
        rows = _candidates(connection, want, most, now, alone=alone)
        to_send, answered = answer(connection, want.route, rows, changes, now)
        if answered.completed:
            settled.append(answered)
        taken = _within(to_send, min(most_bytes, want.most_bytes), first=not claims) if want.most_bytes else []
        most_bytes -= sum(row.size for row in taken)
        claims += _take(connection, want.route, taken, holder, changes)
        if len(rows) < most and len(taken) == len(to_send):
            next_in_line = _select_next_suspect if alone else select_next_due
            # Asked after all others are claimed or parked: what is left is not due yet.
            next_due[want.route.id] = next_in_line.scalar(connection, want.route.id)
        elif to_send and not want.most_bytes:
            next_due[want.route.id] = now
        if claims and (most_bytes <= 0 or alone or len(claims) >= MOST_CLAIMS):
            break
    return ClaimResult(claims=claims, settled=settled, next_due=next_due)


def _candidates(connection: Connection, want: RouteDemand, most: int, now: int, *, alone: bool) -> list[Any]:
    route, scope = want.route.id, want.route.cache_scope
    if alone:
        return select_suspect.rows(connection, scope, route, now)
    return select_next.rows(connection, scope, route, now, most)[:most]


def _within(rows: list[Any], most_bytes: int, *, first: bool) -> list[Any]:
    taken: list[Any] = []
    for row in rows:
        most_bytes -= row.size
        if most_bytes < 0 and not (first and not taken):
            break
        taken.append(row)
    return taken


def _bodies(connection: Connection, ids: str, size: int) -> dict[int, bytes]:
    if size > _TOGETHER_BYTES:
        return dict(_select_bodies.rows(connection, ids))
    ((numbers, joined),) = _select_together.rows(connection, ids)
    return dict(zip(msgspec.json.decode(numbers), joined.split(_BETWEEN), strict=True))


def _take(
    connection: Connection, route: Route, rows: Iterable[Any], holder: HolderId, changes: CountChanges
) -> list[Claim]:
    rows = list(rows)
    if not rows:
        return []
    ids = as_json_array(row.id for row in rows)
    claimed = _claim.run(connection, holder, ids)
    change = changes.of(route.job_id)
    change.pending -= claimed
    change.claimed += claimed
    change.sends += claimed
    read = _bodies(connection, ids, sum(row.size for row in rows))
    return [
        Claim(
            request_id=RequestId(row.id),
            job_id=route.job_id,
            route_id=route.id,
            endpoint_id=route.endpoint_id,
            line=row.line,
            custom_id=row.custom_id,
            path=route.path,
            model=route.model,
            send=row.sends + 1,
            sends_before=row.sends_before,
            attempts_used=row.spent,
            lost=row.lost,
            timeouts=row.timeouts,
            revision=row.revision,
            est_input=row.est_input,
            est_output=row.est_output,
            body=read[row.id],
        )
        for row in rows
    ]
