"""Which routes have rows that are not settled, found by the indexes of the claim: no job is read for it.

Rows that follow another one need not be looked for. Their leader is not settled either, or it is noted that some
of its followers are not (`unshared_ends`).
"""

from sqlalchemy import ColumnElement, and_, exists, or_, select

from batcher.domain.states import RequestState
from batcher.store.dialect import literal
from batcher.store.jobs.id_range import claimed
from batcher.store.schema import SUSPECT_AFTER, requests, unshared_ends

_waits = requests.alias("waits")
_leads = and_(_waits.c.state == literal(RequestState.PENDING.value), _waits.c.leader_id.is_(None))
_at_once = and_(_leads, _waits.c.available_at.is_(None))
#: Together they hold every pending row that follows none; each is the condition of a partial index.
_ARMS = (
    and_(_at_once, _waits.c.returned == literal(0)),
    and_(_at_once, _waits.c.returned == literal(1)),
    and_(_leads, _waits.c.available_at.is_not(None), _waits.c.lost < literal(SUSPECT_AFTER)),
    and_(_leads, _waits.c.lost >= literal(SUSPECT_AFTER)),
)
_held = requests.alias("held")
_of_claimed = select(_held.c.route_id).where(_held.c.id.in_(claimed()))
_ended = requests.alias("ended")
_of_unshared = select(_ended.c.route_id).where(_ended.c.id.in_(select(unshared_ends.c.leader_id)))


def has_work(route_id: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition that a route has rows that are not settled."""
    return or_(
        *(exists().where(_waits.c.route_id == route_id, arm) for arm in _ARMS),
        route_id.in_(_of_claimed),
        route_id.in_(_of_unshared),
    )
