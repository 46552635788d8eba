"""What a failed request died of: its own last attempt, or its leader's where it only followed."""

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from batcher.domain.states import AttemptKind
from batcher.store.tables import attempts, requests

#: The attempts that count: those of the row that was sent for this one. A leader goes on without its dead
#: followers when it alone is retried: what happens to it then is no longer theirs.
is_its_own: ColumnElement[bool] = and_(
    attempts.c.request_id == func.coalesce(requests.c.leader_id, requests.c.id),
    or_(requests.c.leader_id.is_(None), attempts.c.ended_at <= requests.c.settled_at),
)
_last = (
    select(func.max(attempts.c.send))
    .where(is_its_own, attempts.c.kind != AttemptKind.SUCCESS.value)
    .correlate(requests)
    .scalar_subquery()
)


def with_last_attempt(query: Select[Any]) -> Select[Any]:
    """Join each request with the attempt that settled it; nothing is joined where nothing was ever sent."""
    of_the_sent = attempts.c.request_id == func.coalesce(requests.c.leader_id, requests.c.id)
    return query.outerjoin(attempts, and_(of_the_sent, attempts.c.send == _last))
