"""Faults that are planted on purpose; the simulation must find each of them, or it checks too little."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from msgspec.structs import replace
from sqlalchemy import Connection

from batcher.budget import limiter
from batcher.budget.lane_gate import LaneGate
from batcher.domain.events import RequestsSettled
from batcher.domain.ids import HolderId
from batcher.domain.lanes import StoredLane
from batcher.domain.settlements import Settlement
from batcher.policy.rate.token_bucket import Balance, Pace
from batcher.policy.retry.failure_run import FailureCause, FailureRun, Verdict
from batcher.store.jobs.kept_counts import CountChanges
from batcher.store.queue import lanes, settle

_FORCE = (
    "UPDATE requests SET state = 'claimed', holder_id = :holder, sends = :send, response_id = NULL,"
    " settled_at = NULL "
)
_settle_as_it_is = settle.settle_into
_save_as_it_is = lanes.save


def lease_not_checked() -> AbstractContextManager[object]:
    """A settlement ends a claim even if another holder or another send has it now."""
    return mock.patch.object(settle, "settle_into", _forcing("WHERE id = :id AND state = 'claimed'"))


def settle_not_conditional() -> AbstractContextManager[object]:
    """A settlement is written in any state of the row, also a second time."""
    return mock.patch.object(settle, "settle_into", _forcing("WHERE id = :id AND :holder IS NOT NULL"))


def cool_down_not_persisted() -> AbstractContextManager[object]:
    """A restart forgets the cool-down that a 429 asked for."""

    def save(connection: Connection, lane: StoredLane, *, now: int) -> None:
        _save_as_it_is(connection, replace(lane, cooling_until=None), now=now)

    return mock.patch.object(lanes, "save", save)


def one_row_decides_for_all() -> AbstractContextManager[object]:
    """A reply that calls for a pause pauses, whatever other rows are answered."""
    return mock.patch.object(FailureRun, "failed", _blaming_the_route(FailureRun.failed))


def no_row_is_asked() -> AbstractContextManager[object]:
    """A failure is its row's, even if every row fails alike."""
    return mock.patch.object(FailureRun, "failed", return_value=Verdict.ROW)


def queue_not_seen() -> AbstractContextManager[object]:
    """A timeout counts as a failure of its row, however many wait in the server's queue before it."""
    return mock.patch.object(LaneGate, "timed_out", return_value=False)


def burst_forgotten() -> AbstractContextManager[object]:
    """A new gate has a full burst, whatever the run before it sent."""

    def full(_pace: Pace, *, debt: float = 0.0) -> Balance:
        return Balance(0.0, debt)

    return mock.patch.object(limiter, "initial_balance", full)


def shared_answers_not_counted() -> AbstractContextManager[object]:
    """Rows that get an answer without a request are completed, and no count says so."""
    return mock.patch.object(CountChanges, "share_answers", return_value=None)


def _blaming_the_route(failed: Callable[..., Verdict]) -> Callable[..., Verdict]:
    def blamed(run: FailureRun, number: int, cause: FailureCause, *, blocks: bool, **named: bool) -> Verdict:
        verdict = failed(run, number, cause, blocks=blocks, **named)
        if verdict is Verdict.UNDECIDED and blocks and run.held_for in {None, cause}:
            run.held_for = cause
            return Verdict.ROUTE
        return verdict

    return blamed


def _forcing(where: str) -> Callable[..., list[RequestsSettled]]:
    """The real settlement, after the rows were changed to match the claims."""

    def settled(
        connection: Connection,
        settlements: Sequence[Settlement],
        changes: CountChanges,
        *,
        holder: HolderId,
        now: int,
    ) -> list[RequestsSettled]:
        for each in settlements:
            values: dict[str, Any] = {"id": each.claim.request_id, "holder": holder, "send": each.claim.send}
            connection.exec_driver_sql(_FORCE + where, values)
        return _settle_as_it_is(connection, settlements, changes, holder=holder, now=now)

    return settled
