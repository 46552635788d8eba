"""Faults planted on purpose: the simulation has to find each of them, else it looks in the wrong places."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from msgspec.structs import replace
from sqlalchemy import Connection

from batcher.budget import limiter
from batcher.domain.ids import HolderId
from batcher.domain.lanes import StoredLane
from batcher.domain.requests import SettledIds
from batcher.domain.settlements import Settlement
from batcher.policy.rate.token_bucket import Balance, Pace
from batcher.store.queue import lanes, settle

_FORCE = (
    "UPDATE requests SET state = 'claimed', holder_id = :holder, sends = :send, response_id = NULL,"
    " settled_at = NULL "
)
_settle_as_it_is = settle.settle
_save_as_it_is = lanes.save


def lease_not_checked() -> AbstractContextManager[object]:
    """A settlement ends a claim whoever holds it now, and whatever its send."""
    return mock.patch.object(settle, "settle", _forcing("WHERE id = :id AND state = 'claimed'"))


def settle_not_conditional() -> AbstractContextManager[object]:
    """A settlement is written whatever the row's state: also a second time."""
    return mock.patch.object(settle, "settle", _forcing("WHERE id = :id AND :holder IS NOT NULL"))


def cool_down_not_persisted() -> AbstractContextManager[object]:
    """What a refusal named is forgotten by a restart."""

    def save(connection: Connection, lane: StoredLane, *, now: int) -> None:
        _save_as_it_is(connection, replace(lane, cooling_until=None), now=now)

    return mock.patch.object(lanes, "save", save)


def burst_forgotten() -> AbstractContextManager[object]:
    """A gate that starts has a whole burst to give, whatever the run before it sent."""

    def full(_pace: Pace, *, debt: float = 0.0) -> Balance:
        return Balance(0.0, debt)

    return mock.patch.object(limiter, "drained", full)


def _forcing(where: str) -> Callable[..., list[SettledIds]]:
    """The real settlement, after rows were made to fit what is claimed of them."""

    def settled(
        connection: Connection, settlements: Sequence[Settlement], *, holder: HolderId, now: int
    ) -> list[SettledIds]:
        for each in settlements:
            values: dict[str, Any] = {"id": each.claim.request_id, "holder": holder, "send": each.claim.send}
            connection.exec_driver_sql(_FORCE + where, values)
        return _settle_as_it_is(connection, settlements, holder=holder, now=now)

    return settled
