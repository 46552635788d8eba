"""Settles rows whose answer is known instead of claiming them; parks rows whose answer is in flight.

Cache hits are written many rows per statement: for a job that is wholly cached, thousands per claim.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, null, select, update

from batcher.domain.events import RequestsSettled
from batcher.domain.ids import RequestId
from batcher.domain.requests import Route
from batcher.domain.states import AnswerMark, RequestState
from batcher.store.compiled import Compiled
from batcher.store.dialect import as_json_array, id_list, literal
from batcher.store.jobs.kept_counts import CountChanges
from batcher.store.queue import single_flight
from batcher.store.schema import cache, endpoints, jobs, requests, responses

#: A row whose body another job has in flight is checked again after this many microseconds.
PARK_US = 500_000
#: How many fresh rows one statement looks up in the cache ahead of their claim, and how many one claim settles in
#: this way. The second bounds how long a claim takes (5,000 rows: 50 ms), and so how long others wait for the
#: store.
_AHEAD, _MOST_AHEAD = 1_000, 5_000

_pending = requests.c.state == literal(RequestState.PENDING.value)
_ids = requests.c.id.in_(id_list("ids"))
_answer = (
    update(requests)
    .where(
        _ids,
        _pending,
        cache.c.cache_scope == bindparam("scope"),
        cache.c.fingerprint == requests.c.fingerprint,
        cache.c.marks.op("&")(bindparam("refused")) == literal(0),
    )
    .values(
        state=literal(RequestState.COMPLETED.value),
        response_id=cache.c.response_id,
        cached=literal(1),
        marks=cache.c.marks.op("&")(literal((~AnswerMark.UNVALIDATED).value)),
        available_at=null(),
        settled_at=bindparam("now"),
    )
    .returning(requests.c.id, requests.c.marks)
)
_origin = requests.alias("origin")
_answer_everywhere = Compiled(_answer, "now", "ids", "scope", "refused")
_answer_in_job = Compiled(
    _answer.where(
        responses.c.id == cache.c.response_id,
        _origin.c.id == responses.c.request_id,
        _origin.c.job_id == bindparam("job"),
    ),
    "now",
    "ids",
    "scope",
    "refused",
    "job",
)
_rival = requests.alias("rival")
_rival_job, _rival_endpoint = jobs.alias("rival_job"), endpoints.alias("rival_endpoint")
_in_flight = (
    select(requests.c.id)
    .select_from(requests)
    .join(
        _rival,
        and_(
            _rival.c.fingerprint == requests.c.fingerprint, _rival.c.state == literal(RequestState.CLAIMED.value)
        ),
    )
    .join(_rival_job, _rival_job.c.id == _rival.c.job_id)
    .join(_rival_endpoint, _rival_endpoint.c.id == _rival_job.c.endpoint_id)
    .where(_ids, func.coalesce(_rival_endpoint.c.cache_scope, _rival_endpoint.c.id) == bindparam("scope"))
)
_select_in_flight = Compiled(_in_flight, "scope", "ids")
_select_in_flight_in_job = Compiled(_in_flight.where(_rival.c.job_id == bindparam("job")), "scope", "ids", "job")
_park = Compiled(update(requests).where(_ids, _pending).values(available_at=bindparam("until")), "until", "ids")
_select_fresh_ids = Compiled(
    select(requests.c.id)
    .where(
        _pending,
        requests.c.leader_id.is_(None),
        requests.c.route_id == bindparam("route"),
        requests.c.available_at.is_(None),
        requests.c.returned == literal(0),
    )
    .order_by(requests.c.id)
    .limit(literal(_AHEAD)),
    "route",
)


def answer(
    connection: Connection, route: Route, rows: Sequence[Any], changes: CountChanges, now: int
) -> tuple[list[Any], RequestsSettled]:
    """Settle the rows whose answer is known, with their followers; park those whose answer is in flight.

    Returns the rest, which must be sent. If no row needs to be sent, fresh ones after them are looked up, too.
    """
    sharing = [row.id for row in rows if row.may_have_answer]
    if not sharing:
        return list(rows), RequestsSettled(job_id=route.job_id)
    known = _answered(connection, route, sharing, changes, now)
    if len(known) == len(rows):
        known += _answered_ahead(connection, route, changes, now)
    shared = single_flight.complete(connection, known, changes, now=now) if known else None
    completed = [*known, *(each.id for each in shared.followers)] if shared is not None else []
    gone = set(known)
    gone |= _parked(connection, route, [each for each in sharing if each not in gone], now)
    to_send = [row for row in rows if row.id not in gone]
    left = shared is not None and shared.is_partial
    answered = RequestsSettled(
        job_id=route.job_id, completed=completed, cached=len(completed), followers_left=left
    )
    return to_send, answered


def _answered_ahead(connection: Connection, route: Route, changes: CountChanges, now: int) -> list[RequestId]:
    """Settle fresh rows in claim order, until one has no known answer or there are enough for one claim."""
    known: list[RequestId] = []
    while len(known) < _MOST_AHEAD:
        more = _answered(connection, route, _select_fresh_ids.column(connection, route.id), changes, now)
        known += more
        if len(more) < _AHEAD:
            break
    return known


def _answered(
    connection: Connection, route: Route, ids: Sequence[int], changes: CountChanges, now: int
) -> list[RequestId]:
    values = (now, as_json_array(ids), route.cache_scope, route.refuses.value)
    if route.reuse_earlier:
        found = _answer_everywhere.rows(connection, *values)
    else:
        found = _answer_in_job.rows(connection, *values, route.job_id)
    changes.share_answers((route.job_id, marks) for _, marks in found)
    return [request_id for request_id, _ in found]


def _parked(connection: Connection, route: Route, ids: Sequence[int], now: int) -> set[RequestId]:
    if not ids:
        return set()
    if route.reuse_earlier:
        rivals = _select_in_flight.column(connection, route.cache_scope, as_json_array(ids))
    else:
        rivals = _select_in_flight_in_job.column(connection, route.cache_scope, as_json_array(ids), route.job_id)
    if rivals:
        _park.run(connection, now + PARK_US, as_json_array(rivals))
    return set(rivals)
