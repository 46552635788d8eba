"""The allowed state changes of a row, and by whom (docs/architecture.md#states-of-a-request), as a function."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import Struct


class Row(Struct, frozen=True):
    """A request as the store has it; the fields are the columns that are read, in this order."""

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
    """The author of a transaction: its operation, its holder, and the other holders that are alive."""

    doing: str
    holder: int | None
    living: frozenset[int]


def is_lawful(actor: Actor, old: Row, new: Row) -> bool:
    """Return whether the actor may change one row into the other."""
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
#: Allowed state changes by operation. An operation that is not listed changes no row.
_ALLOWED: Mapping[str, frozenset[tuple[str, str]]] = {
    "claim": _CLAIM,
    "settle": _SETTLE,
    # A row that is given back may be claimed again in the same transaction.
    "exchange": _SETTLE | _CLAIM | {("claimed", "claimed")},
    # A process that starts rescues the claims of dead holders.
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
#: How sends, spent and lost change; an operation that is not listed leaves them unchanged.
_Growth = frozenset[tuple[int, int, int]]
_NONE: _Growth = frozenset({(0, 0, 0)})
#: A requeue may use an attempt; a release gives the attempt number back.
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
    """Return whether the counters and the holder changed as this operation changes them."""
    if old.state == "dead_lettered" and new.state == "pending":
        return (new.sends, new.spent, new.lost, new.timeouts) == (old.sends, 0, 0, 0)
    if new.revision != old.revision or (old.state == "claimed" and not _may_end(actor, old)):
        return False
    if new.state == "claimed" and new.holder != actor.holder:
        return False
    step = old.state, new.state
    allowed = _GROWTH_BY.get(actor.doing, {}).get(step) or _GROWTH.get(step, _NONE)
    grown = (new.sends - old.sends, new.spent - old.spent, new.lost - old.lost)
    # A timeout counts even if no attempt is used, in an outage: the request may have been billed.
    may_have_timed_out = step == ("claimed", "pending") and (grown[0], grown[2]) == (0, 0)
    return grown in allowed and 0 <= new.timeouts - old.timeouts <= int(may_have_timed_out)


def _may_end(actor: Actor, old: Row) -> bool:
    """Return whether the claim may be ended: a holder ends its own, a starting one those of dead holders."""
    if actor.doing == "begin":
        return old.holder not in actor.living
    return old.holder == actor.holder
