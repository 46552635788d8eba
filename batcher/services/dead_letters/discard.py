"""Discard dead letters: their rows are cancelled."""

from collections.abc import Sequence

from msgspec import Struct

from batcher.domain.ids import JobId, RequestId
from batcher.domain.requests import Filters
from batcher.ports import Store
from batcher.services.dead_letters.retry import AT_ONCE, matching_ids
from batcher.services.store.turns import let_others_write
from batcher.store.dead_letters import filters as dead_letter_filters
from batcher.store.dead_letters import redrive


class DiscardPlan(Struct, frozen=True, kw_only=True):
    """The dead letters that would be discarded, and their jobs."""

    ids: Sequence[RequestId]
    jobs: Sequence[JobId]


def plan_discard(database: Store, filters: Filters) -> DiscardPlan:
    """Return the dead letters that match. Raises UsageError if a named request is not among them."""
    ids = matching_ids(database, filters)
    with database.read() as connection:
        return DiscardPlan(ids=ids, jobs=list(dead_letter_filters.by_job(connection, filters)))


def discard(database: Store, plan: DiscardPlan) -> int:
    """Cancel them; returns how many. Rows that failed together with them, and their jobs, do not change."""
    count = 0
    for start in range(0, len(plan.ids), AT_ONCE):
        with database.write() as connection:
            count += redrive.discard(connection, plan.ids[start : start + AT_ONCE])
        let_others_write()
    return count
