"""How often a provider may have seen a request: its sends, but for those that never reached it."""

from sqlalchemy import ColumnElement, FromClause, and_, case, func, select

from batcher.domain.states import AttemptKind, RequestState
from batcher.store.hot import word
from batcher.store.tables import attempts, requests


def never_sent(table: FromClause = attempts) -> ColumnElement[bool]:
    """Attempts whose request never left: no connection came about. Of a lost one that is unknown, so it counts."""
    return and_(table.c.sent_at.is_(None), table.c.kind != word(AttemptKind.LOST.value))


_unsent = attempts.alias("unsent")
_count = (
    select(func.count())
    .where(_unsent.c.request_id == requests.c.id, never_sent(_unsent))
    .correlate(requests)
    .scalar_subquery()
)
_answered_at_once = and_(requests.c.sends <= word(1), requests.c.state == word(RequestState.COMPLETED.value))

#: Of a row of `requests`. Most are answered at once; of those no attempt is read.
seen: ColumnElement[int] = case((_answered_at_once, requests.c.sends), else_=requests.c.sends - _count)
