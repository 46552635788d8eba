"""What may become of a row, and by whom: DESIGN's table of states as a function."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import Struct


class Row(Struct, frozen=True):
    """What the store says of a request; the fields are the columns that are read, in this order."""

    id: int
    job: int
    line: int
    custom_id: str
    state: str
    sends: int
    spent: int
    lost: int
    timeouts: int
    holder: int | None
    revision: int
    response: int | None
    leader: int | None
    code: str | None


SELECT_ROWS = (
    "SELECT id, job_id, line, custom_id, state, sends, spent, lost, timeouts, holder_id, revision, response_id,"
    " leader_id, failure_code FROM requests"
)


@dataclass(frozen=True)
class Actor:
    """Who made a transaction: what it did, as which holder, and which holders live beside it."""

    doing: str
    holder: int | None
    living: frozenset[int]


def is_lawful(actor: Actor, old: Row, new: Row) -> bool:
    """Whether the actor may turn one row into the other."""
    if (old.id, old.job, old.line, old.custom_id) != (new.id, new.job, new.line, new.custom_id):
        return False
    return (old.state, new.state) in _ALLOWED.get(actor.doing, {}) and _counts_rightly(actor, old, new)


_CLAIM = frozenset({("pending", "claimed"), ("pending", "completed"), ("pending", "pending")})
_SETTLE = frozenset(
    {
        ("claimed", "completed"),
        ("claimed", "dead_lettered"),
        ("claimed", "pending"),
        ("claimed", "cancelled"),
        ("pending", "completed"),
        ("pending", "dead_lettered"),
    }
)
#: By what is done: which states may follow which. What is not named changes no row at all.
_ALLOWED: Mapping[str, frozenset[tuple[str, str]]] = {
    "claim": _CLAIM,
    "settle": _SETTLE,
    # What is given back may be claimed again in the same transaction.
    "exchange": _SETTLE | _CLAIM | {("claimed", "claimed")},
    # A process that starts gives back what the dead held.
    "begin": frozenset(
        {
            ("claimed", "pending"),
            ("claimed", "cancelled"),
            ("claimed", "dead_lettered"),
            ("pending", "dead_lettered"),
        }
    ),
    "cancel": frozenset({("pending", "cancelled")}),
    "delete": frozenset({("pending", "cancelled")}),
    "retry": frozenset({("dead_lettered", "pending"), ("pending", "pending")}),
    "discard": frozenset({("dead_lettered", "cancelled")}),
}
#: How sends, spent and lost grow; what is not named here leaves them as they are.
_Growth = frozenset[tuple[int, int, int]]
_NONE: _Growth = frozenset({(0, 0, 0)})
#: A requeue may spend an attempt; a release gives the number of the send back.
_GIVEN_BACK: _Growth = frozenset({(0, 1, 0), (0, 0, 0), (-1, 0, 0)})
_GROWTH: Mapping[tuple[str, str], _Growth] = {
    ("pending", "claimed"): frozenset({(1, 0, 0)}),
    ("claimed", "pending"): _GIVEN_BACK,
    ("claimed", "cancelled"): frozenset({(0, 0, 0), (-1, 0, 0)}),
}
_GROWTH_BY: Mapping[str, Mapping[tuple[str, str], _Growth]] = {
    "begin": {
        ("claimed", "pending"): frozenset({(0, 0, 1), (-1, 0, 0)}),
        ("claimed", "dead_lettered"): frozenset({(0, 0, 1)}),
    },
    "exchange": {
        ("claimed", "claimed"): frozenset((sends + 1, spent, lost) for sends, spent, lost in _GIVEN_BACK),
        ("claimed", "completed"): _GIVEN_BACK,
    },
}


def _counts_rightly(actor: Actor, old: Row, new: Row) -> bool:
    """Whether the counters and the holder moved as this step moves them."""
    if old.state == "dead_lettered" and new.state == "pending":
        return (new.sends, new.spent, new.lost, new.timeouts) == (old.sends, 0, 0, 0)
    if new.revision != old.revision or (old.state == "claimed" and not _may_end(actor, old)):
        return False
    if new.state == "claimed" and new.holder != actor.holder:
        return False
    step = old.state, new.state
    allowed = _GROWTH_BY.get(actor.doing, {}).get(step) or _GROWTH.get(step, _NONE)
    grown = (new.sends - old.sends, new.spent - old.spent, new.lost - old.lost)
    # A timeout counts also where no attempt is spent, in an outage: what was sent may have been billed.
    may_have_timed_out = step == ("claimed", "pending") and (grown[0], grown[2]) == (0, 0)
    return grown in allowed and 0 <= new.timeouts - old.timeouts <= int(may_have_timed_out)


def _may_end(actor: Actor, old: Row) -> bool:
    """A holder ends its own claims; one that starts ends those of the dead."""
    if actor.doing == "begin":
        return old.holder not in actor.living
    return old.holder == actor.holder
