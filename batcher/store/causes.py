"""What a failed request died of: its own last attempt, or its leader's where it only followed."""

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from batcher.domain.states import AttemptKind
from batcher.store.tables import attempts, requests

#: Attempts of the row that was sent for this one, up to their common end. A leader that is retried alone goes
#: on without its dead followers: what happens to it then is not theirs.
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
    """Join each request with the attempt that settled it; nothing is joined where nothing was ever sent."""
    return query.outerjoin(attempts, and_(attempts.c.request_id == _sent, attempts.c.send == _last))
