"""What reports read of attempts: the record itself, why a request failed, and how often a provider has seen it.

A request failed by its own last attempt, or by its leader's if it only followed.
"""

from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select

from batcher.domain.ids import RequestId
from batcher.domain.states import AttemptKind, RequestState
from batcher.store.dialect import literal
from batcher.store.jobs.recount import never_sent
from batcher.store.schema import attempts, requests


class AttemptRow(Struct, frozen=True, kw_only=True):
    """The record of one attempt. Times are UTC microseconds."""

    #: The request that was sent: the row itself, or its leader.
    request_id: RequestId
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


#: Attempts of the row that was sent for this one, up to their common end. A leader that is retried alone goes on
#: without its dead followers: what happens to it then does not concern them.
is_of_its_leader: ColumnElement[bool] = and_(
    attempts.c.request_id == requests.c.leader_id, attempts.c.ended_at <= requests.c.settled_at
)
_sent = func.coalesce(requests.c.leader_id, requests.c.id)
_last = (
    select(func.max(attempts.c.send))
    .where(
        attempts.c.request_id == _sent,
        or_(requests.c.leader_id.is_(None), attempts.c.ended_at <= requests.c.settled_at),
        attempts.c.kind != AttemptKind.SUCCESS.value,
    )
    .correlate(requests)
    .scalar_subquery()
)


def with_last_attempt(query: Select[Any]) -> Select[Any]:
    """Join each request with the attempt that settled it; nothing is joined if nothing was ever sent."""
    return query.outerjoin(attempts, and_(attempts.c.request_id == _sent, attempts.c.send == _last))


_unsent = attempts.alias("unsent")
_count = (
    select(func.count())
    .where(_unsent.c.request_id == requests.c.id, never_sent(_unsent))
    .correlate(requests)
    .scalar_subquery()
)
_answered_at_once = and_(requests.c.sends <= literal(1), requests.c.state == literal(RequestState.COMPLETED.value))

#: How often the provider has seen a row of `requests`. Most are answered at once; of those no attempt is read.
seen: ColumnElement[int] = case((_answered_at_once, requests.c.sends), else_=requests.c.sends - _count)
